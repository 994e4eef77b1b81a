# SPDX-License-Identifier: GPL-2.0-or-later
"""Space truth: what `sxadm cluster df` and `sxvol info` say against the packs on the disks, read by this test itself.
Known data on one node and on three: dedup inside a volume and between two, revisions, inline files, compression;
a node that is down is named; what was deleted is reclaimable, and after collection there is nothing left of it."""
import glob
import json
import os
import random
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from cluster import Cluster, need, say, wait_for  # noqa: E402

MIB = 1 << 20
PACK_HEADER, RECORD_HEADER = 64, 48
CLASSES = ("physical", "uploading", "unreferenced", "damaged", "dead", "headers")


def records(path):
    """(id, length) of each record of a pack (docs/formats.md, sections 4 and 10)."""
    with open(path, "rb") as f:
        data = f.read()
    at, found = PACK_HEADER, []
    while at < len(data):
        magic, n, block = struct.unpack_from("<4sI32s", data, at)
        assert magic == b"SXR1", f"{path}: no record at {at}"
        found.append((block, RECORD_HEADER + n))
        at += RECORD_HEADER + n
    return found


def packs(node):
    return glob.glob(f"{node.dir}/store/**/*.pack", recursive=True)


def df(c, now=True):
    return json.loads(c.tool("sxadm", "cluster", "df", "--json", *(["--now"] if now else []), "@t").out)


def info(c, volume, who="@t"):
    return json.loads(c.tool("sxvol", "info", "--json", f"{who}/{volume}").out)["space"]


def write(path, data):
    with open(path, "wb") as f:
        f.write(data)
    return path


def check_sums(c, s):
    """The sums are those of the packs: file by file, record by record, node by node."""
    for node in c.nodes:
        on = next(n for n in s["nodes"] if n["id"] == node.id)
        assert on["packs"] == sum(os.path.getsize(p) for p in packs(node)), on
        assert on["packs"] == sum(on[k] for k in CLASSES), on
    for k in CLASSES + ("packs", "metadata"):
        assert s[k] == sum(n[k] for n in s["nodes"]), k
    assert s["reclaimable"] == s["unreferenced"] + s["dead"]


def check_live(c, s):
    """While nothing was deleted, every record is physical, and compressed counts each block once."""
    everything = [r for node in c.nodes for p in packs(node) for r in records(p)]
    assert s["physical"] == sum(n for _, n in everything), (s, len(everything))
    assert s["compressed"] - s["inline"] == sum(dict(everything).values()), s
    assert s["complete"] and s["reclaimable"] == 0 and s["uploading"] == 0, s


def put_data(c):
    """Logical bytes of vv and ww, and what is unique in vv, in ww and in both together."""
    rng = random.Random(5)
    a = write(f"{c.dir}/a", rng.randbytes(3 * MIB))
    b = write(f"{c.dir}/b", rng.randbytes(MIB))
    text = write(f"{c.dir}/text", b"".join(b"line %d of a text that repeats itself\n" % i for i in range(40000)))
    size = os.path.getsize(text)
    c.tool("sxcp", a, "@t/vv/a")
    c.tool("sxcp", a, "@t/vv/again")
    c.tool("sxcp", text, "@t/vv/file")
    c.tool("sxcp", b, "@t/vv/file")  # the text is a revision now
    c.tool("sxcp", a, "@t/ww/a")
    c.tool("sxcp", text, "@t/ww/text")
    for i in range(20):
        c.tool("sxcp", write(f"{c.dir}/small", b"%d" % i * 100), f"@t/ww/small{i}")
    small = sum(len(b"%d" % i * 100) for i in range(20))
    return {"vv": (7 * MIB + size, 4 * MIB + size), "ww": (3 * MIB + size + small, 3 * MIB + size + small),
            "all": (10 * MIB + 2 * size + small, 4 * MIB + size + small)}


def info_agrees(c, name, told):
    one = info(c, name)
    assert all(one[k] == told[k] for k in ("logical", "unique", "compressed", "physical", "exclusive")), (one, told)
    return True


