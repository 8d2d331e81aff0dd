"""The median distance comes out the same however many blocks of rows it is looked for in."""

from __future__ import annotations

import sys
import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest
from scipy.spatial.distance import pdist

from t2av_bench.metrics import median_distance

RNG = np.random.default_rng(0)
MADE: dict[str, Callable[[int], np.ndarray]] = {
    "one cloud": lambda n: RNG.standard_normal((n, 8)),
    "clusters": lambda n: RNG.standard_normal((n, 3)) + 20.0 * RNG.integers(0, 3, (n, 1)),
    "sorted, so that rows apart differ": lambda n: (
        np.sort(RNG.standard_normal((n, 1)), axis=0) * np.linspace(0, 9, n)[:, None]
    ),
    "few values, many ties": lambda n: RNG.integers(0, 3, (n, 2)).astype(float),
}


def lower_median(rows: np.ndarray) -> float:
    distances = np.sort(pdist(rows))
    return float(distances[(len(distances) - 1) // 2])


@pytest.mark.parametrize("kind", MADE)
@pytest.mark.parametrize("n", [2, 3, 1024, 1025, 1500])
def test_it_is_the_lower_median_of_all_distances(kind: str, n: int):
    rows = MADE[kind](n)
    assert median_distance(rows) == pytest.approx(lower_median(rows), rel=1e-12)


@pytest.mark.parametrize("guess", [(), (0.0,), (0.0, 0.0), (1e9, 1e9), (3.0, 3.1)])
def test_a_wrong_guess_of_where_it_lies_changes_nothing(guess: tuple[float, ...], monkeypatch: pytest.MonkeyPatch):
    rows = MADE["clusters"](1500)
    expected = median_distance(rows)
    monkeypatch.setattr(sys.modules[median_distance.__module__], "_edges", lambda rows: [-np.inf, *guess, np.inf])
    assert median_distance(rows) == expected


def test_few_of_the_distances_are_held():
    rows = MADE["one cloud"](4000)
    tracemalloc.start()
    try:
        median_distance(rows)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert most < 0.2 * 8 * len(rows) * (len(rows) - 1) / 2, most
