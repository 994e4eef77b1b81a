# SPDX-License-Identifier: GPL-2.0-or-later
"""Slow clients. First a crowd that sends small objects and reads answers that nginx takes in whole: they hold no worker, so
quick requests of others do not wait at all, and no extra worker is started. Then more senders of large objects than the node
has workers, one that stops in the middle, and one that reads as slowly: all are served, and quick requests wait for no longer
than it takes to start extra workers. The one that stopped is cut off (the whole tier waits for nginx to do it), nothing of it
is left, and the extra workers end."""
import os
import socket
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import fault  # noqa: E402
from cluster import SMALL, Cluster, need, say, wait_for  # noqa: E402
from s3 import Site  # noqa: E402

SLOW = 3 if SMALL else 1
WORKERS, EXTRA = 2, 6  # the node's, and the most that it adds to them
SENDERS = 5            # with the one that stops and the one that reads: fewer than both together, more than the workers
SIZE, STEPS, PAUSE_S = 1_280_000, 100, 0.1  # a large object; each sender takes ten seconds for its own
CROWD, CROWD_SIZE = 20, 640_000             # of either kind
ANSWER = 2 << 20                            # what the crowd reads from
QUICK_S = 8.0          # extra workers are there after some seconds; the senders take ten
AT_ONCE_S = 4.0        # a quick request beside the crowd
CUT_S = 60             # client_body_timeout of nginx is 30 s


class Sender(threading.Thread):
    """PUTs an object a step at a time; stops after `steps`, if given, and keeps the connection."""

    def __init__(self, site, key, size=SIZE, steps=STEPS):
        super().__init__(daemon=True)
        self.body, self.target, self.steps, self.answer, self.error = os.urandom(size), f"/vol/{key}", steps, b"", None
        raw = site.raw()
        head = {**raw.signed("PUT", self.target, payload="UNSIGNED-PAYLOAD"), "content-length": str(size), "connection": "close"}
        self.socket = raw.context.wrap_socket(socket.create_connection((site.address, site.port), timeout=CUT_S * SLOW),
                                              server_hostname=site.address)
        self.socket.sendall(f"PUT {self.target} HTTP/1.1\r\n".encode() +
                            b"".join(f"{k}: {v}\r\n".encode() for k, v in head.items()) + b"\r\n")

    def run(self):
        try:
            step = len(self.body) // STEPS
            for i in range(self.steps):
                self.socket.sendall(self.body[i * step:(i + 1) * step])
                time.sleep(PAUSE_S)
            while data := self.socket.recv(65536):
                self.answer += data
        except OSError as error:
            self.error = error
        self.socket.close()


class Reader(threading.Thread):
    """GETs an object as slowly, until it has `enough`."""

    def __init__(self, site, target):
        super().__init__(daemon=True)
        self.got, self.enough, raw = b"", threading.Event(), site.raw()
        plain = socket.socket()
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
        plain.settimeout(CUT_S * SLOW)
        plain.connect((site.address, site.port))
        self.socket = raw.context.wrap_socket(plain, server_hostname=site.address)
        head = {**raw.signed("GET", target), "connection": "close"}
        self.socket.sendall(f"GET {target} HTTP/1.1\r\n".encode() +
                            b"".join(f"{k}: {v}\r\n".encode() for k, v in head.items()) + b"\r\n")

    def run(self):
        while not self.enough.wait(PAUSE_S) and (data := self.socket.recv(6400)):
            self.got += data
        self.socket.close()


def quick(site, threads, most):
    """Small requests on connections of their own while the slow ones last, none of more than `most` seconds."""
    pace, n = fault.Pace(), 0
    while any(t.is_alive() for t in threads):
        for method, body in (("PUT", b"quick"), ("GET", b"")):
            start, raw = time.monotonic(), site.raw(timeout=CUT_S * SLOW)
            r = raw.request(method, f"/vol/quick{n % 7}", body)
            raw.close()
            assert r.status == 200, r
            pace.note(time.monotonic() - start)
        n += 1
        time.sleep(0.02)
    assert pace.worst <= most * SLOW, f"a quick request took {pace.worst:.1f} s beside slow ones"
    return pace


def served(site, senders):
    raw = site.raw(timeout=CUT_S * SLOW)
    for s in senders:
        assert s.error is None and s.answer.startswith(b"HTTP/1.1 200 "), (s.error, s.answer)
        assert raw.request("GET", s.target).body == s.body


def ended(reader, content):
    reader.enough.set()
    reader.join()
    head, _, data = reader.got.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ") and data and content.startswith(data), head


def crowd(site, node):
    """Slow ones that hold no worker."""
    content, raw = os.urandom(ANSWER), site.raw()
    assert raw.request("PUT", "/vol/answer", content).status == 200
    senders = [Sender(site, f"small{i}", CROWD_SIZE) for i in range(CROWD)]
    readers = [Reader(site, "/vol/answer") for _ in range(CROWD)]
    for t in (*senders, *readers):
        t.start()
    pace = quick(site, senders, AT_ONCE_S)
    extra = len(node.pids("extra worker"))
    assert extra == 0 or SMALL, f"{extra} extra workers for clients that need none"
    served(site, senders)
    for r in readers:
        ended(r, content)
    fault.goal("slow clients of small objects, all served and no worker held", 2 * CROWD, 2 * CROWD,
               f"({len(pace.all)} quick requests, longest {pace.worst:.2f} s, median {1000 * pace.middle:.0f} ms)")


def main():
    need("sxcp", "sxsetup", "sx.fcgi", "nginx")
    whole = fault.SHARE >= 1
    fault.begin("slow")
    with Cluster("slow", workers=WORKERS, reserved=1) as c:
        site, node, large = Site(c), c.nodes[0], os.urandom(8 << 20)
        raw = site.raw(timeout=CUT_S * SLOW)
        assert raw.request("PUT", "/vol").status == 200
        assert raw.request("PUT", "/vol/large", large).status == 200
        crowd(site, node)
        senders = [Sender(site, f"slow{i}") for i in range(SENDERS)]
        stopper, reader = Sender(site, "stopped", steps=20), Reader(site, "/vol/large")
        for t in (*senders, stopper, reader):
            t.start()
        pace = quick(site, senders, QUICK_S)
        extra = len(node.pids("extra worker"))
        assert 0 < extra <= EXTRA, extra
        served(site, senders)
        if whole:
            stopper.join(CUT_S * SLOW)
            assert not stopper.is_alive() and b" 200 " not in stopper.answer[:20], stopper.answer
        else:
            stopper.socket.close()
        ended(reader, large)
        assert raw.request("GET", stopper.target).status == 404
        if whole:
            wait_for("the extra workers to end", 120 * SLOW, lambda: not node.pids("extra worker"), every=1)
            assert raw.request("GET", "/vol/large").body == large
        fault.goal("slow clients, all served beside quick ones", SENDERS, SENDERS,
                   f"({len(pace.all)} quick requests, longest {pace.worst:.2f} s, median {1000 * pace.middle:.0f} ms; {extra} extra workers)")
        say("slow senders were served, the one that stopped was not stored")


if __name__ == "__main__":
    main()
