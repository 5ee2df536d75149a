# SPDX-License-Identifier: Apache-2.0
"""The micro-benchmarks of workload.c and the time to its first line, the systems taking turns; medians beside the goals."""
import dataclasses
import hashlib
import operator
import statistics
import sys

from machine import Run
from systems import Missing, make_systems

NO_BENCHMARK = "bench=none"


@dataclasses.dataclass
class Row:
    """One line of the table. `goal` is what `auto` is to reach: better(value, goal)."""
    name: str
    unit: str
    better: object
    goal: float | None = None
    times_native: float | None = None
    about: str = ""

    def goal_with(self, native):
        """Gives the goal where it depends on the native figure, too; None where there is none."""
        return self.times_native * native if self.times_native and native else self.goal


ROWS = [
    Row("start", "s", operator.le, goal=0.8, about="process start to first /init output"),
    Row("getpid-int80", "per-s", operator.ge, goal=1.2e6, about="getpid by INT 80h"),
    Row("getpid-vdso", "per-s", operator.ge, goal=2e6, about="getpid by the vdso's entry"),
    Row("fork", "per-s", operator.ge, goal=4000, about="fork, exit, wait"),
    Row("page-fault", "per-s", operator.ge, goal=123e3, about="first writes to anonymous pages"),
    Row("pipe", "per-s", operator.ge, goal=20e3, about="round trips between two processes"),
    Row("signal", "us", operator.le, goal=13, about="kill of itself, handler, sigreturn"),
    Row("sha256", "s", operator.le, times_native=1.02, about="SHA-256 of 100 MiB"),
]
PATCHED_START_GOAL = 0.5
MEGABYTE, TIMES = 1 << 20, 100
# A clock of the guest that is off by more than this, against ours, is told.
CLOCK_TOLERANCE, LEAST_TOLD = 0.05, 0.03


