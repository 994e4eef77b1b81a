# SPDX-License-Identifier: GPL-2.0-or-later
"""Expect: 100-continue, with sockets: who is refused gets the reason before a byte of the body was sent, without a 100 and with
the end of the connection; who is not gets one 100, and then what he would get without it."""
import hashlib
import json
import os
import signal
import socket
import struct
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import sxhttp  # noqa: E402
from cluster import SMALL, Cluster, say, wait_for  # noqa: E402
from s3 import MIB, PLAIN, Answer, Site, head_of  # noqa: E402

EXPECT = {"expect": "100-continue"}
LARGE = (8 if SMALL else 64) * MIB
GIB = 1 << 30
WEBSITES = "web.test"
UNSIGNED = "UNSIGNED-PAYLOAD"
POLICY = [("Deny", "*", "s3:PutObject", "bucket/denied*"), ("Allow", "*", "s3:PutObject", "bucket/public*")]


class Wire:
    """One connection, of which every answer is seen, the 100 too."""

    def __init__(self, site):
        self.socket = socket.create_connection((site.address, site.port), 60)
        if site.url.startswith("https"):
            self.socket = site.raw().context.wrap_socket(self.socket, server_hostname=site.address)
        self.file = self.socket.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()
        self.socket.close()

    def send(self, data):
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass  # a server that has answered may close

    def answer(self):
        line = self.file.readline()
        status, headers = int(line.split()[1]), {}
        while (line := self.file.readline().strip()):
            name, _, value = line.decode().partition(":")
            headers[name.lower()] = value.strip()
        return Answer(status, headers, self.file.read(int(headers.get("content-length", 0))))

    def ended(self):
        """The server has closed its side."""
        self.socket.settimeout(5)
        try:
            return self.file.read(1) == b""
        except ConnectionResetError:
            return True


class Tester:
    """Requests to one port, that of TLS or the plain one.  `r` signs them, and makes those that expect nothing, by TLS."""

    def __init__(self, c, plain=False):
        self.site, secure = Site(c, plain=plain), Site(c)
        secure.host = self.site.host
        self.r = secure.raw()

    def head(self, method, target, size, headers=None, sign=True, **wrong):
        wrong.setdefault("payload", UNSIGNED)
        send = self.r.signed(method, target, headers=headers, **wrong) if sign else {"host": self.site.host, **(headers or {})}
        return head_of(method, target, {**send, **EXPECT, **({} if size is None else {"content-length": size})})

    def refused(self, status, code, target, size=1000, method="PUT", headers=None, **wrong):
        head = self.head(method, target, size, headers, **wrong)
        for body in (b"", b"x" * min(size, 100000)):  # waiting for the 100, and not
            with Wire(self.site) as w:
                w.send(head + body)
                start = time.monotonic()
                a = w.answer()
                assert (a.status, a.code) == (status, code), (target, wrong, a)
                assert a.headers["connection"] == "close" and a.headers["x-amz-request-id"], a.headers
                assert w.ended() and time.monotonic() - start < (30 if SMALL else 5), target
        return a

    def put(self, target, body, method="PUT", headers=None, pieces=None, statuses=(200,), **wrong):
        """Waits for one 100, sends the body, and then keeps the connection."""
        with Wire(self.site) as w:
            for _ in range(2):
                w.send(self.head(method, target, None if pieces else len(body), headers, **wrong))
                a = w.answer()
                assert a.status == 100, (target, a)
                for p in pieces or [body]:
                    w.send(p)
                a = w.answer()
                assert a.status in statuses, (target, a)
                if a.headers["connection"] == "close":
                    break
        return a

    def get(self, target):
        return self.r.request("GET", target).body


