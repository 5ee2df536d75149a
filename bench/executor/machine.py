# SPDX-License-Identifier: Apache-2.0
"""One run of one system: a process whose output is read as it comes, with the wall clock and the processor time of its tree."""
import dataclasses
import os
import pathlib
import select
import signal
import subprocess
import time

TICKS = os.sysconf("SC_CLK_TCK")
# Between utime and starttime of /proc/PID/stat (proc(5)): utime, stime, and the same of children that were waited for.
FIRST_TIME, LAST_TIME = 11, 15


def tree(pid):
    """Gives a process and all that descend from it; those that end meanwhile are left out."""
    found, waiting = [], [pid]
    while waiting:
        process = waiting.pop()
        found.append(process)
        try:
            for task in pathlib.Path(f"/proc/{process}/task").iterdir():
                waiting += [int(child) for child in (task / "children").read_text(encoding="ascii").split()]
        except (OSError, ValueError):
            continue
    return found


def processor_time(pid):
    """Gives the seconds, user and system, that the tree has used, to a tick (usually 10 ms)."""
    ticks = 0
    for process in tree(pid):
        try:
            stat = pathlib.Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        ticks += sum(int(field) for field in stat[stat.rindex(")") + 2:].split()[FIRST_TIME:LAST_TIME])
    return ticks / TICKS


@dataclasses.dataclass
class Line:
    """One line of output, without its end: what the clocks said when its last byte was read."""
    text: str
    wall: float
    processor: float


class Run:
    """A process in a session of its own; its input stays open and silent. Use it as a context: leaving it ends the process."""

    def __init__(self, command, environment=None, cpus=None):
        # An input at its end would end a shell in the guest, and some emulators with it.
        self.input, self.silence = os.pipe()
        self.errors = bytearray()
        self.begun = time.monotonic()
        self.process = subprocess.Popen(command, stdin=self.input, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
                                        env={**os.environ, **(environment or {})},
                                        preexec_fn=(lambda: os.sched_setaffinity(0, cpus)) if cpus else None)
        self.pending = b""
        self.usage = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.usage is None:
            for number in (signal.SIGTERM, signal.SIGKILL):
                try:
                    os.killpg(self.process.pid, number)
                except ProcessLookupError:
                    pass
                if self._wait(2):
                    break
        for stream in (self.process.stdout, self.process.stderr):
            stream.close()
        os.close(self.input)
        os.close(self.silence)

    def _wait(self, seconds):
        """Waits for the end of the process and takes its usage; says whether it came."""
        deadline = time.monotonic() + seconds
        while self.usage is None:
            pid, status, usage = os.wait4(self.process.pid, os.WNOHANG)
            if pid != 0:
                self.usage, self.process.returncode = usage, os.waitstatus_to_exitcode(status)
            elif time.monotonic() > deadline:
                return False
            else:
                time.sleep(0.002)
        return True

    def elapsed(self):
        return time.monotonic() - self.begun

    def chunks(self, until):
        """Yields what is read from standard output, up to the end of output or until `until` seconds since the start; b"" after
        each second of silence, so that a caller can look at the process meanwhile."""
        outputs = [self.process.stdout, self.process.stderr]
        while self.process.stdout in outputs and self.elapsed() < until:
            ready = select.select(outputs, [], [], min(1, max(0, until - self.elapsed())))[0]
            if not ready:
                yield b""
            for stream in ready:
                data = os.read(stream.fileno(), 65536)
                if not data:
                    outputs.remove(stream)
                elif stream is self.process.stderr:
                    self.errors += data
                    del self.errors[:-20000]
                else:
                    yield data

    def lines(self, until):
        """Yields each Line as it is complete, until the process ends or `until` seconds since the start."""
        for data in self.chunks(until):
            self.pending += data
            *complete, self.pending = self.pending.split(b"\n")
            if complete:
                wall, processor = self.elapsed(), processor_time(self.process.pid)
                for text in complete:
                    yield Line(text.decode("utf-8", "replace").strip("\r\0 "), wall, processor)
        self._wait(3)

    def processor_seconds(self):
        """Gives user and system time of the process that has ended, and of its children that it waited for."""
        return self.usage.ru_utime + self.usage.ru_stime if self.usage else None

    def complaint(self):
        """Gives the last line of standard error and how the process ended, for people."""
        last = self.errors.decode("utf-8", "replace").strip().splitlines()[-1:] or ["nothing on standard error"]
        return f"{last[0]} (exit code {self.process.returncode})"
