"""Numbers behind the summary's charts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_results import result_of_values

from t2av_bench.manifests import Clip
from t2av_bench.reporting.clips import ClipFacts, SoundFacts
from t2av_bench.reporting.statistics import histogram, label_means, labels_of, timing

NUMBERS = st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=200)


def clip(clip_id: str, labels: str = "") -> Clip:
    return Clip(clip_id, "", "a.mp4", 0.0, 4.0, "words", labels, "")


@given(st.lists(NUMBERS, min_size=1, max_size=3))
def test_a_histogram_loses_no_value(columns: list[list[float]]):
    counted = histogram(columns)
    if counted is None:
        assert np.ptp(np.concatenate(columns)) == 0.0
        return
    assert [sum(counts) for counts in counted["counts"]] == [len(column) for column in columns]
    assert counted["edges"] == sorted(counted["edges"])


def test_a_few_far_values_do_not_flatten_the_rest():
    counted = histogram([[*np.linspace(0.0, 1.0, 1000), 1e6, -1e6]])
    assert counted is not None
    assert -0.1 < counted["edges"][0] < counted["edges"][-1] < 1.1
    below, above = counted["beyond"][0]
    assert below >= 1
    assert above >= 1


def test_nothing_to_count_gives_no_histogram():
    assert histogram([[], []]) is None
    assert histogram([[2.0, 2.0]]) is None


def test_labels_come_most_frequent_first_and_need_two_clips():
    clips = [clip("a", "dog; bark"), clip("b", "dog"), clip("c", "bark;bark"), clip("d", "dog;cat"), clip("e")]
    assert labels_of(clips) == {"dog": ["a", "b", "d"], "bark": ["a", "c"]}


def test_a_label_moves_a_mean_over_clips_by_its_own_mean_less_that_of_all():
    values = np.array([1.0, 2.0, 4.0, 9.0])
    result = result_of_values("s", FAD=values)
    ids = list(result.per_clip)
    (mean, error), (missing, _) = label_means(result, "FAD", {"two": ids[:2], "one": ids[3:]})
    assert mean == pytest.approx(values[:2].mean() - values.mean(), rel=1e-3)
    assert error == pytest.approx(values[:2].std(ddof=1) / np.sqrt(2), rel=0.1)
    assert missing is None


def heard(*sounds: tuple[float, ...] | None) -> ClipFacts:
    return ClipFacts(sounds=tuple(SoundFacts(onsets_s=onsets) for onsets in sounds))


def test_timing_is_signed_late_to_the_right():
    found = timing({"a": np.array([1.0, 2.0])}, {"a": heard((1.0, 2.0), (1.2, 2.2))}, 2)
    assert found is not None
    original, late = found["rows"]
    middles = (np.array(found["edges_ms"][:-1]) + found["edges_ms"][1:]) / 2
    assert middles[np.argmax(late["counts"])] == pytest.approx(200, abs=13)
    assert (original["hits"], late["hits"]) == (2, 0)
    assert (late["events"], late["onsets"], late["none"]) == (2, 2, 0)


def test_timing_counts_what_is_missing_and_leaves_out_what_was_not_heard():
    found = timing(
        {"a": np.array([1.0]), "b": np.array([0.5, 3.0])}, {"a": heard((), None), "b": heard((0.5,), None)}, 2
    )
    assert found is not None
    original, unheard = found["rows"]
    assert (original["events"], original["hits"], original["none"]) == (3, 1, 2)
    assert unheard["events"] == 0
    assert timing(None, {}, 2) is None
    assert timing({"a": np.zeros(0)}, {"a": heard((), ())}, 2) is None