def refusals(t, plain):
    missing = t.r.site.access[:-1] + ("A" if t.r.site.access[-1] != "A" else "B")
    t.refused(403, "SignatureDoesNotMatch", "/bucket/no", secret="x")
    t.refused(403, "SignatureDoesNotMatch", "/bucket/no", size=LARGE, secret="x")
    t.refused(403, "InvalidAccessKeyId", "/bucket/no", access=missing)
    t.refused(403, "RequestTimeTooSkewed", "/bucket/no", skew_s=3600)
    t.refused(400, "AuthorizationHeaderMalformed", "/bucket/no", service="ec2")
    t.refused(403, "AccessDenied", "/bucket/no", sign=False)
    t.refused(403, "AccessDenied", "/bucket/denied")
    t.refused(404, "NoSuchBucket", "/no-bucket/no")
    t.refused(404, "NoSuchUpload", "/bucket/no?partNumber=1&uploadId=" + "0" * 32)
    t.refused(400, "InvalidArgument", "/bucket/no?partNumber=0&uploadId=x")
    t.refused(400, "KeyTooLongError", "/bucket/" + "k" * 1025)
    t.refused(400, "InvalidURI", "/bucket/%ff")
    t.refused(400, "EntityTooLarge", "/bucket/no", size=11 << 40)
    t.refused(412, "PreconditionFailed", "/bucket/there", headers={"if-match": '"00000000000000000000000000000000"'})
    t.refused(412, "PreconditionFailed", "/bucket/there", headers={"if-none-match": "*"})
    t.refused(400, "InvalidDigest", "/bucket/no", headers={"content-md5": "x"})
    t.refused(400, "InvalidRequest", "/bucket/no", headers={"x-amz-checksum-crc32": "x"})
    t.refused(400, "InvalidStorageClass", "/bucket/no", headers={"x-amz-storage-class": "PUNCHCARD"})
    t.refused(411, "MissingContentLength", "/bucket/no", payload="STREAMING-UNSIGNED-PAYLOAD-TRAILER")
    t.refused(501, "NotImplemented", "/bucket/no", headers={"x-amz-server-side-encryption": "aws:kms"})
    t.refused(400, "InvalidArgument" if not plain else "InvalidRequest", "/bucket/no",
              headers={"x-amz-server-side-encryption-customer-algorithm": "AES256"})
    t.refused(400, "MaxMessageLengthExceeded", "/bucket?policy", size=GIB)
    t.refused(400, "MaxMessageLengthExceeded", "/bucket?delete", method="POST", size=GIB)
    t.refused(409, "BucketAlreadyOwnedByYou", "/bucket")
    t.refused(405, "MethodNotAllowed", "/bucket/no", method="POST")
    up = t.r.request("POST", "/bucket/multi?uploads").all("UploadId")[0]
    t.refused(400, "EntityTooLarge", f"/bucket/multi?partNumber=1&uploadId={up}", size=5 * GIB + 1)
    assert t.r.request("DELETE", f"/bucket/multi?uploadId={up}").status == 204
    a = t.refused(403, "SignatureDoesNotMatch", "/bucket/no", secret="x", headers={"origin": "http://a.test"})
    assert a.headers["access-control-allow-origin"] == "http://a.test", a.headers
    expired = t.r.presign("PUT", "/bucket/no", expires=1, skew_s=-10)
    t.refused(403, "AccessDenied", expired, sign=False)
    t.refused(403, "SignatureDoesNotMatch", t.r.presign("GET", "/bucket/no"), sign=False)


def quotas(c, t):
    """What cannot fit is refused at once; what may, as it replaces something, is not."""
    assert t.r.request("PUT", "/small").status == 200
    c.tool("sxvol", "modify", "--quota", str(MIB), "@t/small")
    t.refused(403, "QuotaExceeded", "/small/no", size=MIB + 1)
    t.put("/small/old", os.urandom(MIB - 1000))
    t.refused(403, "QuotaExceeded", "/small/no", size=1001)
    t.put("/small/old", os.urandom(MIB))
    a = t.put("/small/old", os.urandom(MIB + 1), statuses=(403,))
    assert a.code == "QuotaExceeded", a
    c.tool("sxvol", "modify", "--versioning", "enabled", "@t/small")
    t.refused(403, "QuotaExceeded", "/small/old", size=1)
    t.put("/small/empty", b"")
    c.tool("sxvol", "modify", "--quota", "0", "@t/small")
    c.tool("sxacl", "usermod", "--quota", str(MIB), "admin", "@t")
    t.refused(403, "QuotaExceeded", "/small/old", size=1)
    c.tool("sxacl", "usermod", "--quota", "0", "admin", "@t")


