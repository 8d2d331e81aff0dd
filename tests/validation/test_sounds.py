"""Which clip gets whose sound or caption, on clips of different lengths and rates."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from t2av_bench.manifests import Clip
from t2av_bench.validation import DISTORTIONS
from t2av_bench.validation.sounds import GROUP_CLIPS, Sounds

N = 12


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("media")
    for i in range(N):
        sr_hz = 8000 if i == 3 else 16000
        samples = np.random.default_rng(i).standard_normal((sr_hz * (2 if i == 5 else 4), 1 + i % 2)) * 0.1
        soundfile.write(folder / f"c{i}.wav", samples, sr_hz, subtype="FLOAT")
    return {f"c{i}": folder / f"c{i}.wav" for i in range(N)}


def sounds(media: dict[str, Path], seed: int = 0, labels: str = "") -> Sounds:
    clips = [
        Clip(f"c{i}", "", f"c{i}.wav", 0.0, 2.0 if i == 5 else 4.0, f"caption {i}", labels or f"kind {i % 2}", "")
        for i in range(N)
    ]
    return Sounds(clips, media, seed)


def as_read(media: dict[str, Path], place: int) -> bytes:
    return soundfile.read(media[f"c{place}"], dtype="float32", always_2d=True)[0].tobytes()


@pytest.mark.parametrize("name", DISTORTIONS)
def test_the_level_of_none_leaves_every_clip_as_it_is(name: str, media: dict[str, Path]):
    chosen, distortion = sounds(media), DISTORTIONS[name]
    for place in range(N):
        found = distortion.apply(chosen, place, distortion.none)
        assert found.samples.tobytes() == as_read(media, place)
    assert distortion.captions(chosen, distortion.none) == {}


@pytest.mark.parametrize("name", DISTORTIONS)
def test_every_level_gives_sounds_of_the_clip_s_length_twice_the_same(name: str, media: dict[str, Path]):
    for place in (0, 3, 5):
        level = DISTORTIONS[name].levels[-1]
        first = DISTORTIONS[name].apply(sounds(media), place, level)
        second = DISTORTIONS[name].apply(sounds(media), place, level)
        assert len(first.samples) / first.sr_hz == pytest.approx(2.0 if place == 5 else 4.0, abs=1e-4)
        assert first.samples.tobytes() == second.samples.tobytes()


@pytest.mark.parametrize("share", [0.25, 0.5, 1.0])
@pytest.mark.parametrize("name", ["swap", "captions"])
def test_an_exchange_is_among_its_share_of_clips_and_nobody_keeps_his_own(
    name: str, share: float, media: dict[str, Path]
):
    exchanged = DISTORTIONS[name].exchanged(sounds(media), share)  # type: ignore[attr-defined]
    assert len(exchanged) == round(share * N)
    assert set(exchanged) == set(exchanged.values())
    assert all(place != other for place, other in exchanged.items())


def test_a_stronger_level_affects_the_clips_of_a_weaker_one_and_a_seed_others(media: dict[str, Path]):
    swap = DISTORTIONS["swap"]
    weak, strong = (swap.affected(sounds(media), share) for share in (0.25, 0.5))  # type: ignore[attr-defined]
    assert set(weak) < set(strong)
    assert set(swap.affected(sounds(media, seed=1), 0.5)) != set(strong)  # type: ignore[attr-defined]


def test_a_swapped_clip_has_the_other_one_s_sound(media: dict[str, Path]):
    chosen = sounds(media)
    for place, other in DISTORTIONS["swap"].exchanged(chosen, 1.0).items():  # type: ignore[attr-defined]
        if 5 not in (place, other):
            assert DISTORTIONS["swap"].apply(chosen, place, 1.0).samples.tobytes() == as_read(media, other)


def test_swapped_captions_leave_the_sounds_alone(media: dict[str, Path]):
    chosen = sounds(media)
    captions = DISTORTIONS["captions"].captions(chosen, 1.0)
    assert sorted(captions.values()) == sorted(clip.caption for clip in chosen.clips)
    assert all(captions[clip.clip_id] != clip.caption for clip in chosen.clips)


def test_a_full_collapse_leaves_one_sound_per_group(media: dict[str, Path]):
    chosen = sounds(media)
    found = {DISTORTIONS["collapse"].apply(chosen, place, 1.0).samples[:100].tobytes() for place in range(N)}
    assert len(found) == 2


def test_groups_are_of_one_label_and_at_most_eight_clips(media: dict[str, Path]):
    chosen = sounds(media)
    for place in range(N):
        members = chosen.group(place)
        assert place in members
        assert {member % 2 for member in members} == {place % 2}
    one_kind = sounds(media, labels="all")
    assert {len(one_kind.group(place)) for place in range(N)} == {GROUP_CLIPS, N - GROUP_CLIPS}


def test_clips_that_are_alone_in_their_kind_stand_together(media: dict[str, Path]):
    chosen = sounds(media)
    alone = Sounds([clip._replace(labels="") for clip in chosen.clips], media, 0)
    assert sorted(alone.group(0) + alone.group(N - 3)) == list(range(N))


def test_a_full_average_is_nearly_the_same_for_a_group(media: dict[str, Path]):
    chosen = sounds(media)
    first, second = (DISTORTIONS["average"].apply(chosen, place, 1.0).samples.mean(axis=1) for place in (0, 2))
    assert np.corrcoef(first, second)[0, 1] > 0.999


def test_levels_that_cannot_be_applied_say_why(media: dict[str, Path]):
    chosen = sounds(media)
    assert DISTORTIONS["late"].objection(chosen, 1.0) == ""
    assert "needs clips of 4 s or more; the shortest lasts 2 s" in DISTORTIONS["late"].objection(chosen, 2.0)
    assert "a share of 0.05 of 12 clips is fewer than 2" in DISTORTIONS["swap"].objection(chosen, 0.05)
