"""The audio descriptor: what its three groups hear, and what they must not."""

import numpy as np
import numpy.typing as npt
import pytest

from t2av_bench.errors import UsageError
from t2av_bench.models.extractors import get_extractor
from t2av_bench.models.extractors.lite_audio import LiteAudioExtractor

SR_HZ = 16_000
MEANS, DEVIATIONS, ONSETS = slice(0, 20), slice(20, 40), slice(40, 64)
Samples = npt.NDArray[np.float32]


def clicks(times_s: list[float], duration_s: float = 4.0, tone_hz: float = 1000.0) -> Samples:
    """Decaying tones at the given times over a faint steady hum."""
    t = np.arange(round(duration_s * SR_HZ)) / SR_HZ
    sound = 0.003 * np.sin(2 * np.pi * 110 * t)
    for time_s in times_s:
        since = t - time_s
        sound += np.where(
            since >= 0, 0.5 * np.exp(-np.maximum(since, 0) / 0.05) * np.sin(2 * np.pi * tone_hz * since), 0
        )
    return sound.astype(np.float32)


def describe(samples: Samples, duration_s: float = 4.0) -> npt.NDArray[np.float32]:
    return LiteAudioExtractor().windows(samples, duration_s)


@pytest.mark.parametrize(("duration_s", "windows_n"), [(0.975, 1), (1.0, 1), (1.95, 2), (4.0, 4), (10.0, 10)])
def test_there_is_one_row_per_window(duration_s: float, windows_n: int) -> None:
    rows = describe(clicks([0.3], duration_s), duration_s)
    assert rows.shape == (windows_n, 64)
    assert rows.dtype == np.float32
    assert LiteAudioExtractor().rows_n(duration_s) == windows_n


def test_a_clip_without_a_whole_window_gives_no_rows() -> None:
    assert describe(np.zeros(15_000, np.float32), 15_000 / SR_HZ).shape == (0, 64)


@pytest.mark.parametrize(
    "samples",
    [
        np.zeros(64_000, np.float32),
        np.full(64_000, 1e-30, np.float32),
        np.ones(64_000, np.float32),
        np.where(np.arange(64_000) % 2 == 0, 1, -1).astype(np.float32),
        np.full(64_000, 1e4, np.float32),
    ],
    ids=["silence", "denormal", "direct current", "full-scale Nyquist", "far above full scale"],
)
def test_extreme_sound_gives_finite_numbers(samples: Samples) -> None:
    assert np.isfinite(describe(samples)).all()


def test_silence_sits_at_the_floor_and_has_no_onsets() -> None:
    rows = describe(np.zeros(64_000, np.float32))
    np.testing.assert_allclose(rows[:, MEANS], 0.3 * -90 / 14, atol=1e-6)
    np.testing.assert_array_equal(rows[:, 20:], 0)


def test_a_full_scale_sine_reads_zero_decibels_in_its_band() -> None:
    t = np.arange(64_000) / SR_HZ
    spectrum_db = 14 * describe(np.sin(2 * np.pi * 1000 * t).astype(np.float32))[1, MEANS].astype(np.float64)
    level_db = spectrum_db + 0.7 / 0.3 * spectrum_db.mean()  # puts the loudness back
    assert level_db.max() == pytest.approx(0, abs=1.5)
    assert level_db.min() == pytest.approx(level_db.max() - 50, abs=0.1)


def test_the_same_clip_gives_the_same_bits_and_is_left_alone() -> None:
    samples = clicks([0.5, 1.7])
    kept = samples.copy()
    np.testing.assert_array_equal(describe(samples), describe(samples.copy()))
    np.testing.assert_array_equal(samples, kept)


def test_golden_values() -> None:
    rows = describe(clicks([0.4, 1.5, 2.2, 3.3]))
    np.testing.assert_allclose(rows[0, GOLDEN_PLACES], GOLDEN, rtol=0, atol=1e-5)
    assert rows.sum(dtype=np.float64) == pytest.approx(GOLDEN_SUM, abs=1e-3)


@pytest.mark.parametrize("time_s", [0.1, 0.31, 0.5, 0.77])
def test_an_onset_shows_in_the_step_where_it_happens(time_s: float) -> None:
    envelope = describe(clicks([0.96 + time_s]))[1, ONSETS]
    assert abs(int(envelope.argmax()) - int(time_s / 0.04)) <= 1
    assert envelope.max() > 5 * np.median(envelope) + 0.2


