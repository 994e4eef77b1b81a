# SPDX-License-Identifier: GPL-2.0-or-later
"""Hostile input to the gateway: each gets its 4xx and code in bounded time, nothing of it is stored, no process dies, and
memory stays bounded, also while large objects pass."""
import base64
import hashlib
import http.client
import os
import socket
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import sxhttp  # noqa: E402
from cluster import SMALL, Cluster, say  # noqa: E402
from s3 import FULL, MIB, Answer, Site, head_of  # noqa: E402

TIME_MAX_S = 60 if SMALL else 15   # of one refusal
RSS_MAX = 100 * MIB                # of a worker, whatever passes through it, with
CACHE = 32 * MIB                   # the smallest cache of blocks, which counts in each worker
XMLNS = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
problems, cases = [], 0


def expect(what, call, status, code):
    """`code` None: the refusal comes from before the gateway, or has no body."""
    global cases
    cases += 1
    start = time.monotonic()
    try:
        a = call()
    except (OSError, http.client.HTTPException) as e:
        problems.append(f"{what}: wanted {status} {code}, got {e!r}")
        return
    took = time.monotonic() - start
    if (a.status, a.code) != (status, code):
        problems.append(f"{what}: wanted {status} {code}, got {a}")
    elif took > TIME_MAX_S:
        problems.append(f"{what}: took {took:.1f} s")
    elif code and b"<RequestId>" not in a.body:
        problems.append(f"{what}: no request id")


def wire(site, head, body=b"", end=False, parts=()):
    """Sends bytes as they are; `end`: the connection ends with them.  A server that answers early may close."""
    r = site.raw()
    s = r.context.wrap_socket(socket.create_connection((site.address, site.port), 30), server_hostname=site.address)
    try:
        s.sendall(head + body)
        for p in parts:
            s.sendall(p)
    except (BrokenPipeError, ConnectionResetError):
        pass
    if end:
        s.close()
        return None
    response = http.client.HTTPResponse(s)
    response.begin()
    a = Answer(response.status, response.headers, response.read())
    s.close()
    return a


def signed_chunks(raw, target, chunks, spoil=None):
    headers, body = raw.in_chunks(target, chunks, spoil)
    raw.close()  # the server may have closed it: answers that come before the body was read end a connection
    return raw.send("PUT", target, body, headers)


def b64(data):
    return base64.b64encode(data).decode()


def documents(r):
    """XML: not well-formed, bombs, entities, too deep, too long, of the wrong kind."""
    bomb = "<!DOCTYPE x [<!ENTITY a \"aaaaaaaaaa\">" + "".join(
        f'<!ENTITY {chr(98 + i)} "{("&" + chr(97 + i) + ";") * 10}">' for i in range(9)) + "]><Delete>&j;</Delete>"
    for what, body, code in (
            ("not closed", b"<Delete><Object>", "MalformedXML"),
            ("not XML", b"{}", "MalformedXML"),
            ("empty", b"", "MissingRequestBodyError"),
            ("entity bomb", bomb.encode(), "MalformedXML"),
            ("external entity", b'<!DOCTYPE d [<!ENTITY x SYSTEM "file:///etc/passwd">]><Delete>&x;</Delete>', "MalformedXML"),
            ("external DTD", b'<!DOCTYPE d SYSTEM "http://127.0.0.1:1/x.dtd"><Delete/>', "MalformedXML"),
            ("depth", b"<Delete>" + b"<a>" * 100000, "MalformedXML"),
            ("UTF-16", "<Delete/>".encode("utf-16"), "MalformedXML"),
            ("zero bytes", b"<Delete>\0</Delete>", "MalformedXML"),
            ("another root", b"<Tagging/>", "MalformedXML"),
            ("5 MiB", b"<Delete>" + b" " * (5 * MIB) + b"</Delete>", "MaxMessageLengthExceeded"),
            ("many nodes", b"<Delete>" + b"<a/>" * 200000 + b"</Delete>", "MaxMessageLengthExceeded"),
            ("many attributes", b"<Delete " + b" ".join(b'a%d="x"' % i for i in range(5000)) + b"/>", "MaxMessageLengthExceeded"),
            ("no object", f"<Delete {XMLNS}/>".encode(), "MalformedXML"),
            ("1,001 objects", b"<Delete>" + b"<Object><Key>k</Key></Object>" * 1001 + b"</Delete>", "MalformedXML")):
        md5 = {"content-md5": b64(hashlib.md5(body).digest())}
        expect(f"XML: {what}", lambda: r.request("POST", "/bucket?delete", body, md5), 400, code)


