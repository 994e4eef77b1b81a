# SPDX-License-Identifier: GPL-2.0-or-later
"""rclone, over TLS and in short over plain HTTP: copy, check (by MD5), sync, lsl, cat, move, multipart."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from cluster import Cluster, need, say  # noqa: E402
from s3 import FULL, MIB, PLAIN, Site, make_tree, read, same_trees, write  # noqa: E402


def main():
    need("rclone")
    with Cluster("rclone", options=PLAIN) as c:
        s = Site(c)
        write(f"{c.dir}/rclone.conf", "".join(f"""[{name}]
type = s3
provider = Other
access_key_id = {s.access}
secret_access_key = {s.secret}
endpoint = {url}
""" for name, url in (("sx", s.url), ("plain", Site(c, plain=True).url))).encode())

        def rclone(*words, **more):
            return s.run("rclone", "--config", f"{c.dir}/rclone.conf", "--ca-cert", s.ca, "--retries", "1", "--s3-upload-cutoff", "6M",
                         "--s3-chunk-size", "5M", *words, **more)

        tree = make_tree(f"{c.dir}/tree", files=300 if FULL else 14, size=(200 if FULL else 12) * MIB)
        rclone("mkdir", "sx:two")
        rclone("copy", tree, "sx:two/tree")
        rclone("check", tree, "sx:two/tree")
        rclone("check", "--download", tree, "sx:two/tree")
        say("copy, check")
        write(f"{tree}/new", b"new")
        os.remove(f"{tree}/d0/plain-0")
        assert rclone("check", tree, "sx:two/tree", check=False) is None, "check finds no difference"
        rclone("sync", tree, "sx:two/tree")
        rclone("sync", "sx:two/tree", f"{c.dir}/back")
        same_trees(tree, f"{c.dir}/back")
        listed = {line.split(maxsplit=3)[3] for line in rclone("lsl", "sx:two/tree").splitlines()}
        assert listed == {os.path.relpath(os.path.join(d, f), tree) for d, _, fs in os.walk(tree) for f in fs}, listed
        assert rclone("cat", "sx:two/tree/new") == "new"
        say("sync, lsl, cat")
        key = ("--s3-sse-customer-algorithm", "AES256", "--s3-sse-customer-key", "0123456789abcdef0123456789abcdef")
        rclone("copy", f"{tree}/large", "sx:two/locked", *key)
        rclone("copy", "sx:two/locked/large", f"{c.dir}/opened", *key)
        assert read(f"{c.dir}/opened/large") == read(f"{tree}/large")
        assert not rclone("cat", "sx:two/locked/large", check=False)  # it takes a refused HEAD for an empty folder
        rclone("delete", "sx:two/locked", *key)
        say("the customer's key")
        rclone("move", "sx:two/tree", "sx:two/moved")
        rclone("copy", "sx:two/moved/large", f"{c.dir}/got")
        assert read(f"{c.dir}/got/large") == read(f"{tree}/large")
        rclone("purge", "sx:two")
        assert rclone("lsd", "sx:") == ""
        say("move, purge")
        rclone("sync", tree, "plain:two/tree")
        rclone("check", "--download", tree, "plain:two/tree")
        rclone("purge", "plain:two")
        say("plain HTTP")


main()
