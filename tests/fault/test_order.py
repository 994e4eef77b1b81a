# SPDX-License-Identifier: GPL-2.0-or-later
"""Nothing is acknowledged before it is on disk. The system calls of a node's processes are recorded (strace) while files are
put; then, of every worker: when a success leaves, no pack that it has written to is without its fdatasync. (The log's
order is the simulator's subject.) The same check on a record without the syncs must find breaches, else it proves nothing."""
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from cluster import Cluster, need, say, skip, wait_for  # noqa: E402

FILES = 60
LINE = re.compile(r"^(\d+)\s+([\d.]+) (\w+)\((\d+)<([^>]*)>(.*)$")
WRITES, SYNCS = ("write", "writev", "pwrite64", "pwritev", "pwritev2"), ("fsync", "fdatasync")


def calls(text):
    """(pid, call, path, rest) in order; calls that were interrupted by another process's line count when they end."""
    begun = {}
    for line in text.split("\n"):
        if "<unfinished ...>" in line:
            begun[line.split()[0]] = line[:line.index("<unfinished ...>")]
            continue
        if "resumed>" in line:
            pid = line.split()[0]
            line = begun.pop(pid, "") + line[line.index("resumed>") + len("resumed>"):]
        m = LINE.match(line)
        if m:
            yield m.group(1), m.group(3), m.group(5), m.group(6)


def breaches(text):
    """Successes that left a worker while one of its packs was not synced."""
    dirty, found, answers = {}, [], 0
    for pid, call, path, rest in calls(text):
        mine = dirty.setdefault(pid, set())
        if call in WRITES and "/store/packs/" in path:
            mine.add(path)
        elif call in SYNCS:
            mine.discard(path)
        elif call in WRITES and re.search(r"Status: 20[01]", rest):
            answers += 1
            if mine:
                found.append(f"process {pid} answered before {sorted(mine)} was synced")
    return answers, found


def record(c, node, what):
    pids = node.pids("worker")
    trace = f"{c.dir}/trace"
    s = subprocess.Popen(["strace", "-f", "-ttt", "-y", "-s", "64", "-e", "trace=" + ",".join(WRITES + SYNCS), "-o", trace,
                          *[w for p in pids for w in ("-p", str(p))]], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        wait_for("strace", 20, lambda: s.poll() is not None or all(
            "TracerPid:\t0" not in open(f"/proc/{p}/status").read() for p in pids))
        if s.poll() is not None:
            skip("strace cannot attach here: " + s.stderr.read().decode()[:200])
        what()
        time.sleep(0.5)
    finally:
        if s.poll() is None:
            s.send_signal(signal.SIGINT)
        s.wait()
    with open(trace, errors="replace") as f:
        return f.read()


def main():
    need("sxcp", "sxsetup", "sx.fcgi", "nginx")
    if not shutil.which("strace"):
        skip("strace is not there")
    with Cluster("order") as c:
        c.tool("sxvol", "create", "@t/vol")
        rng = random.Random(5)
        os.mkdir(f"{c.dir}/src")
        for i in range(FILES):
            with open(f"{c.dir}/src/{i}", "wb") as f:
                f.write(rng.randbytes(rng.choice((100, 20000, 400000, 2000000))))
        text = record(c, c.nodes[0], lambda: c.tool("sxcp", "-r", f"{c.dir}/src/", "@t/vol/"))
        answers, found = breaches(text)
        assert answers >= 5, f"only {answers} successes in the record"
        assert not found, f"{len(found)} of {answers} answers: {found[0]}"
        say(f"{answers} successes, each after the fdatasync of what it stands for")
        without = "\n".join(line for line in text.split("\n") if not re.search(r"\b(fsync|fdatasync)\b", line))
        assert breaches(without)[1], "the check does not notice that the syncs are missing"
        say("without the syncs the same check finds breaches")


if __name__ == "__main__":
    main()
