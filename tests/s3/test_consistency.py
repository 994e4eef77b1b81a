# SPDX-License-Identifier: GPL-2.0-or-later
"""Three nodes, also while one is killed: what was acknowledged is read and listed at once by every other node; of concurrent
conditional writes exactly one wins, and no increment of a counter by If-Match is lost."""
import os
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from cluster import SMALL, Cluster, say  # noqa: E402
from s3 import FULL, Site, md5  # noqa: E402

CLIENTS = 8
ROUNDS = 200 if FULL else 5 if SMALL else 20
LOST = (412, 409)     # the condition did not hold; it was another's turn
PATIENCE_S = 60       # an election, and all that follows, is done by then


def in_parallel(n, work):
    """Runs work(i) for each i < n at once; the first exception is raised here."""
    failed = []

    def run(i):
        try:
            work(i)
        except BaseException as e:  # noqa: BLE001 raised again below
            failed.append(e)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(n)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    if failed:
        raise failed[0]


def patient(call):
    """Repeats what is refused with 503, as SDKs do; a node in an election says so."""
    end = time.monotonic() + PATIENCE_S
    while True:
        r = call()
        if r.status != 503 or time.monotonic() > end:
            return r
        assert r.headers.get("Retry-After"), r
        time.sleep(0.1)


def read_after_write(sites, name, rounds, until=None):
    """Writer, reader and lister take turns on `sites`."""
    raws = [s.raw() for s in sites]
    i = 0
    while i < rounds or until and not until.is_set():
        w, r, lister = (raws[(i + k) % len(raws)] for k in range(3))
        key, body = f"{name}/{i:05}", os.urandom(8 if i % 2 else 9000)
        a = patient(lambda: w.request("PUT", f"/bucket/{key}", body))
        assert a.status == 200, a
        b = patient(lambda: r.request("GET", f"/bucket/{key}"))
        assert b.status == 200 and b.body == body, (key, b)
        c = patient(lambda: lister.request("GET", f"/bucket?list-type=2&max-keys=1000&prefix={name}%2F&start-after={name}%2F{i - 3:05}"))
        assert c.status == 200 and key in c.all("Key"), (key, c)
        if i % 4 == 3:
            patient(lambda: w.request("DELETE", f"/bucket/{key}"))
            assert patient(lambda: r.request("HEAD", f"/bucket/{key}")).status == 404
        i += 1
    return i


def overwritten(sites, rounds):
    """A key that always has a value is always found, whole, and copied, though another overwrites it."""
    done, sizes = threading.Event(), (8, 9000)
    values = [b"%d" % (i % 10) * sizes[i % 2] for i in range(10)]

    def work(n):
        raw = sites[n % len(sites)].raw()
        if n == 0:
            try:
                for i in range(rounds):
                    assert raw.request("PUT", "/bucket/over", values[i % 10]).status == 200
            finally:
                done.set()
        while not done.is_set():
            if n % 2:
                r = raw.request("PUT", f"/bucket/copy{n}", b"", {"x-amz-copy-source": "/bucket/over"})
                assert r.status == 200 and r.all("ETag")[0] in etags, r
            r = raw.request("GET", f"/bucket/copy{n}" if n % 2 else "/bucket/over")
            assert r.status == 200 and r.body in values, r

    etags = [f"&quot;{md5(v)}&quot;" for v in values]
    assert sites[0].raw().request("PUT", "/bucket/over", values[0]).status == 200
    in_parallel(CLIENTS, work)


def one_winner(sites, name, rounds):
    """If-None-Match: * of all clients at once."""
    raws = [sites[i % len(sites)].raw() for i in range(CLIENTS)]
    for n in range(rounds):
        answers, barrier = [None] * CLIENTS, threading.Barrier(CLIENTS)

        def put(i):
            barrier.wait()
            answers[i] = raws[i].request("PUT", f"/bucket/{name}-{n}", b"%d" % i, {"if-none-match": "*"})

        in_parallel(CLIENTS, put)
        winners = [i for i, a in enumerate(answers) if a.status == 200]
        unsure = [i for i, a in enumerate(answers) if a.status == 503]
        assert all(a.status in (200, 503) + LOST for a in answers), answers
        assert len(winners) == 1 or not winners and unsure, (n, answers)
        for r in raws[:len(sites)]:
            got = patient(lambda: r.request("GET", f"/bucket/{name}-{n}"))
            assert got.status == 404 and not winners or int(got.body) in (winners or unsure), (n, winners, got)


def counter(sites, name, increments):
    """Each client adds `increments` to one number; each answer counts for sure, so every conflict is repeated."""
    first = sites[0].raw()
    assert first.request("PUT", f"/bucket/{name}", b"0").status == 200
    sure = [0] * CLIENTS
    unsure = [0] * CLIENTS

    def add(i):
        raw, end = sites[i % len(sites)].raw(), time.monotonic() + PATIENCE_S * 2
        while sure[i] < increments:
            assert time.monotonic() < end, f"client {i} made {sure[i]} increments"
            now = patient(lambda: raw.request("GET", f"/bucket/{name}"))
            assert now.status == 200, now
            a = raw.request("PUT", f"/bucket/{name}", b"%d" % (int(now.body) + 1), {"if-match": now.headers["ETag"]})
            assert a.status in (200, 503) + LOST, a
            sure[i] += a.status == 200
            unsure[i] += a.status == 503

    in_parallel(CLIENTS, add)
    value = int(patient(lambda: first.request("GET", f"/bucket/{name}")).body)
    assert sum(sure) <= value <= sum(sure) + sum(unsure), (value, sum(sure), sum(unsure))


def while_killed(c, victim):
    """One node dies while the other two serve, and comes back."""
    sites = [Site(c, n) for n in range(3) if n != victim]
    done, count = threading.Event(), [0]

    def work(i):
        if i == 0:
            count[0] = read_after_write(sites, f"killed-{victim}", 0, done)
        elif i == 1:
            try:
                one_winner(sites, f"raced-{victim}", ROUNDS)
                counter(sites, f"counted-{victim}", ROUNDS // 5)
            finally:
                done.set()
        else:
            time.sleep(0.3)
            c.nodes[victim].kill()

    in_parallel(3, work)
    c.nodes[victim].start()
    c.wait_healthy()
    back = Site(c, victim).raw()
    pages = back.request("GET", f"/bucket?list-type=2&max-keys=1000&prefix=killed-{victim}%2F").all("Key")
    want = {f"killed-{victim}/{i:05}" for i in range(min(count[0], 1000)) if i % 4 != 3}
    assert want <= set(pages) or count[0] > 1000, (len(want), len(pages))
    return count[0]


def main():
    with Cluster("consistency", nodes=3) as c:
        sites = [Site(c, n) for n in range(3)]
        assert sites[0].raw().request("PUT", "/bucket").status == 200
        read_after_write(sites, "calm", ROUNDS * 2)
        say("read and list after write")
        overwritten(sites, ROUNDS * 10)
        say("read while overwritten")
        one_winner(sites, "race", ROUNDS)
        say("one winner")
        counter(sites, "count", ROUNDS // 5)
        say("no increment is lost")
        say("leader killed:", while_killed(c, c.leader()), "writes")
        if FULL:
            say("another killed:", while_killed(c, (c.leader() + 1) % 3), "writes")


main()
