# SPDX-License-Identifier: GPL-2.0-or-later
"""The table of what the fault tier reached: collects the lines "GOAL name: reached/wanted (note)" of the logs below a build
directory, and names the tests that were skipped.

usage: goals.py BUILD"""
import glob
import os
import re
import sys

GOAL = re.compile(r"^GOAL (.*): (\d+)/(\d+)(?: (.*))?$")


def rows(build):
    for path in sorted(glob.glob(f"{build}/tests/fault/*.log")):
        test = os.path.basename(path).removesuffix(".log")
        with open(path, errors="replace") as f:
            for line in f:
                m = GOAL.match(line.rstrip())
                if m:
                    yield test, m.group(1), f"{m.group(2)}/{m.group(3)}", m.group(4) or ""
                elif line.startswith("SKIP:"):
                    yield test, line.strip(), "-", ""


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__.rsplit("\n", 1)[-1])
    table = list(rows(sys.argv[1]))
    for test, name, figure, note in table:
        print(f"{test:<14} {figure:>11}  {name} {note}".rstrip())
    if not table:
        print("no figures: the fault tests have not run")


if __name__ == "__main__":
    main()
