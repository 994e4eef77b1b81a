# SPDX-License-Identifier: GPL-2.0-or-later
"""Objects that are replaced, deleted and collected around a client that reads them slowly: each answer that was begun ends byte for
byte, also behind the removal of the bucket, and the space comes back after it. A reader whose worker was killed holds the blocks no
longer than its pin lives. The same for a server-side copy whose source goes. Never other bytes, never an error amid the body."""
import http.client
import os
import signal
import socket
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from cluster import Cluster, say, wait_for  # noqa: E402
from s3 import MIB, Site, md5  # noqa: E402

LEASE_S = 2
PIN_S = 10 * LEASE_S  # SX_PIN_LEASES of fcgi/api/pin.h
SETTINGS = {"lease_s": LEASE_S, "collect_interval_s": 1, "s3_website_domains": ["web.test"]}
BACK_S = 15           # far less than what is left of a pin that was renewed and not released
SIZE = 32 * MIB       # more than all buffers between the daemon and the client hold
SHORT = 15 * MIB      # so is this, but it is not pinned before it has lasted for a second
RACED, RACES, RACE_STEP_S = 17 * MIB, 12, 0.0007
COPIED = 160 * MIB    # a copy of it takes long enough to be stopped
POLICY = ('{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:GetObject",'
          '"Resource":"arn:aws:s3:::bucket/*"}]}')
WEBSITE = b"<WebsiteConfiguration><IndexDocument><Suffix>index</Suffix></IndexDocument></WebsiteConfiguration>"


class SlowGet:
    """A GET of which only the first MiB was read; `body` is what it should give."""

    def __init__(self, site, path, body, host=None, **headers):
        raw = site.raw()
        plain = socket.socket()
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        plain.settimeout(60)
        plain.connect((site.address, site.port))
        self.connection = http.client.HTTPSConnection(site.address, site.port, timeout=60, context=raw.context)
        self.connection.sock = raw.context.wrap_socket(plain, server_hostname=site.address)
        self.path, self.want, self.answer, self.got = path, body, None, b""
        self.send = {"host": host} if host else {**raw.signed("GET", path), **headers}

    def begin(self):
        self.connection.request("GET", self.path, headers=self.send)
        self.answer = self.connection.getresponse()
        self.got = self.answer.read(MIB)
        return self

    def begun(self):
        assert self.begin().answer.status in (200, 206), self.answer.status
        return self

    def rest(self):
        """Reads on; whether the whole came.  What came is right."""
        try:
            while piece := self.answer.read(MIB):
                self.got += piece
        except http.client.IncompleteRead as e:
            self.got += e.partial
        except OSError:
            pass
        finally:
            self.connection.close()
        assert self.got == self.want[:len(self.got)], (self.path, len(self.got))
        return len(self.got) == len(self.want)


class Place:
    """A node with a bucket."""

    def __init__(self, c):
        self.c, self.node, self.site = c, c.nodes[0], Site(c)
        self.raw = self.site.raw()

    def ask(self, method, target, body=b"", **headers):
        r = self.raw.request(method, target, body, headers=headers)
        assert r.status in (200, 204), (method, target, r)
        return r

    def put(self, key, size):
        body = os.urandom(size)
        self.ask("PUT", f"/bucket/{key}", body)
        return body

    def put_parts(self, key, size):
        bodies = [os.urandom(size), os.urandom(size)]
        upload = self.ask("POST", f"/bucket/{key}?uploads").all("UploadId")[0]
        for i, body in enumerate(bodies, 1):
            self.ask("PUT", f"/bucket/{key}?partNumber={i}&uploadId={upload}", body)
        self.ask("POST", f"/bucket/{key}?uploadId={upload}", "".join(
            ["<CompleteMultipartUpload>"] +
            [f"<Part><PartNumber>{i}</PartNumber><ETag>{md5(body)}</ETag></Part>" for i, body in enumerate(bodies, 1)] +
            ["</CompleteMultipartUpload>"]).encode())
        return b"".join(bodies)

    def blocks(self):
        return self.c.status()["nodes"][0]["blocks"]

    def blocks_are(self, n, seconds, what):
        """Waits for it.  Pins end by the time of the log, which stands still where nothing happens."""
        def there():
            self.c.tool("sxvol", "modify", "@t/tick", "--revisions", "1")
            return self.blocks() == n
        wait_for(what, seconds, there, every=0.5)

    def collected(self, keep):
        """Until what was put and deleted beside it is collected: then nothing but the blocks of `keep` are left."""
        self.blocks_are(keep, 60, f"all but {keep} blocks to be collected")


