"""Standard errors of Fréchet distances against their spread over simulated sets; how often intervals cover the truth.

    python benchmarks/errors.py [--runs 400] [--only far,64]

Settings: laws that are equal, near (a shift of one axis and a stretch of another), far, or with a spectrum that falls
as 1 / k; normal features or a mixture of three classes of unlike spread; 8 to 64 dimensions with 4 to 64 windows each;
one window a clip, or 4 or 10 that share half of their variance. The generated sound is tied to the reference's. Every
setting is drawn ``--runs`` times and judged as an evaluation judges it. A correction that has not converged has no
interval, so the last lines are over settings where it has in most runs. All take about half an hour on one core.

Columns: mean error of first order, and of the plain score, in units of the plain score's spread; that of the corrected
score in units of its own; share of ± 1.96 of these that cover the true distance; share of runs that converge.
"""

from __future__ import annotations

import argparse
from typing import NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from t2av_bench.metrics import JointStats, frechet_distance
from t2av_bench.metrics.groups import (
    GROUPS_N,
    GroupedSides,
    clip_number,
    converged,
    grouped_by_number,
    grouped_correction,
)
from t2av_bench.metrics.halves import frechet_contributions
from t2av_bench.metrics.uncertainty import contributions_stderr, second_order

Rows = np.ndarray
SIZES = (
    *((32, 1, 8), (128, 1, 8), (512, 1, 8), (16, 4, 16), (64, 4, 16), (256, 1, 16)),
    *((256, 1, 64), (64, 4, 64), (32, 10, 64)),
)  # clips, windows of each, dimensions


class Setting(NamedTuple):
    law: str
    mixed: bool
    clips_n: int
    windows_n: int
    d: int

    def __str__(self) -> str:
        features = "mixed" if self.mixed else "normal"
        return f"{self.law:9}{features:8}{self.clips_n:4} x {self.windows_n:<3} d = {self.d:<3}"


def unit_rows(rng: np.random.Generator, n: int, setting: Setting) -> Rows:
    """Draw rows of mean 0 and unit covariance."""
    if not setting.mixed:
        return rng.normal(size=(n, setting.d))
    shares, spreads = np.array([0.5, 0.3, 0.2]), np.array([0.8, 1.0, 1.2])
    centres = np.zeros((3, setting.d))
    centres[:, :3] = 2.5 * np.random.default_rng(7).normal(size=(3, 3))
    mean = shares @ centres
    covariance = (centres - mean).T @ ((centres - mean) * shares[:, None]) + np.eye(setting.d) * (shares @ spreads**2)
    classes = rng.choice(3, size=n, p=shares)
    rows = centres[classes] + spreads[classes, None] * rng.normal(size=(n, setting.d)) - mean
    return np.linalg.solve(np.linalg.cholesky(covariance), rows.T).T


def drawn(setting: Setting, seed: int) -> tuple[Rows, Rows, Rows, float]:
    """Draw both sides and the clip of each row; the last is the true distance."""
    rng = np.random.default_rng(seed)
    clips = np.repeat(np.arange(setting.clips_n), setting.windows_n)

    def side() -> Rows:
        own = unit_rows(rng, setting.clips_n, setting)
        return own if setting.windows_n == 1 else (own[clips] + unit_rows(rng, len(clips), setting)) / 2**0.5

    x = side()
    y = 0.6 * x + 0.8 * side()
    if setting.law == "equal":
        return x, y, clips, 0.0
    if setting.law == "near":
        y[:, 0] += 0.5
        y[:, 1] *= 1.4
        return x, y, clips, 0.5**2 + 0.4**2
    if setting.law == "far":
        y = 1.5 * y
        y[:, :3] += 1.5
        return x, y, clips, 0.25 * setting.d + 3 * 1.5**2
    scale = np.arange(1, setting.d + 1) ** -0.5
    x, y = x * scale, y * scale
    y[:, 0] += 0.3
    y[:, 2] *= 1.5
    return x, y, clips, 0.3**2 + 0.5**2 * scale[2] ** 2


def judged(setting: Setting, seed: int) -> tuple[float, ...]:
    """Return plain and corrected score, errors of first and second order and of the corrected score, convergence."""
    x, y, clips, _ = drawn(setting, seed)
    names = [str(clip) for clip in range(setting.clips_n)]
    groups = grouped_by_number([clip_number(name) for name in names], GROUPS_N, seed)[clips]
    found = frechet_contributions(x, y, clips.astype(str), clips.astype(str), seed=seed)
    assert found.own_half is not None  # all settings have 4 d windows and 8 clips
    errors = second_order(found.values, found.own_half)
    sides = []
    for rows in (x, y):
        stats = [JointStats({"audio": setting.d}) for _ in range(GROUPS_N)]
        for group, side in enumerate(stats):
            side.update(audio=rows[groups == group])
        sides.append(stats)
    whole = frechet_distance(x, y)
    correction = grouped_correction(GroupedSides(*sides), whole)
    settled = converged(whole, correction.value, correction.half_split, errors.corrected)
    return whole, correction.value, contributions_stderr(found.values), errors.stderr, errors.corrected, float(settled)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=400)
    parser.add_argument("--only", default="", help="parts of the names of settings, separated by commas")
    options = parser.parse_args()
    settings = [
        Setting(law, mixed, *size)
        for mixed in (False, True)
        for law in ("equal", "near", "far", "spectrum")
        for size in SIZES
    ]
    print("setting                              first   plain   corrected   cover   converged")
    kept = []
    with threadpool_limits(limits=1):
        for setting in settings:
            if not all(part in str(setting) for part in options.only.split(",")):
                continue
            plain, corrected, first, error, corrected_error, settled = np.array(
                [judged(setting, seed) for seed in range(options.runs)]
            ).T
            truth = drawn(setting, 0)[3]
            ratios = [
                first.mean() / plain.std(ddof=1),
                error.mean() / plain.std(ddof=1),
                corrected_error.mean() / corrected.std(ddof=1),
                np.mean(np.abs(corrected - truth) < 1.96 * corrected_error),
                settled.mean(),
            ]
            print(f"{setting!s:36}" + "".join(f"{ratio:8.3f}" for ratio in ratios), flush=True)
            if settled.mean() > 0.5:
                kept.append(ratios)
    if kept:
        low, high = np.min(kept, axis=0), np.max(kept, axis=0)
        print(f"{len(kept)} settings converge; lowest " + " ".join(f"{value:.2f}" for value in low[:4]))
        print(f"{'':24}highest " + " ".join(f"{value:.2f}" for value in high[:4]))


if __name__ == "__main__":
    main()
