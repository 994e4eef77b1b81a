# SPDX-License-Identifier: GPL-2.0-or-later
"""Many files in one request, up and down: each has its own fate, a repeated request has one effect, and what passes is repeated as a
whole.  Then uploads of small files whose client, or whose servers, are killed under way.  About 20 s."""
import concurrent.futures
import contextlib
import filecmp
import json
import os
import random
import signal
import struct
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from cluster import Cluster, need, say  # noqa: E402
from sxhttp import message, parse_files, parse_list, parse_message  # noqa: E402

SMALL_FILES = 3000


def frame(*parts):
    return b"".join(struct.pack("<I", len(p)) + p for p in parts)


def put_many(me, *files, count=None, tail=b"", volume="vv", op=True):
    body = message({"count": len(files) if count is None else count}, frame(*files) + tail)
    return me.request("POST", f"/files/{volume}", body, op=op)


def empty(path, **more):
    return message({"path": path, "size": 0, "mtime_ns": 0, "mode": 420, **more})


class Block:
    """A file's only block, as the cluster gives it back."""

    def __init__(self, c, name, size, volume="vv"):
        self.path = f"{c.dir}/{name}"
        with open(self.path, "wb") as f:
            f.write(os.urandom(size))
        c.tool("sxcp", self.path, f"@t/{volume}/{name}")
        page = c.nodes[0].client().request("GET", f"/files/{volume}/{name}?data=1048576")
        info, data = parse_message(page.body)
        assert info["records"] == 1, info
        self.size, self.entry, self.record = size, data[:36], data[52:]

    def file(self, path, record=None, **more):
        return message({"path": path, "size": self.size, "mtime_ns": 0, "mode": 420, "entries": 1, "records": 1, **more},
                       self.entry + (self.record if record is None else record))


def fates(answer):
    assert answer.status == 200, answer
    return [f["error"]["code"] if "error" in f else f["status"] for f in answer.json()["files"]]


