# SPDX-License-Identifier: GPL-2.0-or-later
"""Bad input, each with its exact status, code and message; afterwards everything that was there is there, and the same
processes run as before. Written against docs/api.md, with a client of its own (tests/lib/sxhttp.py)."""
import json
import os
import re
import socket
import ssl
import struct
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from cluster import SOURCE, Cluster, need, say, wait_for  # noqa: E402
from sxhttp import message, parse_message, sha256  # noqa: E402

problems, cases = [], 0


def expect(what, answer, status, code, text):
    """`text` is the whole message; ... in it stands for anything."""
    global cases
    cases += 1
    pattern = re.escape(text).replace(re.escape("..."), ".*")
    if (answer.status, answer.code) != (status, code) or not re.fullmatch(pattern, answer.text or "", re.S):
        problems.append(f"{what}: wanted {status} {code} '{text}', got {answer.status} {answer.code} '{answer.text}'")
    elif not answer.headers.get("X-Sx-Request") or answer.json()["error"]["request"] != answer.headers["X-Sx-Request"]:
        problems.append(f"{what}: no request id, or another one in the header: {answer.headers.get('X-Sx-Request')}")
    elif status in (429, 503, 504) and not answer.headers.get("Retry-After"):
        problems.append(f"{what}: no Retry-After")


def expect_tool(what, result, status, text):
    global cases
    cases += 1
    pattern = re.escape(text).replace(re.escape("..."), ".*")
    lines = result.err.strip().split("\n")
    if result.returncode != status or not re.fullmatch(pattern, result.err.strip(), re.S):
        problems.append(f"{what}: wanted exit status {status} and '{text}', got {result.returncode} and '{result.err}'")
    elif len(lines) != 1:
        problems.append(f"{what}: {len(lines)} lines instead of one: '{result.err}'")


def crc32c_table():
    table = []
    for i in range(256):
        for _ in range(8):
            i = i >> 1 ^ (0x82f63b78 if i & 1 else 0)
        table.append(i)
    return table


def crc32c(data, table=crc32c_table()):
    crc = 0xffffffff
    for b in data:
        crc = crc >> 8 ^ table[(crc ^ b) & 255]
    return crc ^ 0xffffffff


def with_crc(record):
    """The record with the checksum that its bytes need: what a tamperer would do."""
    return record[:44] + struct.pack("<I", crc32c(record[:44] + record[48:])) + record[48:]


# ---- the groups of cases ------------------------------------------------------------------------


def authentication(c, node):
    say("authentication")
    me = node.client()
    wrong = "the access key is unknown or the signature is wrong: check key and secret..."
    expect("no signature", node.client(key=None).request("GET", "/cluster"), 401, "AuthenticationFailed",
           "the header 'authorization' is missing: requests are signed with AWS Signature Version 4...")
    expect("wrong secret", me.request("GET", "/cluster", secret="x" * 40), 401, "AuthenticationFailed",
           "the signature does not match: the secret key is wrong, or the request was changed on its way")
    expect("unknown access key", me.request("GET", "/cluster", access="SX" + "A" * 18), 401, "AuthenticationFailed", wrong)
    expect("clock 16 minutes ahead", me.request("GET", "/cluster", skew_s=960), 401, "ClockSkew",
           "the request was signed at ... but it is ... here: set the clock right")
    expect("clock 16 minutes behind", me.request("GET", "/cluster", skew_s=-960), 401, "ClockSkew",
           "the request was signed at ... but it is ... here: set the clock right")
    assert me.request("GET", "/cluster", skew_s=870).status == 200
    expect("body is not what was signed", me.request("PUT", "/volumes/vv", {"replica": 1}, payload=sha256(b"x")), 401,
           "AuthenticationFailed", "the body (14 bytes) does not have the SHA-256 that x-amz-content-sha256 says...")
    expect("other nodes' path without a certificate", me.request("GET", "/.node/v1/status"), 403, "AccessDenied",
           "this path is for the nodes of the cluster: a certificate of the cluster's CA is needed")
    key, cert = f"{c.dir}/wrong.key", f"{c.dir}/wrong.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days",
                    "2", "-subj", "/CN=0123456789abcdef", "-keyout", key, "-out", cert], check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    expect("certificate of another CA", node.client(cert=(cert, key)).request("GET", "/.node/v1/status"), 495,
           "CertificateError", "the client certificate is not of the cluster's CA")


