# SPDX-License-Identifier: GPL-2.0-or-later
"""libs3's `s3`, which signs with Signature V2, over TLS and in short over plain HTTP: buckets, put, head, get, copy, list, delete."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from cluster import Cluster, need, say  # noqa: E402
from s3 import FULL, MIB, PLAIN, Site, read, write  # noqa: E402


def main():
    need("s3")
    with Cluster("libs3", options=PLAIN) as c:
        site = Site(c)
        env = {"S3_ACCESS_KEY_ID": site.access, "S3_SECRET_ACCESS_KEY": site.secret, "S3_HOSTNAME": site.host}

        def s3(*words, **more):
            return site.run("s3", "-r", "0", *words, env=env, **more)

        data = os.urandom((200 if FULL else 3) * MIB)
        write(f"{c.dir}/file", data)
        s3("create", "four")
        s3("test", "four")
        s3("put", "four/a/b", f"filename={c.dir}/file", "x-amz-meta-colour=blue", "contentType=text/x-odd")
        # libs3 tells headers apart by upper and lower case: over HTTP/2 it shows no type, length and ETag.
        assert "colour: blue" in s3("head", "four/a/b")
        s3("get", "four/a/b", f"filename={c.dir}/got")
        assert read(f"{c.dir}/got") == data
        s3("get", "four/a/b", f"filename={c.dir}/part", "startByte=1000", "byteCount=2000")
        assert read(f"{c.dir}/part") == data[1000:3000]
        say("put, head, get")
        s3("copy", "four/a/b", "four/copy")
        listed = s3("list", "four")
        assert "a/b" in listed and "copy" in listed, listed
        for key in ("a/b", "copy"):
            s3("delete", f"four/{key}")
        assert "copy" not in s3("list", "four")
        s3("delete", "four")
        say("copy, list, delete")
        env["S3_HOSTNAME"] = Site(c, plain=True).host
        s3("-u", "create", "plain")
        s3("-u", "put", "plain/a", f"filename={c.dir}/file")
        s3("-u", "get", "plain/a", f"filename={c.dir}/plain")
        assert read(f"{c.dir}/plain") == data
        assert f"{len(data)}" in s3("-u", "head", "plain/a")
        say("plain HTTP")


main()
