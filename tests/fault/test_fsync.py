# SPDX-License-Identifier: GPL-2.0-or-later
"""fsync fails once (D5 of the fault catalogue). Under load, strace lets one fsync or fdatasync of a worker or of the group
manager return EIO without doing anything. Then:

  - what stood behind that sync is not acknowledged: after a power loss a moment later, whatever was acknowledged is there;
  - a pack or a log segment whose sync failed is not written again by that process (SQLite's files have SQLite's rule: the
    transaction is rolled back, its frames are written and synced anew);
  - the node goes on: something is acknowledged after the failure and before the power loss.
"""
import os
import re
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import fault  # noqa: E402
from cluster import need, say, wait_for  # noqa: E402
from disk import DiskCluster  # noqa: E402

RUNS = 100
SYNCS = "fsync,fdatasync"
CALLS = "fsync,fdatasync,pwrite64,pwritev,write"
NTH_MAX = {"worker": 12, "group manager": 30}
OWN_FILES = re.compile(r"/store/packs/.|/meta/wal/.|/meta/.*vote$")


def written_again(text):
    """Own files that a process wrote to or synced after a sync of them had failed."""
    failed, again = set(), []
    for _, _, path, line in fault.calls(text):
        if OWN_FILES.search(path) and "(INJECTED)" in line:
            failed.add(path)
        elif path in failed:
            again.append(line)
    return again


def fail_once(c, rng, run):
    """One failed sync under load; gives the file's kind, or None if there was none in time."""
    role = ("worker", "group manager")[run % 2]
    pid = rng.choice(c.nodes[0].pids(role))
    nth = rng.randint(1, NTH_MAX[role])
    tracer = fault.Tracer([pid], f"{SYNCS}:error=EIO:when={nth}", f"{c.dir}/strace", CALLS)
    writers = c.write()
    try:
        wait_for(f"failed sync {nth} of {role} {pid}", 20, lambda: fault.injected(tracer.seen()), every=0.02)
        before = c.acknowledged()
        wait_for("an acknowledgement after the failure", 20, lambda: c.acknowledged() > before + 5, every=0.05)
        time.sleep(rng.uniform(0, 0.2))
    finally:
        text = tracer.detach()
    c.lose_power(writers)
    again = written_again(text)
    assert not again, f"a file whose sync failed was written again: {again[0]}"
    return os.path.basename(fault.injected(text)[0][1])


def main():
    need("sxcp", "sxsetup", "sx.fcgi", "nginx", "tests/lib/sxload")
    fault.need_strace()
    fault.own_mounts()
    rng, runs, kinds, pace = fault.begin("fsync"), fault.share(RUNS), {}, fault.Pace()
    with DiskCluster("fsync", "ext4", workers=2) as c:
        c.tool("sxvol", "create", "@t/vol")
        for run in range(runs):
            name = fail_once(c, rng, run)
            pace.note(c.start_again())
            c.settle()
            c.make_room()
            kind = re.sub(r"\d+", "N", name)
            kinds[kind] = kinds.get(kind, 0) + 1
        say("syncs that failed:", ", ".join(f"{n} of {kind}" for kind, n in sorted(kinds.items())))
        fault.goal("fsync fails once, runs with 0 lost and the file not used again", runs, runs,
                   f"({c.acknowledged()} operations acknowledged; {', '.join(sorted(kinds))})")


if __name__ == "__main__":
    main()
