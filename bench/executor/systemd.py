# SPDX-License-Identifier: Apache-2.0
"""Debian i386 with systemd and udev, all of it in the initial RAM disk: process start to the login prompt on the serial line."""
import os
import pathlib
import re
import shutil
import stat
import statistics
import subprocess

from machine import Run, processor_time
from systems import CONSOLE, Missing, make_systems, need_program  # makes tests/guests known

from initramfs import Archive

SUITE, PACKAGES = "bookworm", "systemd-sysv,udev"
MEMORY, GOAL = 704, 5  # MiB: below what a 32-bit kernel maps page by page
PROMPT = b"login: "
# Not needed to come to the prompt; a RAM disk is unpacked into memory.
LEFT_OUT = ("var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/locale", "usr/share/man", "usr/share/i18n", "usr/share/zoneinfo")
TROUBLE = re.compile(rb"panic|BUG:|Oops|segfault|general protection|\[FAILED|Failed to start|invalid opcode|rcu.*stall")
ESCAPES = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]|\r")
MILESTONES = {"kernel": b"Linux version", "init": b"Welcome to", "udev": b"udevd", "basic": b"basic.target", "login": PROMPT}


class Tree(Archive):
    """An archive of a folder: files, folders, links, devices as they are."""

    def tree(self, folder):
        for parent, folders, files in os.walk(folder):
            for name in sorted(folders + files):
                path = pathlib.Path(parent) / name
                status = path.lstat()
                data = b""
                if stat.S_ISLNK(status.st_mode):
                    data = os.readlink(path).encode()
                elif stat.S_ISREG(status.st_mode):
                    data = path.read_bytes()
                device = (os.major(status.st_rdev), os.minor(status.st_rdev)) if stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode) else (0, 0)
                self._add(str(path.relative_to(folder)), status.st_mode, data, device)


def make_disk(files):
    """Gives the RAM disk, built once."""
    disk = files.folder / "debian-i386.cpio.gz"
    if disk.exists():
        return disk
    if os.geteuid() != 0:
        raise Missing("debootstrap needs root")
    debootstrap = need_program("debootstrap")
    root = files.folder / "debian-i386"
    shutil.rmtree(root, ignore_errors=True)
    log = files.folder / "debootstrap.log"
    with open(log, "wb") as output:
        done = subprocess.run([debootstrap, "--arch=i386", "--variant=minbase", f"--include={PACKAGES}", SUITE, str(root)], stdin=subprocess.DEVNULL, stdout=output,
                              stderr=subprocess.STDOUT, check=False)
    if done.returncode != 0:
        raise Missing(f"debootstrap ended with {done.returncode}; {log} says why")
    for name in LEFT_OUT:
        shutil.rmtree(root / name, ignore_errors=True)
    (root / "init").symlink_to("sbin/init")
    (root / "etc/hostname").write_text("guest\n", encoding="ascii")
    # Empty: systemd makes one up and does not ask first-boot questions.
    (root / "etc/machine-id").write_text("", encoding="ascii")
    archive = Tree()
    archive.tree(root)
    partial = disk.with_suffix(".partial")
    partial.write_bytes(archive.bytes())
    partial.rename(disk)
    shutil.rmtree(root, ignore_errors=True)
    return disk


def boot(command, timeout):
    """Gives {"reached": {milestone: seconds}, "processor", "troubles", "end"} of one boot."""
    seen, reached = b"", {}
    processor = None
    with Run(command) as run:
        for data in run.chunks(timeout):
            seen += data
            for name, text in MILESTONES.items():
                if name not in reached and text in seen:
                    reached[name] = run.elapsed()
            if "login" in reached:
                processor = processor_time(run.process.pid)
                break
        end = "login prompt" if "login" in reached else f"{'ended' if run.elapsed() < timeout else 'no prompt'} after {run.elapsed():.0f} s"
    lines = [ESCAPES.sub(b"", line).decode("utf-8", "replace").strip() for line in seen.split(b"\n")]
    return {"reached": reached, "processor": processor, "end": end, "troubles": [line for line in lines if TROUBLE.search(line.encode())][:20],
            "last": [line for line in lines if line][-5:]}


def measure(files, options, say):
    """Gives {system: [boots]}, having printed a table."""
    disk = make_disk(files)
    wanted = options.systems or ["tcg", "trap", "breakpoint", "hypercall", "auto"]
    systems = [system for system in make_systems(files, max(options.memory, MEMORY), wanted, say) if system.name not in ("native", "uml", "patched")]
    results = {system.name: [] for system in systems}
    for _ in range(options.runs):
        for system in systems:
            command = system.command(disk, "")
            command[command.index(next(word for word in command if word.startswith(CONSOLE)))] = CONSOLE.split()[0]
            result = boot(command, options.timeout)
            results[system.name].append(result)
            say(f"{system.name}: {result['end']}, " + ", ".join(f"{name} {seconds:.2f}" for name, seconds in result["reached"].items()))
            for line in result["troubles"] + ([] if "login" in result["reached"] else result["last"]):
                say(f"{system.name}:   {line}")
    print(f"{'seconds to':<12}" + "".join(f"{name:>12}" for name in results))
    for name in MILESTONES:
        values = [[boot["reached"][name] for boot in boots if name in boot["reached"]] for boots in results.values()]
        print(f"{name:<12}" + "".join(f"{statistics.median(one):>12.2f}" if one else f"{'-':>12}" for one in values))
    shares = [[boot["processor"] for boot in boots if boot["processor"]] for boots in results.values()]
    print(f"{'processor s':<12}" + "".join(f"{statistics.median(one):>12.2f}" if one else f"{'-':>12}" for one in shares))
    print(f"goal for auto: login <= {GOAL} s")
    return results
