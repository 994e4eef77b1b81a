# SPDX-License-Identifier: GPL-2.0-or-later
"""Power loss (D2 of the fault catalogue). The whole directory of a node lies on a file system of its own; again and again, at a
random moment under load of puts, overwrites, deletes, collection and compaction, the file system is shut down so that
nothing unwritten reaches the disk; then it is mounted anew and the node started. Whatever was acknowledged, in any cycle,
must be there, and what was read once must stay.

The negative control (D12): the same with a daemon whose fsyncs do nothing must lose something, else the test proves nothing.

usage: test_power.py [ext4|xfs|control]…"""
import os
import shutil
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import fault  # noqa: E402
from cluster import SMALL, need, say  # noqa: E402
from disk import DiskCluster, Lost  # noqa: E402

CYCLES = 200          # of each file system, in the whole tier
CONTROL_CYCLES = 40   # within so many must the control lose something
START_S = 10.0
LOAD_S = (0.15, 0.5)
LONG_LOAD_S = (1.5, 3.5)  # every tenth: leases end, so the collector and compaction have something to do
LONG_EVERY = 10
DEEP_EVERY = 20       # cycles between two deep checks of the store


def cycle_once(c, rng, cycle, pace):
    writers = c.write()
    time.sleep(rng.uniform(*(LONG_LOAD_S if cycle % LONG_EVERY == LONG_EVERY - 1 else LOAD_S)))
    c.lose_power(writers, rng.choice((0, 0, 0.02)))
    pace.note(c.start_again())
    c.settle()
    if cycle % DEEP_EVERY == DEEP_EVERY - 1:
        c.tool("sxadm", "node", "check", "--deep", "--dir", c.nodes[0].dir)


def removed_packs(c):
    """How many packs compaction has removed: their numbers are never used twice."""
    numbers = [int(name.split(".")[0]) for name in os.listdir(f"{c.nodes[0].dir}/store/packs")]
    return max(numbers) - len(numbers)


def lose_power_often(kind):
    rng, pace, cycles = fault.begin(f"power-{kind}"), fault.Pace(), fault.share(CYCLES)
    with DiskCluster(f"power-{kind}", kind) as c:
        c.tool("sxvol", "create", "@t/vol")
        for cycle in range(cycles):
            cycle_once(c, rng, cycle, pace)
            if cycle % 20 == 19:
                say(f"{kind}: {cycle + 1} power losses, {c.acknowledged()} operations acknowledged, 0 lost")
        assert cycles < CYCLES or removed_packs(c), "no pack was compacted away"
        fault.goal(f"power loss on {kind}, cycles with 0 lost", cycles, cycles,
                   f"({c.acknowledged()} operations acknowledged, {removed_packs(c)} packs compacted away)")
        fault.goal(f"power loss on {kind}, starts within {START_S:.0f} s", sum(s <= START_S for s in pace.all), cycles,
                   f"(longest {pace.worst:.2f} s, median {pace.middle:.2f} s)")


def control():
    rng, cycles = fault.begin("power-control"), CONTROL_CYCLES
    if SMALL or not shutil.which("eatmydata"):
        say("no negative control: eatmydata is not there, or cannot be loaded into a sanitizer build")
        return
    with DiskCluster("control", "ext4") as c:
        c.tool("sxvol", "create", "@t/vol")
        c.nodes[0].stop()
        daemon = c.env["SX_LIBEXECDIR"]
        c.env["SX_LIBEXECDIR"] = f"{c.dir}/lying"
        os.mkdir(c.env["SX_LIBEXECDIR"])
        with open(f"{c.dir}/lying/sx.fcgi", "w") as f:
            f.write(f'#!/bin/sh\nLD_PRELOAD=libeatmydata.so exec {daemon}/sx.fcgi "$@"\n')
        os.chmod(f"{c.dir}/lying/sx.fcgi", 0o755)
        c.nodes[0].start()
        for cycle in range(cycles):
            try:
                cycle_once(c, rng, cycle, fault.Pace())
            except Lost as loss:
                say("without fsyncs:", str(loss)[:400])
                fault.goal("power loss without fsync is noticed", 1, 1, f"(in cycle {cycle + 1})")
                return
        fault.goal("power loss without fsync is noticed", 0, 1)


def main():
    need("sxcp", "sxsetup", "sx.fcgi", "nginx", "tests/lib/sxload")
    fault.own_mounts()
    for what in sys.argv[1:] or ("ext4", "xfs", "control"):
        if what == "control":
            control()
        else:
            lose_power_often(what)


if __name__ == "__main__":
    main()
