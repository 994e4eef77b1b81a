# SPDX-License-Identifier: GPL-2.0-or-later
"""Lifecycle rules on three nodes whose clock is set three days forward: what days and numbers of versions say goes, over the
ends of pages and though the leader is killed meanwhile; the rest stays.  Then the clock is set back."""
import glob
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from cluster import SMALL, Cluster, say, skip, wait_for  # noqa: E402
from s3 import Site  # noqa: E402

DAY_S = 86400
MANY, KEYS, GONE, UPLOADS = 250, 110, 10, 120  # a page has 100 versions, or uploads
FAKETIME = glob.glob("/usr/lib/*/faketime/libfaketime.so.1")
RULES = """<LifecycleConfiguration>
<Rule><ID>many</ID><Status>Enabled</Status><Filter><Prefix>many</Prefix></Filter>
<NoncurrentVersionExpiration><NoncurrentDays>1</NoncurrentDays><NewerNoncurrentVersions>2</NewerNoncurrentVersions>
</NoncurrentVersionExpiration></Rule>
<Rule><ID>keys</ID><Status>Enabled</Status><Filter><Prefix>key/</Prefix></Filter><Expiration><Days>%d</Days></Expiration>
<NoncurrentVersionExpiration><NoncurrentDays>1</NoncurrentDays></NoncurrentVersionExpiration></Rule>
<Rule><ID>old</ID><Status>Enabled</Status><Filter><Prefix>old/</Prefix></Filter><Expiration><Days>2</Days></Expiration></Rule>
<Rule><ID>gone</ID><Status>Enabled</Status><Filter><Prefix>gone/</Prefix></Filter>
<NoncurrentVersionExpiration><NoncurrentDays>1</NoncurrentDays></NoncurrentVersionExpiration></Rule>
<Rule><ID>markers</ID><Status>%s</Status><Filter><Prefix>gone/</Prefix></Filter>
<Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration></Rule>
<Rule><ID>uploads</ID><Status>Enabled</Status><Filter><Prefix></Prefix></Filter>
<AbortIncompleteMultipartUpload><DaysAfterInitiation>1</DaysAfterInitiation></AbortIncompleteMultipartUpload></Rule>
</LifecycleConfiguration>"""


class Bucket:
    def __init__(self, cluster, node):
        self.raw, self.skew_s = Site(cluster, node).raw(), 0

    def ask(self, method, target, body=b"", status=200):
        a = self.raw.request(method, "/bucket" + target, body, skew_s=self.skew_s)
        assert a.status == status, (method, target, a)
        return a

    def rules(self, markers, keys_days=9):
        self.ask("PUT", "?lifecycle", (RULES % (keys_days, "Enabled" if markers else "Disabled")).encode())

    def versions(self):
        """{key: its number of versions and markers}"""
        found, after = {}, ""
        while True:
            a = self.ask("GET", f"?versions&prefix=&max-keys=1000{after}")
            for key in a.all("Key"):
                found[key] = found.get(key, 0) + 1
            if a.all("IsTruncated") == ["false"]:
                return found
            after = f"&key-marker={a.all('NextKeyMarker')[0]}&version-id-marker={a.all('NextVersionIdMarker')[0]}"

    def uploads(self):
        return len(self.ask("GET", "?uploads").all("UploadId"))


def fill(bucket):
    bucket.ask("PUT", "")
    bucket.ask("PUT", "?versioning", b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>")
    for i in range(MANY):
        bucket.ask("PUT", "/many", b"%d" % i)
    for i in range(KEYS):
        for body in (b"1", b"2"):
            bucket.ask("PUT", f"/key/{i:03}", body)
    for i in range(GONE):
        bucket.ask("PUT", f"/gone/{i}", b"x")
        bucket.ask("DELETE", f"/gone/{i}", status=204)
        bucket.ask("PUT", f"/old/{i}", b"x")
    for i in range(UPLOADS):
        bucket.ask("POST", f"/upload{i}?uploads")


def set_clock(c, days):
    for n in c.nodes:
        n.stop()
    c.env.update(LD_PRELOAD=FAKETIME[0], FAKETIME=f"+{days}d", FAKETIME_DONT_FAKE_MONOTONIC="1", DONT_FAKE_MONOTONIC="1")
    for n in c.nodes:
        n.start()


def main():
    if not FAKETIME:
        skip("libfaketime is not there")
    if SMALL:
        skip("libfaketime and sanitizers do not go together")
    with Cluster("lifecycle", nodes=3) as c:
        buckets = [Bucket(c, n) for n in range(3)]
        first = buckets[0]
        fill(first)
        all_ = first.versions()
        first.rules(markers=False)
        time.sleep(4)
        assert first.versions() == all_ and first.uploads() == UPLOADS, "rules were too early"
        say(f"{sum(all_.values())} versions, {UPLOADS} uploads, of today")

        set_clock(c, 3)
        for b in buckets:
            b.skew_s = 3 * DAY_S
        wait_for("the first to go", 60, lambda: sum(first.versions().values()) < sum(all_.values()), every=0.05)
        leader = c.leader()
        c.nodes[leader].kill()
        other = buckets[(leader + 1) % 3]
        want = {"many": 3}
        want.update({f"key/{i:03}": 1 for i in range(KEYS)})
        want.update({f"{name}/{i}": n for i in range(GONE) for name, n in (("gone", 1), ("old", 2))})
        left = {k: n - want.get(k, 0) for k, n in other.versions().items() if n != want.get(k)}
        assert left, "all was done before the leader was killed"
        wait_for("what is due to go", 60, lambda: other.versions() == want and other.uploads() == 0, every=0.3)
        say("the leader was killed with", sum(left.values()), "versions to go; all that was due went")
        assert other.ask("GET", "/many").body == b"%d" % (MANY - 1)
        other.ask("GET", "/old/0", status=404)

        other.rules(markers=True)
        want = {k: n for k, n in want.items() if not k.startswith("gone/")}
        wait_for("markers without versions to go", 20, lambda: other.versions() == want, every=0.3)
        say("and the markers that were left alone")

        set_clock(c, 0)
        first.skew_s = 0
        first.ask("GET", "/key/000")
        first.rules(markers=True, keys_days=2)
        wait_for("the rules to go by the log's time", 60, lambda: not first.ask("GET", "?list-type=2&prefix=key%2F").all("Key"),
                 every=0.3)
        say("after the clocks were set back the log's time counts, which is never less than before")


main()
