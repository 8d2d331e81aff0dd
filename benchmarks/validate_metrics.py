"""Time of validating all scores on the test clips of the mini world, with nothing in the cache.

    python benchmarks/validate_metrics.py [workers]

The target is 5 minutes on 2 idle cores. Processor time is that of this process; the loaders' is in the wall time.
"""

from __future__ import annotations

import sys
import tempfile
import time

import t2av_bench as tb


def main() -> None:
    workers_n = int(sys.argv[1]) if len(sys.argv) > 1 else 2
    manifest = tb.load_manifest("t2av-mini")
    with tempfile.TemporaryDirectory() as cache:
        for what in ("nothing in the cache", "everything in the cache"):
            start_s = time.perf_counter()
            found = tb.validate_metrics(manifest, features="lite", num_workers=workers_n, cache_dir=cache)
            levels_n = sum(len(record["levels"]) for record in found.distortions.values())
            took_s = time.perf_counter() - start_s
            print(f"{levels_n} levels, {len(found.metrics)} scores, {found.n_clips} clips, {what}: {took_s:.0f} s")


if __name__ == "__main__":
    main()