def each_its_own(c):
    me = c.nodes[0].client()
    large, small = Block(c, "large", 12000), Block(c, "small", 3000)
    flipped = bytearray(large.record)
    flipped[200] ^= 1
    good = [empty("a/empty"), large.file("a/large"), small.file("a/inline", inline=True)]
    bad = [large.file("b/flipped", bytes(flipped)), empty("b/../up"), large.file("b/other", small.record), empty("b/size", size=7),
           large.file("b/inline", inline=True), empty("large", if_none_match=True), empty("b/what", what=1),
           large.file("b/nothing", b"", records=0), b"\xff\xff\xff\xff", message({"size": 0})]
    # Good ones and bad ones in turn.
    mixed = [good[i // 2 % 3] if i % 2 else bad[i // 2] for i in range(2 * len(bad))]
    got = fates(put_many(me, *mixed))
    want = ["BadBlock", "InvalidName", "InvalidArgument", "InvalidArgument", "InvalidArgument", "PreconditionFailed",
            "InvalidArgument", "InvalidArgument", "Malformed", "InvalidArgument"]
    assert got[0::2] == want, got
    assert got[1::2] == [201] * 3 + [200] * (len(bad) - 3), got
    listing = me.request("GET", "/list/vv?prefix=b%2F").json()["files"]
    assert listing == [], listing
    for name, source in (("large", large), ("inline", small)):
        c.tool("sxcp", f"@t/vv/a/{name}", f"{c.dir}/back")
        assert filecmp.cmp(f"{c.dir}/back", source.path, shallow=False), name
    say("one bad file does not hold up the others")
    return large


def wrong_frames(c):
    me = c.nodes[0].client()
    for what, answer, status, code in [
            ("no files", put_many(me), 400, "InvalidArgument"),
            ("too many files", put_many(me, empty("x"), count=257), 400, "InvalidArgument"),
            ("fewer than announced", put_many(me, empty("x"), count=2), 400, "Malformed"),
            ("more than announced", put_many(me, empty("x"), empty("y"), count=1), 400, "Malformed"),
            ("half a length", put_many(me, empty("x"), tail=b"ab"), 400, "Malformed"),
            ("a volume that is not there", put_many(me, empty("x"), volume="none"), 200, None)]:
        assert (answer.status, answer.code) == (status, code), (what, answer)
    assert fates(put_many(me, empty("x"), volume="none")) == ["NoSuchVolume"]
    assert me.request("GET", "/list/vv?prefix=x").json()["files"] == []
    say("a frame that is wrong stores nothing")


def one_effect(c, large):
    me, op = c.nodes[0].client(), os.urandom(16).hex()
    files = [empty("once/1"), large.file("once/2")]
    first = put_many(me, *files, op=op).json()["files"]
    newer = put_many(me, empty("once/1", mtime_ns=5)).json()["files"][0]
    again = put_many(me, *files, op=op).json()["files"]
    assert again == first, (first, again)
    now = {f["path"]: f["rev"] for f in me.request("GET", "/list/vv?prefix=once%2F").json()["files"]}
    assert now == {"once/1": newer["rev"], "once/2": first[1]["rev"]}, (now, first, newer)
    say("a repeated request has one effect, and the same answer")


def limits(c, large):
    c.tool("sxvol", "create", "--quota", "20000", "@t/tight")
    me = c.nodes[0].client()
    got = fates(put_many(me, large.file("1"), large.file("2"), empty("3"), large.file("4"), volume="tight"))
    assert got == [201, "QuotaExceeded", 201, "QuotaExceeded"], got
    key = me.request("PUT", "/users/guest", {}).json()
    guest = c.nodes[0].client(key=key)
    assert me.request("PUT", "/volumes/vv/acl", {"grant": {"guest": ["read"]}}).status == 200
    assert fates(put_many(guest, empty("g"), large.file("h"))) == ["AccessDenied", "AccessDenied"]
    say("quota and rights count for each file")


def get_many(me, paths, data=1 << 20):
    """The (facts or error, entries and records) of each file that the answer has."""
    answer = me.request("POST", "/files/vv/get", {"paths": paths, "data": data})
    assert answer.status == 200, answer
    return parse_files(answer.body)


def read_many(c):
    me = c.nodes[0].client()
    paths = ["a/large", "no/such", "a/empty", "a//b", "a/inline", "a/large"]
    files = get_many(me, paths)
    for path, (info, data) in zip(paths, files):
        alone = me.request("GET", f"/files/vv/{path}?data=1048576")
        if "error" in info:
            assert (info["status"], info["error"]["code"]) == (alone.status, alone.code), (path, info, alone)
            continue
        want, records = parse_message(alone.body)
        assert info == {name: want[name] for name in info}, path
        # Tickets are new with each request.
        assert (data[:36], data[52:]) == (records[:36], records[52:]), path
    assert [i.get("records") for i, _ in files] == [1, None, 0, None, 1, 1]
    assert [i.get("records") for i, _ in get_many(me, ["a/large", "a/inline"], data=0)] == [0, 1]
    for what, body in (("no list", {}), ("no path", {"paths": []}), ("257 paths", {"paths": ["x"] * 257}),
                       ("data", {"paths": ["x"], "data": 5 << 20}), ("what", {"paths": ["x"], "what": 1})):
        answer = me.request("POST", "/files/vv/get", body)
        assert (answer.status, answer.code) == (400, "InvalidArgument"), (what, answer)
    assert get_many(me, [7])[0][0]["error"]["code"] == "InvalidArgument"
    with open(f"{c.dir}/big", "wb") as f:
        f.write(os.urandom(1 << 20))
    c.tool("sxcp", f"{c.dir}/big", "@t/vv/big")
    count = len(get_many(me, ["big"] * 200))
    assert 24 <= count <= 32, f"{count} files of 1 MiB in one answer"
    guest = me.request("PUT", "/users/stranger", {}).json()
    answer = c.nodes[0].client(key=guest).request("POST", "/files/vv/get", {"paths": ["big"]})
    assert (answer.status, answer.code) == (404, "NoSuchVolume"), answer
    say("many files come with one request, each as it would alone")


def lists(c):
    """A listing tells the same with facts as in JSON."""
    me = c.nodes[0].client()
    for query in ("prefix=", "prefix=a%2F", "delimiter=%2F", "delimiter=%2F&limit=2", "after=a%2Fempty", "limit=1", "glob=a%2F%2A", "prefix=none"):
        want = me.request("GET", f"/list/vv?{query}").json()
        got = parse_list(me.request("GET", f"/list/vv?{query}&facts=1").body)
        assert got == want, (query, got, want)
    answer = me.request("GET", "/list/vv?facts=2")
    assert (answer.status, answer.code) == (400, "InvalidArgument"), answer
    say("listings with facts are as those in JSON")


def make_tree(top):
    rnd = random.Random(3)
    for i in range(SMALL_FILES):
        folder = f"{top}/d{i // 100:02d}"
        os.makedirs(folder, exist_ok=True)
        with open(f"{folder}/f{i}", "wb") as f:
            f.write(rnd.randbytes(rnd.choice([0, 10, 3000, 9000, 20000])))


def kill_workers(c):
    for pid in c.nodes[0].pids("worker"):
        with contextlib.suppress(ProcessLookupError):  # the last kill may have met it while it was starting
            os.kill(pid, signal.SIGKILL)


def copied(c, tree):
    out = f"{c.dir}/out"
    client = subprocess.Popen(["sxcp", "-q", "-r", "@t/vv/tree/", f"{out}/"], env=c.env)
    kill_workers(c)
    assert client.wait(timeout=60) == 0
    subprocess.run(["diff", "-r", tree, out], check=True)
    assert not [n for _, _, names in os.walk(out) for n in names if n.endswith(".part")]
    subprocess.run(["rm", "-r", out], check=True)


def interrupted(c):
    tree = f"{c.dir}/tree"
    make_tree(tree)
    words = ["sxcp", "-q", "-b", "8M", "-r", f"{tree}/", "@t/vv/tree/"]
    client = subprocess.Popen(words, env=c.env)
    time.sleep(1)
    client.kill()
    assert client.wait() == -signal.SIGKILL, "the client was too fast for this test"
    some = len(c.tool("sxls", "-r", "@t/vv/tree/").out.splitlines())
    assert 0 < some < SMALL_FILES, some
    client = subprocess.Popen(words, env=c.env)
    c.background.append(client)
    for _ in range(3):
        time.sleep(0.7)
        kill_workers(c)
    assert client.wait(timeout=60) == 0
    copied(c, tree)
    assert len(c.tool("sxls", "-r", "@t/vv/tree/").out.splitlines()) == SMALL_FILES
    say(f"client killed after {some} files, workers killed under the next: all files are there and right")


def again(c):
    """A tree of three pages of the listing, compared page by page: each file is told once, and only what changed is sent."""
    tree = f"{c.dir}/tree"

    def states(*words):
        told = [json.loads(line) for line in c.tool("sxcp", "--json", "-r", *words).out.splitlines()]
        files = [(t["name"], t["state"]) for t in told if "name" in t]
        assert len(dict(files)) == len(files), "a file was told twice"
        return files

    names = sorted(os.path.join(d, n) for d, _, all_ in os.walk(tree) for n in all_)
    got = states(f"{tree}/", "@t/vv/tree/")
    assert sorted(got) == [(n, "unchanged") for n in names], got[:5]
    changed = {names[i] for i in (0, 1000, SMALL_FILES - 1)}
    for n in changed:
        with open(n, "ab") as f:
            f.write(b"more")
    got = dict(states(f"{tree}/", "@t/vv/tree/"))
    assert got == {n: "copied" if n in changed else "unchanged" for n in names}
    # Two listings one after the other; of the first much is there that is not here.
    for n in names[5:95]:
        os.unlink(n)
    got = states(f"{tree}/d00", f"{tree}/d29", "@t/vv/tree/")
    assert sorted(n for n, state in got if state == "unchanged") == names[:5] + names[95:100] + names[2900:], got[:5]
    say("a tree of several pages is compared file by file")


def no_quorum(c):
    """Two nodes of three do not answer to other nodes: nothing may be acknowledged, nor be there."""
    c.tool("sxvol", "create", "--replica", "1", "@t/one")
    c.tool("sxvol", "create", "--replica", "3", "@t/three")
    block, me, op = Block(c, "b", 20000, "one"), c.nodes[0].client(), os.urandom(16).hex()
    stopped = [pid for n in c.nodes[1:] for pid in n.pids("reserved")]
    assert stopped
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    try:
        answer = put_many(me, empty("1"), block.file("2"), volume="three", op=op)
        assert (answer.status, answer.code) == (503, "NoQuorum"), answer
        assert me.request("GET", "/list/three").json()["files"] == []
    finally:
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)
    assert fates(put_many(me, empty("1"), block.file("2"), volume="three", op=op)) == [201, 201]
    c.tool("sxcp", "@t/three/2", f"{c.dir}/back")
    assert filecmp.cmp(f"{c.dir}/back", block.path, shallow=False)
    say("no quorum for one file's block: the request fails as a whole, and may be repeated")


def behind(c):
    """A write that comes to a node which has not heard of the volume yet waits until it has."""
    follower, leader = next((n, c.nodes[c.leader()]) for i, n in enumerate(c.nodes) if i != c.leader())
    block = Block(c, "early", 20000, "one")
    stopped, = follower.pids("group manager")
    os.kill(stopped, signal.SIGSTOP)
    try:
        leader.client().request("PUT", "/volumes/late", {"replica": 1}, op=True)
        with concurrent.futures.ThreadPoolExecutor() as pool:
            answer = pool.submit(put_many, follower.client(), empty("1"), block.file("2"), volume="late")
            time.sleep(0.5)
            os.kill(stopped, signal.SIGCONT)
            assert fates(answer.result()) == [201, 201]
    finally:
        os.kill(stopped, signal.SIGCONT)
    say("a node that is behind takes files for a volume that was just made")


def main():
    need("sxcp", "sxsetup", "sx.fcgi", "nginx")
    with Cluster("batch") as c:
        c.tool("sxvol", "create", "@t/vv")
        large = each_its_own(c)
        wrong_frames(c)
        one_effect(c, large)
        limits(c, large)
        read_many(c)
        lists(c)
        interrupted(c)
        again(c)
    with Cluster("quorum", nodes=3) as c:
        no_quorum(c)
        behind(c)


if __name__ == "__main__":
    main()