def bodies(s, r):
    """Lengths, hashes, sums and ends that are wrong."""
    data = os.urandom(100000)
    put = "/bucket/never"
    expect("wrong SHA-256", lambda: r.request("PUT", put, data, payload=sxhttp.sha256(b"")), 400, "XAmzContentSHA256Mismatch")
    expect("malformed SHA-256", lambda: r.request("PUT", put, data, payload="abc"), 400, "InvalidArgument")
    expect("wrong MD5", lambda: r.request("PUT", put, data, {"content-md5": b64(bytes(16))}), 400, "BadDigest")
    expect("malformed MD5", lambda: r.request("PUT", put, data, {"content-md5": "abc"}), 400, "InvalidDigest")
    expect("wrong CRC32", lambda: r.request("PUT", put, data, {"x-amz-checksum-crc32": b64(bytes(4))}), 400, "BadDigest")
    expect("malformed CRC32", lambda: r.request("PUT", put, data, {"x-amz-checksum-crc32": "x"}), 400, "InvalidRequest")
    expect("two sums", lambda: r.request("PUT", put, data, {"x-amz-checksum-crc32": b64(bytes(4)),
                                                            "x-amz-checksum-crc32c": b64(bytes(4))}), 400, "InvalidRequest")
    chunks = [data[:65536], data[65536:]]
    assert signed_chunks(r, "/bucket/chunked", chunks).status == 200
    for n in (0, 1):
        expect(f"chunk {n} is not what was signed", lambda: signed_chunks(r, put, chunks, spoil=n), 403, "SignatureDoesNotMatch")
    big = [os.urandom(65536) for _ in range(240)]
    expect("the last of many chunks", lambda: signed_chunks(r, put, big, spoil=239), 403, "SignatureDoesNotMatch")
    r.close()
    send = r.signed("PUT", put, payload="UNSIGNED-PAYLOAD")
    for n in (0, 1, 50000, len(data) - 1):
        wire(s, head_of("PUT", put, {**send, "content-length": len(data)}), data[:n], end=True)
    expect("length of letters", lambda: wire(s, head_of("PUT", put, {**send, "content-length": "ten"}), data), 400, None)
    expect("negative length", lambda: wire(s, head_of("PUT", put, {**send, "content-length": -1}), data), 400, None)
    expect("8 EiB and more", lambda: wire(s, head_of("PUT", put, {**send, "content-length": 7 << 60})), 400, "InvalidRequest")
    expect("11 TiB", lambda: wire(s, head_of("PUT", put, {**send, "content-length": 11 << 40})), 400, "EntityTooLarge")
    expect("chunk of letters", lambda: wire(s, head_of("PUT", put, {**send, "transfer-encoding": "chunked"}), b"zz\r\n" * 9), 400, "InvalidRequest")
    expect("decoded length is wrong", lambda: r.request("PUT", put, b"5\r\nhello\r\n0\r\n\r\n", {"x-amz-decoded-content-length": "6"},
                                                        payload="STREAMING-UNSIGNED-PAYLOAD-TRAILER"), 400, "IncompleteBody")
    r.close()
    expect("trailer is missing", lambda: r.request("PUT", put, b"5\r\nhello\r\n0\r\n\r\n", {
        "x-amz-decoded-content-length": "5", "x-amz-trailer": "x-amz-checksum-crc32"},
        payload="STREAMING-UNSIGNED-PAYLOAD-TRAILER"), 400, "MalformedTrailerError")
    r.close()


