#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the cases of a guest of corpus/guests/hostile, and watches from outside that nothing gets out.

NAME.cases is TSV with the columns COLUMNS. `options` are `trapline run`'s, `world` says what surrounds the run: `unread` (standard
output is a pipe that nobody reads), `keys` (somebody types all the time), `orphan` (the broker is killed while the guest runs, and the
guest with it), `-`. `exit` lists the exit codes that are right, `seconds` is
what the run may take, `report` is a regular expression for standard error, `serial` one for what the guest printed, `-` for anything.

Beside each run stand witnesses: a folder with a file in it, which the run starts in; a listening socket; a process; standard output
already written to. Afterwards the folder is as it was, nobody has called, the process lives, the output begins as before, no process
of the run is left, and what was said has no control characters. While it runs, each process below the broker is looked at: no children
of its own, no threads, and from the guest's start on a filter of system calls and bounded memory.
Exit 0: every case went as it should. 1: one did not. 77: no Linux, or the program is missing."""
import argparse
import concurrent.futures
import ctypes
import os
import pathlib
import re
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time

COLUMNS = ["case", "techniques", "options", "world", "exit", "seconds", "report", "serial"]
TECHNIQUES = ["trap", "breakpoint", "hypercall", "auto"]
SKIPPED = 77
PR_SET_CHILD_SUBREAPER = 36
CANARY, HEAD = b"What nobody may touch.\n", b"What stood here before.\n"
MOST_KILOBYTES = 1_200_000  # of one process: guest RAM, its heap's limit of 768 MiB, the program; page tables too
SLACK = 10.0                # seconds for a machine that does other things as well


class Failure(Exception):
    """What a case did that it should not."""


def read_cases(path):
    """Gives dicts by COLUMNS; raises ValueError for a table that is none."""
    lines = [line for line in path.read_text(encoding="ascii").splitlines() if line and not line.startswith("#")]
    if not lines or lines[0].split("\t") != COLUMNS:
        raise ValueError(f"{path}: expected the header {COLUMNS}")
    cases = []
    for line in lines[1:]:
        fields = line.split("\t")
        if len(fields) != len(COLUMNS) or "" in fields:
            raise ValueError(f"{path}: found {line!r}, expected {len(COLUMNS)} fields, none empty")
        cases.append(dict(zip(COLUMNS, fields)))
    return cases


def children(pid):
    """The processes that a process has made, by all of its threads."""
    found = []
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            found += [int(one) for one in pathlib.Path(f"/proc/{pid}/task/{task}/children").read_text().split()]
    except OSError:
        pass
    return found


def status(pid):
    """/proc/PID/status as a dict; None when the process has gone."""
    try:
        return dict(line.split(":\t", 1) for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in line)
    except OSError:
        return None


def kilobytes(state, *names):
    return sum(int(state.get(name, "0 kB").split()[0]) for name in names)


class Watch(threading.Thread):
    """Looks at the broker's children while they live, and notes what is wrong with them."""

    def __init__(self, broker, errors):
        super().__init__(daemon=True)
        self.broker, self.errors, self.complaints, self.confined, self.done = broker, errors, set(), 0, threading.Event()

    def look(self, pid):
        started = self.errors.stat().st_size > 0  # looked at first: the filter comes before the broker says so
        state = status(pid)
        if state is None or state["State"].startswith(("Z", "X")):
            return
        seccomp = state.get("Seccomp") == "2"
        if children(pid) and seccomp:
            self.complaints.add("the monitor has made a process")
        if state["Threads"] != "1" and seccomp:
            self.complaints.add("the monitor has made a thread")
        if seccomp:
            self.confined += 1
            if state.get("NoNewPrivs") != "1":
                self.complaints.add("the monitor may gain privileges")
            used = kilobytes(state, "VmRSS", "VmPTE")
            if used > MOST_KILOBYTES:
                self.complaints.add(f"the monitor has {used} kB of memory, expected at most {MOST_KILOBYTES}")
        elif started and self.is_monitor(state):
            self.complaints.add("the guest runs without a filter of system calls")

    @staticmethod
    def is_monitor(state):
        # The process that makes plans runs beside it and never runs the guest; the monitor has led its own session from the beginning.
        return state["NSsid"].split()[-1] == state["NSpid"].split()[-1] if "NSsid" in state else False

    def run(self):
        while not self.done.wait(0.01):
            for pid in children(self.broker):
                self.look(pid)