def names(node):
    say("names")
    me = node.client()
    for what, name, status, code, text in [
            ("short", "a", 400, "InvalidName", "volume name 'a' is shorter than 2 bytes"),
            ("long", "v" * 256, 414, "NameTooLong", "volume name of 256 bytes; at most 255 are allowed"),
            ("with a dot in front", ".ab", 400, "InvalidName", "volume name '.ab' begins with a dot"),
            ("with a slash", "a%2Fb", 400, "InvalidName", "volume name holds '/', '\\' or a control character"),
            ("with a control character", "a%07b", 400, "InvalidName", "volume name holds '/', '\\' or a control character"),
            ("not UTF-8", "a%ffb", 400, "InvalidName", "volume name is not valid UTF-8")]:
        expect(f"volume name {what}", me.request("PUT", f"/volumes/{name}", {}), status, code, text)
    for what, path, status, code, text in [
            ("long", "p" * 1025, 414, "NameTooLong", "file path of 1025 bytes; at most 1024 are allowed"),
            ("with an empty element", "a//b", 400, "InvalidName", "file path holds an empty, '.' or '..' element"),
            ("with ..", "a/../b", 400, "InvalidName", "file path holds an empty, '.' or '..' element"),
            ("with an encoded ..", "a/%2e%2e/b", 400, "InvalidName", "file path holds an empty, '.' or '..' element"),
            ("with a slash at the end", "a/", 400, "InvalidName", "file path holds an empty, '.' or '..' element"),
            ("with a control character", "a%0ab", 400, "InvalidName", "file path holds a control character"),
            ("not UTF-8", "%c3%28", 400, "InvalidName", "file path is not valid UTF-8")]:
        expect(f"file path {what}", me.request("PUT", f"/files/v1/{path}", empty_file()), status, code, text)
    expect("bad escape", me.request("GET", "/files/v1/a%zz"), 400, "Malformed", "...")
    expect("user name with a space", me.request("PUT", "/users/a%20b", {}), 400, "InvalidName",
           "user name holds a character other than A-Z a-z 0-9 . _ - @")
    expect("user name too long", me.request("PUT", "/users/" + "u" * 65, {}), 414, "NameTooLong",
           "user name of 65 bytes; at most 64 are allowed")
    for path in ("p" * 1024, "ä ö/%25/?#&+", "-", "...", "a.b/..c"):
        a = me.put_empty("v1", path)
        assert a.status in (200, 201), (path, a)
    say("names at the limit are taken")


def empty_file(**more):
    return message({"size": 0, "mtime_ns": 0, "mode": 420, "entries": 0, "records": 0, "inline": False, **more})


def unknown(node):
    say("what is not there")
    me = node.client()
    for what, method, path, status, code, text in [
            ("volume", "GET", "/volumes/nope", 404, "NoSuchVolume", "volume 'nope' does not exist"),
            ("volume of a file", "GET", "/files/nope/x", 404, "NoSuchVolume", "volume 'nope' does not exist"),
            ("file", "GET", "/files/v1/nope", 404, "NoSuchFile", "file 'nope' does not exist..."),
            ("file to delete", "DELETE", "/files/v1/nope", 404, "NoSuchFile", "file 'nope' does not exist..."),
            ("user", "GET", "/users/nope", 404, "NoSuchUser", "user 'nope' does not exist"),
            ("job", "GET", "/jobs/0123456789abcdef", 404, "NoSuchJob", "job 0123456789abcdef does not exist"),
            ("path", "GET", "/nothing", 404, "NotFound", "there is nothing at /.sx/v1/nothing; the API is at /.sx/v1"),
            ("method", "PATCH", "/list/v1", 405, "MethodNotAllowed", "PATCH is not possible on /.sx/v1/list/v1; GET is")]:
        expect(f"unknown {what}", me.request(method, path), status, code, text)