def signatures(s, r):
    """Who may not: signatures that are wrong, old, of another request, or missing."""
    assert r.request("PUT", "/bucket/there", b"there").status == 200
    get = "/bucket/there"
    bad = (403, "SignatureDoesNotMatch")
    expect("anonymous", lambda: r.request("GET", get, sign=False), 403, "AccessDenied")
    expect("anonymous PUT", lambda: r.request("PUT", get, b"x", sign=False), 403, "AccessDenied")
    expect("unknown key", lambda: r.request("GET", get, access="AKIAAAAAAAAAAAAAAAAA"), 403, "InvalidAccessKeyId")
    expect("wrong secret", lambda: r.request("GET", get, secret="x"), *bad)
    expect("another service", lambda: r.request("GET", get, service="ec2"), 400, "AuthorizationHeaderMalformed")
    expect("another method was signed", lambda: r.request("DELETE", get, sign_method="GET"), *bad)
    expect("another key was signed", lambda: r.send("GET", "/bucket/other", b"", r.signed("GET", get)), *bad)
    expect("a header was added", lambda: r.send("GET", get, b"", r.signed("GET", get) | {"host": "other"}), *bad)
    expect("in an hour", lambda: r.request("GET", get, skew_s=3600), 403, "RequestTimeTooSkewed")
    expect("an hour ago", lambda: r.request("GET", get, skew_s=-3600), 403, "RequestTimeTooSkewed")
    expect("token", lambda: r.request("GET", get, headers={"x-amz-security-token": "x"}), 400, "InvalidToken")
    for what, value in (("empty", ""), ("other scheme", "Bearer x"), ("cut", "AWS4-HMAC-SHA256 Credential="), ("long", "A" * 8000)):
        r.close()
        expect(f"authorization: {what}", lambda: r.send("PUT", get, b"x", {"host": s.host, "authorization": value}),
               *((403, "AccessDenied") if not value else (400, "AuthorizationHeaderMalformed" if "AWS4" in value else "InvalidArgument")))
    url = r.presign("GET", get)
    assert r.request("GET", url, sign=False).body == b"there"
    expect("presigned: expired", lambda: r.request("GET", r.presign("GET", get, expires=1, skew_s=-10), sign=False),
           403, "AccessDenied")
    expect("presigned: 8 days", lambda: r.request("GET", r.presign("GET", get, days=8), sign=False),
           400, "AuthorizationQueryParametersError")
    expect("presigned: tampered expiry", lambda: r.request("GET", url.replace("Expires=300", "Expires=900"), sign=False), *bad)
    expect("presigned: tampered key", lambda: r.request("GET", url.replace("there", "other"), sign=False), *bad)
    expect("presigned: other method", lambda: r.request("PUT", url, b"x", sign=False), *bad)
    expect("presigned: more arguments", lambda: r.request("GET", url + "&versionId=null", sign=False), *bad)
    assert r.request("GET", get).body == b"there"


