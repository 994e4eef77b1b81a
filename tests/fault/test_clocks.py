# SPDX-License-Identifier: GPL-2.0-or-later
"""Clocks that are apart (C1 to C3 of the fault catalogue): of three nodes one is an hour ahead, one an hour behind (the
monotonic clocks are right). Under load with short leases and collection, while the lead goes from one node to the next, and each comes
back with another of the three clocks:

  - nothing that was acknowledged is lost, whatever node answered, and no block that is in use is collected;
  - of two changes the later one stands, whatever the clocks of their nodes say;
  - nodes join by tokens of nodes with other clocks; the node's certificates are good for all;
  - the native client reads and writes through every node, though its own clock is right;
  - S3 signatures count by the clock of the node that is asked, exactly to 15 minutes."""
import email.utils
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import fault  # noqa: E402
from cluster import Cluster, need, say, wait_for  # noqa: E402
from load import Load  # noqa: E402
from s3 import Site  # noqa: E402

HOUR = 3600
APART = (0, HOUR, -HOUR)  # of the nodes' clocks, in seconds
SETTINGS = {"lease_s": 2, "collect_interval_s": 1}
WINDOW_S = 15 * 60


def told(node):
    """How far the node says its clock is ahead, in seconds; its web server, by whose date clients set themselves right, agrees."""
    answer = node.client(key=None).request("GET", "/ping")
    seconds = answer.json()["time_ms"] / 1000 - time.time()
    date = email.utils.parsedate_to_datetime(answer.headers["Date"]).timestamp() - time.time()
    assert abs(seconds - date) < 5, f"{node}: the daemon is {seconds:.1f} s ahead, nginx {date:.1f} s"
    return seconds


def ask(raw, seconds, method, target, body=b"", status=200):
    r = raw.request(method, target, body, skew_s=seconds)
    assert r.status == status, (method, target, seconds, r)
    return r


def order(c, rng, pairs):
    """What comes later stands, whichever node takes it."""
    raws = [(Site(c, i).raw(), n.clock_s) for i, n in enumerate(c.nodes)]
    for i in range(pairs):
        first, second = rng.sample(raws, 2)
        ask(*first, "PUT", f"/vol/pair{i}", b"first")
        ask(*second, "PUT", f"/vol/pair{i}", b"second")
        for raw in raws:
            assert ask(*raw, "GET", f"/vol/pair{i}").body == b"second", (i, first[1], second[1])
        ask(*second, "DELETE", f"/vol/pair{i}", status=204)
        for raw in raws:
            ask(*raw, "GET", f"/vol/pair{i}", status=404)
    say(f"{pairs} pairs of changes by different clocks: the later one stands")


def signatures(c):
    """By the clock of the node that is asked: good within 15 minutes, wrong beyond."""
    for i, seconds in enumerate(n.clock_s for n in c.nodes):
        raw = Site(c, i).raw()
        for skew in (-WINDOW_S + 5, 0, WINDOW_S - 5):
            ask(raw, seconds + skew, "GET", "/vol?list-type=2")
        for skew in (-WINDOW_S - 5, WINDOW_S + 5):
            r = ask(raw, seconds + skew, "GET", "/vol?list-type=2", status=403)
            assert r.code == "RequestTimeTooSkewed", r
        assert (raw.request("GET", "/vol?list-type=2").code == "RequestTimeTooSkewed") == (seconds != 0)
    say("signatures are good for 15 minutes before and after the node's own time")


def tokens(c):
    """They end at the same time, whatever the clock of the node that made them."""
    ends = []
    for n in c.nodes:
        r = n.client().request("POST", "/tokens", {"ttl_s": 900})
        assert r.status in (200, 201), r
        ends.append(r.json()["expires_ms"] / 1000)
    assert max(ends) - min(ends) < WINDOW_S, ends


def tickets(c):
    """Blocks of a file lie on all nodes; each gives those that another node has permitted."""
    path, data = f"{c.dir}/spread", os.urandom(12 << 20)
    with open(path, "wb") as f:
        f.write(data)
    c.tool("sxvol", "create", "--replica", "1", "@t/spread")
    c.tool("sxcp", path, "@t/spread/file")
    for _ in range(2 * len(c.nodes)):
        c.tool("sxcp", "@t/spread/file", f"{path}.back")
        with open(f"{path}.back", "rb") as f:
            assert f.read() == data
    say("a file whose blocks lie on all nodes comes back from all")


def leads_go_round(c, load):
    """Each node is away for a while, so that the lead, and with it the cluster's time, passes from clock to clock. It comes back
    with that of its neighbour."""
    for node, seconds in zip(c.nodes, [n.clock_s for n in c.nodes[1:] + c.nodes[:1]]):
        load.wait_progress(10, 60)
        node.kill()
        load.wait_progress(20, 60)
        node.clock_s = seconds
        node.clock.set(seconds)
        node.start()
        assert abs(told(node) - seconds) < 10, f"the clock of {node} is not moved: {told(node)}"
        c.wait_healthy(60)
    load.wait_progress(10, 60)


def main():
    need("sxcp", "sxsetup", "sx.fcgi", "nginx", "tests/lib/sxload")
    rng, rounds = fault.begin("clocks"), fault.share(10)
    with Cluster("clocks", nodes=0, settings=SETTINGS) as c:
        for i, seconds in enumerate(APART):
            clock = fault.Clock(f"{c.dir}/clock{i}", seconds)
            c.add_node(env=clock.env, clock_s=seconds, by=-1).clock = clock
        c.wait_healthy()
        c.tool("sxvol", "create", "--replica", "3", "@t/vol")
        tokens(c)
        tickets(c)
        load = Load(c, "@t/vol/load", threads=3, size_max=1 << 20)
        for _ in range(rounds):
            signatures(c)
            order(c, rng, 5)
            leads_go_round(c, load)
        load.stop()
        load.verify()
        c.wait_replicated()
        wait_for("something to be collected", 30, lambda: any(n["collector"]["deleted"] for n in c.status()["nodes"]))
        for node in c.nodes:
            c.tool("sxadm", "node", "check", "--deep", "--dir", node.dir, timeout=300)
        fault.goal("clocks an hour apart, rounds with 0 lost and the later change standing", rounds, rounds,
                   f"({load.acknowledged()} operations acknowledged)")


if __name__ == "__main__":
    main()
