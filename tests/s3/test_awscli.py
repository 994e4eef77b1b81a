# SPDX-License-Identifier: GPL-2.0-or-later
"""aws-cli, over TLS: cp, sync, ls, mv, rm, presign, large objects in parts, ranges."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from cluster import Cluster, need, say  # noqa: E402
from s3 import FULL, MIB, Site, make_tree, read, same_trees, write  # noqa: E402


def main():
    need("aws", "curl")
    with Cluster("awscli") as c:
        s = Site(c)

        def aws(*words, **more):
            return s.run("aws", "--endpoint-url", s.url, "--ca-bundle", s.ca, *words, **more)

        aws("s3", "mb", "s3://five")
        tree = make_tree(f"{c.dir}/tree", files=200 if FULL else 8, size=(500 if FULL else 20) * MIB)
        aws("s3", "sync", "--only-show-errors", tree, "s3://five/tree/")
        assert aws("s3", "sync", tree, "s3://five/tree/") == "", "a second sync sends something"
        aws("s3", "sync", "--only-show-errors", "s3://five/tree/", f"{c.dir}/back")
        same_trees(tree, f"{c.dir}/back")
        say("sync, multipart")
        aws("s3", "cp", "--only-show-errors", "s3://five/tree/large", "s3://five/copy")
        aws("s3", "mv", "--only-show-errors", "s3://five/copy", "s3://five/moved")
        assert "moved" in aws("s3", "ls", "s3://five/") and " copy" not in aws("s3", "ls", "s3://five/")
        aws("s3api", "get-object", "--bucket", "five", "--key", "moved", "--range", "bytes=1000-1999", f"{c.dir}/part")
        assert read(f"{c.dir}/part") == read(f"{tree}/large")[1000:2000]
        url = aws("s3", "presign", "s3://five/tree/large").strip()
        s.run("curl", "-sSf", "--cacert", s.ca, "-o", f"{c.dir}/got", url)
        assert read(f"{c.dir}/got") == read(f"{tree}/large")
        assert s.run("curl", "-sSf", "--cacert", s.ca, url.replace("large", "larger"), check=False) is None
        say("cp, mv, ls, ranges, presign")
        write(f"{c.dir}/body", b"locked")
        aws("s3api", "put-object", "--bucket", "five", "--key", "lock", "--body", f"{c.dir}/body", "--checksum-algorithm", "SHA256")
        aws("s3", "rm", "--recursive", "--only-show-errors", "s3://five")
        aws("s3", "rb", "s3://five")
        say("rm, rb")


main()
