# SPDX-License-Identifier: Apache-2.0
"""Mixed load in a guest for a long time: forks, compression and hashes, pipes, timers, a kernel module loaded and removed.
Every answer is held against one from outside the guest, and the memory and mappings of the processes that run the guest are watched."""
import hashlib
import io
import pathlib
import random
import statistics
import subprocess
import tarfile

from machine import Run, tree
from systems import Missing, executor_system, initramfs

KERNEL_PACKAGE = "debian-12-i386-686-package"
MODULE = "crc7.ko"  # needs no other module
DATA_SIZE = 1 << 20
SAMPLE_SECONDS = 5
SILENCE_SECONDS = 120  # a round takes a few
GUEST_MEMORY_LOSS_KIB = 16384
# What growth of the last quarter over the second is told: a part, and an amount.
GROWTH, GROWTH_KIB, GROWTH_MAPPINGS = 0.10, 8192, 500

INIT = """#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc
bad() { echo "BAD round $round: $*"; }
same() { [ "$2" = "$3" ] || bad "$1 is $2, expected $3"; }
hash() { sha256sum | cut -d ' ' -f 1; }
echo init
round=0
while read up rest < /proc/uptime; [ "${up%.*}" -lt "$soak_seconds" ]; do
  round=$((round + 1))
  # Timers that run beside all the rest.
  for n in 1 2 3 4; do (i=0; while [ $i -lt 10 ]; do usleep ${n}0000; i=$((i + 1)); done; echo $n >> /tmp/slept) & done
  /workload > /tmp/work 2>&1 &
  work=$!
  same gzip "$(gzip -c /data | gunzip -c | hash)" @DATA@
  same sort "$(seq 1 3000 | sort -r | sort -n | hash)" @SEQUENCE@
  same tr "$(tr a-y b-z < /data | tr b-z a-y | wc -c)" @SIZE@
  i=0
  while [ $i -lt 60 ]; do
    (exit $((i % 50)))
    status=$?
    same status $status $((i % 50))
    i=$((i + 1))
  done
  i=0
  while [ $i -lt 15 ]; do same exec "$(busybox expr $i \\* 37)" $((i * 37)); i=$((i + 1)); done
  if [ -f /module.ko ]; then
    insmod /module.ko || bad insmod
    grep -q ^@MODULE@ /proc/modules || bad "module is not listed"
    rmmod @MODULE@ || bad rmmod
  fi
  dd if=/dev/zero of=/tmp/big bs=64k count=128 2> /dev/null
  same zeros "$(hash < /tmp/big)" @ZEROS@
  rm /tmp/big
  wait $work || bad "workload ended with $?"
  grep -q '^digest @WORK@$' /tmp/work || bad "digest: $(tail -n 1 /tmp/work)"
  wait
  same sleepers "$(sort /tmp/slept | tr -d '\\n')" 1234
  rm /tmp/slept
  free=$(grep MemFree /proc/meminfo | tr -dc 0-9)
  read up rest < /proc/uptime
  echo "round $round up $up free $free"
done
echo soaked
poweroff -f
"""


def find_module(files, say):
    """Gives the bytes of a module of the kernel's package, None (told) where the package cannot be had."""
    try:
        package = files.fetch([KERNEL_PACKAGE])
        tar = subprocess.run(["dpkg-deb", "--fsys-tarfile", str(package)], stdout=subprocess.PIPE, check=True).stdout
    except (Missing, OSError, subprocess.CalledProcessError) as error:
        say(f"no module is loaded: {error}")
        return None
    release = files.kernel().name.removeprefix("vmlinuz-")
    with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
        for member in archive:
            if member.name.endswith("/" + MODULE) and f"/{release}/" in member.name:
                return archive.extractfile(member).read()
    say(f"no module is loaded: {package} has no {MODULE} for {release}")
    return None


def make_disk(files, say):
    """Writes the RAM disk; what the guest compares with is computed here."""
    from speed import expected_digest
    # Text that compresses by about a half, the same each time.
    words = random.Random(1)
    data = "".join(words.choice("abcdefgh \n") for _ in range(DATA_SIZE)).encode()
    numbers = "".join(f"{n}\n" for n in range(1, 3001)).encode()
    module = find_module(files, say)
    init = INIT
    for name, value in {"DATA": hashlib.sha256(data).hexdigest(), "SEQUENCE": hashlib.sha256(numbers).hexdigest(), "SIZE": DATA_SIZE,
                        "ZEROS": hashlib.sha256(bytes(128 * 65536)).hexdigest(), "WORK": expected_digest(),
                        "MODULE": MODULE.removesuffix(".ko")}.items():
        init = init.replace(f"@{name}@", str(value))
    archive = initramfs.Archive()
    for folder in ("bin", "dev", "proc", "tmp"):
        archive.folder(folder)
    for name, major, minor in (("console", 5, 1), ("null", 1, 3), ("zero", 1, 5)):
        archive.device(f"dev/{name}", major, minor)
    archive.file("bin/busybox", files.fetch(["busybox-i386"]).read_bytes())
    archive.file("workload", files.workload("init32").read_bytes())
    archive.file("data", data)
    if module is not None:
        archive.file("module.ko", module)
    archive.file("init", init.encode())
    path = files.folder / "soak.cpio.gz"
    path.write_bytes(archive.bytes())
    return path


