# SPDX-License-Identifier: GPL-2.0-or-later
"""What the fault tier shares: how much of it is to be done, what was reached, file systems that can lose power or be
full, and strace attached to a node's processes.

`make check-fault` does the whole (SX_FAULT_SHARE=1), `make check` a tenth, sanitizer builds still less. Each test prints
its seed (SX_FAULT_SEED repeats it) and lines "GOAL name: reached/wanted", from which tests/lib/goals.py makes the table."""
import fcntl
import os
import random
import re
import shutil
import signal
import struct
import subprocess
import sys
import time

from cluster import BUILD, SMALL, say, skip, wait_for

SHARE = float(os.environ.get("SX_FAULT_SHARE", "0.1")) * (0.2 if SMALL else 1)
SEED = int(os.environ.get("SX_FAULT_SEED") or random.SystemRandom().randrange(1 << 32))
SHUTDOWN, NO_LOG_FLUSH = 0x8004587D, 2  # EXT4_IOC_SHUTDOWN = XFS_IOC_GOINGDOWN: nothing unwritten is written any more
IMAGE_SIZE = 512 << 20                  # mkfs.xfs refuses less than 300 MiB, metadata wants 192 MiB free


def share(whole, least=1):
    """How many of `whole` are to be done in this run."""
    return max(least, round(whole * min(SHARE, 1)))


def begin(name):
    """The test's random numbers; the command that repeats it is in its log."""
    say(f"{name}: seed {SEED}, share {SHARE:g}; repeat with SX_FAULT_SEED={SEED} SX_FAULT_SHARE={SHARE:g}",
        sys.executable, *sys.argv)
    return random.Random(f"{name}{SEED}")


def goal(name, reached, wanted, note=""):
    """One line of the table; a goal that is missed fails the test."""
    print(f"GOAL {name}: {reached}/{wanted}{' ' + note if note else ''}", flush=True)
    assert reached >= wanted, f"{name}: {reached} of {wanted}"


# ---- clocks --------------------------------------------------------------------------------------


class Clock:
    """A wall clock of its own for a node: how far it is ahead stands in a file that the node's processes have mapped
    (tests/lib/wallclock.c), so it can jump while they run. `env` is what the node is started with."""

    LIBRARY = f"{BUILD}/tests/lib/.libs/wallclock.so"

    def __init__(self, path, seconds=0):
        if SMALL:
            skip("nothing can be loaded into a sanitizer build before its own library")
        if not os.path.exists(self.LIBRARY):
            skip(f"{self.LIBRARY} is not there")
        self.file = open(path, "w+b", buffering=0)
        self.env = {"LD_PRELOAD": self.LIBRARY, "SX_WALLCLOCK": path}
        self.set(seconds)

    def set(self, seconds):
        self.seconds = seconds
        os.pwrite(self.file.fileno(), seconds.to_bytes(8, sys.byteorder, signed=True), 0)


# ---- file systems --------------------------------------------------------------------------------


def own_mounts():
    """Runs the test again in a mount namespace of its own, so that no mount outlives it."""
    if os.environ.get("SX_FAULT_UNSHARED") == str(os.getppid()):
        return
    if os.geteuid() != 0:
        skip("file systems can only be mounted by root")
    for program in ("unshare", "losetup", "mkfs.ext4"):
        if not shutil.which(program, path=search_path()):
            skip(f"{program} is not there")
    if not os.path.exists("/dev/loop-control"):
        skip("there are no loop devices here")
    if subprocess.run(["unshare", "-m", "true"], check=False, stderr=subprocess.DEVNULL).returncode != 0:
        skip("mount namespaces are not allowed here")
    child = subprocess.Popen(["unshare", "-m", sys.executable, "-B", *sys.argv],
                             env=dict(os.environ, SX_FAULT_UNSHARED=str(os.getpid())))
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, lambda n, _frame: child.send_signal(n))
    code = child.wait()
    sys.exit(code if code >= 0 else 128 - code)


def search_path():
    return f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"


def run(*words):
    r = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
                       env=dict(os.environ, PATH=search_path()))
    if r.returncode != 0:
        raise OSError(f"{' '.join(words)}: {r.stdout.decode(errors='replace')[:500]}")


