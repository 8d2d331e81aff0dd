"""What a report shows of one clip: its pictures, its sounds, and when something starts in them.

Runs in worker processes. Whatever cannot be read of a clip is told in its place, and the rest is shown.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from t2av_bench.companions.base import ClipArrays, Ratio
from t2av_bench.companions.synchrony import SOUND_HZ, OnsetScore
from t2av_bench.errors import MediaError, ReportError
from t2av_bench.manifests import Clip
from t2av_bench.media import TOLERANCE_S, read_audio
from t2av_bench.media.cutting import plays_in_browsers, read_still, sounds_in_browsers, write_pictures, write_sound
from t2av_bench.media.front_end import OURS
from t2av_bench.metrics.peaks import onset_times
from t2av_bench.models.extractors.onset_strength import OnsetStrengthExtractor
from t2av_bench.models.extractors.windows import GRID_SR_HZ
from t2av_bench.reporting.pictures import draw_sounds, write_poster

Float32Array = npt.NDArray[np.float32]
_ACCURACY = OnsetScore("onset-acc", "accuracy")


class Source(NamedTuple):
    """Where something of a clip lies, or why it lies nowhere.

    Attributes
    ----------
    path
        The file; None if there is none.
    problem
        Why there is none, as a clause.
    """

    path: Path | None
    problem: str = ""


@dataclass(frozen=True)
class ClipJob:
    """What is to be made of one clip.

    Attributes
    ----------
    clip
        Of the manifest; its range is what is shown.
    reference
        The file with its pictures and its original sound.
    generated
        The sound of each system.
    folder
        Where to write; None to look for onsets only.
    link
        Whether files that browsers play as they are are linked instead of copied.
    colours
        Of the pictures of sounds.
    """

    clip: Clip
    reference: Source
    generated: tuple[Source, ...]
    folder: Path | None
    link: bool
    colours: bytes


@dataclass(frozen=True)
class SoundFacts:
    """What is known of one sound of a clip.

    Attributes
    ----------
    file, start_s
        Name of the file to play, empty if there is none, and where the clip starts in it.
    picture
        Name of its picture.
    sr_hz, channels, peak
        As stored; full scale is 1.
    onsets_s
        When something starts in it, seconds from the clip's start.
    onset_accuracy
        Of a generated sound against the original, as the score onset-acc; None where that is undefined.
    problem
        Why it cannot be heard, or what is wrong with it.
    """

    file: str = ""
    start_s: float = 0.0
    picture: str = ""
    sr_hz: int = 0
    channels: int = 0
    peak: float = 0.0
    onsets_s: tuple[float, ...] | None = None
    onset_accuracy: float | None = None
    problem: str = ""


@dataclass(frozen=True)
class ClipFacts:
    """What is known of one clip.

    Attributes
    ----------
    video, video_start_s, poster
        Name of the file with its pictures, where the clip starts in it, and name of a still.
    video_problem
        Why it cannot be seen.
    sounds
        The original first, then each system's.
    """

    video: str = ""
    video_start_s: float = 0.0
    poster: str = ""
    video_problem: str = ""
    sounds: tuple[SoundFacts, ...] = field(default=())


def make_clip(job: ClipJob) -> ClipFacts:
    """Read a clip, write what the page shows of it, and return what there is to say.

    Raises
    ------
    ReportError
        If links cannot be made here. What is wrong with a file is in what is returned.
    """
    if job.folder is not None:
        job.folder.mkdir(parents=True, exist_ok=True)
    names = sound_names(len(job.generated))
    starts_s = [job.clip.start_s, *(0.0 for _ in job.generated)]
    heard = [
        _hear(source, start_s, job, name)
        for source, start_s, name in zip((job.reference, *job.generated), starts_s, names, strict=True)
    ]
    facts = _with_accuracy(job.clip, heard)
    if job.folder is None:
        return ClipFacts(sounds=tuple(facts))
    audible = [i for i, sound in enumerate(heard) if sound.mono is not None]
    pictures = {i: f"{names[i]}.png" for i in audible}
    if audible:
        sounds = [mono for sound in heard if (mono := sound.mono) is not None]
        draw_sounds(sounds, [job.folder / picture for picture in pictures.values()], job.colours)
    facts = [replace(fact, picture=pictures.get(i, "")) for i, fact in enumerate(facts)]
    return _see(job, tuple(facts))


def sound_names(systems_n: int) -> list[str]:
    """Return the names, without endings, of the files of a clip's sounds."""
    return ["original", *(f"system-{i}" for i in range(1, systems_n + 1))]


