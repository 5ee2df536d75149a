# SPDX-License-Identifier: Apache-2.0
"""adams_agesen.S under each technique and under TCG: cycles of each operation, the least of several runs."""
import argparse

from machine import Run
from systems import PLANNED, TECHNIQUES, Missing  # makes tests/guests known

import run_guest

OPERATIONS = ["syscall", "in", "cr0wr", "callret", "pgfault", "divzero", "ptemod", "ptemod-invlpg-read"]


def run_one(command, timeout):
    """Gives {operation: cycles}; raises Missing where the guest did not come to its end."""
    cycles, last = {}, ""
    with Run(command) as run:
        for line in run.lines(timeout):
            last = line.text
            name, _, value = line.text.partition(" ")
            if name in OPERATIONS:
                cycles[name] = float(value)
        if last != "end":
            raise Missing(f"the guest ended with {last!r}: {run.complaint()}")
    return cycles


def measure(files, options, say):
    """Gives {system: {operation: cycles}}, having printed the table. The least of the runs: what is lost to other processes
    only adds."""
    guest = files.workload("adams_agesen.elf")
    commands = {"tcg": run_guest.qemu(argparse.Namespace(qemu="qemu-system-i386"), guest, [])}
    for technique in TECHNIQUES:
        commands[technique] = [str(files.trapline), "run", str(guest), "--technique", technique]
        if technique in PLANNED:
            commands[technique] += ["--plan", str(files.plan_for(guest, "adams_agesen"))]
    table = {}
    for _ in range(options.runs):
        for name, command in list(commands.items()):
            if options.systems and name not in options.systems:
                continue
            try:
                for operation, cycles in run_one(command, options.timeout).items():
                    cells = table.setdefault(name, {})
                    cells[operation] = min(cycles, cells.get(operation, cycles))
            except (Missing, OSError) as missing:
                say(f"{name} is left out: {missing}")
                del commands[name]
    print(f"cycles{'':<14}" + "".join(f"{name:>12}" for name in table))
    for operation in OPERATIONS:
        print(f"{operation:<20}" + "".join(f"{table[name].get(operation, float('nan')):>12,.1f}" for name in table))
    return table