def continued(t):
    for size in (1000, 4096, LARGE):
        body = os.urandom(size)
        a = t.put("/bucket/good", body, payload=sxhttp.sha256(body))
        assert a.headers["etag"] == f'"{hashlib.md5(body).hexdigest()}"'
        assert t.get("/bucket/good") == body
    t.put("/bucket/public", b"by anybody", sign=False)
    t.put(t.r.presign("PUT", "/bucket/presigned"), b"presigned", sign=False)
    t.put("/bucket/case", b"x", headers={"x-amz-meta-a": "b"})
    t.put("/bucket?versioning", b"<VersioningConfiguration><Status>Suspended</Status></VersioningConfiguration>")
    t.put("/bucket/chunked", b"", pieces=[b"5\r\nhello\r\n", b"6\r\n world\r\n0\r\n\r\n"], headers={"transfer-encoding": "chunked"})
    assert t.get("/bucket/chunked") == b"hello world"
    up = t.r.request("POST", "/bucket/multi?uploads").all("UploadId")[0]
    a = t.put(f"/bucket/multi?partNumber=1&uploadId={up}", b"part")
    part = f"<Part><PartNumber>1</PartNumber><ETag>{a.headers['etag']}</ETag></Part>"
    t.put(f"/bucket/multi?uploadId={up}", f"<CompleteMultipartUpload>{part}</CompleteMultipartUpload>".encode(), method="POST")
    assert t.get("/bucket/multi") == b"part"
    # What only the body shows is refused after it.
    a = t.put("/bucket/no", b"x", payload=sxhttp.sha256(b"y"), statuses=(400,))
    assert a.code == "XAmzContentSHA256Mismatch"
    for method in ("DELETE", "PUT"):  # without a body
        t.put("/bucket/presigned", b"", method=method, statuses=(200, 204))
    form = {"key": "posted", "file": "by a form"}
    body = "".join(f'--b\r\nContent-Disposition: form-data; name="{k}"\r\n\r\n{v}\r\n' for k, v in form.items()) + "--b--\r\n"
    head = {"content-type": "multipart/form-data; boundary=b"}
    a = t.put("/bucket", body.encode(), method="POST", headers=head, sign=False, statuses=(403,))  # its policy is in the body
    t.put("/bucket", body.replace("posted", "public-form").encode(), method="POST", headers=head, sign=False, statuses=(204,))


def at_once(t):
    """Who does not wait for the 100 gets it all the same, as RFC 9110 (10.1.1) allows, and the same answer."""
    body = os.urandom(LARGE)
    for target, secret, status in (("/bucket/at-once", t.site.secret, 200), ("/bucket/no", "x", 403)):
        with Wire(t.site) as w:
            w.send(t.head("PUT", target, len(body), secret=secret) + body)  # a refused one is taken, too, and thrown away
            a = w.answer()
            if status == 200:
                assert a.status == 100, a
                a = w.answer()
            assert a.status == status, a
    assert t.get("/bucket/at-once") == body
    # What looks like a second request behind a refused head is not one.
    with Wire(t.site) as w:
        second = head_of("PUT", "/bucket/no", {**t.r.signed("PUT", "/bucket/no", payload=UNSIGNED), "content-length": 0})
        w.send(t.head("PUT", "/bucket/no", len(second), secret="x") + second)
        assert w.answer().status == 403 and w.ended()


def keys(t):
    """The daemon sees the path as it was sent, in each pass."""
    for key in ("a//b", "//", "a/../b", "%2E%2E/x", "100%25", "a%20b", "a+b", "q%3Fx=1%23", "%C3%BC", "%2F", "a%0Ab", "$uri", "~%22%27%3B"):
        target = "/bucket/public-" + key
        t.put(target, key.encode())
        assert t.get(target) == key.encode(), key
        t.refused(403, "SignatureDoesNotMatch", target, secret="x")
    for target in ("/../ask", "/%2e%2e/ask", "/bucket/../../ask"):
        with Wire(t.site) as w:
            w.send(t.head("PUT", target, 1))
            assert w.answer().status == 400, target
    for target in ("/.s3error", "/@s3_refuse", "/.ask"):
        with Wire(t.site) as w:
            w.send(t.head("PUT", target, 1))
            assert w.answer().status in (400, 403, 404), target


