# SPDX-License-Identifier: GPL-2.0-or-later
"""Nodes that hang, and the loss of all nodes at once. A node whose processes are stopped (SIGSTOP) answers nothing and
closes nothing: the others go on without it within ten seconds, and what it acknowledges when it wakes up is
still right. All nodes killed at the same moment, under load: everything acknowledged is there after the start."""
import os
import signal
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from cluster import SMALL, Cluster, need, say  # noqa: E402
from load import Load  # noqa: E402

SLOW = 3 if SMALL else 1
HANG_GAP_S = 10.0  # docs/promises.md
HANG_S = 8


def hang(c, load, node):
    load.wait_progress(5, 30 * SLOW)
    pids = list(node.processes())
    moment = load.mark()
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        time.sleep(HANG_S)
        load.wait_progress(5, 30 * SLOW)
        gap = load.gap_after(moment)
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
    assert gap <= HANG_GAP_S * SLOW, f"no write was acknowledged for {gap:.1f} s after {node} hung"
    say(f"{node} hung for {HANG_S} s; writing went on after {gap:.2f} s")
    c.wait_healthy(60 * SLOW)


def kill_all(c, load):
    load.wait_progress(10, 30 * SLOW)
    threads = [threading.Thread(target=n.kill) for n in c.nodes]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    say("all nodes killed at once")
    starts = [threading.Thread(target=n.start) for n in c.nodes]
    for t in starts:
        t.start()
    for t in starts:
        t.join()
    c.wait_healthy(60 * SLOW)
    load.wait_progress(10, 60 * SLOW)


def main():
    need("sxcp", "sxsetup", "sx.fcgi", "nginx", "tests/lib/sxload")
    with Cluster("hang", nodes=3) as c:
        c.tool("sxvol", "create", "--replica", "3", "@t/vol")
        load = Load(c, "@t/vol/load", threads=2, size_max=1 << 20)
        for node in c.nodes[:1] if SMALL else c.nodes:
            hang(c, load, node)
        for _ in range(1 if SMALL else 2):
            kill_all(c, load)
        load.stop()
        load.verify()
        c.wait_replicated(120 * SLOW)
        for n in c.nodes:
            c.tool("sxadm", "node", "check", "--deep", "--dir", n.dir, timeout=300)
        say("every stored block on every node is sound")


if __name__ == "__main__":
    main()
