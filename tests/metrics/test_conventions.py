"""Other toolkits' conventions against the values their own code gave."""

from __future__ import annotations

import numpy as np
import pytest

from t2av_bench.errors import MetricError
from t2av_bench.metrics import frechet_distance, kernel_distance
from t2av_bench.metrics.conventions import (
    fadtk_frechet_distance,
    kadtk_frechet_distance,
    kadtk_kernel_distance,
    kernel_inception_distance,
    peavs_frechet_distance,
)


def mixed_sets(golden: dict, name: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw the arrays of a ``frechet_`` entry by its recipe."""

    def mix(x: np.ndarray) -> np.ndarray:
        return x + 0.5 * np.roll(x, 1, 1) - 0.3 * np.roll(x, 7, 1)

    sizes, d = name.removeprefix("frechet_").split("x")
    n, m = map(int, sizes.split("_"))
    draw = np.random.RandomState(golden["seed"] + seed)
    ref = mix(draw.randn(n, int(d))).astype("float32")
    gen = (1.1 * mix(draw.randn(m, int(d))) + 0.05 * draw.randn(int(d))).astype("float32")
    for array, recorded in zip((ref, gen), golden[name]["inputs"], strict=True):
        np.testing.assert_allclose(array.ravel()[:4], recorded["first4"], rtol=1e-6)
    return ref, gen


FRECHET = [("frechet_400_350x128", 3, 1e-4), ("frechet_60_50x128", 4, 1e-3), ("frechet_700_600x256", 5, 1e-4)]


@pytest.mark.parametrize(("name", "seed", "rel"), FRECHET)
def test_kadtks_float32_distance_is_the_recorded_one(golden: dict, name: str, seed: int, rel: float):
    ref, gen = mixed_sets(golden, name, seed)
    recorded = golden[name]["frechet"]["kadtk.fad.calc_frechet_distance (float32)"]
    assert kadtk_frechet_distance(ref, gen) == pytest.approx(recorded, rel=rel)


def test_fadtks_distance_is_the_recorded_one(golden: dict):
    ref, gen = mixed_sets(golden, "frechet_400_350x128", 3)
    half = golden["fadtk_float16_embeddings"]["fad"]
    # the whole set as one file, which is what the value was recorded with
    assert fadtk_frechet_distance([ref], [gen]) == pytest.approx(half, rel=1e-9)
    assert abs(half / frechet_distance(ref, gen) - 1) > 1e-5  # there is something to reproduce
    online = golden["fadtk_online_statistics"]
    files = np.split(ref, [3, 13, 40, 42, 150])
    found = fadtk_frechet_distance(files, [gen], stored=np.float32)
    assert found == pytest.approx(online["fad_against_gen"], rel=1e-9)


def test_one_window_is_a_reason_and_no_nan(golden: dict):
    assert golden["fadtk_online_statistics"]["one_window_file"]["any_nan_in_cov"] is True
    ref, gen = mixed_sets(golden, "frechet_400_350x128", 3)
    with pytest.raises(MetricError, match="one window has none of: its score is NaN"):
        fadtk_frechet_distance(np.split(ref, [1, 13]), [gen])
    with pytest.raises(MetricError, match="one has none"):
        fadtk_frechet_distance([], [gen])


@pytest.mark.parametrize(
    ("name", "seed", "n", "m", "d", "scale"),
    [("kad_400_350x128", 9, 400, 350, 128, 1.6), ("kad_80_200x64", 10, 80, 200, 64, 0.5)],
)
def test_kadtks_kernel_distance_is_the_recorded_one_and_not_its_papers(
    golden: dict, name: str, seed: int, n: int, m: int, d: int, scale: float
):
    draw = np.random.RandomState(golden["seed"] + seed)
    ref = draw.randn(n, d).astype("float32")
    gen = (scale * draw.randn(m, d) + 0.1).astype("float32")
    theirs = golden[name]["kad_x100"]
    found = kadtk_kernel_distance(ref, gen)
    assert found == pytest.approx(theirs["as_code_bandwidth_from_evaluated_set"], abs=1e-4)
    # their s is a float32 median
    assert found == pytest.approx(theirs["as_code_float64"], abs=1e-5)
    assert 100 * kernel_distance(ref, gen).value == pytest.approx(theirs["as_paper_float64"], abs=1e-6)
    assert kadtk_kernel_distance(gen, ref) == pytest.approx(theirs["as_paper_float64"], abs=1e-5)


def test_kid_is_the_recorded_one(golden: dict):
    ref, gen = mixed_sets(golden, "frechet_400_350x128", 3)
    found = kernel_inception_distance(ref, gen)
    for tool in ("av_benchmark_compute_kid_gen_ref", "audioldm_eval_calculate_kid_gen_ref"):
        recorded = golden["kid"][tool]
        # theirs multiplies in float32
        assert found.mean == pytest.approx(recorded["kernel_inception_distance_mean"], rel=1e-4)
        assert found.std == pytest.approx(recorded["kernel_inception_distance_std"], rel=1e-4)
    assert found[2:] == (100, 350, 2020)


def test_peavs_cuts_each_clip_to_the_shorter_block(golden: dict):
    entry, draw = golden["favd_clips"], np.random.RandomState(golden["seed"] + 2)
    sides = []
    for kind, (scale, shift) in (("ref", (1.0, 0.0)), ("eval", (1.1, 0.2))):
        clips = []
        for i in range(40):
            video = (scale * draw.randn(9 + i % 2, 32) + shift).astype("float32")
            audio = (scale * draw.randn(10 - i % 3, 16) - shift).astype("float32")
            if (kind, i) != ("eval", 7):
                clips.append((video, audio))
        sides.append(clips)
    # their means and covariances stay in float32 for part of the way
    assert peavs_frechet_distance(*sides) == pytest.approx(entry["favd"], rel=1e-6)
    with pytest.raises(MetricError, match="one has none"):
        peavs_frechet_distance(sides[0], [])