def sample(pid):
    """Gives (mappings, resident KiB without shared pages) of the process of the tree with the most mappings: the monitor."""
    best = (0, 0)
    for process in tree(pid):
        try:
            mappings = pathlib.Path(f"/proc/{process}/maps").read_bytes().count(b"\n")
            status = pathlib.Path(f"/proc/{process}/status").read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        anonymous = next((int(line.split()[1]) for line in status.splitlines() if line.startswith("RssAnon:")), 0)
        best = max(best, (mappings, anonymous))
    return best


def growth(name, values, least):
    """Gives a sentence when the last quarter lies above the second one by more than the tolerance, else None. The first is
    start and warm-up."""
    if len(values) < 8:
        return None
    quarter = len(values) // 4
    early, late = statistics.median(values[quarter:2 * quarter]), statistics.median(values[-quarter:])
    if late > early * (1 + GROWTH) + least:
        return f"{name} grew from {early:.0f} to {late:.0f}"
    return None


def soak_one(system, disk, seconds, say):
    """Gives {"rounds", "samples", "troubles", ...} of one guest."""
    troubles, samples, rounds, free, drift = [], [], 0, [], None
    started, last_line, finished = None, 0.0, False
    pending = b""
    with Run(system.command(disk, f"soak_seconds={seconds:.0f}")) as run:
        for data in run.chunks(seconds * 1.5 + SILENCE_SECONDS):
            pending += data
            *complete, pending = pending.split(b"\n")
            for text in (line.decode("utf-8", "replace").strip() for line in complete):
                last_line = run.elapsed()
                if text == "init":
                    started = run.elapsed()
                elif text.startswith("round "):
                    fields = text.split()
                    rounds = int(fields[1])
                    free.append(int(fields[5]))
                    # The uptime of the guest began before /init did: only its progress is compared.
                    drift = drift or (float(fields[3]), run.elapsed())
                    progress = (float(fields[3]) - drift[0], run.elapsed() - drift[1])
                elif text == "soaked":
                    finished = True
                elif text.startswith("BAD ") or any(word in text for word in ("Oops", "panic", "BUG:", "segfault", "Call Trace", "stall")):
                    troubles.append(text)
                    say(f"{system.name}: {text}")
            if not samples or run.elapsed() - samples[-1][0] >= SAMPLE_SECONDS:
                samples.append((round(run.elapsed(), 1), *sample(run.process.pid)))
            if run.elapsed() - last_line > SILENCE_SECONDS or len(troubles) >= 20:
                troubles.append(f"given up after {run.elapsed():.0f} s, {run.elapsed() - last_line:.0f} s after the last line")
                break
        run._wait(5)
        if not finished:
            troubles.append(f"did not come to its end: {run.complaint()}")
        processor = run.processor_seconds()
    watched = [one for one in samples if one[1]]
    troubles += filter(None, [growth("the number of mappings", [one[1] for one in watched], GROWTH_MAPPINGS),
                              growth("anonymous memory in KiB", [one[2] for one in watched], GROWTH_KIB)])
    if len(free) >= 8 and statistics.median(free[-len(free) // 4:]) < statistics.median(free[:len(free) // 4]) - GUEST_MEMORY_LOSS_KIB:
        troubles.append(f"free memory of the guest fell from {free[0]} to {free[-1]} KiB")
    clock = progress[0] / progress[1] if drift and rounds > 1 else None
    return {"rounds": rounds, "started": started, "processor": processor, "clock": clock, "samples": samples, "guest_free_kib": free, "troubles": troubles}


def measure(files, options, say):
    """Gives {"systems", "troubles"}, having printed what was seen."""
    disk = make_disk(files, say)
    techniques = options.systems or ["auto"]
    seconds = options.minutes * 60 / len(techniques)
    results = {}
    for technique in techniques:
        say(f"{technique}: {seconds:.0f} s")
        result = results[technique] = soak_one(executor_system(files, technique, options.memory), disk, seconds, say)
        mappings, memory = ([one[index] for one in result["samples"]] or [0] for index in (1, 2))
        clock = "" if result["clock"] is None else f", guest clock {result['clock']:.4f} of ours"
        print(f"{technique}: {result['rounds']} rounds{clock}; mappings {min(mappings)} to {max(mappings)}, at the end {mappings[-1]}; "
              f"anonymous memory {min(memory)} to {max(memory)} KiB, at the end {memory[-1]}; {len(result['troubles'])} troubles")
        for trouble in result["troubles"]:
            print(f"  {trouble}")
    return {"systems": results, "troubles": [trouble for result in results.values() for trouble in result["troubles"]]}
