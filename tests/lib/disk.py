# SPDX-License-Identifier: GPL-2.0-or-later
"""A node whose directory is a file system of its own, which can lose power or be full, under load with a journal outside
of it."""
import os
import shutil
import subprocess
import time

import fault
from cluster import Cluster, Node, wait_for
from load import SXLOAD

THREADS, FILES, SIZE_MAX = 4, 24, 1 << 20
SETTINGS = {"lease_s": 1, "collect_interval_s": 1}


class Lost(AssertionError):
    """Something acknowledged is not there."""


class DiskCluster(Cluster):
    """`at`: what lies on the file system, a directory below the node's; "": all of it."""

    def __init__(self, name, kind, at="", workers=4):
        super().__init__(name, workers=workers, reserved=1, size="180M", settings=SETTINGS)
        self.env["ASAN_OPTIONS"] += ":detect_leaks=0"  # it cannot do that under strace
        self.kind, self.at, self.disk = kind, at, None
        if not at:
            self.disk = fault.Disk(kind, f"{self.dir}/image", Node(self, 1).dir)
        self.journal = f"{self.dir}/journal"

    def change_settings(self, node):
        """Between setup and first start: what lies in `at` moves to the file system."""
        super().change_settings(node)
        if self.at:
            at = f"{node.dir}/{self.at}"
            os.makedirs(at, exist_ok=True)
            os.rename(at, f"{at}.before")
            self.disk = fault.Disk(self.kind, f"{self.dir}/image", at)
            shutil.copytree(f"{at}.before", at, dirs_exist_ok=True)
            shutil.rmtree(f"{at}.before")

    def check_logs(self):
        """A page of mapped memory that a dead disk cannot give is SIGBUS, and no finding."""
        return [bad for bad in super().check_logs() if "AddressSanitizer: BUS" not in bad]

    def end(self):
        for process in self.background:
            process.kill()
            process.wait()
        Node(self, 1).kill()
        if self.disk:
            self.disk.close()
        super().end()

    def load(self, how, *words):
        return subprocess.Popen([SXLOAD, how, "@t/vol/load", self.journal, *map(str, words)], env=self.env,
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def write(self):
        """Writers in the background, on the files that the journal knows."""
        writers = self.load("write", 3600, THREADS, SIZE_MAX, FILES)
        self.background = [writers]
        return writers

    def acknowledged(self):
        try:
            with open(self.journal) as f:
                return sum(1 for line in f if " A " in line)
        except FileNotFoundError:
            return 0

    def lose_power(self, writers, after_s=0):
        """Nothing reaches the disk any more; after_s later all processes are gone, and the disk is there again.
        What is acknowledged on the dead disk meanwhile would be a lie, too."""
        self.disk.lose_power()
        time.sleep(after_s)
        writers.kill()
        said = writers.communicate()[0].decode(errors="replace")
        assert writers.returncode in (-9, 0), said
        self.nodes[0].kill()
        self.disk.unmount()
        self.disk.mount()

    def start_again(self):
        """Starts the node; seconds until it answered a read."""
        began = time.monotonic()
        try:
            self.nodes[0].start()
        except AssertionError as error:
            raise Lost(f"the node does not start: {error}") from error
        answer = self.nodes[0].client().request("GET", "/list/vol?limit=1")
        if answer.status != 200:
            raise Lost(f"the volume is gone: {answer}")
        return time.monotonic() - began

    def make_room(self):
        """Between two short lives of the node, each too short for a round of the collector."""
        def used():
            node = self.status()["nodes"][0]
            return node["used"] / node["capacity"]
        if used() > 0.5:
            wait_for("deleted space to come back", 60, lambda: used() < 0.25)

    def settle(self):
        """Everything acknowledged is there; what nobody knew is known from now on."""
        r = self.load("settle", THREADS)
        text = r.communicate(timeout=300)[0].decode(errors="replace")
        if r.returncode != 0:
            raise Lost(f"acknowledged files are lost or wrong:\n{text[:3000]}")