class World:
    """The folder that a run starts in, and its witnesses."""

    def __init__(self, folder, program):
        self.folder = folder
        (folder / "canary").write_bytes(CANARY)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.bind(str(folder / "canary-socket"))
        self.socket.listen(8)
        self.socket.setblocking(False)
        self.process = subprocess.Popen([program, "-c", "import time; time.sleep(600)"], start_new_session=True)
        self.before = self.snapshot()

    def snapshot(self):
        return {entry.name: (entry.stat().st_mode, entry.stat().st_size, entry.stat().st_mtime_ns, entry.stat().st_ctime_ns) for entry in os.scandir(self.folder)}

    def check(self):
        after = self.snapshot()
        if after != self.before or (self.folder / "canary").read_bytes() != CANARY:
            raise Failure(f"the folder has changed: before {self.before}, now {after}")
        try:
            self.socket.accept()
        except BlockingIOError:
            pass
        else:
            raise Failure("somebody has called at the socket")
        if self.process.poll() is not None:
            raise Failure(f"another process has ended with {self.process.returncode}")

    def close(self):
        self.process.kill()
        self.process.wait()
        self.socket.close()


def type_keys(process, done):
    """Types until the run is over or takes no more."""
    try:
        os.set_blocking(process.stdin.fileno(), False)
        while not done.wait(0.01):
            try:
                os.write(process.stdin.fileno(), b"keys\n")
            except BlockingIOError:
                pass
    except OSError:
        pass


def orphan(process, errors):
    """Kills the broker once the guest runs, and fails where what it has started lives on."""
    deadline = time.monotonic() + SLACK
    while errors.stat().st_size == 0 and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.3)
    started = children(process.pid)
    process.kill()
    deadline = time.monotonic() + SLACK
    while left := [pid for pid in started if not (status(pid) or {"State": "Z"})["State"].startswith(("Z", "X"))]:
        if time.monotonic() > deadline:
            raise Failure(f"the broker was killed, and {left} live on")
        time.sleep(0.01)
    if not started:
        raise Failure("the broker had no process to leave behind")


def run_case(options, case, technique, scratch):
    """Runs one case in one technique. Raises Failure."""
    home, papers = scratch / "home", scratch / "papers"
    home.mkdir()
    papers.mkdir()
    world = World(home, sys.executable)
    command = [options.trapline, "run", str(options.guests / f"{options.cases.stem}.elf"), "--memory", "32M", "--technique", technique,
               "--append", case["case"]] + [word for word in shlex.split(case["options"]) if word != "-"]
    words = case["world"].split(",")
    errors, output = papers / "errors", papers / "output"
    output.write_bytes(HEAD)
    limit = float(case["seconds"]) + SLACK
    reader = None
    try:
        with open(errors, "wb") as error_file, open(output, "r+b") as output_file:
            output_file.seek(len(HEAD))
            out = output_file
            if "unread" in words:
                reader, out = os.pipe()
            process = subprocess.Popen(command, cwd=home, stdout=out, stderr=error_file, stdin=subprocess.PIPE if "keys" in words else subprocess.DEVNULL)
            if "unread" in words:
                os.close(out)
        watch, done = Watch(process.pid, errors), threading.Event()
        watch.start()
        if "keys" in words:
            threading.Thread(target=type_keys, args=(process, done), daemon=True).start()
        begun = time.monotonic()
        try:
            if "orphan" in words:
                orphan(process, errors)
            code = process.wait(limit)
        except subprocess.TimeoutExpired:
            left = children(process.pid)
            process.kill()
            process.wait()
            raise Failure(f"has not ended after {limit:g} s (its children: {left})") from None
        finally:
            watch.done.set()
            done.set()
            watch.join()
        took = time.monotonic() - begun
        report = errors.read_bytes()
        serial = output.read_bytes()
        world.check()
        if watch.complaints:
            raise Failure("; ".join(sorted(watch.complaints)))
        if str(code) not in case["exit"].split(","):
            raise Failure(f"ended with {code}, expected {case['exit']}; it said:\n{report.decode(errors='backslashreplace')}")
        if any(byte < 0x20 and byte != 0x0A or byte == 0x7F for byte in report):
            raise Failure(f"standard error has control characters: {report!r}")
        if re.search(case["report"], report.decode(errors="backslashreplace")) is None:
            raise Failure(f"said:\n{report.decode(errors='backslashreplace')}expected {case['report']!r}")
        if not serial.startswith(HEAD):
            raise Failure("what stood in the output file before has changed")
        if case["serial"] != "-" and re.search(case["serial"], serial[len(HEAD):].decode(errors="backslashreplace")) is None:
            raise Failure(f"the guest printed {serial[len(HEAD):][:500]!r}, expected {case['serial']!r}")
        return took, watch.confined
    finally:
        world.close()
        if reader is not None:
            os.close(reader)


