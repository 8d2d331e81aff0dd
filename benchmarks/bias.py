"""What is left of a Fréchet distance's bias after each correction, over simulated sets.

    python benchmarks/bias.py [--runs 200]

Normal features near each other, as in ``errors.py``: the true distance is 0.41; clips of several windows share half of
their variance. Corrections over groups of clips are those of an evaluation. All take about two minutes on one core.

Columns: mean plain score and its corrections by halves and by quarters; spread of both corrections in units of the
plain score's; share of ± 1.96 errors around each that cover the truth; the second term's part in the whole correction,
the bias that is left in standard errors, and the share of runs that count as converged. The last line is of 500 windows
of one clip each with d = 64 and equal laws: the extrapolation over subsets without replacement, and with it.
"""

from __future__ import annotations

import argparse

import numpy as np
from errors import Setting, drawn, grouped
from threadpoolctl import threadpool_limits

from t2av_bench.metrics import frechet_distance
from t2av_bench.metrics.bias import frechet_infinity
from t2av_bench.metrics.grouped_bias import converged, grouped_correction
from t2av_bench.metrics.halves import frechet_errors

SIZES = (
    *((128, 4, 16), (128, 4, 64), (256, 4, 64)),
    *((64, 4, 64), (32, 10, 64), (96, 4, 64), (256, 1, 64)),
)  # clips, windows of each, dimensions


def judged(setting: Setting, seed: int) -> tuple[float, ...]:
    """Return the plain score, its two corrections, the corrected score's error and whether it has converged."""
    x, y, clips, _ = drawn(setting, seed)
    whole = frechet_distance(x, y)
    correction = grouped_correction(grouped(setting, x, y, clips, seed), whole)
    error = frechet_errors(x, y, clips.astype(str), clips.astype(str), seed=seed).corrected
    settled = converged(whole, correction.value, correction.half_split, error)
    return whole, correction.half_split, correction.value, error, float(settled)


def infinity_with_replacement(x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> float:
    """Return the intercept over subsets of the generated side drawn with replacement, as "FAD infinity" is."""
    counts = np.linspace(len(y) / 4, len(y), 8).astype(int)
    distances = [frechet_distance(x, y[rng.integers(len(y), size=count)]) for count in counts]
    return float(np.polyfit(1.0 / counts, distances, deg=1)[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=200)
    options = parser.parse_args()
    with threadpool_limits(limits=1):
        print("setting             plain   half  quarter   spreads      covered      second  bias  settled")
        for size in SIZES:
            setting = Setting("near", False, *size)
            truth = drawn(setting, 0)[3]
            runs = np.array([judged(setting, seed) for seed in range(options.runs)])
            plain, half, quarter, error, settled = runs.T
            covered = [np.mean(np.abs(found - truth) < 1.96 * error) for found in (half, quarter)]
            spreads = [np.std(found) / np.std(plain) for found in (half, quarter)]
            second = np.mean(half - quarter) / np.mean(plain - quarter)
            left = (np.mean(quarter) - truth) / np.mean(error)
            scores = f"{plain.mean():8.2f} {half.mean():6.2f} {quarter.mean():6.2f}"
            compared = f"{spreads[0]:.2f} {spreads[1]:.2f}    {covered[0]:.2f} {covered[1]:.2f}"
            size_of = f"{setting.clips_n:3} x {setting.windows_n:<2} d = {setting.d:<3}"
            print(f"{size_of} {scores}    {compared}    {second:.2f} {left:6.1f}  {settled.mean():.2f}", flush=True)
        setting = Setting("equal", False, 500, 1, 64)
        found = []
        for seed in range(max(options.runs // 20, 2)):
            x, y, clips, _ = drawn(setting, seed)
            without = frechet_infinity(x, y, clips, clips, seed=seed)
            replaced = infinity_with_replacement(x, y, np.random.default_rng(seed))
            found.append((frechet_distance(x, y), replaced, without))
        print("at infinity: plain {:.2f}, with replacement {:.2f}, without {:.2f}".format(*np.mean(found, axis=0)))


if __name__ == "__main__":
    main()
