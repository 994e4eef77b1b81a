# SPDX-License-Identifier: GPL-2.0-or-later
"""Clocks that jump: the wall clock of a running node, now of the leader, now of a follower, goes forward
or back by an hour and more, under load with short leases and collection (the monotonic clocks are right).  After each jump:

  - writing goes on as if nothing had happened, by the same leader in the same term;
  - of two changes the later one stands, and the times in a file's history never go back;
  - the log's time has not gone back, and goes on; retention counts by it, whatever the clock of the node that is asked says;
  - that node's collection goes on.

At the end everything that was acknowledged is there, the parts of an upload that was open all the time too; the scrub goes when it is
asked to; and at rest the nodes are no busier than they were before."""
import json
import os
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import fault  # noqa: E402
from cluster import Cluster, need, say, wait_for  # noqa: E402
from load import GAP_S, Load  # noqa: E402
from s3 import MIB, Site  # noqa: E402
from test_clocks import HOUR, SETTINGS, ask, order, told  # noqa: E402

BACK_MOST = -22 * HOUR  # certificates begin a day before they were made
KINDS = [(who, where) for who in ("leader", "follower") for where in ("forward", "back")]
TRIES = 2               # of a jump after which another node leads: once that may be chance, on a busy machine
ELECTIONS_S = 3         # several of their time-outs
IDLE_S = 3
TICK = os.sysconf("SC_CLK_TCK")
VERSIONED = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
RETAIN = "<Retention><Mode>GOVERNANCE</Mode><RetainUntilDate>{}</RetainUntilDate></Retention>"


def next_of(clock, rng, where):
    """Forward to ahead of the right time, or back to behind it: at least an hour either way."""
    if where == "forward":
        return max(clock.seconds, 0) + rng.choice((1, 2, 7, 30, 240)) * HOUR + rng.randrange(HOUR)
    return max(min(clock.seconds, 0) - HOUR - rng.randrange(HOUR), BACK_MOST)


class Reader(threading.Thread):
    """Fetches a file whose blocks lie on all nodes, over and over: its tickets are of one node, its blocks of others."""

    def __init__(self, c):
        super().__init__(daemon=True)
        self.c, self.data, self.ended, self.count, self.failure = c, os.urandom(12 * MIB), threading.Event(), 0, None
        self.path = f"{c.dir}/spread"
        with open(self.path, "wb") as f:
            f.write(self.data)
        c.tool("sxvol", "create", "--replica", "1", "@t/spread")
        c.tool("sxcp", self.path, "@t/spread/file")

    def run(self):
        try:
            while not self.ended.is_set():
                self.c.tool("sxcp", "@t/spread/file", f"{self.path}.back")
                with open(f"{self.path}.back", "rb") as f:
                    assert f.read() == self.data, "another file came back"
                self.count += 1
                time.sleep(0.1)
        except Exception as error:  # noqa: BLE001 told by end()
            self.failure = error

    def end(self):
        self.ended.set()
        self.join()
        if self.failure:
            raise self.failure


class Upload:
    """A multipart upload that is open all the time; each part goes to another node."""

    def __init__(self, c, rng):
        self.c, self.rng, self.parts = c, rng, []
        self.id = ask(*raw_of(c.nodes[0]), "POST", "/multi/object?uploads").all("UploadId")[0]

    def part(self):
        data = os.urandom(5 * MIB)
        a = ask(*raw_of(self.rng.choice(self.c.nodes)), "PUT",
                f"/multi/object?partNumber={len(self.parts) + 1}&uploadId={self.id}", data)
        self.parts.append((data, a.headers["ETag"]))

    def complete(self):
        body = "".join(f"<Part><PartNumber>{i}</PartNumber><ETag>{etag}</ETag></Part>"
                       for i, (_, etag) in enumerate(self.parts, 1))
        body = f"<CompleteMultipartUpload>{body}</CompleteMultipartUpload>".encode()
        ask(*raw_of(self.c.nodes[1]), "POST", f"/multi/object?uploadId={self.id}", body)
        assert ask(*raw_of(self.c.nodes[2]), "GET", "/multi/object").body == b"".join(d for d, _ in self.parts)
        say(f"an upload of {len(self.parts)} parts, open all the time, is whole")


