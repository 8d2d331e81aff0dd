"""Prediction sets of known quality."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from t2av_bench.errors import UsageError
from t2av_bench.manifests import Manifest
from t2av_bench.manifests.mini import make_clip, render, write_prediction_sets
from t2av_bench.manifests.mini.predictions import SET_NAMES, swap_partners

N = 12


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return render("test", N, 0, tmp_path_factory.mktemp("mini"))


@pytest.fixture(scope="module")
def sets(manifest: Manifest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, NDArray[np.int16]]]:
    """Return the sound of each clip in each set."""
    folders = write_prediction_sets(manifest, tmp_path_factory.mktemp("sets"))
    assert tuple(folders) == SET_NAMES == ("reference", "other-noise", "late-0.5s", "swapped", "noise")
    return {name: {p.stem: _read(p) for p in sorted(folder.iterdir())} for name, folder in folders.items()}


def _read(path: Path) -> NDArray[np.int16]:
    info = soundfile.info(path)
    assert (info.samplerate, info.channels, info.subtype) == (16_000, 1, "PCM_16")
    pcm, _ = soundfile.read(path, dtype="int16")
    return np.asarray(pcm)


def _own(index: int) -> NDArray[np.int16]:
    return make_clip("test", 0, index).pcm


def test_each_set_holds_each_clip(manifest: Manifest, sets: dict[str, dict[str, NDArray[np.int16]]]) -> None:
    for sounds in sets.values():
        assert list(sounds) == list(manifest.table["clip_id"])
        assert all(len(pcm) == 64_000 for pcm in sounds.values())


def test_reference_is_sample_exact(sets: dict[str, dict[str, NDArray[np.int16]]]) -> None:
    for index, pcm in enumerate(sets["reference"].values()):
        np.testing.assert_array_equal(pcm, _own(index))


def test_other_noise_is_as_loud_but_not_the_same(sets: dict[str, dict[str, NDArray[np.int16]]]) -> None:
    for index, pcm in enumerate(sets["other-noise"].values()):
        own = _own(index).astype(np.float64)
        assert np.mean(pcm == own) < 0.5
        assert 0.4 < np.sqrt(np.mean(pcm.astype(np.float64) ** 2) / np.mean(own**2)) < 2.5


def test_late_is_exactly_half_a_second_late(sets: dict[str, dict[str, NDArray[np.int16]]]) -> None:
    for index, pcm in enumerate(sets["late-0.5s"].values()):
        np.testing.assert_array_equal(pcm[8000:], _own(index)[:-8000])
        assert 0 < np.abs(pcm[:8000]).max() < 1000  # the room, not silence


def test_swapped_is_a_derangement_between_families(sets: dict[str, dict[str, NDArray[np.int16]]]) -> None:
    clips = [make_clip("test", 0, index) for index in range(N)]
    by_sound = {clip.pcm.tobytes(): clip for clip in clips}
    givers = [by_sound[pcm.tobytes()] for pcm in sets["swapped"].values()]
    assert {clip.clip_id for clip in givers} == {clip.clip_id for clip in clips}
    for clip, giver in zip(clips, givers, strict=True):
        assert clip.families[0] != giver.families[0]


def test_noise_is_white_and_as_loud_as_the_set_in_every_clip(sets: dict[str, dict[str, NDArray[np.int16]]]) -> None:
    level = np.sqrt(np.mean([pcm.astype(np.float64) ** 2 for pcm in sets["reference"].values()]))
    for pcm in sets["noise"].values():
        noise = pcm.astype(np.float64)
        assert np.sqrt(np.mean(noise**2)) == pytest.approx(level, rel=0.03)
        assert abs(np.mean(noise[1:] * noise[:-1]) / np.mean(noise**2)) < 0.03


def test_sets_are_the_same_each_time_and_change_with_the_seed(manifest: Manifest, tmp_path: Path) -> None:
    first, again, other = (
        write_prediction_sets(manifest, tmp_path / str(i), n_clips=3, seed=s) for i, s in enumerate((0, 0, 1))
    )
    for name in SET_NAMES:
        files = sorted(path.name for path in first[name].iterdir())
        assert len(files) == 3
        same = [(first[name] / file).read_bytes() == (again[name] / file).read_bytes() for file in files]
        changed = [(first[name] / file).read_bytes() != (other[name] / file).read_bytes() for file in files]
        assert all(same)
        assert all(changed) == (name in ("other-noise", "late-0.5s", "noise"))


def test_one_clip_cannot_be_swapped(manifest: Manifest, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="needs at least 2 clips, got 1"):
        write_prediction_sets(manifest, tmp_path, n_clips=1)


def test_foreign_manifests_are_refused(tmp_path: Path) -> None:
    table = pd.DataFrame({"clip_id": ["a", "b"], "media": ["a.mp4", "b.mp4"], "caption": ["x", "y"]})
    with pytest.raises(UsageError, match="'a' is not a clip of t2av-mini"):
        write_prediction_sets(Manifest("other", table), tmp_path)


@given(st.lists(st.sampled_from("abcd"), min_size=2, max_size=30))
def test_partners_are_a_derangement_and_avoid_their_own_family(families: list[str]) -> None:
    family_of = {f"clip{i}": family for i, family in enumerate(families)}
    partner = swap_partners(family_of)
    assert sorted(partner.values()) == sorted(family_of)
    assert all(own != other for own, other in partner.items())
    if max(map(families.count, families)) * 2 <= len(families):
        assert all(family_of[own] != family_of[other] for own, other in partner.items())