def strays(known):
    """Orphans of a run come to this process, which is their subreaper."""
    deadline = time.monotonic() + 1
    while True:
        found = [pid for pid in children(os.getpid()) if pid not in known and not (status(pid) or {"State": "Z"})["State"].startswith(("Z", "X"))]
        if not found or time.monotonic() > deadline:
            return found
        time.sleep(0.01)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trapline", required=True, help="the trapline program")
    parser.add_argument("--technique", action="append", choices=TECHNIQUES, help="these only; may be repeated")
    parser.add_argument("--case", action="append", help="these only; may be repeated")
    parser.add_argument("--guests", type=pathlib.Path, default=pathlib.Path("build/release/corpus/guests/hostile"))
    parser.add_argument("--verbose", action="store_true", help="tell of each case, not only of those that fail")
    parser.add_argument("cases", type=pathlib.Path, help="corpus/guests/hostile/NAME.cases")
    options = parser.parse_args()
    if not sys.platform.startswith("linux") or shutil.which(options.trapline) is None:
        print(f"skipped: {options.trapline} is not there, or this is no Linux")
        return SKIPPED
    options.trapline, options.guests = os.path.abspath(shutil.which(options.trapline)), options.guests.absolute()
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        cases = read_cases(options.cases)
    except ValueError as error:
        print(error)
        return 1
    jobs = [(case, technique) for case in cases if options.case is None or case["case"] in options.case
            for technique in (TECHNIQUES if case["techniques"] == "all" else case["techniques"].split(",")) if options.technique is None or technique in options.technique]
    failures = confined = 0
    with tempfile.TemporaryDirectory(prefix="trapline-hostile-") as scratch, concurrent.futures.ThreadPoolExecutor(2) as pool:
        def one(number, job):
            folder = pathlib.Path(scratch) / str(number)
            folder.mkdir()
            try:
                return run_case(options, *job, folder)
            finally:
                shutil.rmtree(folder, ignore_errors=True)
        for (case, technique), future in [(job, pool.submit(one, number, job)) for number, job in enumerate(jobs)]:
            try:
                took, samples = future.result()
                confined += samples
                if options.verbose:
                    print(f"{case['case']} ({technique}): {took:.2f} s")
            except Failure as failure:
                failures += 1
                print(f"{case['case']} ({technique}): {failure}")
    left = strays(set())
    if left:
        failures += 1
        print(f"processes are left: {[(pid, (status(pid) or {}).get('Name')) for pid in left]}")
    if jobs and confined == 0:
        failures += 1
        print("no monitor was ever seen behind its filter: the watch is broken")
    print(f"{len(jobs)} runs, {failures} failures" if jobs else "skipped: no case is for this technique")
    return 1 if failures else 0 if jobs else SKIPPED


if __name__ == "__main__":
    sys.exit(main())