def check_known(c, expected, copies):
    s = df(c)
    volumes = {v["name"]: v for v in s["volumes"]}
    for name, (logical, unique) in expected.items():
        got = s if name == "all" else volumes[name]
        assert (got["logical"], got["unique"]) == (logical, unique), (name, got, expected)
        assert abs(got["dedup"] - logical / unique) < 0.001, got
        assert abs(got["compression"] - unique / got["compressed"]) < 0.001, got
        assert abs(got["reduction"] - logical / got["compressed"]) < 0.002, got
        assert got["physical"] == copies * (got["compressed"] - got["inline"]), got
    assert volumes["vv"]["inline"] == 0 < volumes["ww"]["inline"] == s["inline"]
    assert MIB < volumes["vv"]["exclusive"] < 1.01 * copies * MIB + 2000, volumes["vv"]  # b, and nothing of ww
    assert volumes["ww"]["exclusive"] == 0, volumes["ww"]
    check_sums(c, s)
    check_live(c, s)
    for name in ("vv", "ww"):  # df counted anew; info takes what each node counted last
        wait_for(f"sxvol info of {name} to agree", 10, lambda name=name: info_agrees(c, name, volumes[name]), every=0.3)
    say(f"{copies} copies: " + ", ".join(f"{k} {s[k]}" for k in ("logical", "unique", "compressed", "physical", "packs")))
    return s


def check_text(c):
    """For people: sizes they can read, each volume and node by name."""
    out = c.tool("sxadm", "cluster", "df", "@t").out
    for word in ("logical:", "dedup", "reclaimable:", "VOLUME", *[n.id for n in c.nodes]):
        assert word in out, out
    assert "incomplete" not in out, out
    out = c.tool("sxvol", "info", "@t/vv").out
    for word in ("logical:", "unique:", "compressed:", "physical:", "exclusive:", "counted:"):
        assert word in out, out


def check_rights(c):
    """Who has a right on a volume sees its figures; the whole is for administrators."""
    admin = c.nodes[0].client()
    keys = admin.request("PUT", "/users/reader", {}).json()
    admin.request("PUT", "/volumes/vv/acl", {"grant": {"reader": ["read"]}})
    reader = c.nodes[0].client(key=keys)
    assert reader.request("GET", "/volumes/vv?space=1").json()["space"]["unique"] > 0
    assert reader.request("GET", "/volumes/ww?space=1").code == "NoSuchVolume"
    assert reader.request("GET", "/space").code == "AccessDenied"
    assert reader.request("POST", "/space").code == "AccessDenied"
    assert admin.request("GET", "/volumes/vv?space=2").code == "InvalidArgument"
    assert "space" not in admin.request("GET", "/volumes/vv").json()


def delete_all(c):
    """What was deleted is reclaimable at once, and gone when collected."""
    before = df(c)
    c.tool("sxrm", "-r", "@t/vv/", "@t/ww/")
    wait_for("the deleted blocks to be seen as reclaimable, or gone", 20, lambda: df(c)["physical"] == 0)
    wait_for("nothing to be left to reclaim", 30, lambda: (lambda s: s["reclaimable"] == 0 and s)(df(c)), every=0.3)
    s = df(c)
    assert s["logical"] == s["unique"] == s["compressed"] == 0 and "dedup" not in s, s
    assert s["packs"] == s["headers"] < before["packs"], s
    check_sums(c, s)
    say("all deleted and collected: nothing is left, and nothing to reclaim")


def one_node():
    with Cluster("space1", nodes=1, settings={"lease_s": 2, "collect_interval_s": 1}) as c:
        c.tool("sxvol", "create", "--revisions", "3", "@t/vv")
        c.tool("sxvol", "create", "@t/ww")
        check_known(c, put_data(c), 1)
        check_text(c)
        check_rights(c)
        delete_all(c)


def sums_below(c, whole):
    """The deleted blocks are physical no more, whatever the collector has done with them since."""
    s = df(c)
    check_sums(c, s)
    return s["physical"] < whole["physical"] - 2 * MIB


def three_nodes():
    with Cluster("space3", nodes=3) as c:
        c.tool("sxvol", "create", "--replica", "2", "--revisions", "3", "@t/vv")
        c.tool("sxvol", "create", "--replica", "2", "@t/ww")
        expected = put_data(c)
        c.wait_replicated()
        whole = check_known(c, expected, 2)
        check_text(c)
        c.nodes[2].stop()
        out = c.tool("sxadm", "cluster", "df", "--now", "@t").out
        assert f"node {c.nodes[2].id} does not answer" in out and "incomplete" in out, out
        s = df(c, now=False)
        assert not s["complete"] and s["physical"] < whole["physical"], s
        assert (s["logical"], s["unique"], s["dedup"]) == (whole["logical"], whole["unique"], whole["dedup"]), s
        assert "incomplete" in c.tool("sxvol", "info", "@t/vv").out
        c.nodes[2].start()
        c.wait_healthy()
        c.wait_replicated()
        check_known(c, expected, 2)
        say("a node that was down was named, and is counted again")
        c.tool("sxrm", "@t/vv/file")
        wait_for("sums without the deleted file that agree with the packs", 20, lambda: sums_below(c, whole))


def main():
    need("sxcp", "sxsetup", "sx.fcgi", "nginx")
    one_node()
    three_nodes()


if __name__ == "__main__":
    main()