class Disk:
    """A file system in a file, mounted at `at`."""

    KINDS = {"ext4": (["mkfs.ext4", "-q", "-F"], "loop,noauto_da_alloc"), "xfs": (["mkfs.xfs", "-q", "-f"], "loop")}

    def __init__(self, kind, image, at, size=IMAGE_SIZE):
        self.kind, self.image, self.at = kind, image, at
        make, self.options = self.KINDS[kind]
        if not shutil.which(make[0], path=search_path()):
            skip(f"{make[0]} is not there")
        with open(image, "wb") as f:
            f.truncate(size)
        run(*make, image)
        os.makedirs(at, exist_ok=True)
        try:
            self.mount()
        except OSError as error:
            skip(f"{kind} cannot be mounted here: {error}")
        if os.path.isdir(f"{at}/lost+found"):
            os.rmdir(f"{at}/lost+found")

    def mount(self):
        run("mount", "-t", self.kind, "-o", self.options, self.image, self.at)

    def unmount(self):
        wait_for(f"{self.at} to be unused", 20, lambda: run("umount", self.at) is None, every=0.02)

    def lose_power(self):
        """From now on nothing reaches the disk, and everything that is not there is forgotten at the unmount."""
        fd = os.open(self.at, os.O_RDONLY)
        try:
            fcntl.ioctl(fd, SHUTDOWN, struct.pack("I", NO_LOG_FLUSH))
        finally:
            os.close(fd)

    def close(self):
        subprocess.run(["umount", "-l", self.at], stderr=subprocess.DEVNULL, check=False)
        os.unlink(self.image)


# ---- system calls --------------------------------------------------------------------------------


class Tracer:
    """strace on running processes: `inject` as in its manual, e.g. "fdatasync:error=EIO:when=3"."""

    def __init__(self, pids, inject, log, calls=None):
        self.pids, self.log = pids, log
        words = ["strace", "-f", "-y", "-qq", "-s", "0", "-e", f"trace={calls or inject.split(':')[0]}", "-o", log]
        if inject:
            words += ["-e", f"inject={inject}"]
        self.process = subprocess.Popen([*words, *[w for p in pids for w in ("-p", str(p))]], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        wait_for("strace", 20, self.attached, every=0.01)

    def attached(self):
        """All threads of all processes are traced."""
        if self.process.poll() is not None:
            said = self.process.stderr.read().decode(errors="replace")
            if "not permitted" in said:
                skip("strace cannot attach here: " + said[:200])
            return True
        try:
            return all(is_traced(f"/proc/{p}/task/{t}") for p in self.pids for t in os.listdir(f"/proc/{p}/task"))
        except OSError:
            return True  # it is dead already

    def seen(self):
        with open(self.log, errors="replace") as f:
            return f.read()

    def is_quiet(self):
        """Nothing was traced for a tenth of a second."""
        before = os.path.getsize(self.log)
        time.sleep(0.1)
        return os.path.getsize(self.log) == before

    def detach(self):
        """Ends strace; gives what it saw."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        self.process.wait()
        self.process.stderr.close()
        return self.seen()


def is_traced(task):
    with open(f"{task}/status") as f:
        return "TracerPid:\t0\n" not in f.read()


def calls(text):
    """What strace wrote, one whole call a line: (pid, call, path of its first argument, line)."""
    begun = {}
    for line in text.split("\n"):
        pid = line.split(" ", 1)[0]
        if "<unfinished ...>" in line:
            begun[pid] = line[:line.index("<unfinished ...>")]
            continue
        if "resumed>" in line:
            line = begun.pop(pid, "") + line[line.index("resumed>") + len("resumed>"):]
        m = re.match(r"\d+\s+(\w+)\((?:\d+<([^>]*)>)?", line)
        if m:
            yield pid, m.group(1), m.group(2) or "", line.strip()


def injected(text):
    """The calls that strace failed on purpose: [(call, path)]."""
    return [(call, path) for _, call, path, line in calls(text) if "(INJECTED)" in line]


def need_strace():
    if not shutil.which("strace"):
        skip("strace is not there")


class Pace:
    """How long something took each time; the longest counts."""

    def __init__(self):
        self.all = []

    def note(self, seconds):
        self.all.append(seconds)

    @property
    def worst(self):
        return max(self.all, default=0.0)

    @property
    def middle(self):
        return sorted(self.all)[len(self.all) // 2] if self.all else 0.0


def clock():
    return time.monotonic()