def others(t):
    """What is not this expectation is served as it was."""
    plain = t.head("PUT", "/bucket/other", 5)
    for head, many in ((plain.replace(b"100-continue", b"200-ok"), 1), (plain.replace(b"expect: 100-continue\r\n", b""), 1),
                       (plain.replace(b"HTTP/1.1", b"HTTP/1.0"), 1), (plain.replace(b"100-continue", b"100-CONTINUE"), 2)):
        with Wire(t.site) as w:
            w.send(head + b"hello")
            answers = [w.answer() for _ in range(many)]
            assert [a.status for a in answers] == [100, 200][2 - many:], (head, answers)
    with Wire(t.site) as w:
        w.send(t.head("GET", "/bucket/other", None))
        assert w.answer().status == 100
        assert w.answer().body == b"hello"


def signed_in_chunks(t):
    chunks = [os.urandom(65536) for _ in range(3)]
    for spoil, status in ((None, 200), (2, 403), (3, 403)):
        headers, body = t.r.in_chunks("/bucket/in-chunks", chunks, spoil=spoil if spoil != 3 else None)
        if spoil == 3:  # the signature of the end
            i = body.rindex(b"=") + 1
            body = body[:i] + (b"1" if body[i:i + 1] == b"0" else b"0") + body[i + 1:]
        with Wire(t.site) as w:
            w.send(head_of("PUT", "/bucket/in-chunks", {**headers, **EXPECT}))
            assert w.answer().status == 100
            w.send(body)
            a = w.answer()
            assert a.status == status and (status == 200 or a.code == "SignatureDoesNotMatch"), a
        assert t.r.request("GET", "/bucket/in-chunks").status == (200 if spoil is None else 404)
        t.r.request("DELETE", "/bucket/in-chunks")


def websites(t):
    host = f"bucket.{WEBSITES}"
    for method, status, code in (("GET", 200, None), ("PUT", 405, "MethodNotAllowed")):
        with Wire(t.site) as w:
            w.send(head_of(method, "/page", {"host": host, "content-length": 3, **EXPECT}))
            a = w.answer()
            assert (a.status, a.headers.get("x-amz-error-code")) == (status, code), a
            assert w.ended()


def native(site):
    """The native API takes no part in this."""
    with Wire(site) as w:
        w.send(head_of("PUT", "/.sx/v1/blocks", {"host": site.host, "content-length": 1, **EXPECT}))
        a = w.answer()
        assert a.status == 100, a
        w.send(b"x")
        a = w.answer()
        assert a.status >= 400 and a.headers["content-type"] == "application/json", a


def fastcgi(node, params):
    """A request to the daemon as nginx makes it, without a body: status and body."""
    def record(kind, data):
        return struct.pack(">BBHHBB", 1, kind, 1, len(data), 0, 0) + data

    pairs = b"".join(struct.pack(">II", len(k) | 1 << 31, len(v) | 1 << 31) + k.encode() + v.encode() for k, v in params.items())
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(30)
    s.connect(f"{node.dir}/run/client.sock")
    s.sendall(record(1, struct.pack(">HB5x", 1, 0)) + record(4, pairs) + record(4, b"") + record(5, b""))
    data, out = b"", b""
    while block := s.recv(65536):
        data += block
    while data:
        n, pad = struct.unpack(">HB", data[4:7])
        out += data[8:8 + n] if data[1] == 6 else b""
        data = data[8 + n + pad:]
    head, _, body = out.partition(b"\r\n\r\n")
    return int(head.split()[1]), body