def raw_of(node):
    """(client, seconds by which it has to be wrong)"""
    return Site(node.cluster, node.cluster.nodes.index(node)).raw(), node.clock_s


def log_time(c):
    """In seconds: a token's end, which is by the time of the entry that made it."""
    r = c.nodes[0].client().request("POST", "/tokens", {"ttl_s": 900})
    assert r.status in (200, 201), r
    return r.json()["expires_ms"] / 1000 - 900


def led(c):
    """Who leads, and in which term."""
    found = {}
    for n in c.nodes:
        with open(f"{n.dir}/log/sx.log", errors="replace") as f:
            for line in f:
                if "group 0: term " in line and line.rstrip().endswith(" leads"):
                    words = line.split("group 0: term ")[1].split()
                    found[int(words[0].rstrip(","))] = words[2]
    return max(found.items())


def swept(node):
    """How often the node's collector has looked for garbage, and how much it has deleted."""
    s = next(n for n in node.cluster.status()["nodes"] if n["id"] == node.id)
    return s["collector"]["deleted"]


def scrub(c, rng):
    """A round of each node, begun and awaited though the clock goes back meanwhile: the tool's does not."""
    for node in c.nodes:
        node.clock_s = next_of(node.clock, rng, "back")
        node.clock.set(node.clock_s)
        c.tool("sxadm", "node", "scrub", "--now", "--wait", "--dir", node.dir, timeout=300)


def cpu(c):
    """CPU seconds of all processes of the nodes."""
    total = 0
    for n in c.nodes:
        for pid in n.processes():
            try:
                with open(f"/proc/{pid}/stat") as f:
                    total += sum(map(int, f.read().rsplit(")", 1)[1].split()[11:13]))
            except (FileNotFoundError, ProcessLookupError):
                pass
    return total / TICK


def idle_cpu(c):
    """Used in IDLE_S seconds in which nothing is asked of the cluster; the least of two, others work here too."""
    used = []
    for _ in range(2):
        before = cpu(c)
        time.sleep(IDLE_S)
        used.append(cpu(c) - before)
    return min(used)


def rounds_of_scrub(c):
    """How many were begun."""
    total = 0
    for n in c.nodes:
        with open(f"{n.dir}/store/scrub.json") as f:
            total += json.load(f)["rounds"]
    return total


