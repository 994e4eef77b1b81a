# SPDX-License-Identifier: GPL-2.0-or-later
"""kill -9 of one process of every role in turn, on a cluster of three under load: it is started again by itself, nothing
acknowledged is lost, and writing goes on within five seconds."""
import os
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from cluster import SMALL, Cluster, need, say, wait_for  # noqa: E402
from load import GAP_S, Load  # noqa: E402

# The names are cut at 15 bytes, as the kernel keeps them.
ROLES = ["worker", "reserved worker", "group manager", "job manager", "block transfer", "garbage collec", "dispatcher",
         "nginx master", "nginx worker"]
SLOW = 3 if SMALL else 1


def leader(c):
    s = c.wait_healthy(60 * SLOW)
    return next(n for n in c.nodes if n.id == s["leader"])


def kill_role(load, role, node):
    load.wait_progress(5, 30 * SLOW)
    pids = node.pids(role)
    assert pids, f"{node} has no {role}; it has {node.processes()}"
    moment = load.mark()
    os.kill(pids[0], signal.SIGKILL)
    wait_for(f"a new {role}", 15 * SLOW, lambda: pids[0] not in node.pids(role) and
             len(node.pids(role)) >= len(pids))
    load.wait_progress(5, 30 * SLOW)
    gap = load.gap_after(moment)
    assert gap <= GAP_S * SLOW, f"no write was acknowledged for {gap:.1f} s after the {role} of {node} was killed"
    say(f"{role} of {node}: started again; writing went on after {gap:.2f} s")


def main():
    need("sxcp", "sxsetup", "sx.fcgi", "nginx", "tests/lib/sxload")
    with Cluster("roles", nodes=3) as c:
        c.tool("sxvol", "create", "--replica", "3", "@t/vol")
        load = Load(c, "@t/vol/load", threads=2, size_max=1 << 20)
        for role in ROLES:
            first = leader(c)
            for node in [first] if SMALL else [first, next(n for n in c.nodes if n is not first)]:
                kill_role(load, role, node)
                c.wait_healthy(60 * SLOW)

        # The supervisor itself: everything goes on without it, and the next start takes over.
        node = c.nodes[1]
        os.kill(node.pids("sxserver")[0], signal.SIGKILL)
        load.wait_progress(5, 30 * SLOW)
        assert node.server("status").returncode == 0
        node.start()
        c.wait_healthy(60 * SLOW)
        assert len(node.pids("sxserver")) == 1 and len(node.pids("dispatcher")) == 1, node.processes()
        say("supervisor: the node went on without it; the next start took over")

        time.sleep(1)
        load.stop()
        load.verify()


if __name__ == "__main__":
    main()