def passes(t, node):
    """Neither asking nor refusing changes anything, and a missing body is never an empty one."""
    def ask(which, method, target, **headers):
        send = t.r.signed(method, target, headers=headers, payload=UNSIGNED)
        params = {"REQUEST_METHOD": method, "REQUEST_URI": target, "CONTENT_LENGTH": "5", "SX_S3_PASS": which}
        return fastcgi(node, {**params, **{"HTTP_" + k.upper().replace("-", "_"): v for k, v in send.items()}})

    t.put("/bucket/kept", b"kept")
    up = t.r.request("POST", "/bucket/kept?uploads").all("UploadId")[0]
    for method, target, headers in (
            ("PUT", "/bucket/kept", {}), ("DELETE", "/bucket/kept", {}), ("PUT", "/bucket/kept", {"x-amz-copy-source": "bucket/other"}),
            ("POST", "/bucket/kept?uploads", {}), ("POST", f"/bucket/kept?uploadId={up}", {}), ("DELETE", f"/bucket/kept?uploadId={up}", {}),
            ("PUT", f"/bucket/kept?partNumber=1&uploadId={up}", {}), ("DELETE", "/bucket?policy", {}), ("PUT", "/bucket?policy", {}),
            ("PUT", "/bucket/kept?tagging", {}), ("PUT", "/bucket?acl", {"x-amz-acl": "public-read"}), ("POST", "/bucket?delete", {}),
            ("PUT", "/bucket?cors", {}), ("DELETE", "/bucket?cors", {}), ("PUT", "/other-bucket", {}), ("GET", "/bucket/kept", {})):
        assert ask("ask", method, target, **headers) == (204, b""), (method, target)
        status, body = ask("refuse", method, target, **headers)
        assert status == 503 and b"<Code>SlowDown<" in body, (method, target, status, body)
    assert ask("ask", "PUT", "/no-bucket/x") == (403, b"")
    assert ask("refuse", "PUT", "/no-bucket/x")[0] == 404
    assert t.get("/bucket/kept") == b"kept"
    assert t.r.request("GET", "/bucket?uploads").all("UploadId") == [up]
    assert t.r.request("GET", "/bucket?policy").status == t.r.request("GET", "/bucket?cors").status == 200
    assert t.r.request("DELETE", f"/bucket/kept?uploadId={up}").status == 204


def dead(t, node):
    """No daemon: nginx's own words, without a 100."""
    supervisor, = node.pids("sxserver")
    os.kill(supervisor, signal.SIGSTOP)
    try:
        for pid in [p for p, (role, _) in node.processes().items() if role not in ("nginx", "sxserver")]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        wait_for("the daemon's end", 10, lambda: not [r for r, _ in node.processes().values() if r not in ("nginx", "sxserver")])
        with Wire(t.site) as w:
            w.send(t.head("PUT", "/bucket/no", 1000))
            a = w.answer()
            assert (a.status, a.code, a.headers["retry-after"]) == (502, "ServiceUnavailable", "1"), a
            assert a.headers["connection"] == "close" and a.headers["x-amz-request-id"], a.headers
    finally:
        os.kill(supervisor, signal.SIGCONT)


def prepare(r):
    assert r.request("PUT", "/bucket").status == 200
    assert r.request("PUT", "/bucket/there", b"there").status == 200
    assert r.request("PUT", "/bucket/page", b"page").status == 200
    rules = POLICY + [("Allow", "*", "s3:GetObject", "bucket/page")]
    statements = [{"Effect": e, "Principal": p, "Action": a, "Resource": f"arn:aws:s3:::{o}"} for e, p, a, o in rules]
    assert r.request("PUT", "/bucket?policy", json.dumps({"Version": "2012-10-17", "Statement": statements}).encode()).status == 204
    assert r.request("PUT", "/bucket?cors", b"<CORSConfiguration><CORSRule><AllowedOrigin>http://a.test</AllowedOrigin>"
                     b"<AllowedMethod>PUT</AllowedMethod></CORSRule></CORSConfiguration>").status == 200
    assert r.request("PUT", "/bucket?website", b"<WebsiteConfiguration><IndexDocument><Suffix>index.html</Suffix></IndexDocument>"
                     b"</WebsiteConfiguration>").status == 200


def main():
    with Cluster("expect", settings={"s3_website_domains": [WEBSITES]}, options=PLAIN) as c:
        node = c.nodes[0]
        prepare(Site(c).raw())
        for plain in (False, True):
            t = Tester(c, plain)
            refusals(t, plain)
            say("refusals", t.site.url)
            continued(t)
            at_once(t)
            keys(t)
            others(t)
            signed_in_chunks(t)
            websites(t)
            say("the rest", t.site.url)
        t = Tester(c)
        native(t.site)
        passes(t, node)
        quotas(c, t)
        left = [k for k in t.r.request("GET", "/bucket?list-type=2").all("Key") if k.startswith("no") or k == "denied"]
        assert not left, left
        dead(t, node)
        wait_for("the daemon", 60, lambda: t.put("/bucket/again", b"again"))


main()