def values(node):
    say("values and shapes")
    me = node.client()
    expect("replica count", me.request("PUT", "/volumes/v9", {"replica": 9}), 400, "TooFewNodes",
           "replica count 9 is larger than the number of nodes, 1")
    expect("malformed JSON", me.request("PUT", "/volumes/v9", b'{"replica": }', kind="application/json"), 400, "Malformed",
           "request body: malformed JSON at line 1, column 13: ...")
    expect("JSON of another kind", me.request("PUT", "/volumes/v9", b'[1]', kind="application/json"), 400, "Malformed",
           "request body: malformed JSON: an object is wanted")
    expect("deep JSON", me.request("PUT", "/volumes/v9", b'{"a":' * 100000, kind="application/json"), 400, "Malformed",
           "request body: malformed JSON at line 1...")
    expect("a name twice", me.request("PUT", "/volumes/v9", b'{"quota":1,"quota":2}', kind="application/json"), 400, "Malformed",
           "request body: malformed JSON at line 1...")
    expect("unknown member", me.request("PUT", "/volumes/v9", {"replicas": 1}), 400, "InvalidArgument",
           "unknown member 'replicas'")
    expect("wrong type", me.request("PUT", "/volumes/v9", {"replica": "1"}), 400, "InvalidArgument", "'replica' ...")
    expect("no operation id", me.request("PUT", "/volumes/v9", {}, op=False), 400, "InvalidArgument",
           "the header X-Sx-Op is missing: a change needs an operation id, ...")
    expect("bad operation id", me.request("PUT", "/volumes/v9", {}, op=False, headers={"x-sx-op": "12"}), 400,
           "InvalidArgument", "X-Sx-Op is '12', not 32 hex digits")
    expect("message shorter than it says", me.request("PUT", "/files/v1/x", struct.pack("<I", 999) + b"{}"), 400, "Malformed",
           "...")
    expect("message with a huge length", me.request("PUT", "/files/v1/x", struct.pack("<I", 0xffffffff) + b"{}"), 400, "Malformed",
           "...")
    expect("fewer ids than announced", me.request("POST", "/have", message({"volume": "v1", "count": 3}, b"x" * 32)), 400,
           "Malformed", "3 items of 32 bytes are announced, but 32 bytes follow")
    expect("too many ids", me.request("POST", "/have", message({"volume": "v1", "count": 4097}, b"x" * 32 * 4097)), 400,
           "InvalidArgument", "'count' is 4097; 1 to 4096 are allowed")
    expect("size does not fit", me.request("PUT", "/files/v1/x", empty_file(size=5)), 400, "InvalidArgument", "...")
    expect("item of S3", me.request("PUT", "/files/v1/x", empty_file(meta={"s3.acl": "x"})), 400, "InvalidArgument",
           "'meta' has 's3.acl', but 's3.' is reserved for S3")
    expect("JSON body too large", me.request("PUT", "/volumes/v9", b" " * (1 << 20) + b"{}", kind="application/json"), 413,
           "TooLarge", "the body has 1048578 bytes; at most 1048576 are allowed here")
    expect("existing volume", me.request("PUT", "/volumes/v1", {}), 409, "AlreadyExists", "volume 'v1' exists")
    expect("volume that is not empty", me.request("DELETE", "/volumes/v1"), 409, "NotEmpty", "volume 'v1' holds ... files")
    expect("last administrator", me.request("DELETE", "/users/admin"), 400, "InvalidArgument", "user 'admin' cannot delete himself")


def rights(c, node):
    say("rights")
    me = node.client()
    made = me.request("PUT", "/users/joe", {"role": "normal"})
    assert made.status == 201, made
    joe = node.client(key={k: made.json()[k] for k in ("access_key", "secret_key")})
    expect("volume without a right", joe.request("GET", "/list/v1"), 404, "NoSuchVolume", "volume 'v1' does not exist")
    expect("administration", joe.request("GET", "/status"), 403, "AccessDenied", "user 'joe' is not an administrator")
    assert me.request("PUT", "/volumes/v1/acl", {"grant": {"joe": ["read"]}}).status == 200
    expect("writing with read alone", joe.request("PUT", "/files/v1/x", empty_file()), 403, "AccessDenied",
           "user 'joe' has no right 'write' on volume 'v1'")
    assert joe.request("GET", "/list/v1").status == 200
    assert me.request("DELETE", "/users/joe").status == 200
    expect("a deleted user's key", joe.request("GET", "/list/v1"), 401, "AuthenticationFailed",
           "the access key is unknown or the signature is wrong: ...")


