"""Times of a child process: of the clock, and of the processor in it and in its loaders."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import NamedTuple

# The loaders are children of the fork server, and count once it has been waited for.
_TIMED = """
import resource, sys, time
from multiprocessing import forkserver
start_s = time.perf_counter()
{code}
wall_s = time.perf_counter() - start_s
forkserver._forkserver._stop()
used = [resource.getrusage(whose) for whose in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
print(wall_s, *(usage.ru_utime + usage.ru_stime for usage in used), file=sys.stderr)
"""


class Times(NamedTuple):
    """Seconds: of the clock, and of the processor in the main process and in its loaders."""

    wall_s: float
    cpu_s: float
    loaders_cpu_s: float

    def __sub__(self, other: Times) -> Times:
        return Times(*(mine - theirs for mine, theirs in zip(self, other, strict=True)))

    def scaled(self, factor: float) -> Times:
        return Times(*(factor * seconds for seconds in self))


def whole(code: str, *arguments: object) -> Times:
    """Return the times of a program from before its start to its end."""
    start_s = time.perf_counter()
    found = part(_TIMED.format(code=code), *arguments)
    return found._replace(wall_s=time.perf_counter() - start_s)


def part(code: str, *arguments: object) -> Times:
    """Return the times that a program prints on the last line of stderr."""
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], check=True, text=True, stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )  # fmt: skip
    return Times(*map(float, done.stderr.splitlines()[-1].split()))


def command(*arguments: object) -> Times:
    """Return the times of a whole t2av-bench command."""
    return whole("from t2av_bench.cli import main\nmain(sys.argv[1:], standalone_mode=False)", *arguments)
