"""How often ``compare`` calls two equally good systems different, and how often it finds a worse one.

    python benchmarks/null_levels.py [--runs 400] [--only FAD]

Clips of 1 or 4 windows that share half of their variance; both systems are tied to the reference and to each other and
err alike, and the worse one is shifted further. Every setting is drawn ``--runs`` times and tested by
:func:`~t2av_bench.metrics.uncertainty.paired_difference` as in ``compare``. All take about two minutes on one core.

Columns: share of p-values below 5 % by errors of first and of second order, for systems that are equally good and for
one that is worse; mean error of second order of a single score, and of first, in units of the score's spread.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from t2av_bench.metrics import frechet_distance, kernel_distance
from t2av_bench.metrics.groups import halves_of
from t2av_bench.metrics.halves import frechet_contributions
from t2av_bench.metrics.uncertainty import (
    Contributions,
    clip_contributions,
    contributions_stderr,
    paired_difference,
    second_order,
)

Rows = np.ndarray
Scored = tuple[float, Contributions]


class Setting(NamedTuple):
    score: str
    clips_n: int
    windows_n: int
    d: int
    worse: float

    def __str__(self) -> str:
        return f"{self.score:5}{self.clips_n:4} x {self.windows_n} d = {self.d:<4}"


SETTINGS = (
    *(Setting("FAD", 64, 1, 8, 0.2), Setting("FAD", 64, 4, 6, 0.2), Setting("FAD", 64, 4, 24, 0.2)),
    *(Setting("FAD", 128, 4, 16, 0.1), Setting("FAD", 128, 4, 64, 0.3), Setting("FAD", 256, 1, 64, 0.3)),
    *(Setting("KAD", 30, 4, 8, 0.2), Setting("KAD", 100, 1, 8, 0.2), Setting("KAD", 100, 4, 32, 0.3)),
)


def drawn(setting: Setting, seed: int) -> tuple[Rows, list[Rows], Rows]:
    """Draw the reference, two equally good systems and a worse one, and the clip of each row."""
    rng = np.random.default_rng(seed)
    clips = np.repeat(np.arange(setting.clips_n), setting.windows_n)

    def side() -> Rows:
        own = rng.normal(size=(setting.clips_n, setting.d))[clips]
        return own if setting.windows_n == 1 else (own + rng.normal(size=own.shape)) / 2**0.5

    x, shared = side(), side()
    systems = [0.6 * x + 0.7 * shared + 0.4 * side() for _ in range(3)]
    for y, shift in zip(systems, (0.5, 0.5, 0.5 + setting.worse), strict=True):
        y[:, 0] += shift
        y[:, 1] *= 1.4
    return x, systems, clips


def frechet(x: Rows, y: Rows, clips: Rows) -> Scored:
    return frechet_distance(x, y), frechet_contributions(x, y, clips, clips)


def kernel(x: Rows, y: Rows, clips: Rows) -> Scored:
    halves = halves_of(np.unique(clips), 0)
    assert halves is not None
    found = kernel_distance(x, y, clips=(clips, clips), halves=(halves[clips], halves[clips]))
    assert found.own_half is not None
    contributions = clip_contributions(found.influence, clips, clips)
    own_half = clip_contributions(found.own_half, clips, clips).values
    return found.value, contributions._replace(own_half=own_half)


SCORES: dict[str, Callable[[Rows, Rows, Rows], Scored]] = {"FAD": frechet, "KAD": kernel}


def judged(setting: Setting, seed: int) -> tuple[float, ...]:
    """Return the p-values of an equal and of a worse system, to first and second order, a score and both its errors."""
    x, systems, clips = drawn(setting, seed)
    scored = [SCORES[setting.score](x, y, clips) for y in systems]
    to_first = [(value, contributions._replace(own_half=None)) for value, contributions in scored]
    p_values = [paired_difference(kind[0], kind[other]).p_value for other in (1, 2) for kind in (to_first, scored)]
    value, contributions = scored[0]
    assert contributions.own_half is not None
    errors = (
        second_order(contributions.values, contributions.own_half).stderr,
        contributions_stderr(contributions.values),
    )
    return *p_values, value, *errors


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=400)
    parser.add_argument("--only", default="", help="part of the names of settings")
    options = parser.parse_args()
    print("                        equal: first  second   worse: first  second   error / spread  first")
    with threadpool_limits(limits=1):
        for setting in SETTINGS:
            if options.only not in str(setting):
                continue
            runs = np.array([judged(setting, seed) for seed in range(options.runs)])
            rejected, spread = (runs[:, :4] < 0.05).mean(axis=0), runs[:, 4].std(ddof=1)
            columns = [*rejected, *(runs[:, 5:].mean(axis=0) / spread)]
            print(f"{setting!s:24}" + "".join(f"{value:11.3f}" for value in columns), flush=True)


if __name__ == "__main__":
    main()
