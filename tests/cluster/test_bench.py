# SPDX-License-Identifier: GPL-2.0-or-later
"""tests/bench/s3bench.py, in small: it runs where its help text says so, refuses what would write too much, and leaves nothing
behind when a signal ends it."""
import os
import signal
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from cluster import BUILD, SMALL, SOURCE, link, need, say  # noqa: E402

BENCH = f"{SOURCE}/tests/bench/s3bench.py"
LIMIT_S = 300 if SMALL else 100
started = []


def start(work, *words):
    """With SX_BUILDDIR as people write it."""
    env = dict(os.environ, SX_BUILDDIR=os.path.basename(BUILD), SX_TEST_DIR="")
    env.pop("SX_SRCDIR", None)
    started.append(subprocess.Popen([sys.executable, "-B", BENCH, "--work", work, "--keys", "501", "--copy", "3", *words], env=env,
                                    cwd=os.path.dirname(BUILD), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                    stderr=subprocess.STDOUT, start_new_session=True))
    return started[-1]


def left(work):
    """What is left in the folder, and the processes that live there."""
    pids = [p for p in filter(str.isdigit, os.listdir("/proc")) if link(p, "cwd").startswith(work)]
    return os.listdir(work) + pids


def whole(work):
    p = start(work, "--sizes", "4K", "--concurrency", "2", "--seconds", "0.2")
    text = p.communicate(timeout=LIMIT_S)[0].decode()
    assert p.returncode == 0, text
    assert "| PUT 4K, 2 at once |" in text and "| GET 4K, 2 at once |" in text and "LIST of 501 keys" in text, text
    assert not left(work), left(work)
    say("a whole run, with a relative SX_BUILDDIR")


def refusals(work):
    for words, why in ((("--sizes", "1024M", "--concurrency", "32"), b"write too much"),
                       (("--sizes", "1G", "--concurrency", "1,8"), b"write too much"),
                       (("--sizes", "1"), b"'1' is no size"), (("--concurrency", "0"), b"'0' is no list of numbers"),
                       (("--keys", "0"), b"'0' is no number from 1 on")):
        p = start(work, *words)
        text = p.communicate(timeout=LIMIT_S)[0]
        assert p.returncode == 2 and why in text and not left(work), (p.returncode, text)
    say("too much, and what is no size, are refused before anything starts")


def ended(work, number, group):
    p = start(work, "--sizes", "64K", "--concurrency", "2", "--seconds", "1")
    line = p.stdout.readline()  # the first figure is there, the second is being measured
    assert b"| PUT 64K" in line, line + p.communicate(timeout=LIMIT_S)[0]
    (os.killpg if group else os.kill)(p.pid, number)
    text = p.communicate(timeout=LIMIT_S)[0].decode()
    assert p.returncode == 128 + number, (p.returncode, text)
    assert not left(work), left(work)
    say(f"ended by {signal.Signals(number).name} to {'the process group' if group else 'it alone'}: nothing is left")


def main():
    need("sxcp", "sxsetup", "sx.fcgi", "nginx")
    with tempfile.TemporaryDirectory(prefix="sx-bench-") as work:
        os.chmod(work, 0o755)
        try:
            whole(work)
            refusals(work)
            ended(work, signal.SIGTERM, False)
            ended(work, signal.SIGINT, True)
        finally:
            for p in started:
                p.terminate()
                p.wait()


if __name__ == "__main__":
    main()