def test_a_shift_inside_the_window_moves_the_envelope_and_little_else() -> None:
    early, late = describe(clicks([1.16])), describe(clicks([1.16 + 0.4]))
    np.testing.assert_allclose(np.roll(early[1, ONSETS], 10), late[1, ONSETS], atol=0.05)
    np.testing.assert_allclose(early[1, MEANS], late[1, MEANS], atol=0.05)


def test_a_louder_copy_differs_in_level_alone() -> None:
    samples = clicks([0.4, 1.5, 2.2])
    quiet, loud = describe(samples), describe(2 * samples)
    np.testing.assert_allclose(loud[:, MEANS] - quiet[:, MEANS], 0.3 * 20 * np.log10(2) / 14, atol=1e-4)
    np.testing.assert_allclose(loud[:, 20:], quiet[:, 20:], atol=1e-4)


def test_an_onset_in_another_band_keeps_the_envelope_and_moves_the_spectrum() -> None:
    low, high = describe(clicks([1.4], tone_hz=400)), describe(clicks([1.4], tone_hz=3000))
    assert abs(int(low[1, ONSETS].argmax()) - int(high[1, ONSETS].argmax())) <= 1
    assert low[1, MEANS].argmax() < high[1, MEANS].argmax()


def test_steady_noise_has_a_flat_envelope() -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, 64_000).astype(np.float32)
    envelope = describe(noise)[:, ONSETS]
    assert envelope.std() < 0.1 * describe(clicks([0.4, 1.5, 2.2, 3.3]))[:, ONSETS].max()


def test_a_sound_already_on_when_the_clip_begins_is_no_onset() -> None:
    t = np.arange(64_000) / SR_HZ
    steady = describe((0.3 * np.sin(2 * np.pi * 500 * t)).astype(np.float32))
    assert steady[:, ONSETS].max() < 0.05


def test_windows_depend_on_the_clip_only_through_its_loudest_moment() -> None:
    rows = describe(clicks([0.4, 3.3]))
    np.testing.assert_allclose(describe(clicks([0.4, 2.5, 3.3]))[0], rows[0], atol=1e-3)


def test_the_hop_shifts_the_windows_and_enters_the_fingerprint() -> None:
    samples = clicks([0.4, 1.5, 2.2, 3.3])
    halved = LiteAudioExtractor(hop_s=0.48).windows(samples, 4.0)
    assert halved.shape == (7, 64)
    np.testing.assert_array_equal(halved[::2], describe(samples))
    assert LiteAudioExtractor(hop_s=0.48).fingerprint != LiteAudioExtractor().fingerprint


@pytest.mark.parametrize("hop_s", [0.0, -0.96, 0.123, float("nan"), float("inf")])
def test_a_hop_off_the_grid_is_refused(hop_s: float) -> None:
    with pytest.raises(UsageError, match=r"`hop_s` of lite-audio must be a positive multiple of 0.01 s"):
        LiteAudioExtractor(hop_s=hop_s)


def test_the_fingerprint_is_that_of_version_1() -> None:
    """Change this only together with the version: it keys caches and stands in results."""
    expected = "12edd03d54334e69c22d56275164c5d633e3c44b719a62129ee4f43ce044798c"
    assert get_extractor("lite-audio").fingerprint == expected


def test_embed_batch_is_the_identity() -> None:
    rows = describe(clicks([0.4]))
    embedded = get_extractor("lite-audio").embed_batch(rows)
    assert embedded.dtype == np.float32
    np.testing.assert_array_equal(embedded, rows)


def test_it_may_not_go_on_a_leaderboard() -> None:
    assert "signal statistics" in get_extractor("lite-audio").not_comparable


# Of clicks([0.4, 1.5, 2.2, 3.3]), first window: levels, deviations, and onset steps around 0.4 s.
GOLDEN_PLACES = [0, 5, 10, 15, 19, 20, 25, 30, 35, 39, 40, 48, 49, 50, 51, 52, 63]
GOLDEN: list[float] = [
    -0.88285,
    -1.00072,
    -1.26107,
    -1.27705,
    -1.28274,
    0.20491,
    0.90184,
    0.2255,
    0.07215,
    0.01749,
    0.00186,
    0.07399,
    0.35419,
    0.38204,
    0.1027,
    0.00086,
    0.0,
]
GOLDEN_SUM = -64.5291
