"""One clip of the mini world: the same bits everywhere, and sound that follows from the picture."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from functools import cache

import numpy as np
import pytest

from t2av_bench.errors import UsageError
from t2av_bench.manifests.mini import FAMILIES, SPLITS, make_clip
from t2av_bench.manifests.mini.constants import CONTACT_S, FRAME_RATE_HZ, N_FRAMES, N_SAMPLES, SR_HZ
from t2av_bench.manifests.mini.motion import frame_at
from t2av_bench.manifests.mini.world import Scene, is_unseen, parse_clip_id

# SHA-256 (first 16 digits) of sound, frames and events. They may change only together with WORLD_VERSION.
GOLDEN = {
    ("train", 0, 0): ("d025965b7e5bce6e", "dfd8187b88593567", "4f53cda18c2baa0c"),
    ("train", 0, 17): ("6495ab42c96f4e85", "0afd2e14bea75c30", "08cc9f65a5cd80fc"),
    ("train", 123456789, 0): ("677858012167df5c", "b2120ee4fffb6ff8", "5cd43705e4f9f42d"),
    ("val", 0, 0): ("cfc65b2a1311d340", "d12a94829dc2a3c9", "0cf716ef28be5213"),
    ("val", 0, 17): ("afca949db4d13b59", "8b9668a4555503fe", "300a25567b53b6ca"),
    ("test", 0, 0): ("a74a1b427d0749e6", "2801beffcc96496e", "4f53cda18c2baa0c"),
    ("test", 0, 1): ("aa38b972db646767", "fef47a8dc6991396", "5c0d6de6748c0855"),
}


# The first clip of the test split in which each family sounds alone: sound and frames.
GOLDEN_FAMILIES = {
    "bounce": "d8475842fc4d4d47",
    "clap": "e8a30a36a749927b",
    "door": "6b0dc07885a1742e",
    "drum": "4c9fb0dad9edff9e",
    "hammer": "bec4fdc517a0193b",
    "metronome": "a42ec7b04e62777e",
    "pendulum": "5741320fc4af1127",
    "piston": "586c0a53b4c8ded1",
    "rain": "c5333482705c3d7c",
    "siren": "7d69b1e8c88da8b5",
    "wheel": "345e24cd14e76ad1",
    "xylophone": "8ee3a9391e9cec02",
}


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


@cache
def _scenes() -> tuple[Scene, ...]:
    return tuple(Scene("test", 0, index) for index in range(150))


def _single_with_events() -> list[Scene]:
    return [scene for scene in _scenes() if len(scene.sources) == 1 and scene.events()]


@pytest.mark.parametrize(("split", "seed", "index"), GOLDEN)
def test_clip_has_its_golden_bits(split: str, seed: int, index: int) -> None:
    clip = make_clip(split, seed, index)
    found = (
        _digest(clip.pcm.astype("<i2").tobytes()),
        _digest(clip.frames.tobytes()),
        _digest(repr([tuple(event) for event in clip.events]).encode()),
    )
    assert found == GOLDEN[split, seed, index]


def test_each_family_has_its_golden_bits() -> None:
    found = {}
    for family in FAMILIES:
        scene = next(s for s in _scenes() if s.families == (family,))
        found[family] = _digest(scene.pcm().astype("<i2").tobytes() + scene.frames().tobytes())
    assert found == GOLDEN_FAMILIES


def test_clip_has_the_documented_shape() -> None:
    clip = make_clip("train", 1, 3)
    assert clip.frames.shape == (N_FRAMES, 64, 64, 3)
    assert clip.frames.dtype == np.uint8
    assert clip.pcm.shape == (N_SAMPLES,)
    assert clip.pcm.dtype == np.int16


def test_clips_differ_between_splits_seeds_and_indices() -> None:
    sounds = {
        make_clip(*key).pcm.tobytes()
        for key in (("train", 0, 0), ("val", 0, 0), ("test", 0, 0), ("train", 1, 0), ("train", 0, 1))
    }
    assert len(sounds) == 5


def test_train_and_test_share_no_sound_and_no_picture() -> None:
    train = [make_clip("train", 0, index) for index in range(20)]
    test = [make_clip("test", 0, index) for index in range(20)]
    assert not {clip.pcm.tobytes() for clip in train} & {clip.pcm.tobytes() for clip in test}
    assert not {clip.frames[50].tobytes() for clip in train} & {clip.frames[50].tobytes() for clip in test}


def test_training_never_shows_the_pairs_kept_for_the_other_splits() -> None:
    pairs = {split: _pairs(split) for split in SPLITS}
    assert not any(is_unseen(*pair) for pair in pairs["train"])
    assert any(is_unseen(*pair) for pair in pairs["val"])
    assert any(is_unseen(*pair) for pair in pairs["test"])


def _pairs(split: str) -> set[tuple[str, str]]:
    scenes = (Scene(split, 0, index) for index in range(300))
    return {(source.family, source.colour_name) for scene in scenes for source in (*scene.sources, *scene.bystanders)}


def test_all_families_and_pairs_of_sources_appear_in_the_test_split() -> None:
    counts = Counter(family for scene in _scenes()[:128] for family in scene.families)
    assert set(counts) == set(FAMILIES)
    assert len(FAMILIES) == 12
    two = [scene for scene in _scenes()[:128] if len(scene.sources) == 2]
    assert 10 <= len(two) <= 50
    assert all(len(set(scene.families)) == 2 for scene in two)


def _with_bystander() -> list[Scene]:
    return [scene for scene in _scenes() if scene.bystanders]


def test_half_the_pairs_have_a_caption_that_names_one_of_them() -> None:
    pairs = [scene for scene in _scenes() if len(scene.sources) + len(scene.bystanders) == 2]
    assert 0.3 < len(_with_bystander()) / len(pairs) < 0.7
    for scene in _with_bystander():
        (named,), (other,) = scene.sources, scene.bystanders
        assert named.words.noun in scene.caption or named.words.noun.capitalize() in scene.caption
        assert other.words.noun not in scene.caption.lower()
    assert {scene.sources[0].slot.x_px < 32 for scene in _with_bystander()} == {True, False}


def test_bystanders_are_seen_to_strike_but_not_heard() -> None:
    striking = [scene for scene in _with_bystander() if scene.bystanders[0].hits]
    assert len(striking) >= 8
    for scene in striking:
        assert {event.family for event in scene.events()} <= set(scene.families)
        with_it, drawn = scene.frames(), scene.bystanders
        scene.bystanders = ()
        moved = np.ptp(np.abs(with_it.astype(int) - scene.frames()), axis=0).max(axis=-1)
        left = drawn[0].slot.x_px < 32
        assert moved.max() > 30
        assert (moved[:, :32].max() > 30) if left else (moved[:, 32:].max() > 30)
        assert np.array_equal(scene.pcm(), make_clip(*parse_clip_id(scene.clip_id)).pcm)
        scene.bystanders = drawn


def test_sound_of_a_clip_with_a_bystander_is_background_until_the_named_source_strikes() -> None:
    for scene in _with_bystander():
        if scene.events():
            first = int(scene.events()[0].time_s * SR_HZ + 0.5)
            np.testing.assert_array_equal(scene.pcm()[:first], scene.room_pcm()[:first])


def test_only_the_humming_families_have_no_events() -> None:
    for scene in _scenes():
        silent = set(scene.families) <= {"wheel", "siren"}
        assert silent == (not scene.events())


def test_events_are_few_sorted_and_away_from_the_ends() -> None:
    counts = [len(scene.events()) for scene in _single_with_events()]
    assert np.mean(counts) < 4
    for scene in _scenes():
        times = [event.time_s for event in scene.events()]
        assert times == sorted(times)
        assert all(0.14 < time_s < 3.82 for time_s in times)
        assert all(0 < event.strength <= 1 for event in scene.events())
        assert all(-4 < event.x_px < 68 and -4 < event.y_px < 68 for event in scene.events())


def test_times_of_another_clip_match_by_chance_only() -> None:
    times = [[event.time_s for event in scene.events()] for scene in _single_with_events()]
    hits = sum(any(abs(a - b) <= 0.1 for b in times[(i + 5) % len(times)]) for i, own in enumerate(times) for a in own)
    assert hits / sum(map(len, times)) < 0.3


def test_sound_rises_at_each_event() -> None:
    window = SR_HZ * 20 // 1000
    for scene in _single_with_events()[:60]:
        pcm = scene.pcm().astype(np.float64)
        for event in scene.events():
            start = int(event.time_s * SR_HZ + 0.5)
            before, after = pcm[start - window : start], pcm[start : start + window]
            assert np.mean(after**2) > 4 * np.mean(before**2), (scene.clip_id, event)


def test_contact_shows_in_the_first_frame_at_or_after_each_event_and_in_no_other() -> None:
    for scene in _scenes():
        for source in (*scene.sources, *scene.bystanders):
            touching = {frame_at(hit.time_s) for hit in source.hits}
            shown = source.gap == 0.0
            assert all(shown[frame] for frame in touching), scene.clip_id
            began = np.flatnonzero(shown[1:] & ~shown[:-1]) + 1
            assert set(began.tolist()) == touching, scene.clip_id


def test_picture_moves_where_and_when_an_event_is() -> None:
    moved = []
    for scene in _single_with_events()[:40]:
        frames = scene.frames().astype(np.int16)
        for event in scene.events():
            frame, x, y = frame_at(event.time_s), round(event.x_px), round(event.y_px)
            around = frames[frame - 2 : frame + 2, max(0, y - 14) : y + 6, max(0, x - 14) : x + 14]
            moved.append(np.abs(np.diff(around, axis=0)).max() > 30)
    assert np.mean(moved) > 0.97  # something may stand in front


def test_feints_and_distractors_are_silent() -> None:
    """Until its first contact a clip holds nothing but the background noise, whatever moves."""
    for scene in _single_with_events()[:60]:
        first = int(scene.events()[0].time_s * SR_HZ + 0.5)
        np.testing.assert_array_equal(scene.pcm()[:first], scene.room_pcm()[:first])
        assert np.abs(scene.room_pcm()).max() > 0


def test_some_strokes_are_feints() -> None:
    hammers = [source for scene in _scenes() for source in scene.sources if source.family == "hammer"]
    turns = [
        int(np.sum((s.gap[1:-1] < s.gap[:-2]) & (s.gap[1:-1] <= s.gap[2:]) & (s.gap[1:-1] > 0.3))) for s in hammers
    ]
    assert any(turns)
    assert not all(turns)


def test_some_clips_shake_and_some_do_not() -> None:
    shaken = [np.ptp(np.stack(scene._shake)) > 0 for scene in _scenes()]
    assert 0.1 < np.mean(shaken) < 0.35


def test_other_realisation_has_the_same_events_with_another_sound() -> None:
    for scene in _single_with_events()[:12]:
        own, other = scene.pcm().astype(np.float64), scene.pcm(realisation=1).astype(np.float64)
        assert np.mean(own == other) < 0.5
        assert 0.4 < math.sqrt(np.mean(own**2) / np.mean(other**2)) < 2.5
        first = scene.events()[0].time_s
        start = int(first * SR_HZ + 0.5)
        for pcm in (own, other):
            assert np.mean(pcm[start : start + 320] ** 2) > 4 * np.mean(pcm[start - 320 : start] ** 2)
        np.testing.assert_array_equal(scene.pcm(realisation=1), other)


def test_no_clip_is_silent_or_clipped() -> None:
    for scene in _scenes()[:40]:
        pcm = scene.pcm().astype(np.int64)
        assert 500 < np.abs(pcm).max() < 32767


def test_wheel_is_higher_when_it_turns_faster() -> None:
    wheels = [scene for scene in _scenes() if scene.families == ("wheel",)]
    risers = [scene for scene in wheels if "speeds up" in scene.caption]
    assert risers
    for scene in risers:
        pcm = scene.pcm().astype(np.float64)
        early, late = (_peak_hz(part) for part in (pcm[: SR_HZ // 2], pcm[-SR_HZ // 2 :]))
        assert late > 1.5 * early


def _peak_hz(sound: np.ndarray[tuple[int], np.dtype[np.float64]]) -> float:
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound))))
    return float(np.argmax(spectrum)) * SR_HZ / len(sound)


def test_captions_name_the_object() -> None:
    nouns = {
        "siren": ("police car", "ambulance", "fire engine"),
        "bounce": ("ball",),
        "clap": ("bars",),
        "rain": ("rain cloud",),
    }
    for scene in _scenes():
        for family in scene.families:
            assert any(noun in scene.caption for noun in nouns.get(family, (family,))), scene.caption
        assert scene.caption[0].isupper()
        assert scene.caption == " ".join(scene.caption.split())
        words = scene.caption.lower().split()
        for article, word in zip(words, words[1:], strict=False):
            if article in ("a", "an"):
                assert (article == "an") == (word[0] in "aeiou"), scene.caption


def test_captions_vary() -> None:
    assert len({scene.caption for scene in _scenes()}) > 100


def test_clip_id_leads_back_to_the_clip() -> None:
    scene = Scene("val", 7, 42)
    assert parse_clip_id(scene.clip_id) == ("val", 7, 42)


@pytest.mark.parametrize("clip_id", ["", "test-s0", "prod-s0-000001", "test-s0-000001.mp4", "../test-s0-000001"])
def test_foreign_clip_ids_are_refused(clip_id: str) -> None:
    with pytest.raises(UsageError, match="is not a clip of t2av-mini"):
        parse_clip_id(clip_id)


def test_unknown_splits_and_negative_numbers_are_refused() -> None:
    with pytest.raises(UsageError, match="split must be one of train, val, test, got 'dev'"):
        make_clip("dev", 0, 0)
    with pytest.raises(UsageError, match="must not be negative, got -1 and 0"):
        make_clip("test", -1, 0)
    with pytest.raises(UsageError, match="must not be negative, got 0 and -1"):
        make_clip("test", 0, -1)


def test_contact_lasts_one_frame() -> None:
    assert CONTACT_S * FRAME_RATE_HZ == 1
