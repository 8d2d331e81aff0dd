"""Every distortion on waveforms: level none is the identity, levels are in SI units, stronger levels distort more."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal

from t2av_bench.errors import UsageError
from t2av_bench.validation import DISTORTIONS
from t2av_bench.validation import distortions as waves

SR_HZ = 16_000
Float32Array = npt.NDArray[np.float32]


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def noise(seconds: float = 2.0, channels: int = 1) -> Float32Array:
    return rng(7).standard_normal((round(seconds * SR_HZ), channels), dtype=np.float32) * np.float32(0.1)


def tone(hz: float, seconds: float = 2.0) -> Float32Array:
    return np.sin(2 * np.pi * hz * np.arange(round(seconds * SR_HZ)) / SR_HZ).astype(np.float32)[:, None]


def rms(sound: Float32Array) -> float:
    return float(np.sqrt(np.square(sound, dtype=np.float64).mean()))


UNCHANGED: dict[str, Callable[[Float32Array], Float32Array]] = {
    "shift": lambda x: waves.shifted(x, SR_HZ, 0.0),
    "noise": lambda x: waves.with_noise(x, np.inf, rng()),
    "low-pass": lambda x: waves.low_passed(x, SR_HZ, np.inf),
    "low-pass at half the rate": lambda x: waves.low_passed(x, SR_HZ, SR_HZ / 2),
    "speed": lambda x: waves.at_speed(x, SR_HZ, 1.0),
    "gaps": lambda x: waves.with_gaps(x, SR_HZ, 0.0, rng()),
    "shuffle": lambda x: waves.shuffled(x, SR_HZ, 0.0, rng()),
    "average": lambda x: waves.averaged(x, [x[::-1]], 0.0),
    "average of one": lambda x: waves.averaged(x, [], 1.0),
    "fit": lambda x: waves.fitted(x, len(x)),
}
CHANGED: dict[str, Callable[[Float32Array], Float32Array]] = {
    "shift": lambda x: waves.shifted(x, SR_HZ, 0.3),
    "noise": lambda x: waves.with_noise(x, 0.0, rng()),
    "low-pass": lambda x: waves.low_passed(x, SR_HZ, 1000.0),
    "faster": lambda x: waves.at_speed(x, SR_HZ, 1.5),
    "slower": lambda x: waves.at_speed(x, SR_HZ, 0.7),
    "gaps": lambda x: waves.with_gaps(x, SR_HZ, 0.5, rng()),
    "shuffle": lambda x: waves.shuffled(x, SR_HZ, 0.5, rng()),
    "silence": lambda x: waves.near_silence(x, rng()),
    "average": lambda x: waves.averaged(x, [x[::-1]], 0.5),
}


@pytest.mark.parametrize("name", UNCHANGED)
@pytest.mark.parametrize("channels", [1, 2])
def test_the_level_of_none_returns_every_bit(name: str, channels: int):
    sound = noise(channels=channels)
    assert UNCHANGED[name](sound).tobytes() == sound.tobytes()


@pytest.mark.parametrize("name", CHANGED)
@pytest.mark.parametrize("channels", [1, 2])
def test_any_other_level_keeps_shape_and_type_and_leaves_its_input_alone(name: str, channels: int):
    sound = noise(channels=channels)
    before = sound.copy()
    found = CHANGED[name](sound)
    assert (found.shape, found.dtype) == (sound.shape, np.float32)
    assert np.isfinite(found).all()
    assert (found != sound).any()
    assert (sound == before).all()


@pytest.mark.parametrize("name", CHANGED)
@given(seconds=st.floats(0.01, 1.2))
@settings(max_examples=15, deadline=None)
def test_sounds_of_any_length_can_be_distorted(name: str, seconds: float):
    sound = noise(seconds)
    found = CHANGED[name](sound)
    assert found.shape == sound.shape
    assert np.isfinite(found).all()


@pytest.mark.parametrize(("shift_s", "at_s"), [(0.25, 1.25), (-0.25, 0.75), (1.5, 0.5), (-1.5, 1.5)])
def test_a_late_sound_comes_later_and_goes_round(shift_s: float, at_s: float):
    click = np.zeros((2 * SR_HZ, 1), np.float32)
    click[SR_HZ] = 1.0
    moved = waves.shifted(click, SR_HZ, shift_s)
    assert np.argmax(moved) == round(at_s * SR_HZ)
    assert moved.sum() == 1.0


def test_a_shift_and_its_opposite_only_leave_the_fades_at_the_seams():
    sound = noise()
    back = waves.shifted(waves.shifted(sound, SR_HZ, 0.4), SR_HZ, -0.4)
    faded_n = (back != sound).sum()
    assert 0 < faded_n <= 4 * waves.FADE_S * SR_HZ


@pytest.mark.parametrize("snr_db", [20.0, 0.0, -10.0])
def test_noise_is_as_loud_as_its_ratio_says(snr_db: float):
    sound = noise(4.0, channels=2)
    added = waves.with_noise(sound, snr_db, rng()) - sound
    assert 20 * np.log10(rms(sound) / rms(added)) == pytest.approx(snr_db, abs=0.05)


def test_noise_is_the_same_at_every_level_but_for_its_loudness():
    sound = tone(440.0)
    weak, strong = (waves.with_noise(sound, level, rng()) - sound for level in (20.0, 0.0))
    assert np.corrcoef(weak.ravel(), strong.ravel())[0, 1] == pytest.approx(1.0, abs=1e-4)


def test_silence_gets_no_noise():
    silent = np.zeros((1000, 1), np.float32)
    assert not waves.with_noise(silent, 0.0, rng()).any()


@pytest.mark.parametrize(("hz", "gain_db"), [(250.0, 0.0), (1000.0, -6.02), (1400.0, -46.8)])
def test_a_low_pass_takes_six_decibels_at_its_frequency(hz: float, gain_db: float):
    sound = tone(hz)
    middle = slice(SR_HZ // 2, -SR_HZ // 2)
    found = 20 * np.log10(rms(waves.low_passed(sound, SR_HZ, 1000.0)[middle]) / rms(sound[middle]))
    # Twice the gain of the Butterworth filter's own formula, 1 / sqrt(1 + w ** 16) with prewarped w.
    warped = np.tan(np.pi * hz / SR_HZ) / np.tan(np.pi * 1000.0 / SR_HZ)
    assert found == pytest.approx(-20 * np.log10(1 + warped**16), abs=0.1)
    assert found == pytest.approx(gain_db, abs=2.0)


def test_a_low_pass_moves_nothing_in_time():
    sound = noise()
    found = waves.low_passed(sound, SR_HZ, 2000.0)
    lags = signal.correlate(found[:, 0], sound[:, 0], mode="same")
    assert np.argmax(lags) == len(sound) // 2


@pytest.mark.parametrize("factor", [0.8, 1.25])
def test_another_speed_is_another_pitch(factor: float):
    played = waves.at_speed(tone(1000.0), SR_HZ, factor)[:SR_HZ, 0]
    peak_hz = np.argmax(np.abs(np.fft.rfft(played))) * SR_HZ / len(played)
    assert peak_hz == pytest.approx(1000.0 * factor, abs=2.0)


def test_a_slower_sound_is_late_in_proportion():
    click = np.zeros((2 * SR_HZ, 1), np.float32)
    click[SR_HZ // 2] = 1.0
    assert np.argmax(waves.at_speed(click, SR_HZ, 0.5)) == pytest.approx(SR_HZ, abs=2)


@pytest.mark.parametrize("share", [0.1, 0.5, 1.0])
def test_gaps_silence_their_share(share: float):
    sound = noise(4.0)
    assert (waves.with_gaps(sound, SR_HZ, share, rng()) == 0.0).mean() == pytest.approx(share, abs=0.001)


def test_a_stronger_level_has_the_gaps_of_a_weaker_one():
    sound = noise(4.0)
    weak, strong = (waves.with_gaps(sound, SR_HZ, share, rng()) == 0.0 for share in (0.2, 0.4))
    assert (strong | ~weak).all()


def test_fragments_change_places_and_none_keeps_its_own():
    count, whole = 8, round(waves.FRAGMENT_S * SR_HZ)
    sound = np.repeat(np.arange(1, count + 1, dtype=np.float32), whole)[:, None]
    found = waves.shuffled(sound, SR_HZ, 1.0, rng())[whole // 2 :: whole, 0]
    assert sorted(found) == list(range(1, count + 1))
    assert (found != np.arange(1, count + 1)).all()


def test_a_silent_clip_is_dither_and_not_digital_silence():
    from t2av_bench.media.audio import SILENCE_PEAK

    found = waves.near_silence(noise(), rng())
    assert set(np.unique(found * 2**15)) == {-1.0, 0.0, 1.0}
    assert np.abs(found).max() > SILENCE_PEAK


def test_an_average_is_between_the_sound_and_the_mean_of_all():
    own, other = tone(300.0), tone(500.0)
    np.testing.assert_allclose(waves.averaged(own, [other], 1.0), (own + other) / 2, atol=1e-7)
    np.testing.assert_allclose(waves.averaged(own, [other], 0.5), 0.75 * own + 0.25 * other, atol=1e-7)


def test_a_shorter_sound_goes_on_from_its_beginning():
    assert waves.fitted(np.arange(3, dtype=np.float32), 7).tolist() == [0, 1, 2, 0, 1, 2, 0]
    assert waves.fitted(np.arange(3, dtype=np.float32), 2).tolist() == [0, 1]


@pytest.mark.parametrize("name", DISTORTIONS)
def test_the_usual_levels_stand_in_order_of_strength_and_are_allowed(name: str):
    distortion = DISTORTIONS[name]
    assert distortion.checked(tuple(reversed(distortion.levels))) == distortion.levels
    assert distortion.none not in distortion.levels


@pytest.mark.parametrize(
    ("name", "level"), [("late", -0.1), ("swap", 1.5), ("low-pass", 0.0), ("speed", 0.0), ("noise", float("nan"))]
)
def test_a_level_that_makes_no_sense_is_refused(name: str, level: float):
    with pytest.raises(UsageError, match=f"a level of {name} must lie between"):
        DISTORTIONS[name].checked((level,))


def test_the_level_of_none_alone_is_refused():
    with pytest.raises(UsageError, match="at least one level other than 1"):
        DISTORTIONS["speed"].checked((1.0,))


def test_levels_of_speed_are_ordered_by_their_distance_from_the_real_one():
    assert DISTORTIONS["speed"].checked((1.5, 0.9, 1.05)) == (1.05, 0.9, 1.5)
