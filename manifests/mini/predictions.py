"""Prediction sets whose order of quality is known, for demonstrations and for checking metrics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from math import sqrt
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from t2av_bench.errors import UsageError
from t2av_bench.files import replacing
from t2av_bench.manifests.mini.constants import SR_HZ
from t2av_bench.manifests.mini.stream import LSB, Stream
from t2av_bench.manifests.mini.world import Scene, parse_clip_id
from t2av_bench.manifests.schema import Manifest

LATE_SAMPLES = SR_HZ // 2

SET_NAMES = ("reference", "other-noise", "late-0.5s", "swapped", "noise")
"""The sets, best first."""


def write_prediction_sets(
    manifest: Manifest, out: str | Path, n_clips: int | None = None, seed: int = 0
) -> dict[str, Path]:
    """Write five prediction sets for clips of the mini world, best first.

    ============= ==================================================================================
    set           its sound
    ============= ==================================================================================
    reference     the clip's own, sample for sample
    other-noise   same contacts, pitches and strengths; background and random parts drawn again
    late-0.5s     the clip's own, half a second late, after background noise
    swapped       another clip's, of another family wherever possible
    noise         white noise, equally loud in every clip, so that not even its level follows the picture
    ============= ==================================================================================

    Parameters
    ----------
    manifest
        Of clips rendered by this package; only their ids are used.
    out
        Folder that gets one folder per set, with ``<clip_id>.wav`` (16 bit, 16 kHz, mono) in each.
    n_clips
        Only the first so many clips.
    seed
        Of the random parts of ``other-noise``, ``late-0.5s`` and ``noise``.

    Returns
    -------
    dict
        Folder by name of the set, in the order above.

    Raises
    ------
    UsageError
        If the manifest is of something else, or there are fewer than two clips to swap.
    """
    import soundfile

    clip_ids = [clip.clip_id for clip in manifest.clips()][:n_clips]
    if len(clip_ids) < 2:
        raise UsageError(f"swapping sounds needs at least 2 clips, got {len(clip_ids)}")
    scenes = [Scene(*parse_clip_id(clip_id)) for clip_id in clip_ids]
    own = {scene.clip_id: scene.pcm() for scene in scenes}
    partner = swap_partners({scene.clip_id: scene.families[0] for scene in scenes})
    folders = {name: Path(out) / name for name in SET_NAMES}
    for folder in folders.values():
        folder.mkdir(parents=True, exist_ok=True)
    level = _rms(np.concatenate(list(own.values())).astype(np.int64))
    for scene in scenes:
        sounds = _sounds(scene, own[scene.clip_id], own[partner[scene.clip_id]], seed, level)
        for name, pcm in sounds:
            with replacing(folders[name] / f"{scene.clip_id}.wav") as path:
                soundfile.write(path, pcm, SR_HZ, subtype="PCM_16")
    return folders


def _rms(samples: NDArray[np.int64]) -> float:
    return sqrt(int((samples * samples).sum()) / len(samples))


def swap_partners(family_of: dict[str, str]) -> dict[str, str]:
    """Give each clip another one: no clip keeps its own, and none gets its own family while no family holds most clips.

    Sorted by family and turned by the size of the largest one, no family meets itself.
    """
    ids = sorted(family_of, key=lambda clip_id: (family_of[clip_id], clip_id))
    turn = max(Counter(family_of.values()).values()) % len(ids) or 1
    return dict(zip(ids, ids[turn:] + ids[:turn], strict=True))


def _sounds(
    scene: Scene, own: NDArray[np.int16], other: NDArray[np.int16], seed: int, noise_level: float
) -> Iterator[tuple[str, NDArray[np.int16]]]:
    realisation = seed + 1  # 0 is the clip's own
    yield "reference", own
    yield "other-noise", scene.pcm(realisation)
    yield "late-0.5s", np.concatenate([scene.room_pcm(realisation)[:LATE_SAMPLES], own[:-LATE_SAMPLES]])
    yield "swapped", other
    white = Stream("t2av-mini predictions", scene.clip_id, seed).white(len(own)) * (LSB * noise_level)
    yield "noise", np.rint(np.clip(white, -32767, 32767)).astype(np.int16)
