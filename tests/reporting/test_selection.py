"""Which clips a gallery shows, and why."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_results import made_result

from t2av_bench.errors import UsageError
from t2av_bench.reporting.selection import Reason, select_clips
from t2av_bench.results import Result


def result_of(**columns: list[float]) -> Result:
    names = {metric.replace("_", "-"): column for metric, column in columns.items()}
    clips_n = len(next(iter(columns.values())))
    per_clip = {f"c{i}": {name: column[i] for name, column in names.items()} for i in range(clips_n)}
    return made_result("s", dict.fromkeys(names, 1.0), per_clip)


def test_a_distance_is_harmed_by_what_draws_it_up_and_an_index_by_what_draws_it_down():
    result = result_of(FAD=[3.0, -2.0, -1.0, 0.0], AV_index=[3.0, -2.0, -1.0, 0.0])
    chosen = select_clips([result], ["c0", "c1", "c2", "c3"], None, seed=0)
    assert Reason("harm", "FAD", 0, 1) in chosen["c0"]
    assert Reason("help", "AV-index", 0, 1) in chosen["c0"]
    assert Reason("help", "FAD", 0, 1) in chosen["c1"]
    assert Reason("harm", "AV-index", 0, 1) in chosen["c1"]
    assert Reason("help", "FAD", 0, 2) in chosen["c2"]
    assert all(reason.kind == "random" for reason in chosen["c3"])


def test_half_are_the_largest_contributions_and_a_quarter_the_best():
    values = np.linspace(-1.0, 1.0, 100).tolist()
    ids = [f"c{i}" for i in range(100)]
    chosen = select_clips([result_of(FAD=values)], ids, 20, seed=1)
    assert list(chosen) == [clip_id for clip_id in ids if clip_id in chosen]
    assert len(chosen) == 20
    at_random = {clip_id for clip_id, reasons in chosen.items() if Reason("random") in reasons}
    assert set(ids[-10:]) <= set(chosen)
    assert set(ids[:5]) <= set(chosen)
    assert len(at_random) >= 5


def test_every_score_and_system_gets_its_worst_clip_before_any_its_second():
    first, second = [0.0] * 40, [0.0] * 40
    first[:4], second[10:14] = [4.0, 3.0, 2.0, 1.0], [4.0, 3.0, 2.0, 1.0]
    chosen = select_clips([result_of(FAD=first), result_of(FAD=second)], [f"c{i}" for i in range(40)], 8, seed=0)
    assert {"c0", "c1", "c10", "c11"} <= set(chosen)
    assert Reason("harm", "FAD", 1, 2) in chosen["c11"]


@given(st.integers(2, 30), st.integers(1, 40), st.integers(0, 5))
def test_exactly_as_many_as_asked_for_and_always_the_same(clips_n: int, count: int, seed: int):
    rng = np.random.default_rng(seed)
    result = result_of(FAD=rng.normal(size=clips_n).tolist())
    ids = list(result.per_clip)
    chosen = select_clips([result], ids, count, seed)
    assert len(chosen) == min(count, clips_n)
    assert chosen == select_clips([result], ids, count, seed)


def test_the_random_ones_are_drawn_from_all_clips_and_not_from_what_is_left():
    """The worst and the best clip are always chosen, and are drawn at random as well."""
    values = np.linspace(-1.0, 1.0, 40).tolist()
    ids = [f"c{i}" for i in range(40)]
    drawn = np.zeros(40)
    for seed in range(200):
        chosen = select_clips([result_of(FAD=values)], ids, 4, seed)
        drawn += [Reason("random") in chosen.get(clip_id, []) for clip_id in ids]
    assert drawn[-1] > 0
    assert drawn[0] > 0


def test_no_clips_at_all_are_refused():
    with pytest.raises(UsageError, match="must be 1 or more; got 0"):
        select_clips([result_of(FAD=[1.0, -1.0])], ["c0", "c1"], 0, seed=0)