def blocks(c, node):
    say("blocks and tickets")
    me, path = node.client(), f"{c.dir}/block"
    for name in (path, f"{c.dir}/block2"):
        with open(name, "wb") as f:
            f.write(os.urandom(12000))
    c.tool("sxcp", path, "@t/v1/block")
    info, page = parse_message(me.request("GET", "/files/v1/block").body)
    ident, ticket = page[:32], page[36:52]
    got = me.request("POST", "/blocks/get", message({"expires_ms": info["expires_ms"], "count": 1}, ident + ticket))
    record = got.body
    assert record[:4] == b"SXR1" and record[8:40] == ident, record[:48]
    assert with_crc(record) == record, "docs/formats.md describes another checksum"

    def send(r, n=1):
        return me.request("POST", "/blocks", message({"volume": "v1", "count": n}, r))
    assert send(record).status == 200
    flipped = bytearray(record)
    flipped[200] ^= 1
    expect("a bit of a record flipped", send(bytes(flipped)), 422, "BadBlock",
           "record 1 of 1: record of ... bytes has a wrong checksum")
    expect("tampered payload", send(with_crc(bytes(flipped))), 422, "BadBlock", "...")
    other = bytearray(record)
    other[8] ^= 1
    expect("block under another's id", send(with_crc(bytes(other))), 422, "BadBlock", "...")
    huge = bytearray(record)
    huge[56:60] = struct.pack("<I", 1 << 31)
    expect("block that says it opens to 2 GiB", send(with_crc(bytes(huge))), 422, "BadBlock", "...")
    expect("half a record", send(record[:100]), 400, "Malformed", "...")
    expect("bytes behind the records", send(record + b"xx"), 400, "Malformed", "2 bytes are left behind the last of 1 records")
    wrong = bytes(16)
    expect("wrong ticket", me.request("POST", "/blocks/get", message({"expires_ms": info["expires_ms"], "count": 1}, ident + wrong)),
           403, "InvalidToken", "ticket 1 of 1 is not for this block, time and user")
    expect("expired ticket", me.request("POST", "/blocks/get", message({"expires_ms": 1000, "count": 1}, ident + ticket)),
           403, "InvalidToken", "the tickets have expired: ask for the file's block list again")
    entry = ident + struct.pack("<I", 12000)
    commit = {"size": 12000, "mtime_ns": 0, "mode": 420, "entries": 1, "records": 0, "inline": False, "lease": 1}
    # The collector moves the epoch on when it has something to delete.
    c.tool("sxcp", f"{c.dir}/block2", "@t/v1/block2")
    c.tool("sxrm", "@t/v1/block2")
    numbers = iter(range(1000))  # the same content again would be "unchanged", whatever the lease
    late = wait_for("the collector's first round", 30, lambda: [a for a in [me.request(
        "PUT", f"/files/v1/late{next(numbers)}", message(commit, entry))] if a.status != 201])
    expect("commit on leases that are past", late[0], 409, "LeaseExpired",
           "the blocks were leased in epoch 1, collection has reached ...")


def raw(node, text, tls=True):
    """Sends bytes as they are, and gives what comes back until the server closes."""
    s = socket.create_connection((node.address, node.port), timeout=20)
    if tls:
        s = ssl._create_unverified_context().wrap_socket(s)
    s.sendall(text)
    data = b""
    try:
        while True:
            part = s.recv(65536)
            if not part:
                break
            data += part
            if b"}}" in data:
                break
    except (ConnectionError, socket.timeout):
        pass
    s.close()
    return data


class Raw:
    """An answer taken from bytes."""

    def __init__(self, data):
        head, _, body = data.partition(b"\r\n\r\n")
        lines = head.decode(errors="replace").split("\r\n")
        self.status = int(lines[0].split()[1]) if data else 0
        self.headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(": ")
            self.headers[{"x-sx-request": "X-Sx-Request", "retry-after": "Retry-After"}.get(name.lower(), name)] = value
        self.body = body

    def json(self):
        return json.loads(self.body)

    @property
    def code(self):
        return self.json()["error"]["code"] if b"error" in self.body else None

    @property
    def text(self):
        return self.json()["error"]["message"] if b"error" in self.body else None


