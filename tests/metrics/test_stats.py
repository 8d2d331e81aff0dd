"""Statistics gathered in one pass equal those of the whole array, in any order and any pieces."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from t2av_bench.errors import MetricError
from t2av_bench.metrics import JointStats, frechet_distance

DIMS = {"audio": 3, "video": 4, "text": 2}


def features(n: int, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {block: rng.standard_normal((n, d)) + 10.0 for block, d in DIMS.items()}


def gathered(parts: list[dict[str, np.ndarray]]) -> JointStats:
    stats = JointStats(DIMS)
    for part in parts:
        stats.update(**part)
    return stats


def cut(data: dict[str, np.ndarray], bounds: list[int]) -> list[dict[str, np.ndarray]]:
    return [{b: x[i:j] for b, x in data.items()} for i, j in zip(bounds[:-1], bounds[1:], strict=True)]


@settings(deadline=None)
@given(n=st.integers(2, 60), cuts=st.lists(st.integers(0, 60), max_size=6))
def test_any_cutting_gives_numpys_mean_and_covariance(n: int, cuts: list[int]):
    data = features(n)
    bounds = sorted({0, n, *(min(c, n) for c in cuts)})
    stats, whole = gathered(cut(data, bounds)), np.concatenate(list(data.values()), axis=1)

    assert stats.n == n
    np.testing.assert_allclose(stats.mean, whole.mean(0), rtol=1e-12)
    np.testing.assert_allclose(stats.covariance, np.cov(whole, rowvar=False), rtol=1e-9, atol=1e-12)
    assert stats.total_variance == pytest.approx(np.trace(np.cov(whole, rowvar=False)), rel=1e-10)


@settings(deadline=None)
@given(sizes=st.lists(st.integers(0, 30), min_size=2, max_size=5), seed=st.integers(0, 99))
def test_merging_in_any_order_gives_the_same_distance(sizes: list[int], seed: int):
    sizes[0] += 2
    parts = [gathered([features(n, seed + i)]) if n else JointStats(DIMS) for i, n in enumerate(sizes)]
    other = gathered([features(40, 1000 + seed)])
    values = []
    for order in (range(len(parts)), reversed(range(len(parts)))):
        total = JointStats(DIMS)
        for i in order:
            total.merge(parts[i])
        assert total.n == sum(sizes)
        values.append(frechet_distance(other, total))
    assert values[0] == pytest.approx(values[1], rel=1e-9)


@pytest.mark.parametrize("n", [4, 15, 30])  # rows alone; moments and rows, d = 9; moments alone
def test_statistics_can_be_part_of_several_unions_and_go_on(n: int):
    data, more = features(n), features(7, seed=1)
    part, unions = gathered(cut(data, list(range(n + 1)))), [JointStats(DIMS), gathered([more])]
    for union in unions:
        union.merge(part)
    part.update(**more)
    rows = [np.concatenate(list(each.values()), axis=1) for each in (data, more)]
    for found, seen in ((unions[0], rows[:1]), (unions[1], rows[::-1]), (part, rows)):
        assert found.n == sum(map(len, seen))
        np.testing.assert_allclose(found.covariance, np.cov(np.concatenate(seen), rowvar=False), atol=1e-12)


def test_a_large_offset_does_not_cost_precision():
    data = {block: x + 1e6 for block, x in features(500).items()}
    stats = gathered(cut(data, list(range(0, 501, 5))))
    whole = np.concatenate(list(data.values()), axis=1)
    np.testing.assert_allclose(stats.covariance, np.cov(whole, rowvar=False), rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("n", [5, 200])
def test_selecting_blocks_equals_never_having_seen_the_others(n: int):
    data = features(n)
    chosen = gathered([data]).select("text", "audio")
    alone = JointStats({"text": 2, "audio": 3})
    alone.update(text=data["text"], audio=data["audio"])
    assert chosen.dims == alone.dims
    np.testing.assert_allclose(chosen.covariance, alone.covariance, rtol=1e-10)


@pytest.mark.parametrize("n", [5, 200])
def test_projecting_statistics_equals_projecting_rows(n: int):
    data, rng = features(n), np.random.default_rng(1)
    maps = {block: rng.standard_normal((d, 2)) for block, d in DIMS.items()}
    rows = np.concatenate([data[b] @ maps[b] for b in DIMS], axis=1)
    projected = gathered([data]).project(maps)
    np.testing.assert_allclose(projected.mean, rows.mean(0))
    np.testing.assert_allclose(projected.covariance, np.cov(rows, rowvar=False), rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("n", [5, 200])
def test_without_cross_zeroes_only_the_covariance_between_the_block_and_the_rest(n: int):
    stats = gathered([features(n)])
    full, cut_off = stats.covariance, stats.without_cross("audio").covariance
    np.testing.assert_allclose(cut_off[:3, :3], full[:3, :3])
    np.testing.assert_allclose(cut_off[3:, 3:], full[3:, 3:])
    assert not cut_off[:3, 3:].any()
    assert not cut_off[3:, :3].any()


@pytest.mark.parametrize(("n", "expected"), [(2, 1), (5, 4), (9, 6), (400, 6)])
def test_the_rank_counts_directions_that_vary(n: int, expected: int):
    data = features(n)
    data["video"][:, 3] = data["video"][:, 0] - 2 * data["audio"][:, 1]  # two of nine columns follow from others
    data["video"][:, 2] = data["text"][:, 0]
    data["text"][:, 1] = 7.0  # and one is constant
    assert gathered([data]).rank == expected


def test_memory_does_not_grow_with_the_number_of_clips():
    stats = JointStats({"audio": 8})
    rng = np.random.default_rng(0)
    for _ in range(500):
        stats.update(audio=rng.standard_normal((4, 8)))
        held = sum(rows.size for rows in stats._pending)
        assert held <= 8 * (8 + 4)


def test_refuses_features_that_do_not_pair():
    stats = JointStats(DIMS)
    good = features(4)
    with pytest.raises(MetricError, match=r"needs the blocks \['audio', 'text', 'video'\]; got \['audio'\]"):
        stats.update(audio=good["audio"])
    with pytest.raises(MetricError, match=r"block 'video' must have the shape \(4, 4\); got \(3, 4\)"):
        stats.update(**{**good, "video": good["video"][:3]})
    with pytest.raises(MetricError, match="block 'text' must be finite; got 8 values"):
        stats.update(**{**good, "text": good["text"] * np.inf})
    assert stats.n == 0
    with pytest.raises(MetricError, match="at least 2 rows; got 0"):
        _ = stats.covariance
    with pytest.raises(MetricError, match="no block .*'smell'.*available: audio, video, text"):
        stats.select("smell")
    with pytest.raises(MetricError, match="only statistics over the same blocks"):
        stats.merge(JointStats({"audio": 3}))
    with pytest.raises(MetricError, match="at least one block"):
        JointStats({})
