"""The video descriptor: what its four groups see, and when."""

import numpy as np
import numpy.typing as npt
import pytest

from t2av_bench.errors import UsageError
from t2av_bench.models.extractors import get_extractor
from t2av_bench.models.extractors.lite_video import LiteVideoExtractor

COLOURS, PLACES, MOTION, REVERSALS = slice(0, 12), slice(12, 28), slice(28, 52), slice(52, 64)
Frames = npt.NDArray[np.uint8]


def film(left_px: npt.NDArray[np.float64], side_px: int = 10, top_px: int = 40) -> Frames:
    """Draw a bright square on dark ground, one picture per left edge; edges between pixels are blended."""
    x = np.arange(64)
    cover = np.clip(np.minimum(x + 1 - left_px[..., None], left_px[..., None] + side_px - x), 0, 1)
    pictures = np.full((*left_px.shape, 64, 64, 3), 30.0)
    pictures[..., top_px : top_px + side_px, :, :] += 200 * cover[..., None, :, None]
    return pictures.astype(np.uint8)


def describe(frames: Frames) -> npt.NDArray[np.float32]:
    return LiteVideoExtractor().windows(frames)


def still_then_jump(step: int) -> Frames:
    """One window whose square jumps by 8 pixels between the given step and the one before."""
    return film(np.where(np.arange(26) - 1 < step, 20.0, 28.0)[None])


@pytest.mark.parametrize("duration_s", [0.975, 1.0, 4.0, 10.0])
def test_frame_times_stay_inside_the_clip(duration_s: float) -> None:
    times_s = LiteVideoExtractor().frame_times_s(duration_s)
    assert times_s.shape == (LiteVideoExtractor().rows_n(duration_s), 26)
    assert times_s.min() >= 0.02
    assert times_s.max() <= duration_s - 0.02 + 1e-12
    assert (np.diff(times_s, axis=1) >= 0).all()


def test_frame_times_are_the_middles_of_the_frames_of_a_25_fps_video() -> None:
    times_s = LiteVideoExtractor().frame_times_s(4.0)
    np.testing.assert_array_equal(np.floor(times_s[0] * 25), [0, *range(25)])
    np.testing.assert_array_equal(np.floor(times_s[2] * 25), range(47, 73))


def test_rows_have_64_numbers_and_frames_are_left_alone() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (3, 26, 64, 64, 3), dtype=np.uint8)
    kept = frames.copy()
    rows = describe(frames)
    assert rows.shape == (3, 64)
    assert rows.dtype == np.float32
    np.testing.assert_array_equal(frames, kept)
    np.testing.assert_array_equal(describe(frames), rows)


def test_no_windows_give_no_rows() -> None:
    assert describe(np.zeros((0, 26, 64, 64, 3), np.uint8)).shape == (0, 64)


def test_black_and_flickering_pictures_give_finite_numbers() -> None:
    black = np.zeros((1, 26, 64, 64, 3), np.uint8)
    np.testing.assert_array_equal(describe(black), 0)
    flicker = black.copy()
    flicker[:, ::2] = 255
    rows = describe(flicker)
    assert np.isfinite(rows).all()
    assert rows.max() < 2.5


def test_golden_values() -> None:
    left_px = 27 + 15 * np.sin(2 * np.pi * np.arange(26) / 17)
    rows = describe(film(left_px[None]))
    np.testing.assert_allclose(rows[0, GOLDEN_PLACES], GOLDEN, rtol=0, atol=1e-5)
    assert rows.sum(dtype=np.float64) == pytest.approx(GOLDEN_SUM, abs=1e-4)


def test_colours_are_those_of_the_quarters() -> None:
    frames = np.zeros((1, 26, 64, 64, 3), np.uint8)
    frames[..., :32, 32:, 0] = 255
    expected = np.zeros((2, 2, 3))
    expected[0, 1, 0] = 2.0
    np.testing.assert_allclose(describe(frames)[0, COLOURS], expected.ravel(), atol=1e-6)