def iso(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def retention(c, node, number):
    """By the log's time: a node whose clock is ahead does not refuse what is still to come, one whose clock is behind does not
    take what is over."""
    raw, now = raw_of(node), log_time(c)
    ask(*raw, "PUT", f"/held/{number}", b"x")
    ask(*raw, "PUT", f"/held/{number}?retention", RETAIN.format(iso(now - 1800)).encode(), status=400)
    ask(*raw, "PUT", f"/held/{number}?retention", RETAIN.format(iso(now + 1800)).encode())
    ask(*raw, "DELETE", f"/held/{number}?versionId={version(raw, number)}", status=403)


def version(raw, number):
    return ask(*raw, "GET", f"/held?versions&prefix={number}").all("VersionId")[0]


def histories(c, changes):
    """Newest first: the times of a file's versions do not ascend."""
    times = ask(*raw_of(c.nodes[0]), "GET", "/history?versions&max-keys=1000").all("LastModified")
    assert len(times) == changes and times == sorted(times, reverse=True), times
    say(f"{changes} versions of a file by all nodes: their times never go back")


def jump(c, rng, load, kind):
    """One jump and what must hold after it; True unless another node leads then."""
    who, where = kind
    term, leader = led(c)
    node = rng.choice([n for n in c.nodes if (n.id == leader) == (who == "leader")])
    before, deleted, at, mark = log_time(c), swept(node), time.monotonic(), load.mark()
    seconds = next_of(node.clock, rng, where)
    say(f"{where}: {who} ({node}) from {node.clock_s / HOUR:+.1f} h to {seconds / HOUR:+.1f} h")
    assert abs(seconds - node.clock_s) >= HOUR
    node.clock.set(seconds)
    node.clock_s = seconds
    assert abs(told(node) - seconds) < 10, f"the clock of {node} has not jumped: {told(node)}"
    load.wait_progress(20, 60)
    gap = load.gap_after(mark)
    assert gap < GAP_S, f"nothing was acknowledged for {gap:.1f} s"
    order(c, rng, 2)
    time.sleep(max(0, at + ELECTIONS_S - time.monotonic()))
    for n in rng.sample(c.nodes, 3):
        ask(*raw_of(n), "PUT", "/history/file", os.urandom(64))
    ask(raw_of(node)[0], seconds + 16 * 60, "GET", "/vol?list-type=2", status=403)
    ask(raw_of(node)[0], seconds - 16 * 60, "GET", "/vol?list-type=2", status=403)
    wait_for(f"the collector of {node} to go on", 60, lambda: swept(node) > deleted)
    after, passed = log_time(c), time.monotonic() - at
    assert after - before > passed * 0.45, f"the log's time went on by {after - before:.3f} s in {passed:.3f} s"
    return led(c) == (term, leader)


def bucket(c, name, headers=None):
    a = Site(c).raw().request("PUT", f"/{name}", b"", headers)
    assert a.status == 200, a


def prepare(c):
    """Three nodes whose clocks can be moved, buckets, an idle cluster."""
    for i in range(3):
        clock = fault.Clock(f"{c.dir}/clock{i + 1}")
        node = c.add_node(env=clock.env)
        node.clock = clock
    c.wait_healthy()
    c.tool("sxvol", "create", "--replica", "3", "@t/vol")
    for name in ("multi", "history"):
        bucket(c, name)
    ask(*raw_of(c.nodes[0]), "PUT", "/history?versioning", VERSIONED)
    bucket(c, "held", {"x-amz-bucket-object-lock-enabled": "true"})


def main():
    need("sxcp", "sxsetup", "sx.fcgi", "nginx", "tests/lib/sxload")
    rng, jumps = fault.begin("jumps"), fault.share(40, least=len(KINDS))
    kinds = [k for _ in range(-(-jumps // len(KINDS))) for k in rng.sample(KINDS, len(KINDS))][:jumps]
    with Cluster("jumps", nodes=0, settings=SETTINGS) as c:
        prepare(c)
        idle = idle_cpu(c)
        reader, upload = Reader(c), Upload(c, rng)
        load = Load(c, "@t/vol/load", threads=3, size_max=1 << 18)
        reader.start()
        load.wait_progress(20, 60)
        made, chance = 0, 0
        for number, kind in enumerate(kinds):
            for _ in range(TRIES):
                made += 1
                upload.part()
                if jump(c, rng, load, kind):
                    break
                chance += 1
            else:
                raise AssertionError(f"another node leads each time the clock of a {kind[0]} goes {kind[1]}")
            retention(c, rng.choice(c.nodes), f"{number:03}")
        load.stop()
        reader.end()
        load.verify()
        upload.complete()
        histories(c, 3 * made)
        c.wait_replicated()
        for node in c.nodes:
            c.tool("sxadm", "node", "check", "--deep", "--dir", node.dir, timeout=300)
        scrub(c, rng)
        assert rounds_of_scrub(c) <= 9 + made, f"{rounds_of_scrub(c)} rounds of the scrub for {made} jumps"
        busy = idle_cpu(c)
        assert busy < 2 * idle + 1, f"{busy:.2f} s of CPU in {IDLE_S} s at rest, {idle:.2f} s before the jumps"
        fault.goal("clocks that jump by an hour and more, jumps with 0 lost and the same leader", jumps, jumps,
                   f"({load.acknowledged()} operations acknowledged, {reader.count} downloads; at rest {busy / IDLE_S:.0%} of a CPU, "
                   f"before {idle / IDLE_S:.0%}; {chance} repeated)")


if __name__ == "__main__":
    main()
