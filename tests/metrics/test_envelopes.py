"""Envelopes: offsets that were put in come out, and confidence tells a fit from none."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from t2av_bench.errors import MetricError
from t2av_bench.metrics import envelope_offset, peak_confidence


def events(n: int, seed: int) -> np.ndarray:
    """An envelope with a few decaying bursts at random times."""
    rng = np.random.default_rng(seed)
    strength = np.where(rng.random(n) < 0.04, 1 + rng.random(n), 0.0)
    strength[n // 2] = 2.0
    return np.convolve(strength, 0.6 ** np.arange(8))[:n]


@settings(deadline=None, max_examples=60)
@given(st.integers(-20, 20), st.integers(0, 1000))
def test_a_known_offset_is_found_and_the_sides_exchange_its_sign(lag: int, seed: int):
    """Fails if the arguments are exchanged: late sound has an offset above zero."""
    whole = events(340, seed)
    reference, generated = whole[20:320], whole[20 - lag : 320 - lag]
    result = envelope_offset(reference, generated, rate=25)
    assert result.offset == lag / 25
    mirrored = envelope_offset(generated, reference, rate=25)
    assert mirrored == pytest.approx((-result.offset, result.confidence, result.correlation))


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 1000), st.floats(0.01, 100), st.floats(-100, 100))
def test_scale_and_level_change_nothing_and_values_stay_in_range(seed: int, scale: float, level: float):
    first, second = events(200, seed), events(200, seed + 1)
    base = envelope_offset(first, second, rate=25)
    assert envelope_offset(scale * first + level, second, rate=25) == pytest.approx(base, abs=1e-9)
    assert -1 <= base.correlation <= 1
    assert 0 <= base.confidence <= 2
    assert envelope_offset(first, first, rate=25)[::2] == pytest.approx((0.0, 1.0))


def test_confidence_tells_a_delayed_envelope_from_another_clips():
    own = [envelope_offset(events(250, s), np.roll(events(250, s), 5), rate=25).confidence for s in range(40)]
    other = [envelope_offset(events(250, s), events(250, s + 100), rate=25).confidence for s in range(40)]
    assert min(own) > max(other)


def test_of_offsets_that_fit_alike_the_smallest_wins():
    pulse = np.tile([1.0, 0.0, 0.0, 0.0, 0.0], 20)
    assert envelope_offset(pulse, pulse, rate=10, max_offset=2).offset == 0
    once, twice = np.eye(12)[5], np.eye(12)[2] + np.eye(12)[6]
    assert envelope_offset(once, twice, rate=1, max_offset=5).offset == 1
    first = np.array([1.0, 0.0, 0.0, 0.0, 0.0, 0.0])
    assert envelope_offset(first, first[::-1], rate=1, max_offset=5).offset == 5


def test_confidence_of_an_onset_is_the_peak_around_it_also_at_the_ends():
    envelope = np.zeros(100)
    envelope[[0, 40, 99]] = 3.0, 2.0, 1.0
    assert peak_confidence(envelope, [0.0, 0.03, 0.36, 0.5, 0.99], rate=100).tolist() == [3.0, 3.0, 2.0, 0.0, 1.0]
    assert peak_confidence(envelope, [], rate=100).shape == (0,)


def test_refuses_what_has_no_offset():
    good = events(50, 0)
    with pytest.raises(MetricError, match="the envelope `generated` must vary; all its values are 1"):
        envelope_offset(good, np.ones(50), rate=25)
    with pytest.raises(MetricError, match="the same length; got 50 and 49"):
        envelope_offset(good, good[:49], rate=25)
    with pytest.raises(MetricError, match="`reference` must be finite"):
        envelope_offset(np.where(good > 0, np.nan, good), good, rate=25)
    with pytest.raises(MetricError, match="less than the length, 2 s; got 2"):
        envelope_offset(good, good, rate=25, max_offset=2.0)
    with pytest.raises(MetricError, match="`rate` must be above zero"):
        envelope_offset(good, good, rate=0)
    with pytest.raises(MetricError, match="within the envelope of 2 s"):
        peak_confidence(good, [2.5], rate=25)
    with pytest.raises(MetricError, match="`times` must be finite"):
        peak_confidence(good, [np.nan], rate=25)
