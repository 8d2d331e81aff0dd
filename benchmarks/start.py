"""Time of ``import t2av_bench`` and of ``t2av-bench --help``, as whole processes.

python benchmarks/start.py
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "import t2av_bench": ["-c", "import t2av_bench"],
    "t2av-bench --help": ["-m", "t2av_bench", "--help"],
}
RUNS_N = 15


def seconds(arguments: list[str]) -> float:
    start_s = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start_s


def main() -> None:
    for name, arguments in COMMANDS.items():
        seconds(arguments)
        times_s = [seconds(arguments) for _ in range(RUNS_N)]
        print(f"{name:18}  median {statistics.median(times_s):.3f} s, slowest of {RUNS_N} {max(times_s):.3f} s")


if __name__ == "__main__":
    main()
