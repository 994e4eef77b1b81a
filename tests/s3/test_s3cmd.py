# SPDX-License-Identifier: GPL-2.0-or-later
"""s3cmd, over TLS and in short over plain HTTP: buckets, put, get, ls, info, cp, mv, sync both ways, multipart, signature V2, del."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from cluster import Cluster, need, say  # noqa: E402
from s3 import FULL, MIB, PLAIN, Site, make_tree, md5, read, same_trees, write  # noqa: E402


def stored(c):
    return sum(n["used"] for n in c.status()["nodes"])


def shared_with_native(c, s3cmd):
    """What s3cmd puts and what sxcp puts is the same blocks, but for one or two where a part of an upload ends."""
    write(f"{c.dir}/shared", os.urandom(16 * MIB))
    c.tool("sxvol", "create", "--replica", "1", "@t/native")
    at = [stored(c)]
    s3cmd("put", "--disable-multipart", f"{c.dir}/shared", "s3://one/shared")
    at.append(stored(c))
    c.tool("sxcp", f"{c.dir}/shared", "@t/native/shared")
    at.append(stored(c))
    s3cmd("put", "--multipart-chunk-size-mb=8", f"{c.dir}/shared", "s3://one/again")
    at.append(stored(c))
    first, by_sxcp, again = (b - a for a, b in zip(at, at[1:]))
    assert first > 15 * MIB and by_sxcp < 65536 and again < 6 * MIB, at
    assert read(f"{c.dir}/shared") == c.tool("sxcat", "@t/one/again").stdout


def client(s, name, *lines):
    """s3cmd with a configuration for the site."""
    write(f"{s.dir}/{name}", "\n".join(["[default]", f"access_key = {s.access}", f"secret_key = {s.secret}", f"host_base = {s.host}",
                                        f"host_bucket = {s.host}", *lines, ""]).encode())
    return lambda *words, **more: s.run("s3cmd", "-c", f"{s.dir}/{name}", "--no-progress", *words, **more)


def plain(c):
    s3cmd = client(Site(c, plain=True), "plaincfg", "use_https = False")
    s3cmd("mb", "s3://plain")
    write(f"{c.dir}/plain", os.urandom(6 * MIB))
    s3cmd("put", "--multipart-chunk-size-mb=5", f"{c.dir}/plain", "s3://plain/a b")
    s3cmd("cp", "s3://plain/a b", "s3://plain/copy")
    s3cmd("get", "s3://plain/copy", f"{c.dir}/plain-got")
    assert read(f"{c.dir}/plain-got") == read(f"{c.dir}/plain")
    s3cmd("del", "--recursive", "--force", "s3://plain/")
    s3cmd("rb", "s3://plain")


def main():
    need("s3cmd")
    with Cluster("s3cmd", options=PLAIN) as c:
        s = Site(c)
        s3cmd = client(s, "s3cfg", f"ca_certs_file = {s.ca}")
        s3cmd("mb", "s3://one")
        tree = make_tree(f"{c.dir}/tree", files=200 if FULL else 14, size=(100 if FULL else 12) * MIB)
        s3cmd("sync", "--multipart-chunk-size-mb=5", f"{tree}/", "s3://one/tree/")
        assert s3cmd("sync", f"{tree}/", "s3://one/tree/") == "", "a second sync sends something"
        s3cmd("sync", "s3://one/tree/", f"{c.dir}/back/")
        same_trees(tree, f"{c.dir}/back")
        say("sync and multipart")

        data = os.urandom(300000)
        write(f"{c.dir}/file", data)
        s3cmd("put", "--mime-type=text/x-odd", "--add-header=x-amz-meta-colour:blue", f"{c.dir}/file", "s3://one/a b/ä+%")
        info = s3cmd("info", "s3://one/a b/ä+%")
        for want in ("300000", "text/x-odd", md5(data), "blue"):
            assert want in info, (want, info)
        s3cmd("info", "s3://one")
        s3cmd("cp", "s3://one/a b/ä+%", "s3://one/copy")
        s3cmd("mv", "s3://one/copy", "s3://one/moved")
        s3cmd("get", "s3://one/moved", f"{c.dir}/got")
        assert read(f"{c.dir}/got") == data
        listed = [line.split("s3://one/")[1] for line in s3cmd("ls", "s3://one/").splitlines()]
        assert listed == ["a b/", "tree/", "moved"], listed
        assert s3cmd("get", "s3://one/none", f"{c.dir}/none", check=False) is None
        say("put, info, cp, mv, get, ls")
        shared_with_native(c, s3cmd)
        say("shared with sxcp")

        s3cmd("--signature-v2", "put", f"{c.dir}/file", "s3://one/v2")
        s3cmd("--signature-v2", "get", "--force", "s3://one/v2", f"{c.dir}/got")
        assert read(f"{c.dir}/got") == data
        s3cmd("del", "s3://one/v2")
        s3cmd("del", "--recursive", "--force", "s3://one/")
        assert s3cmd("ls", "--recursive", "s3://one/") == ""
        s3cmd("rb", "s3://one")
        say("signature V2, del, rb")
        plain(c)
        say("plain HTTP")


main()
