# SPDX-License-Identifier: GPL-2.0-or-later
"""Load with a journal outside of the cluster (tests/lib/load.c), and the check of what it says."""
import json
import os
import subprocess
import time

from cluster import BUILD, say

GAP_S = 5.0      # docs/promises.md: writing goes on within this time when a node dies
SXLOAD = os.path.join(BUILD, "tests/lib/sxload")


class Load:
    """Writers in the background until stop()."""

    def __init__(self, cluster, uri, threads=4, size_max=4 << 20, seconds=3600):
        self.cluster, self.uri = cluster, uri
        self.journal = f"{cluster.dir}/journal-{os.path.basename(uri)}"
        self.errors = open(f"{self.journal}.err", "w+")
        self.process = subprocess.Popen([SXLOAD, "write", uri, self.journal, str(seconds), str(threads), str(size_max)],
                                        env=cluster.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=self.errors)
        cluster.background.append(self.process)

    def lines(self):
        """(ms, thread, what, op, name) of each line."""
        if not os.path.exists(self.journal):
            return []
        with open(self.journal) as f:
            return [(int(w[0]), int(w[1]), *w[2:5]) for w in (line.split() for line in f) if len(w) == 7]

    def acknowledged(self):
        return sum(1 for line in self.lines() if line[2] == "A")

    def wait_progress(self, n=20, seconds=30):
        """Until n more operations are acknowledged; returns the longest time without any, in seconds."""
        start, at = time.monotonic(), self.acknowledged()
        while self.acknowledged() < at + n:
            if self.process.poll() is not None:
                raise AssertionError(f"the load has ended: {self.said()}")
            if time.monotonic() - start > seconds:
                raise AssertionError(f"{self.acknowledged() - at} of {n} operations in {seconds} s; {self.said()}")
            time.sleep(0.05)

    def mark(self):
        """A moment on the journal's clock."""
        return int(time.monotonic() * 1000)

    def gap_after(self, ms):
        """Seconds from that moment to the first acknowledgement of an operation begun after it."""
        begun = {}
        for line in self.lines():
            if line[0] < ms:
                continue
            if line[2] == "I":
                begun[line[4]] = line[0]
            elif line[2] == "A" and line[4] in begun:
                return (line[0] - ms) / 1000
        return None

    def said(self):
        self.errors.flush()
        with open(self.errors.name) as f:
            return "".join(f.readlines()[-5:])

    def stop(self):
        """Ends the writers, after what they are at."""
        self.process.terminate()
        self.process.wait()
        self.errors.flush()

    def verify(self):
        """Everything acknowledged is there, byte for byte, and nothing deleted is."""
        r = subprocess.run([SXLOAD, "verify", self.uri, self.journal, "4"], env=self.cluster.env, timeout=900,
                           stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
        text = r.stdout.decode() + r.stderr.decode()
        if r.returncode != 0:
            raise AssertionError(f"acknowledged files are lost or wrong:\n{text[:4000]}")
        result = json.loads(r.stdout.decode().splitlines()[-1])
        say(f"{self.uri}: {self.acknowledged()} operations acknowledged, {result['verified']} files verified")
        return result["verified"]