def names(r):
    """Keys and buckets that try to be more than names."""
    for key in ("..", "a/../b", "a/../../b", "%2e%2e/x", "'; DROP TABLE files; --", '"<&>"', "\\", "%25%00x"[:3], " "):
        quoted = "/bucket/" + sxhttp.urllib.parse.quote(key, safe="")
        body = key.encode()
        assert r.request("PUT", quoted, body).status == 200, key
        assert r.request("GET", quoted).body == body, key
        assert r.request("DELETE", quoted).status == 204, key
    expect("out of the bucket, and of all", lambda: r.request("PUT", "/bucket/../../etc/passwd", b"x"), 400, None)
    expect("into the nodes' API", lambda: r.request("PUT", "/bucket/../.node/v1/status", b"x"), 403, None)
    expect("zero byte", lambda: r.request("PUT", "/bucket/a%00b", b"x"), 400, None)
    expect("not UTF-8", lambda: r.request("PUT", "/bucket/%ff%fe", b"x"), 400, "InvalidURI")
    expect("half an escape", lambda: r.request("PUT", "/bucket/%4", b"x"), 400, None)
    expect("1,025 bytes", lambda: r.request("PUT", "/bucket/" + "k" * 1025, b"x"), 400, "KeyTooLongError")
    for bucket in ("UPPER", "a", "a" * 64, "192.168.0.1", "a..b", "x'or'1"):
        expect(f"bucket {bucket}", lambda: r.request("PUT", "/" + sxhttp.urllib.parse.quote(bucket)), 400, "InvalidBucketName")
    expect("of the native API", lambda: r.request("PUT", "/.sx/x", b"x"), 404, None)


def headers(s, r):
    """Floods of headers, and values that do not fit."""
    send = r.signed("PUT", "/bucket/never", b"x")
    expect("2 KiB of metadata and more", lambda: r.request("PUT", "/bucket/never", b"x", {"x-amz-meta-a": "v" * 2100}),
           400, "MetadataTooLarge")
    flood = {f"x-flood-{i}": "v" * 100 for i in range(800)}
    expect("800 headers", lambda: wire(s, head_of("PUT", "/bucket/never", {**send, **flood, "content-length": 1}), b"x"), 431, None)
    expect("a header of 40 KiB", lambda: wire(s, head_of("GET", "/bucket/never", {**send, "x-a": "v" * 40000})), 431, None)
    expect("a line of 20 KiB", lambda: wire(s, head_of("GET", "/bucket/" + "k" * 20000, send)), 414, None)
    for name, value, status, code in (
            ("x-amz-storage-class", "PUNCHCARD", 400, "InvalidStorageClass"),
            ("x-amz-server-side-encryption", "ROT13", 400, "InvalidEncryptionAlgorithmError"),
            ("x-amz-copy-source", "%", 400, "InvalidArgument"), ("x-amz-copy-source", "nowhere/x", 404, "NoSuchBucket"),
            ("x-amz-copy-source", "bucket/none", 404, "NoSuchKey")):
        expect(f"{name}: {value}", lambda: r.request("PUT", "/bucket/never", b"", {name: value}), status, code)
    for query in ("max-keys=-1", "max-keys=x", "max-keys=99999999999", "encoding-type=rot13", "list-type=3",
                  "list-type=2&continuation-token=x"):
        expect(query, lambda: r.request("GET", f"/bucket?{query}"), 400, "InvalidArgument")


def uploads(r):
    """Multipart: too many parts, wrong numbers, wrong uploads."""
    up = r.request("POST", "/bucket/multi?uploads").all("UploadId")[0]
    one = f"/bucket/multi?partNumber=1&uploadId={up}"
    assert r.request("PUT", one, b"part").status == 200
    for n in ("0", "10001", "-1", "x", "99999999999999999999"):
        expect(f"part {n}", lambda: r.request("PUT", f"/bucket/multi?partNumber={n}&uploadId={up}", b"x"), 400, "InvalidArgument")
    expect("no such upload", lambda: r.request("PUT", "/bucket/multi?partNumber=1&uploadId=none", b"x"), 404, "NoSuchUpload")
    expect("another key's upload", lambda: r.request("PUT", f"/bucket/other?partNumber=1&uploadId={up}", b"x"), 404, "NoSuchUpload")
    part = "<Part><PartNumber>{}</PartNumber><ETag>\"{}\"</ETag></Part>"

    def complete(parts):
        return r.request("POST", f"/bucket/multi?uploadId={up}", (
            f"<CompleteMultipartUpload {XMLNS}>{''.join(parts)}</CompleteMultipartUpload>").encode())

    expect("10,001 parts", lambda: complete(part.format(i + 1, "0" * 32) for i in range(10001)), 400, "MalformedXML")
    expect("10,000 parts that are not there", lambda: complete(part.format(i + 1, "0" * 32) for i in range(10000)), 400, "InvalidPart")
    expect("no part", lambda: complete([]), 400, "MalformedXML")
    expect("part twice", lambda: complete([part.format(1, "0" * 32)] * 2), 400, "InvalidPartOrder")
    assert r.request("DELETE", f"/bucket/multi?uploadId={up}").status == 204
    expect("aborted", lambda: r.request("PUT", one, b"x"), 404, "NoSuchUpload")


