# SPDX-License-Identifier: GPL-2.0-or-later
"""A raw HTTPS client for tests: signs (AWS Signature Version 4, docs/api.md) and lets every part be wrong.

Written from docs/api.md alone, without the client library, so that the tests also check the document."""
import base64
import datetime
import hashlib
import hmac
import http.client
import json
import os
import ssl
import struct
import urllib.parse


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def mac(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def sign(method, path, query, headers, payload, access, secret, stamp, region="sx", service="sx"):
    """The Authorization header; `headers` are all lower case and take part."""
    names = ";".join(sorted(headers))
    canonical = "\n".join(
        [method, urllib.parse.quote(urllib.parse.unquote_to_bytes(path), safe="/-._~"), "&".join(sorted(p if "=" in p else p + "=" for p in query.split("&") if p))]
        + [f"{n}:{' '.join(headers[n].split())}" for n in sorted(headers)]
        + ["", names, payload])
    scope = f"{stamp[:8]}/{region}/{service}/aws4_request"
    text = "\n".join(["AWS4-HMAC-SHA256", stamp, scope, sha256(canonical.encode())])
    key = ("AWS4" + secret).encode()
    for part in (stamp[:8], region, service, "aws4_request"):
        key = mac(key, part)
    signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    return f"AWS4-HMAC-SHA256 Credential={access}/{scope}, SignedHeaders={names}, Signature={signature}"


def message(obj, binary=b""):
    """A body of the type application/x-sx."""
    text = json.dumps(obj).encode()
    return struct.pack("<I", len(text)) + text + binary


def parse_message(body):
    (n,) = struct.unpack_from("<I", body)
    return json.loads(body[4:4 + n]), body[4 + n:]


FACTS = 60


def parse_facts(data):
    """The facts of a file at the start of data, named as in JSON, and the two numbers behind them."""
    rev, size, mtime, mode, etag, created, entries, records = struct.unpack_from("<QQqI16sQII", data)
    return ({"rev": f"{rev:016x}", "size": size, "mtime_ns": mtime, "mode": mode, "etag": etag.hex(), "created_ms": created},
            entries, records)


def parse_list(body):
    """The answer to GET /list with facts=1, as the JSON without it would be."""
    head, data = parse_message(body)
    files, prefixes = [], []
    for _ in range(head["files"]):
        path, data = data.split(b"\0", 1)
        facts, blocks, records = parse_facts(data)
        assert records == 0, path
        files.append({"path": path.decode(), "blocks": blocks, **facts})
        data = data[FACTS:]
    for _ in range(head["prefixes"]):
        prefix, data = data.split(b"\0", 1)
        prefixes.append(prefix.decode())
    assert not data, data
    return {**head, "files": files, "prefixes": prefixes}


def parse_files(body):
    """Of the answer to POST /files/V/get: for each file its facts, named as in the answer to GET, or the error, and what follows."""
    head, data = parse_message(body)
    files = []
    while data:
        n, status = struct.unpack_from("<II", data)
        one, data = data[8:4 + n], data[4 + n:]
        if status != 200:
            files.append(({**json.loads(one), "status": status}, b""))
            continue
        facts, count, records = parse_facts(one)
        files.append(({**facts, "count": count, "records": records}, one[FACTS:]))
    assert len(files) == head["count"] and head["expires_ms"] > 0, head
    return files


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def json(self):
        return json.loads(self.body)

    @property
    def code(self):
        """The code of the API's error, or None."""
        try:
            return self.json()["error"]["code"]
        except (ValueError, KeyError, TypeError):
            return None

    @property
    def text(self):
        try:
            return self.json()["error"]["message"]
        except (ValueError, KeyError, TypeError):
            return None

    def __repr__(self):
        return f"<{self.status} {self.body[:300]!r}>"


class Client:
    """One node as one user.  `key` is a key file's object, or None: requests are not signed."""

    def __init__(self, address, port, ca=None, key=None, cert=None, timeout=60, clock_s=0):
        self.clock_s = clock_s  # of the node, against ours
        self.address, self.port, self.key, self.timeout = address, port, key, timeout
        self.context = ssl.create_default_context(cafile=ca) if ca else ssl._create_unverified_context()
        if cert:
            self.context.load_cert_chain(*cert)
        self.connection = None

    def close(self):
        if self.connection:
            self.connection.close()
            self.connection = None

    def request(self, method, path, body=b"", headers=None, skew_s=0, kind=None, op=True, access=None,
                secret=None, payload=None, fresh=False):
        """`path` with query, encoded; dict or list bodies become JSON.  Keyword arguments make it wrong on purpose."""
        if isinstance(body, (dict, list)):
            body, kind = json.dumps(body).encode(), kind or "application/json"
        full = path if path.startswith("/.node") or path.startswith("//") else "/.sx/v1" + path
        raw_path, _, query = full.partition("?")
        now = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=self.clock_s + skew_s)
        send = {"host": f"{self.address}:{self.port}"}
        if kind or body:
            send["content-type"] = kind or "application/x-sx"
        if op and method != "GET":
            send["x-sx-op"] = op if isinstance(op, str) else os.urandom(16).hex()
        if self.key:
            send["x-amz-date"] = now.strftime("%Y%m%dT%H%M%SZ")
            send["x-amz-content-sha256"] = payload or (
                "UNSIGNED-PAYLOAD" if send.get("content-type") == "application/x-sx" else sha256(body))
            send["authorization"] = sign(method, raw_path, query, dict(send), send["x-amz-content-sha256"],
                                         access or self.key["access_key"], secret or self.key["secret_key"],
                                         send["x-amz-date"])
        send.update(headers or {})
        if fresh:
            self.close()
        for attempt in (0, 1):
            try:
                return self._send(method, full, body, send)
            except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError,
                    http.client.CannotSendRequest):
                # A kept connection that the server has closed meanwhile.
                self.close()
                if attempt:
                    raise

    def _send(self, method, full, body, send):
        if not self.connection:
            self.connection = http.client.HTTPSConnection(self.address, self.port, timeout=self.timeout,
                                                          context=self.context)
        self.connection.request(method, full, body=body or None, headers=send)
        r = self.connection.getresponse()
        data = r.read()
        return Answer(r.status, r.headers, data)

    # -- the operations that tests need ----------------------------------------------------------

    def domain_key(self):
        if not hasattr(self, "_domain"):
            a = self.request("GET", "/cluster")
            self._domain = base64.b64decode(a.json()["domain"]["key"])
        return self._domain

    def put_empty(self, volume, path, **meta):
        """Commits an empty file: no block is needed."""
        return self.request("PUT", f"/files/{quote(volume)}/{quote(path)}", message(
            {"size": 0, "mtime_ns": 0, "mode": 420, "entries": 0, "records": 0, "inline": False,
             "etag": sha256(b"")[:32], **meta}))


def quote(text):
    return urllib.parse.quote(text, safe="/-._~")
