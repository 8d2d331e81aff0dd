"""Kernel distance (KAD): time at 20,000 windows and, on request, memory at 200,000; how far other seeds move it.

    python benchmarks/kernel.py [--windows 20000] [--dim 128] [--seeds 1]

Windows come in clips of 10, whose pairs are left out. Wall and CPU seconds; on an idle machine the former counts. With
more seeds, the spread of bandwidth and value over the draws of rows that the median distance is of.
"""

from __future__ import annotations

import argparse
import resource
import time

import numpy as np

from t2av_bench.metrics import kernel_distance


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--windows", type=int, default=20_000)
    parser.add_argument("--dim", type=int, default=128)
    parser.add_argument("--seeds", type=int, default=1)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    shape = options.windows, options.dim
    reference = rng.standard_normal(shape, dtype=np.float32)
    generated = 1.1 * rng.standard_normal(shape, dtype=np.float32) + 0.05
    clips = np.arange(options.windows) // 10
    start_s, start_cpu_s = time.perf_counter(), time.process_time()
    found = kernel_distance(reference, generated, clips=(clips, clips))
    spent = f"{time.perf_counter() - start_s:.1f} s, CPU {time.process_time() - start_cpu_s:.1f} s"
    print(f"KAD {found.value:.6f} of {shape[0]} x {shape[1]}: {spent}")
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.1f} GiB")
    others = [
        kernel_distance(reference, generated, clips=(clips, clips), seed=seed) for seed in range(1, options.seeds)
    ]
    if others:
        for name in ("bandwidth", "value"):
            values = np.array([getattr(distance, name) for distance in (found, *others)])
            print(f"{name} over {len(values)} seeds: spread {np.std(values, ddof=1) / values.mean():.2%}")


if __name__ == "__main__":
    main()
