"""The building blocks whose results must not depend on the machine."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import t2av_bench.manifests.mini
from t2av_bench.manifests.mini.exact import cos_turns, halve, sin_turns, smoothstep
from t2av_bench.manifests.mini.motion import between, frame_at, plan_beats, plan_period, stroke_gap
from t2av_bench.manifests.mini.sound import add, band, decay, silence, to_pcm
from t2av_bench.manifests.mini.stream import LSB, Stream

PACKAGE = Path(t2av_bench.manifests.mini.__file__).parent

# The last bit depends on the C library, on SIMD or on the order of additions; what Generator draws on the release.
UNSTABLE = {
    "sin", "cos", "tan", "exp", "exp2", "expm1", "log", "log2", "log10", "power", "pow", "hypot", "arctan2",
    "dot", "matmul", "einsum", "tensordot", "convolve", "inner", "mean", "std", "var", "linspace", "fft",
    "default_rng", "Generator", "RandomState", "float32",
}  # fmt: skip


@pytest.mark.parametrize("path", sorted(PACKAGE.glob("*.py")), ids=lambda path: path.name)
def test_package_uses_no_arithmetic_that_differs_between_machines(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute):
            assert node.attr not in UNSTABLE, f"line {node.lineno}: {node.attr}"
        if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.MatMult, ast.Pow)):
            # A power of two constants is exact.
            assert isinstance(node.op, ast.Pow), f"line {node.lineno}"
            assert isinstance(node.left, ast.Constant), f"line {node.lineno}"


@given(st.floats(-1e4, 1e4))
def test_sine_and_cosine_are_accurate(turns: float) -> None:
    exact = 2 * np.pi * (turns - np.rint(turns))
    assert abs(float(sin_turns(turns)) - np.sin(exact)) < 1e-7
    assert abs(float(cos_turns(turns)) - np.cos(exact)) < 1e-7


@given(st.floats(0, 60))
def test_halving_is_accurate(times: float) -> None:
    assert float(halve(times)) == pytest.approx(2.0**-times, rel=3e-6)


def test_smoothstep_is_level_at_both_ends() -> None:
    np.testing.assert_array_equal(smoothstep([-1.0, 0.0, 0.5, 1.0, 2.0]), [0, 0, 0.5, 1, 1])


def test_stream_has_its_golden_numbers() -> None:
    rng = Stream("golden", 1)
    assert [rng.uniform() for _ in range(3)] == [0.3625945855021878, 0.5874348147469164, 0.8105389656293024]
    assert rng.white(4).tolist() == [44201, -80986, 46618, 25151]
    assert rng.integer(100) == 90
    assert rng.sample("abcdef", 6) == ["f", "d", "e", "a", "c", "b"]


def test_streams_depend_on_every_part_of_the_name() -> None:
    firsts = {Stream(*name).uniform() for name in (("a", 1), ("a", 2), ("b", 1), ("a", 1, 1))}
    assert len(firsts) == 4


def test_stream_draws_stay_in_range() -> None:
    rng = Stream("range")
    assert all(2 <= rng.uniform(2, 3) < 3 for _ in range(1000))
    assert {rng.integer(5) for _ in range(1000)} == {0, 1, 2, 3, 4}
    assert 0.25 < sum(rng.chance(0.3) for _ in range(2000)) / 2000 < 0.35


def test_white_noise_is_white_and_of_unit_variance() -> None:
    noise = Stream("noise").white(200_000) * LSB
    assert abs(noise.mean()) < 0.01
    assert noise.std() == pytest.approx(1, abs=0.01)
    assert abs(np.mean(noise[1:] * noise[:-1])) < 0.01


@pytest.mark.parametrize(("centre_hz", "width_hz"), [(0, 500), (0, 16_000), (2000, 500)])
def test_band_noise_has_unit_variance_where_it_should_be(centre_hz: float, width_hz: float) -> None:
    noise = band(Stream("band"), 64_000, centre_hz, width_hz)
    assert noise.std() == pytest.approx(1, abs=0.1)
    power = np.abs(np.fft.rfft(noise)) ** 2
    hz = np.fft.rfftfreq(64_000, 1 / 16_000)
    inside = np.abs(hz - centre_hz) <= width_hz
    assert power[inside].sum() > 0.8 * power.sum()


def test_sound_that_passes_the_end_is_cut() -> None:
    track = silence()
    add(track, 3.99, np.ones(1000))
    add(track, 5.0, np.ones(1000))
    assert track.sum() == 160


def test_decay_rises_at_once_and_falls_by_half() -> None:
    envelope = decay(0.1)
    assert np.argmax(envelope) == 16
    assert envelope[1616] == pytest.approx(envelope[16] / 2, rel=1e-5)
    assert envelope[-1] < 1e-3


def test_pcm_rounds_and_clips() -> None:
    assert to_pcm(np.asarray([0.0, 1.0, -1.0, 7.0, -7.0, 1.4 / 32767])).tolist() == [0, 32767, -32767, 32767, -32767, 1]


@given(st.integers(0, 2**32), st.integers(1, 5))
def test_beats_keep_their_distance(seed: int, max_events: int) -> None:
    beats = plan_beats(Stream("beats", seed), max_events)
    times = [beat.time_s for beat in beats]
    assert 1 <= sum(beat.touches for beat in beats) <= max_events
    assert all(0.3 <= time_s <= 3.7 + 1e-9 for time_s in times)
    assert all(b - a >= 0.52 - 1e-9 for a, b in zip(times, times[1:], strict=False))


@given(st.integers(0, 2**32))
def test_stroke_touches_in_the_frame_of_each_beat_and_never_in_a_feint(seed: int) -> None:
    beats = plan_beats(Stream("gap", seed), 4)
    gap = stroke_gap(beats)
    for beat in beats:
        assert (gap[frame_at(beat.time_s)] == 0) == beat.touches
    assert gap.min() >= 0
    assert gap.max() <= 1


@given(st.integers(0, 2**32))
def test_periods_enclose_the_clip_and_keep_off_its_ends(seed: int) -> None:
    times = plan_period(Stream("period", seed), 0.75, 1.6)
    assert times[0] < 0 < times[1]
    assert times[1] >= 0.15
    assert times[-2] < 3.8
    assert times[-1] >= 4.0
    _, progress = between(times)
    assert progress.min() == 0
    assert progress.max() <= 1
