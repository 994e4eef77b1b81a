# SPDX-License-Identifier: GPL-2.0-or-later
"""What is read again comes from the cache of blocks: the same bytes, also in ranges, also when the disk has others by now; a new
object of the name at once; nothing of an object under a customer's key. Without a cache (`cache_size` 0) all is the same but slower."""
import base64
import glob
import hashlib
import http.client
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from cluster import Cluster, say, wait_for  # noqa: E402
from s3 import MIB, Site  # noqa: E402

SIZE = 5 * MIB + 123
CACHE = 32 * MIB
RANGES = ((0, 10), (MIB - 3, MIB + 3), (2 * MIB, 4 * MIB), (SIZE - 9, SIZE))


def cache_of(c):
    return c.status()["nodes"][0]["cache"]


def counters(c):
    n = cache_of(c)
    return n["hits"], n["misses"], n["entered"]


def change(c, before):
    return tuple(b - a for a, b in zip(before, counters(c)))


def get(raw, want, name="hot", **headers):
    r = raw.request("GET", f"/bucket/{name}", headers=headers)
    assert r.status == 200 and r.body == want, (r.status, len(r.body))


def ranges(raw, want):
    for a, b in RANGES:
        r = raw.request("GET", "/bucket/hot", headers={"range": f"bytes={a}-{b - 1}"})
        assert r.status == 206 and r.body == want[a:b], (a, b, r.status, len(r.body))


def put(raw, data, name="hot", **headers):
    r = raw.request("PUT", f"/bucket/{name}", data, headers=headers)
    assert r.status == 200, r


def customer(c, raw):
    key = os.urandom(32)
    send = {"x-amz-server-side-encryption-customer-algorithm": "AES256",
            "x-amz-server-side-encryption-customer-key": base64.b64encode(key).decode(),
            "x-amz-server-side-encryption-customer-key-md5": base64.b64encode(hashlib.md5(key).digest()).decode()}
    secret, before, known = os.urandom(SIZE), counters(c), cache_of(c)["known"]
    put(raw, secret, "secret", **send)
    for _ in range(3):
        get(raw, secret, "secret", **send)
    assert change(c, before) == (0, 0, 0), change(c, before)
    assert cache_of(c)["known"] == known


def restart(c, raw):
    c.nodes[0].stop()
    c.nodes[0].start()
    wait_for("the node to answer", 20, lambda: raw.request("GET", "/").status == 200, every=0.2)


def damage(c):
    """Every pack, from its first eighth on."""
    for path in glob.glob(f"{c.nodes[0].dir}/store/packs/*.pack"):
        size = os.path.getsize(path)
        with open(path, "r+b") as f:
            f.seek(size // 8)
            f.write(os.urandom(size - size // 8))


def cached(c, raw):
    data, other = os.urandom(SIZE), os.urandom(SIZE)
    put(raw, data)
    before = counters(c)
    get(raw, data)
    hits, misses, entered = change(c, before)
    assert hits == 0 and misses > 3 and entered == misses, (hits, misses, entered)
    get(raw, data)
    assert change(c, before) == (misses, misses, misses), change(c, before)
    ranges(raw, data)
    assert change(c, before)[1:] == (misses, misses), change(c, before)
    say("what was read is in the cache")
    customer(c, raw)
    put(raw, other)
    ranges(raw, other)
    get(raw, other)
    c.check_logs()
    damage(c)
    get(raw, other)
    ranges(raw, other)
    restart(c, raw)
    r = raw.request("GET", "/bucket/hot")
    assert r.status >= 500 and not cache_of(c)["entered"], (r.status, len(r.body))
    say("what lies damaged on the disk was not given")


def larger(c, raw):
    """What is larger than the cache: the stored form of its blocks is known from the put on; after a restart, from the first
    time that they are read."""
    data = os.urandom(2 * CACHE)
    put(raw, data, "large")
    get(raw, data, "large")
    assert cache_of(c)["known"] > 50
    restart(c, raw)
    get(raw, data, "large")
    assert cache_of(c)["known"] == 0
    get(raw, data, "large")
    assert cache_of(c)["known"] > 50
    damage(c)
    try:
        r = raw.request("GET", "/bucket/large")
        assert r.status >= 500, r.status
    except http.client.IncompleteRead as e:
        assert data.startswith(e.partial), "other bytes were given"
    raw.close()
    say("what is known of a block does not hide damage")


def main():
    with Cluster("s3-cache", settings={"cache_size": CACHE}) as c:
        raw = Site(c).raw()
        assert raw.request("PUT", "/bucket").status == 200
        assert cache_of(c)["size"] == CACHE
        cached(c, raw)
    with Cluster("s3-small-cache", settings={"cache_size": CACHE}) as c:
        raw = Site(c).raw()
        assert raw.request("PUT", "/bucket").status == 200
        larger(c, raw)
    with Cluster("s3-no-cache", settings={"cache_size": 0}) as c:
        raw, data = Site(c).raw(), os.urandom(SIZE)
        assert raw.request("PUT", "/bucket").status == 200
        put(raw, data)
        for _ in range(3):
            get(raw, data)
            ranges(raw, data)
        assert cache_of(c) == {"size": 0, "hits": 0, "misses": 0, "entered": 0, "known": 0}
        c.check_logs()


main()
