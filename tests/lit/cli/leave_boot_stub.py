#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""leave_boot_stub.py PLAN TECHNIQUE OUT: the plan without the patches of the boot stub, whose sites get a technique that writes nothing."""
import collections
import json
import sys

plan = json.load(open(sys.argv[1], encoding="utf-8"))
patches, stubs = {}, {}
for number, patch in enumerate(plan["patches"]):
    if patch["part"] != "stub":
        patches[number] = len(patches)
        stubs.update((stub, 0) for stub in patch["stubs"])
stubs = {stub: place for place, stub in enumerate(sorted(stubs))}
for site in plan["sites"]:
    if site["patch"] is not None and site["patch"] not in patches:
        site.update(technique=sys.argv[2], patch=None, resume=None)
    elif site["patch"] is not None:
        site["patch"] = patches[site["patch"]]
plan["patches"] = [plan["patches"][number] for number in patches]
plan["stubs"] = [plan["stubs"][number] for number in stubs]
for patch in plan["patches"]:
    patch["stubs"] = [stubs[stub] for stub in patch["stubs"]]
plan["reserved"] = [range_ for range_ in plan["reserved"] if range_["what"] != "boot-stubs"]
writes = [write for patch in plan["patches"] for write in patch["writes"]]
plan["totals"].update(patches=len(plan["patches"]), stubs=len(plan["stubs"]), written_bytes=sum(len(write["new_bytes"]) // 2 for write in writes),
                      stub_bytes=sum(len(stub["bytes"]) // 2 for stub in plan["stubs"]),
                      by_technique=dict(collections.Counter(site["technique"] for site in plan["sites"])))
with open(sys.argv[3], "w", encoding="utf-8") as out:
    json.dump(plan, out)