def peak(node):
    """The largest VmHWM of the node's daemons that serve clients."""
    most = 0
    for pid in node.pids("worker"):
        with open(f"/proc/{pid}/status") as f:
            most = max([most] + [int(line.split()[1]) * 1024 for line in f if line.startswith("VmHWM")])
    return most


def spilled(node):
    """Bytes in temporary files of the node's nginx, deleted ones too."""
    total = 0
    for pid in node.pids("nginx"):
        for fd in os.listdir(f"/proc/{pid}/fd"):
            try:
                if "/run/tmp/" in os.readlink(f"/proc/{pid}/fd/{fd}"):
                    total += os.stat(f"/proc/{pid}/fd/{fd}").st_size
            except OSError:
                pass
    return total


def large(c, s, size):
    """A large object in and out: in pieces, checked by hash, while memory and temporary files are watched."""
    piece, sums, done, most = os.urandom(4 * MIB), [hashlib.sha256(), hashlib.sha256()], threading.Event(), [0]

    def pieces():
        for i in range(size // len(piece)):
            p = i.to_bytes(8, "little") + piece[8:]
            sums[0].update(p)
            yield p

    def watch():
        while not done.wait(0.05):
            most[0] = max(most[0], spilled(c.nodes[0]))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        r = s.raw(timeout=300)
        send = r.signed("PUT", "/bucket/large", payload="UNSIGNED-PAYLOAD")
        h = http.client.HTTPSConnection(s.address, s.port, timeout=300, context=r.context)
        h.request("PUT", "/bucket/large", body=pieces(), headers={**send, "content-length": str(size)})
        a = h.getresponse()
        assert a.status == 200, (a.status, a.read())
        a.read()
        h.request("GET", "/bucket/large", headers=r.signed("GET", "/bucket/large"))
        a = h.getresponse()
        while block := a.read(MIB):
            sums[1].update(block)
        h.close()
    finally:
        done.set()
        watcher.join()
    assert sums[0].digest() == sums[1].digest()
    assert most[0] == 0, f"{most[0]} bytes in temporary files"
    r.request("DELETE", "/bucket/large")


def main():
    with Cluster("hostile", size="12G", settings={"cache_size": CACHE}) as c:
        s, node = Site(c), c.nodes[0]
        r = s.raw()
        assert r.request("PUT", "/bucket").status == 200
        before = node.lasting()
        documents(r)
        say("documents")
        bodies(s, r)
        say("bodies")
        signatures(s, r)
        names(r)
        headers(s, r)
        uploads(r)
        say("signatures, names, headers, uploads:", cases, "cases")
        for p in problems:
            print("PROBLEM", p)
        assert not problems, f"{len(problems)} of {cases} cases"
        left = r.request("GET", "/bucket?list-type=2").all("Key")
        assert left == ["chunked", "there"], left
        assert not r.request("GET", "/bucket?uploads").all("UploadId")
        large(c, s, (5120 if FULL else 32 if SMALL else 96) * MIB)
        say("large object; peak of a worker:", peak(node) // MIB, "MiB")
        assert SMALL or peak(node) < RSS_MAX, peak(node)
        assert node.lasting() == before, "a process was replaced"


main()