@pytest.mark.parametrize("step", [1, 7, 12, 23])
def test_a_jump_shows_in_the_two_steps_it_lies_between(step: int) -> None:
    motion = describe(still_then_jump(step))[0, MOTION]
    assert sorted(np.flatnonzero(motion)) == [step - 1, step]


def test_a_shift_inside_the_window_moves_the_envelope_and_nothing_else() -> None:
    early, late = describe(still_then_jump(6))[0], describe(still_then_jump(16))[0]
    np.testing.assert_allclose(np.roll(early[MOTION], 10), late[MOTION], atol=1e-6)
    np.testing.assert_allclose(early[PLACES], late[PLACES], atol=1e-6)


def test_motion_is_placed_where_the_square_moves() -> None:
    places = describe(still_then_jump(12))[0, PLACES].reshape(4, 4)
    # Rows 40 to 49 and columns 20 to 37 lie in cells 2 to 3 and 1 to 2.
    expected = np.zeros((4, 4), bool)
    expected[2:, 1:3] = True
    np.testing.assert_array_equal(places > 0, expected)


def test_a_bounce_shows_as_a_reversal_and_steady_motion_does_not() -> None:
    steps = np.arange(26) - 1.0
    there_and_back = describe(film(40 - 2 * np.abs(steps - 12)[None], side_px=16))[0, REVERSALS]
    straight = describe(film(5 + 1.2 * steps[None], side_px=16))[0, REVERSALS]
    assert int(there_and_back.argmax()) == 6
    assert there_and_back.max() > 10 * np.median(there_and_back)
    assert straight.max() < 0.2 * there_and_back.max()


def test_a_fainter_ball_has_nearly_the_same_envelopes() -> None:
    """They are relative to the clip's own motion; the motion grid tells the difference."""
    left_px = 27 + 15 * np.sin(2 * np.pi * np.arange(26) / 17)[None]
    bright = film(left_px)
    faint = (30 + (bright.astype(float) - 30) / 2).astype(np.uint8)
    one, other = describe(bright)[0], describe(faint)[0]
    np.testing.assert_allclose(one[28:], other[28:], atol=0.15)
    assert one[PLACES].max() > other[PLACES].max() + 0.2


def test_one_cut_in_a_still_clip_stays_within_a_few_units() -> None:
    frames = np.full((10, 26, 64, 64, 3), 30, np.uint8)
    frames[4, 13:] = 230
    rows = describe(frames)
    assert rows.max() < 10
    assert np.count_nonzero(rows[:, MOTION]) == 2


def test_the_first_window_does_not_begin_with_a_jump() -> None:
    """The step before the clip is replaced by its first frame: half the motion, no reversal."""
    left_px = 10 + 1.5 * np.maximum(np.arange(26) - 1, 0.0)
    motion = describe(film(left_px[None]))[0, MOTION]
    assert motion[0] < motion[1:].min()


def test_the_fingerprint_is_that_of_version_1() -> None:
    """Change this only together with the version: it keys caches and stands in results."""
    expected = "487bf7351b4777c4071c77108463221c9113eee3d0201d3d7173a288160ef6eb"
    assert get_extractor("lite-video").fingerprint == expected
    assert get_extractor("lite-video", hop_s=0.48).fingerprint != expected


def test_a_hop_off_the_grid_is_refused() -> None:
    with pytest.raises(UsageError, match=r"`hop_s` of lite-video must be a positive multiple of 0.01 s"):
        LiteVideoExtractor(hop_s=0.125)


def test_it_may_not_go_on_a_leaderboard() -> None:
    assert "signal statistics" in get_extractor("lite-video").not_comparable


# Of the square swinging to and fro: colours, places, motion, reversals.
GOLDEN_PLACES = [0, 6, 9, 20, 21, 22, 23, 28, 29, 32, 36, 40, 51, 52, 54, 56, 58]
GOLDEN: list[float] = [
    0.23529,
    0.28952,
    0.33418,
    1.14998,
    1.59884,
    1.67214,
    1.2914,
    0.72868,
    0.63183,
    0.32455,
    0.77336,
    0.28246,
    0.68698,
    0.83073,
    0.0,
    0.95119,
    0.59916,
]
GOLDEN_SUM = 33.78312
