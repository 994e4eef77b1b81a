# SPDX-License-Identifier: GPL-2.0-or-later
"""Nodes that hang, and the loss of all nodes at once. A node whose processes are stopped (SIGSTOP) answers nothing and
closes nothing: the others take new writes within ten seconds, clients that wait for it turn to another node, and what it
acknowledges when it wakes up is still right. All nodes killed at the same moment, under load: everything acknowledged is there after the start."""
import os
import signal
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from cluster import SMALL, Cluster, need, say  # noqa: E402
from load import Load  # noqa: E402

SLOW = 3 if SMALL else 1
SERVED_S = 10.0  # docs/promises.md, P7
TURNED_S = 30.0  # requests that were on their way to the node, and what follows them (sx.h: about 30 seconds)
HANG_S = 12


def first_write(c, hung):
    """Seconds until one of the other nodes takes a new write."""
    start = time.monotonic()
    while time.monotonic() < start + SERVED_S * SLOW:
        for node in c.nodes:
            try:
                if node is not hung and node.client(timeout=5).put_empty("vol", f"probe-{time.time()}").status == 201:
                    return time.monotonic() - start
            except OSError:
                pass
    raise AssertionError(f"no node took a write within {SERVED_S * SLOW:.0f} s after {hung} hung")


def hang(c, load, node):
    load.wait_progress(5, 30 * SLOW)
    pids = list(node.processes())
    moment = load.mark()
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        served = first_write(c, node)
        time.sleep(HANG_S)
        load.wait_progress(5, 30 * SLOW)
        gap = load.gap_after(moment)
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
    assert gap <= TURNED_S * SLOW, f"the clients of {node} needed {gap:.1f} s to turn to another node"
    say(f"{node} hung: a new write was taken after {served:.2f} s, the clients under way went on after {gap:.2f} s")
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
