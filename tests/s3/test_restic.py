# SPDX-License-Identifier: GPL-2.0-or-later
"""restic, over TLS and in short over plain HTTP: init, two backups, check --read-data, restore, forget --prune."""
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from cluster import Cluster, need, say  # noqa: E402
from s3 import FULL, MIB, PLAIN, Site, make_tree, same_trees, write  # noqa: E402


def main():
    need("restic")
    with Cluster("restic", options=PLAIN) as c:
        s = Site(c)
        env = {"RESTIC_PASSWORD": "secret", "RESTIC_REPOSITORY": f"s3:{s.url}/three", "RESTIC_CACHE_DIR": f"{c.dir}/cache"}

        def restic(*words):
            return s.run("restic", "--cacert", s.ca, *words, env=env)

        tree = make_tree(f"{c.dir}/tree", files=500 if FULL else 14, size=(300 if FULL else 24) * MIB)
        restic("init")
        restic("backup", tree)
        write(f"{tree}/large", os.urandom(6 * MIB))
        restic("backup", tree)
        restic("check", "--read-data")
        say("init, backup, check")
        restic("restore", "latest", "--target", f"{c.dir}/back")
        same_trees(tree, f"{c.dir}/back{tree}")
        restic("forget", "--keep-last", "1", "--prune")
        assert len(json.loads(restic("snapshots", "--json"))) == 1
        restic("check", "--read-data")
        say("restore, forget, check")
        env["RESTIC_REPOSITORY"] = f"s3:{Site(c, plain=True).url}/plain"
        restic("init")
        restic("backup", f"{tree}/d0")
        restic("restore", "latest", "--target", f"{c.dir}/plain")
        same_trees(f"{tree}/d0", f"{c.dir}/plain{tree}/d0")
        say("plain HTTP")


main()