def many_readers(p):
    """Kinds of answers, all begun and stopped before their objects go."""
    bodies = {"replaced": p.put("replaced", SIZE), "parts": p.put_parts("parts", SIZE // 2), "site": p.put("site", SIZE),
              "short": p.put("short", SHORT)}
    p.ask("PUT", "/bucket?policy", POLICY.encode())
    p.ask("PUT", "/bucket?website", WEBSITE)
    keep = p.blocks()
    p.put("other", MIB)
    readers = [SlowGet(p.site, "/bucket/replaced", bodies["replaced"]).begun(),
               SlowGet(p.site, "/bucket/parts", bodies["parts"][5:], range="bytes=5-").begun(),
               SlowGet(p.site, "/site", bodies["site"], host="bucket.web.test").begun(),
               SlowGet(p.site, "/bucket/short", bodies["short"]).begun()]
    time.sleep(3)
    p.ask("PUT", "/bucket/replaced", b"x")
    for key in ("replaced", "parts", "site", "short", "other"):
        p.ask("DELETE", f"/bucket/{key}")
    p.ask("DELETE", "/bucket")
    p.collected(keep)
    until = time.monotonic() + PIN_S + 4
    while time.monotonic() < until:  # they are renewed
        p.blocks_are(keep, 1, "all blocks to be kept")
        time.sleep(1)
    for r in readers:
        assert r.rest(), f"{r.path} ended after {len(r.got)} of {len(r.want)} bytes"
    p.blocks_are(0, BACK_S, "the space to come back")
    say(f"{len(readers)} answers ended whole behind their bucket, and {keep} blocks went after them")


def racing_readers(p):
    """Objects that go while their answers begin: whoever did not find his object gone has the whole of it."""
    bodies = [p.put(f"race{i}", RACED) for i in range(RACES)]
    p.put("other", MIB)
    all_, readers = p.blocks(), []
    for i, body in enumerate(bodies):
        def delete(path=f"/bucket/race{i}", pause_s=i * RACE_STEP_S):
            time.sleep(pause_s)
            p.ask("DELETE", path)
        readers.append(SlowGet(p.site, f"/bucket/race{i}", body))
        t = threading.Thread(target=delete)
        t.start()
        readers[-1].begin()
        t.join()
    begun = [r for r in readers if r.answer.status == 200]
    assert all(r.answer.status == 404 for r in readers if r not in begun)
    p.ask("DELETE", "/bucket/other")
    wait_for("the collector", 60, lambda: p.blocks() < all_, every=0.2)
    time.sleep(2 * LEASE_S)
    for r in begun:
        assert r.rest(), f"{r.path} ended after {len(r.got)} of {len(r.want)} bytes"
    p.blocks_are(0, BACK_S, "the space to come back")
    say(f"{len(begun)} of {RACES} answers began before their objects went, and ended whole")


def killed_reader(p):
    body = p.put("killed", SIZE)
    keep = p.blocks()
    p.put("other", MIB)
    reader = SlowGet(p.site, "/bucket/killed", body).begun()
    p.ask("DELETE", "/bucket/killed")
    p.ask("DELETE", "/bucket/other")
    for pid in p.node.pids("worker") + p.node.pids("extra worker"):
        os.kill(pid, signal.SIGKILL)
    wait_for("other workers", 20, lambda: p.node.pids("worker"))
    p.collected(keep)
    p.blocks_are(0, PIN_S + BACK_S, "the pin to expire")
    reader.connection.close()
    say("a killed reader holds nothing for long")


def busiest(node, seconds):
    """The worker that has used most of the CPU since."""
    def used():
        found = {}
        for pid in node.pids("worker") + node.pids("extra worker"):
            with open(f"/proc/{pid}/stat") as f:
                found[pid] = sum(map(int, f.read().rpartition(")")[2].split()[11:13]))
        return found
    before = used()
    time.sleep(seconds)
    return max(used().items(), key=lambda now: now[1] - before.get(now[0], 0))[0]


def copied_part(p):
    """UploadPartCopy, stopped on its way until its source is gone."""
    body = p.put("source", COPIED)
    upload = p.ask("POST", "/bucket/copy?uploads").all("UploadId")[0]
    answers = []

    def copy():
        raw = p.site.raw()
        answers.append(raw.request("PUT", f"/bucket/copy?partNumber=1&uploadId={upload}",
                                   headers={"x-amz-copy-source": "/bucket/source"}))
        raw.close()
    t = threading.Thread(target=copy)
    t.start()
    worker = busiest(p.node, 0.3)
    os.kill(worker, signal.SIGSTOP)
    try:
        assert not answers, "the copy was too quick to be stopped"
        p.put("other", MIB)
        keep = p.blocks()
        for key in ("source", "other"):
            p.ask("DELETE", f"/bucket/{key}")
        wait_for("the collector", 60, lambda: p.blocks() < keep, every=0.2)
        time.sleep(2 * LEASE_S)
    finally:
        os.kill(worker, signal.SIGCONT)
    t.join()
    assert answers[0].status == 200 and md5(body) in answers[0].body.decode(), answers
    p.ask("DELETE", f"/bucket/copy?uploadId={upload}")
    p.blocks_are(0, 60, "the copy to be collected")
    say("a copy ended whole behind its source")


def main():
    with Cluster("replaced", nodes=1, settings=SETTINGS) as c:
        c.tool("sxvol", "create", "@t/tick")
        p = Place(c)
        p.ask("PUT", "/bucket")
        many_readers(p)
        p.ask("PUT", "/bucket")
        racing_readers(p)
        killed_reader(p)
        copied_part(p)


main()