def http(c, node):
    say("HTTP")
    me = node.client()
    expect("no TLS", Raw(raw(node, b"GET /.sx/v1/ping HTTP/1.1\r\nHost: x\r\n\r\n", tls=False)), 400, "Malformed",
           "the request is not valid HTTP, or came without TLS")
    expect("no HTTP", Raw(raw(node, b"\x00\x01\x02 nonsense\r\n\r\n")), 400, "Malformed",
           "the request is not valid HTTP, or came without TLS")
    expect("oversized header", Raw(raw(node, b"GET /.sx/v1/ping HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 20000 + b"\r\n\r\n")), 431,
           "HeaderTooLarge", "the request header is larger than 16 KiB")
    expect("oversized URL", Raw(raw(node, b"GET /" + b"a" * 20000 + b" HTTP/1.1\r\nHost: x\r\n\r\n")), 414, "NameTooLong",
           "the URL is longer than 16 KiB")
    expect("oversized body", Raw(raw(node, b"PUT /.sx/v1/files/v1/x HTTP/1.1\r\nHost: x\r\nContent-Length: 18000000\r\n\r\n")), 413,
           "TooLarge", "the body is larger than 17 MiB")
    expect("two lengths", Raw(raw(node, b"PUT /.sx/v1/files/v1/x HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n"
                                        b"Content-Length: 2\r\n\r\nx")), 400, "Malformed",
           "the request is not valid HTTP, or came without TLS")
    before = names_of(me)
    for cut in (1, 50, 500):
        body = message({"size": 0, "mtime_ns": 0, "mode": 420, "entries": 0, "records": 0, "inline": False}) + b"x" * 1000
        s = ssl._create_unverified_context().wrap_socket(socket.create_connection((node.address, node.port), timeout=20))
        s.sendall(b"PUT /.sx/v1/files/v1/cut HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-sx\r\nContent-Length: " +
                  str(len(body)).encode() + b"\r\n\r\n" + body[:cut])
        s.close()
    time.sleep(0.5)
    assert names_of(me) == before, "a request that was cut left something"
    say("requests that were cut leave nothing")


def names_of(me):
    return [f["path"] for f in me.request("GET", "/list/v1").json()["files"]]


def tools(c, node):
    say("tools")
    expect_tool("unknown volume", c.tool("sxls", "@t/nope", check=False), 1, "sxls: ...volume 'nope' does not exist...")
    expect_tool("unknown file", c.tool("sxcat", "@t/v1/nope", check=False), 1, "sxcat: ...nope...does not exist...")
    expect_tool("unknown alias", c.tool("sxls", "@nope/v", check=False), 1, "sxls: ...@nope...")
    expect_tool("replica count", c.tool("sxvol", "create", "--replica", "9", "@t/v9", check=False), 1,
                "sxvol: ...replica count 9 is larger than the number of nodes, 1...")
    c.tool("sxvol", "create", "--quota", "100K", "@t/small")
    with open(f"{c.dir}/large", "wb") as f:
        f.write(os.urandom(300000))
    expect_tool("quota", c.tool("sxcp", f"{c.dir}/large", "@t/small/x", check=False), 1, "sxcp: ...quota of 102400 bytes...")
    wrong = dict(c.key, fingerprint="0" * 64)
    with open(f"{c.dir}/wrong.key.json", "w") as f:
        json.dump(wrong, f)
    expect_tool("wrong certificate", c.tool("sxinit", "--batch", "--key-file", f"{c.dir}/wrong.key.json", "--config-dir",
                                            f"{c.dir}/other", check=False), 1, "sxinit: ...fingerprint...")
    with open(f"{c.dir}/bad.key.json", "w") as f:
        json.dump(dict(c.key, secret_key="x" * 40), f)
    expect_tool("wrong key", c.tool("sxinit", "--batch", "--key-file", f"{c.dir}/bad.key.json", "--config-dir", f"{c.dir}/other",
                                    check=False), 1, "sxinit: cluster 't': the signature does not match: the secret key is wrong, or the request was changed "
                "on its way; check the key with sxacl whoami, or set it up again with sxinit")


def joining(c, node):
    say("joining")
    me = node.client()

    def join(token, number=7, *more):
        return c.tool("sxsetup", "--join", token, "--address", f"{c.net}.{number}", "--dir", f"{c.dir}/n{number}", "--size", "64M",
                      "--no-start", *more, check=False)
    expire = me.request("POST", "/tokens", {"ttl_s": 1}).json()["token"]
    time.sleep(1.2)
    expect_tool("expired token", join(expire), 1, "sxsetup: ...the token has expired...")
    expect_tool("no token", join("hello"), 1, "sxsetup: 'hello...' is not a join token: it must begin with sxj1. ...")
    expect_tool("damaged token", join("sxj1.AAAA"), 1, "sxsetup: the join token is damaged: ...")
    csr = subprocess.run(["openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj",
                          "/CN=0123456789abcdef", "-keyout", f"{c.dir}/x.key"], check=True, stdout=subprocess.PIPE,
                         stderr=subprocess.DEVNULL).stdout.decode()
    bad = {"token_id": "0" * 16, "secret": "0" * 32, "csr": csr, "node": "0123456789abcdef", "address": "127.0.0.9", "port": 1,
           "peer_port": 2, "zone": "", "capacity": 1 << 30, "version": "3.0.0"}
    expect("made-up token", node.client(key=None).request("POST", "/join", bad), 403, "InvalidToken", "the token is not known")
    expect_tool("foreign address", c.tool("sxsetup", "--address", "192.0.2.77", "--dir", f"{c.dir}/n8", "--no-start", check=False), 1,
                "sxsetup: 192.0.2.77 is not an address of this machine")
    expect_tool("port in use", c.tool("sxsetup", "--address", node.address, "--port", str(node.port), "--dir", f"{c.dir}/n8", check=False),
                1, f"sxsetup: port {node.port} of {node.address} is in use by another program; choose another one")
    expect_tool("a node is there", c.tool("sxsetup", "--dir", node.dir, check=False), 1,
                f"sxsetup: {node.dir} holds a node already; start it with: sxserver start --dir {node.dir}")
    assert not os.path.exists(f"{c.dir}/n7/node.json") and not os.path.exists(f"{c.dir}/n8")


def full(c, node):
    """The node takes 64 MiB (and what is under way when it notices): then there is NoSpace; reading and deleting go on, and
    it heals."""
    say("no space")
    for i in range(6):
        with open(f"{c.dir}/huge", "wb") as f:
            for _ in range(10):
                f.write(os.urandom(8 << 20))
        r = c.tool("sxcp", f"{c.dir}/huge", f"@t/v1/huge{i}", check=False)
        if r.returncode != 0:
            break
    expect_tool("no space", r, 1, "sxcp: ...no space left...")
    assert c.tool("sxcat", "@t/v1/block").returncode == 0
    for j in range(i):
        c.tool("sxrm", f"@t/v1/huge{j}")
    wait_for("space to come back", 60, lambda: c.tool("sxcp", f"{c.dir}/large", "@t/v1/after", check=False).returncode == 0)


def dead_peer(c, node):
    say("a node that is not there")
    node.stop()
    start = time.monotonic()
    expect_tool("no node answers", c.tool("sxls", "@t/v1", check=False), 1,
                f"sxls: ...{node.address}:{node.port}: ...onnect...")
    assert time.monotonic() - start < 60, "giving up took more than a minute"
    node.start()
    assert c.tool("sxls", "@t/v1").returncode == 0


def refused_configuration(c, node):
    say("a configuration that nginx refuses")
    data = f"{c.dir}/data"
    os.makedirs(data, exist_ok=True)
    with open(f"{SOURCE}/sxhttpd/nginx.conf.in") as f:
        text = f.read()
    with open(f"{data}/nginx.conf.in", "w") as f:
        f.write(text.replace("gzip off;", "gzip perhaps;"))
    before, env = node.lasting(), dict(c.env)
    c.env["SX_DATADIR"] = data
    for command, words in (("restart", "nothing was stopped"), ("reload", "nothing was changed")):
        r = c.tool("sxserver", command, "--dir", node.dir, check=False)
        assert r.returncode == 1 and words in r.err and 'invalid value "perhaps"' in r.err, r.err
    c.env.update(env)
    assert node.lasting() == before, "something was stopped"
    node.server("reload")
    assert node.client().request("GET", "/cluster").status == 200


def main():
    need("sxcp", "sxsetup", "sx.fcgi", "nginx")
    with Cluster("bad", size="64M", settings={"lease_s": 5, "collect_interval_s": 1}) as c:
        node = c.nodes[0]
        c.tool("sxvol", "create", "@t/v1")
        workers = sorted(node.pids("worker"))
        authentication(c, node)
        unknown(node)
        names(node)
        values(node)
        rights(c, node)
        blocks(c, node)
        http(c, node)
        tools(c, node)
        joining(c, node)
        refused_configuration(c, node)
        if sorted(node.pids("worker")) != workers:
            problems.append("a worker died")
        full(c, node)
        dead_peer(c, node)
        c.tool("sxadm", "node", "check", "--deep", "--dir", node.dir)
        if problems:
            raise AssertionError(f"{len(problems)} of {cases} cases:\n" + "\n".join(problems))
        say(f"{cases} cases of bad input got their exact answers")


if __name__ == "__main__":
    main()