class _Heard(NamedTuple):
    facts: SoundFacts
    mono: Float32Array | None = None
    rows: Float32Array | None = None


def _hear(source: Source, start_s: float, job: ClipJob, name: str) -> _Heard:
    """Read a sound, write or link its file, and find its onsets."""
    duration_s = job.clip.duration_s
    if source.path is None:
        return _Heard(SoundFacts(problem=source.problem))
    try:
        stored, sr_hz = read_audio(source.path, start_s=start_s, duration_s=duration_s)
        if not np.isfinite(stored).all():
            raise MediaError(source.path, "holds samples that are NaN or infinite")
    except MediaError as error:
        return _Heard(SoundFacts(problem=error.reason))
    mono = OURS.signal(stored, sr_hz, sr_hz=GRID_SR_HZ, duration_s=duration_s)
    rows = OnsetStrengthExtractor().windows(mono, duration_s)
    onsets_s = tuple(float(time_s) for time_s in onset_times(rows[:, 0], SOUND_HZ))
    peak = float(np.abs(stored).max(initial=0.0))
    facts = SoundFacts(sr_hz=sr_hz, channels=stored.shape[1], peak=peak, onsets_s=onsets_s)
    if job.folder is None:
        return _Heard(facts, mono, rows)
    missing_s = duration_s - len(stored) / sr_hz
    problem = f"ends {missing_s:.2f} s before the clip" if missing_s > TOLERANCE_S else ""
    if job.link and start_s == 0.0 and sounds_in_browsers(source.path):
        file = _link(source.path, job.folder / f"{name}{source.path.suffix.lower()}")
    else:
        file = f"{name}.mp4"
        write_sound(_as_long(stored, round(duration_s * sr_hz)), sr_hz, job.folder / file)
    return _Heard(replace(facts, file=file, problem=problem), mono, rows)


def _as_long(stored: Float32Array, samples_n: int) -> Float32Array:
    """Return one or two channels, exactly so long: all sounds of a clip end together."""
    if stored.shape[1] > 2:
        stored = stored.mean(axis=1, keepdims=True, dtype=np.float32)
    return np.pad(stored[:samples_n], ((0, max(0, samples_n - len(stored))), (0, 0)))


def _with_accuracy(clip: Clip, heard: Sequence[_Heard]) -> list[SoundFacts]:
    """Add what the score onset-acc is for each generated sound, as far as it is defined."""
    facts = [heard[0].facts]
    for sound in heard[1:]:
        found = None
        if heard[0].rows is not None and sound.rows is not None:
            sides = ({"onset_strength": rows} for rows in (heard[0].rows, sound.rows))
            found = _ACCURACY.measure(ClipArrays(clip, *sides))
        facts.append(replace(sound.facts, onset_accuracy=found.numerator if isinstance(found, Ratio) else None))
    return facts


def _see(job: ClipJob, sounds: tuple[SoundFacts, ...]) -> ClipFacts:
    """Write or link the pictures, and a still."""
    assert job.folder is not None  # else nothing is written
    path, clip = job.reference.path, job.clip
    if path is None:
        return ClipFacts(video_problem=job.reference.problem, sounds=sounds)
    try:
        write_poster(read_still(path, start_s=clip.start_s, duration_s=clip.duration_s), job.folder / "still.jpg")
        if job.link and plays_in_browsers(path):
            video, start_s = _link(path, job.folder / f"video{path.suffix.lower()}"), clip.start_s
        else:
            video = "video.mp4"
            start_s = write_pictures(path, job.folder / video, start_s=clip.start_s, duration_s=clip.duration_s)
    except MediaError as error:
        return ClipFacts(video_problem=error.reason, sounds=sounds)
    return ClipFacts(video, start_s, "still.jpg", "", sounds)


def _link(path: Path, link: Path) -> str:
    try:
        os.symlink(path.resolve(), link)
    except OSError as error:
        raise ReportError(f"{link}: links cannot be made here ({error.strerror}); use --media copy") from error
    return link.name
