"""Standard errors of Fréchet distances against their spread over simulated sets; how often intervals cover the truth.

    python benchmarks/errors.py [--runs 400] [--only far,64]

Settings: laws that are equal, near (a shift of one axis and a stretch of another), far, or with a spectrum that falls
as 1 / k; normal features or a mixture of three classes of unlike spread; 8 to 64 dimensions with 4 to 64 windows each;
one window a clip, or 4 or 10 that share half of their variance. The generated sound is tied to the reference's. Every
setting is drawn ``--runs`` times and judged as an evaluation judges it. A correction that has not converged has no
interval, so the last lines are over settings where it has in most runs. All take about ten minutes on one core.

Columns: mean error of first order, and of the plain score, in units of the plain score's spread; that of the corrected
score in units of its own; share of the 95 % intervals that cover the true distance, and of ± 1.96 errors of the
corrected score, both of the runs that have an interval; share of runs that have one.
"""

from __future__ import annotations

import argparse
from typing import NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from t2av_bench.metrics import JointStats, frechet_distance
from t2av_bench.metrics.grouped_bias import grouped_correction
from t2av_bench.metrics.groups import GROUPS_N, GroupedSides, clip_number, grouped_by_number
from t2av_bench.metrics.halves import frechet_contributions
from t2av_bench.metrics.uncertainty import second_order
from t2av_bench.results import Score
from t2av_bench.scoring.contributions import ClipContributions, with_stderr

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


def grouped(setting: Setting, x: Rows, y: Rows, clips: Rows, seed: int) -> GroupedSides:
    """Gather both sides by group of clips, as an evaluation does."""
    names = [str(clip) for clip in range(setting.clips_n)]
    groups = grouped_by_number([clip_number(name) for name in names], GROUPS_N, seed)[clips]
    sides = []
    for rows in (x, y):
        stats = [JointStats({"audio": setting.d}) for _ in range(GROUPS_N)]
        for group, side in enumerate(stats):
            side.update(audio=rows[groups == group])
        sides.append(stats)
    return GroupedSides(*sides)


class Run(NamedTuple):
    """Scores and errors of one run, as an evaluation has them; the interval is NaN where there is none."""

    plain: float
    corrected: float
    first: float
    error: float
    corrected_error: float
    low: float
    high: float


def judged(setting: Setting, seed: int) -> Run:
    x, y, clips, _ = drawn(setting, seed)
    found = frechet_contributions(x, y, clips.astype(str), clips.astype(str), seed=seed)
    assert found.own_half is not None  # all settings have 4 d windows and 8 clips
    whole = frechet_distance(x, y)
    correction = grouped_correction(grouped(setting, x, y, clips, seed), whole)
    score = Score(
        whole, None, "raw", False, 1, setting.clips_n, len(x), setting.d, corrected=correction.value,
        settings={"half_split_corrected": correction.half_split},
    )  # fmt: skip
    score = with_stderr({"FAD": score}, ClipContributions({"FAD": found.values}, {"FAD": found.own_half}))["FAD"]
    errors = second_order(found.values, found.own_half)
    ends = (np.nan if end is None else end for end in (score.corrected_low, score.corrected_high))
    return Run(whole, correction.value, errors.first, errors.stderr, errors.corrected, *ends)


def summary(runs: Run, truth: float) -> list[float]:
    """Return the columns of a setting; the fields of ``runs`` are arrays over runs."""
    settled = ~np.isnan(runs.low)
    covered = (runs.low <= truth) & (truth <= runs.high)
    symmetric = np.abs(runs.corrected - truth) < 1.96 * runs.corrected_error
    return [
        np.mean(runs.first) / np.std(runs.plain, ddof=1),
        np.mean(runs.error) / np.std(runs.plain, ddof=1),
        np.mean(runs.corrected_error) / np.std(runs.corrected, ddof=1),
        covered[settled].mean() if settled.any() else np.nan,
        symmetric[settled].mean() if settled.any() else np.nan,
        settled.mean(),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=400)
    parser.add_argument("--only", default="", help="parts of the names of settings, separated by commas")
    options = parser.parse_args()
    settings = [
        Setting(law, mixed, *size)
        for size in SIZES
        for mixed in (False, True)
        for law in ("equal", "near", "far", "spectrum")
    ]
    print("setting                              first   plain  correct. cover   ±1.96   settled")
    kept = []
    with threadpool_limits(limits=1):
        for setting in settings:
            if not all(part in str(setting) for part in options.only.split(",")):
                continue
            runs = Run(*np.array([judged(setting, seed) for seed in range(options.runs)]).T)
            found = summary(runs, drawn(setting, 0)[3])
            print(f"{setting!s:36}" + "".join(f"{value:8.3f}" for value in found), flush=True)
            if found[-1] > 0.5:
                kept.append(found)
    if kept:
        low, high = np.min(kept, axis=0), np.max(kept, axis=0)
        print(f"{len(kept)} settings settle; lowest " + " ".join(f"{value:.3f}" for value in low[:5]))
        print(f"{'':21}highest " + " ".join(f"{value:.3f}" for value in high[:5]))


if __name__ == "__main__":
    main()
