"""Time of ``t2av-bench manifest build``, the whole command with its start: everything that the lists at hand allow.

    t2av-bench download manifests
    python benchmarks/build_manifests.py

Prints what was built, and says so where a list is missing.
"""

from __future__ import annotations

import subprocess
import sys
import time


def main() -> None:
    start_s = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "t2av_bench", "manifest", "build"], check=True, capture_output=True, text=True
    )
    taken_s = time.perf_counter() - start_s
    for line in (*done.stdout.splitlines(), *done.stderr.splitlines()):
        print(line.partition(", /")[0].partition(" Run ")[0])
    print(f"{len(done.stdout.splitlines())} built in {taken_s:.2f} s")


if __name__ == "__main__":
    main()
