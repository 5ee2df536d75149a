# SPDX-License-Identifier: Apache-2.0
"""What is compared: how each system is started with a kernel and an initial RAM disk, and the files that this takes."""
import dataclasses
import lzma
import os
import pathlib
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "guests"))
import initramfs  # noqa: E402

TECHNIQUES = ("trap", "breakpoint", "hypercall", "auto")
PLANNED = ("hypercall", "auto")
KERNELS = ("debian-12-i386-686", "debian-12-i386-686-6.1.176")
CONSOLE = "console=ttyS0 quiet"
XZ_MAGIC = b"\xfd7zXZ\0"


class Missing(Exception):
    """Why something cannot be measured here."""


@dataclasses.dataclass
class System:
    """`command(initrd, words)` gives what starts a guest with `words` at the end of its kernel's command line."""
    name: str
    about: str
    command: object
    initrd: str = "init32"
    cpus: set | None = None
    starts_only: bool = False
    native: bool = False


def program_output(command):
    """Runs a program of the tree; gives its standard output. Raises Missing with what it said."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise Missing(str(error)) from error
    if done.returncode != 0:
        raise Missing(f"{' '.join(map(str, command[:3]))}: {(done.stderr.strip().splitlines() or ['no message'])[-1]}")
    return done.stdout


class Files:
    """Kernel, plan, patched kernel and RAM disks, made once in `folder`."""

    def __init__(self, options):
        self.trapline, self.guests, self.folder = options.trapline, options.guests, options.folder
        self.folder.mkdir(parents=True, exist_ok=True)
        self.named_kernel, self.named_plan = options.kernel, options.plan

    def fetch(self, names):
        """Gives the path of the first file of the catalogue that can be had."""
        reasons = []
        for name in names:
            try:
                return pathlib.Path(program_output([self.trapline, "--quiet", "corpus", "fetch", name]).strip())
            except Missing as missing:
                reasons.append(str(missing))
        raise Missing("; ".join(reasons))

    def kernel(self):
        if self.named_kernel is None:
            self.named_kernel = self.fetch(KERNELS)
        return self.named_kernel

    def plan_for(self, image, name, form="packed"):
        """Gives the plan of an image; an older file of that name is made anew when image or program are younger."""
        plan = self.folder / (f"{name}.plan.json" if form == "json" else f"{name}.plan")
        newest = max(os.stat(image).st_mtime, os.stat(self.trapline).st_mtime)
        if not plan.exists() or plan.stat().st_mtime < newest:
            program_output([self.trapline, "plan", image, "--abi", "trapline", "--technique", "hypercall", "--format", form, "-o", plan])
        return plan

    def plan(self):
        if self.named_plan is None:
            self.named_plan = self.plan_for(self.kernel(), "kernel")
        return self.named_plan

    def payload(self):
        """The kernel's own ELF file, out of the bzImage: Debian packs it with xz."""
        elf, image = self.folder / "vmlinux.elf", self.kernel()
        if not elf.exists() or elf.stat().st_mtime < os.stat(image).st_mtime:
            packed = image.read_bytes()
            begin = packed.find(XZ_MAGIC)
            if begin < 0:
                raise Missing(f"{image} holds no xz stream")
            try:
                elf.write_bytes(lzma.LZMADecompressor().decompress(packed[begin:]))
            except lzma.LZMAError as error:
                raise Missing(f"{image}: {error}") from error
            self.forget("vmlinux.plan.json")
        return elf

    def patched(self):
        """The kernel as an ELF file with its patches in place, which carries its plan."""
        elf, payload = self.folder / "patched.elf", self.payload()
        plan = self.plan_for(payload, "vmlinux", "json")
        if not elf.exists() or elf.stat().st_mtime < plan.stat().st_mtime:
            program_output([self.trapline, "patch", payload, "--plan", plan, "-o", elf])
        return elf

    def forget(self, name):
        (self.folder / name).unlink(missing_ok=True)

    def workload(self, name):
        path = self.guests / name
        if not path.exists():
            raise Missing(f"{path} has not been built (target trapline_bench_guests)")
        return path

    def disk(self, name):
        """Writes the RAM disk whose /init is the workload `name`."""
        archive = initramfs.Archive()
        for folder in ("dev", "proc"):
            archive.folder(folder)
        archive.device("dev/console", 5, 1)
        archive.file("init", self.workload(name).read_bytes())
        path = self.folder / f"{name}.cpio.gz"
        path.write_bytes(archive.bytes())
        return path


def need_program(name):
    path = shutil.which(name)
    if path is None:
        raise Missing(f"{name} is not installed")
    return path


def qemu_system(files, memory):
    qemu = need_program("qemu-system-i386")

    def command(initrd, words):
        return [qemu, "-nodefaults", "-accel", "tcg", "-smp", "1", "-m", str(memory), "-display", "none", "-serial", "stdio", "-no-reboot", "-kernel",
                str(files.kernel()), "-initrd", str(initrd), "-append", f"{CONSOLE} {words}"]
    return System("tcg", "QEMU, TCG", command)


def executor_system(files, technique, memory):
    plan = ["--plan", str(files.plan())] if technique in PLANNED else []

    def command(initrd, words):
        return [str(files.trapline), "run", str(files.kernel()), "--technique", technique, *plan, "--memory", f"{memory}M", "--initrd", str(initrd),
                "--append", f"{CONSOLE} {words}"]
    return System(technique, f"trapline run --technique {technique}", command)


def patched_system(files, memory):
    image = files.patched()

    def command(initrd, words):
        return [str(files.trapline), "run", str(image), "--technique", "hypercall", "--memory", f"{memory}M", "--initrd", str(initrd),
                "--append", f"{CONSOLE} {words}"]
    return System("patched", "trapline run of the patched ELF, hypercall", command, starts_only=True)


def uml_system(memory):
    linux = need_program("linux.uml")

    def command(initrd, words):
        return [linux, f"mem={memory}M", f"initrd={initrd}", "con0=null,fd:1", "con=null", "quiet", *words.split()]
    return System("uml", "User-Mode Linux, its own 64-bit kernel without IA32 emulation: the workload as a 64-bit program", command, initrd="init64")


def native_system(files):
    workload = files.workload("init32")
    # One CPU, as the guests have.
    return System("native", "the same program on the host's kernel, on one CPU", lambda initrd, words: [str(workload)], cpus={max(os.sched_getaffinity(0))},
                  native=True)


def make_systems(files, memory, wanted, say):
    """Gives the systems that can be had here; `say` gets the reason for each that is left out."""
    makers = {
        "native": lambda: native_system(files),
        "tcg": lambda: qemu_system(files, memory),
        "uml": lambda: uml_system(memory),
        **{technique: (lambda technique=technique: executor_system(files, technique, memory)) for technique in TECHNIQUES},
        "patched": lambda: patched_system(files, memory),
    }
    systems = []
    for name, make in makers.items():
        if wanted and name not in wanted:
            continue
        try:
            systems.append(make())
        except Missing as missing:
            say(f"{name} is left out: {missing}")
    return systems