def expected_digest():
    """The workload's answer, from elsewhere."""
    return hashlib.sha256(bytes((i * 7 + i // 256) & 0xFF for i in range(MEGABYTE)) * TIMES).hexdigest()


def run_once(system, initrd, words, timeout):
    """Gives what one run printed: {"start", "values": {name: {...}}, "digest", "processor", "wall"}. Raises Missing."""
    environment = dict([words.split("=", 1)]) if words and system.native else None
    result = {"start": None, "values": {}, "digest": None}
    begun = {}
    with Run(system.command(initrd, words), environment, system.cpus) as run:
        for line in run.lines(timeout):
            words_of_line = line.text.split()
            if line.text == "init":
                result["start"], result["start_processor"] = line.wall, line.processor
            elif line.text.startswith("failed: ") or "Kernel panic" in line.text or "Oops" in line.text or "BUG:" in line.text:
                raise Missing(f"the guest said: {line.text}")
            elif words_of_line[:1] == ["begin"]:
                begun[words_of_line[1]] = line
            elif len(words_of_line) == 6 and words_of_line[0] in begun and words_of_line[5] == "ms":
                first = begun[words_of_line[0]]
                result["values"][words_of_line[0]] = {
                    "value": float(words_of_line[1]), "unit": words_of_line[2], "count": int(words_of_line[3]), "guest_seconds": float(words_of_line[4]) / 1e3,
                    "wall": line.wall - first.wall, "processor": line.processor - first.processor}
            elif words_of_line[:1] == ["digest"]:
                result["digest"] = words_of_line[1]
        result["wall"], result["processor"] = run.elapsed(), run.processor_seconds()
        if result["start"] is None:
            raise Missing(f"no output of /init within {timeout:g} s: {run.complaint()}")
        if run.usage is None:
            raise Missing(f"has not ended after {timeout:g} s; got {', '.join(result['values']) or 'no figure'}")
    return result


def gather(systems, disks, options, say):
    """Runs every system `options.runs` times in full and `options.starts` times to its first line, in turns. Gives
    {name: [results]}; a system that fails is told and left out from then on."""
    results = {system.name: [] for system in systems}
    alive = list(systems)
    digest = expected_digest()
    rounds = [""] * options.runs + [NO_BENCHMARK] * options.starts
    for number, words in enumerate(rounds):
        for system in list(alive):
            if words and system.native or not words and system.starts_only:
                continue
            try:
                result = run_once(system, disks[system.initrd], words, options.timeout)
                if result["digest"] not in (None, digest):
                    raise Missing(f"SHA-256 is {result['digest']}, expected {digest}")
                results[system.name].append(result)
            except Missing as missing:
                alive.remove(system)
                say(f"{system.name} is left out from round {number + 1} on: {missing}")
        say(f"round {number + 1} of {len(rounds)}: {', '.join(system.name for system in alive)}")
    return results


def medians(results):
    """Gives {system: {row: {"value", "spread", "processor", "wall"}}}; processor and wall in seconds of one benchmark."""
    table = {}
    for name, runs in results.items():
        cells = {}
        starts = [run["start"] for run in runs]
        if starts and name != "native":
            cells["start"] = cell(starts, [run["start_processor"] for run in runs], starts)
        for row in ROWS[1:]:
            measured = [run["values"][row.name] for run in runs if row.name in run["values"]]
            if measured:
                cells[row.name] = cell([one["value"] for one in measured], [one["processor"] for one in measured], [one["wall"] for one in measured])
        if cells:
            table[name] = cells
    return table


def cell(values, processor, wall):
    middle = statistics.median(values)
    return {"value": middle, "spread": (max(values) - min(values)) / middle if middle else 0, "processor": statistics.median(processor), "wall": statistics.median(wall)}


def clock_troubles(results):
    """Yields a sentence for each benchmark whose duration by the guest's clock is not what our clock says."""
    for name, runs in results.items():
        for row in ROWS[1:]:
            measured = [run["values"][row.name] for run in runs if row.name in run["values"]]
            if not measured:
                continue
            guest, host = (statistics.median(one[key] for one in measured) for key in ("guest_seconds", "wall"))
            # What runs before the guest's clock is read, a quarter of a step, is in ours as well.
            if abs(guest - host) > CLOCK_TOLERANCE * host + LEAST_TOLD:
                yield f"{name}, {row.name}: {guest:.2f} s by the guest's clock, {host:.2f} s by ours"


def number(value):
    """A figure of three digits or more, without an exponent."""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}" if value < 100 else f"{value:.0f}"


def print_table(table, out=sys.stdout):
    names = list(table)
    native = table.get("native", {})
    tcg = table.get("tcg", {})
    judged = "auto" if "auto" in table else None

    def line(cells):
        print(f"{cells[0]:<13} {cells[1]:<6}" + "".join(f"{text:>18}" for text in cells[2:2 + len(names)]) + "  " + "".join(cells[2 + len(names):]), file=out)

    rows = [row for row in ROWS if any(row.name in cells for cells in table.values())]
    line(["", "", *names, "goal for auto"])
    for row in rows:
        cells = []
        for name in names:
            one = table[name].get(row.name)
            text = "-" if one is None else number(one["value"])
            base = tcg.get(row.name)
            if one is not None and base is not None and name != "tcg" and one["value"] and base["value"]:
                ratio = base["value"] / one["value"] if row.better is operator.le else one["value"] / base["value"]
                text += f" ({ratio:.3g}x)"
            cells.append(text)
        goal = row.goal_with(native.get(row.name, {}).get("value"))
        verdict = ""
        if goal is not None:
            reached = table[judged].get(row.name) if judged else None
            verdict = f"{'<=' if row.better is operator.le else '>='} {number(goal)}"
            if reached is not None:
                verdict += " met" if row.better(reached["value"], goal) else " MISSED"
        line([row.name, row.unit, *cells, verdict])
    print(f"(x): how many times better than TCG. Goal for the start of `patched`: <= {PATCHED_START_GOAL} s.\n", file=out)

    def share(row, one):
        if one is None or not one["wall"]:
            return "-"
        used = f"{one['processor']:.2f} s" if row.unit == "s" else f"{100 * one['processor'] / one['wall']:.0f}%"
        return f"{used} +-{50 * one['spread']:.0f}%"

    line(["processor", "", *names])
    for row in rows:
        line([row.name, "", *(share(row, table[name].get(row.name)) for name in names)])
    print("processor: user and system time, in seconds or as a part of the wall time. Where it is below 100% another process had the\n"
          "processor, or the guest waited. +-: half of (longest - shortest) / median of the values.", file=out)


def measure(files, options, say):
    """Gives the document's part, having printed the tables."""
    systems = make_systems(files, options.memory, options.systems, say)
    if not systems:
        raise Missing("no system can be had")
    disks = {name: files.disk(name) for name in {system.initrd for system in systems}}
    results = gather(systems, disks, options, say)
    table = medians(results)
    for row in ROWS:
        print(f"{row.name}: {row.about}")
    for system in systems:
        print(f"{system.name}: {system.about}")
    print()
    print_table(table)
    for trouble in clock_troubles(results):
        print(f"clocks differ: {trouble}")
    return {"medians": table, "runs": results,
            "systems": {system.name: {"about": system.about, "command": system.command(disks[system.initrd], "")} for system in systems},
            "goals": {row.name: {"goal": row.goal, "times_native": row.times_native} for row in ROWS} | {"patched start": {"goal": PATCHED_START_GOAL}}}
