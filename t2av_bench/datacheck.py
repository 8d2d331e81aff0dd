"""Look at every media file of a manifest and say what state it is in: ``t2av-bench manifest check``.

By default only headers are read, so a clip takes a few milliseconds; ``decode`` reads the sound as scoring will and
finds silence, NaN and damage further in. What is known of a file is remembered under its path, size and times, so a
stopped check goes on where it was, and a second one of unchanged files takes no time.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from t2av_bench.cache import EmbeddingCache, file_key, file_sha256
from t2av_bench.errors import MediaError
from t2av_bench.files import replacing
from t2av_bench.manifests import Clip
from t2av_bench.media import TOLERANCE_S, check_audio, probe
from t2av_bench.naming import locate_media
from t2av_bench.progress import progress_bar
from t2av_bench.workers import JobFailure, run_jobs

# Raised when the same file could get another answer.
_VERSION = 2
STATES = {
    "ok": "can be used",
    "missing": "no file under any known name",
    "unreadable": "cannot be read",
    "no_sound": "has no sound",
    "no_video": "has no pictures",
    "too_short": "is shorter than the clip",
    "silent": "holds digital silence (found with --decode)",
    "duplicate": "has the same bytes as an earlier clip's file",
}
"""Every state a clip can be in; the first that applies counts, in this order."""
UNUSABLE = frozenset({"missing", "unreadable", "no_sound", "no_video", "too_short"})

Job = TypeVar("Job", bound=Hashable)


@dataclass(frozen=True)
class ClipState:
    """What was found for one clip.

    Attributes
    ----------
    clip_id, path
        The clip, and its file if there is one.
    state, reason
        A key of :data:`STATES`, and a clause that says more.
    sound_s, video_s
        Where sound and pictures end, seconds; None where unknown or absent.
    """

    clip_id: str
    path: str
    state: str
    reason: str = ""
    sound_s: float | None = None
    video_s: float | None = None


class _Need(NamedTuple):
    path: Path
    start_s: float
    duration_s: float
    decode: bool


def check_data(
    clips: Sequence[Clip],
    data_dir: str | Path,
    *,
    cache: EmbeddingCache,
    decode: bool = False,
    num_workers: int = 0,
    progress: bool = True,
) -> list[ClipState]:
    """Check the media of all clips.

    Parameters
    ----------
    clips, data_dir
        The manifest's clips, and the folder of their media.
    cache
        Where answers are remembered.
    decode
        Whether to read all sound, not only headers.
    num_workers
        Processes; 0 reads in this one.
    progress
        Whether to show progress on stderr: bars on a terminal, else a line a minute.

    Returns
    -------
    list of ClipState
        One per clip, in the manifest's order.

    Raises
    ------
    T2AVBenchError
        If the data folder does not exist.
    """
    files, absent = locate_media(clips, data_dir)
    states = {
        p.clip_id: ClipState(p.clip_id, "", "missing", f"looked for {p.path} and for known names") for p in absent
    }
    present = [clip for clip in clips if clip.clip_id in files]
    needs = [_Need(files[clip.clip_id], clip.start_s, clip.duration_s, decode) for clip in present]
    answers = _ask(_look, needs, cache, _question_of, ("checking media", num_workers, progress))
    for clip, need, answer in zip(present, needs, answers, strict=True):
        states[clip.clip_id] = ClipState(clip.clip_id, str(need.path), **answer)
    _mark_duplicates(states, [clip.clip_id for clip in present], cache, num_workers, progress)
    return [states[clip.clip_id] for clip in clips]


def _question_of(need: _Need) -> tuple[Path, str]:
    return need.path, f"data check {_VERSION}|{need.start_s:.6f}|{need.duration_s:.6f}|{need.decode:d}"


def _ask(
    function: Callable[[Job], dict[str, Any]],
    jobs: Sequence[Job],
    cache: EmbeddingCache,
    question_of: Callable[[Job], tuple[Path, str]],
    how: tuple[str, int, bool],
) -> list[dict[str, Any]]:
    """Answer every job, from memory where the file is as it was."""
    what, num_workers, progress = how
    answers: dict[int, dict[str, Any]] = {}
    keys: dict[int, str] = {}
    for index, job in enumerate(jobs):
        try:
            keys[index] = file_key(*question_of(job))
        except MediaError as error:
            answers[index] = {"state": "unreadable", "reason": error.reason}
            continue
        known = cache.recall(keys[index])
        if known is not None:
            answers[index] = known
    unknown = [index for index in range(len(jobs)) if index not in answers]
    outcomes = run_jobs(function, [jobs[index] for index in unknown], num_workers=num_workers)
    with progress_bar(len(unknown), what, "clip", progress) as bar, closing(outcomes):
        for position, answer in outcomes:
            index = unknown[position]
            if isinstance(answer, JobFailure):
                answers[index] = {"state": "unreadable", "reason": answer.reason}
            else:
                answers[index] = answer
                if answer.get("state") != "unreadable":  # which the disk's or the network's trouble may have been
                    cache.remember(keys[index], answer)
            bar.update()
    return [answers[index] for index in range(len(jobs))]


def _look(need: _Need) -> dict[str, Any]:
    """Judge one file; runs in a worker."""
    try:
        info = probe(need.path)
        ends = {"sound_s": info.audio_duration_s, "video_s": info.video_duration_s}
        if info.audio_sr_hz is None:
            return {"state": "no_sound", **ends}
        if info.video_width is None:
            return {"state": "no_video", **ends}
        end_s = need.start_s + need.duration_s
        # Pictures may end early: the last one stands still.
        for what, found_s, limit_s, clip in (
            ("sound ends", info.audio_duration_s, end_s - TOLERANCE_S, f"ends at {end_s:g} s"),
            ("pictures end", info.video_duration_s, need.start_s, f"begins at {need.start_s:g} s"),
        ):
            if found_s is not None and found_s < limit_s:
                return {"state": "too_short", "reason": f"its {what} at {found_s:.3f} s, the clip {clip}", **ends}
        return {**(_listen(need) if need.decode else {"state": "ok"}), **ends}
    except MediaError as error:
        return {"state": "unreadable", "reason": error.reason}
    except OSError as error:
        return {"state": "unreadable", "reason": f"cannot be read ({error.strerror})"}


def _listen(need: _Need) -> dict[str, Any]:
    sound = check_audio(need.path, need.start_s, need.duration_s)
    if sound.non_finite:
        return {"state": "unreadable", "reason": f"{sound.non_finite} samples are NaN or infinite"}
    if sound.too_short:
        return {"state": "too_short", "reason": f"its sound lasts {sound.available_s:.3f} s"}
    return {"state": "silent" if sound.silent else "ok"}


def _mark_duplicates(
    states: dict[str, ClipState], order: list[str], cache: EmbeddingCache, num_workers: int, progress: bool
) -> None:
    """Find files of equal bytes; only files of equal size need be read for that."""
    sizes = {clip_id: _size(states[clip_id].path) for clip_id in order if states[clip_id].state == "ok"}
    of_size = Counter(sizes.values())
    suspects = [clip_id for clip_id in order if clip_id in sizes and of_size[sizes[clip_id]] > 1]
    paths = [Path(states[clip_id].path) for clip_id in suspects]
    hashes = _ask(_hash, paths, cache, lambda path: (path, "sha256"), ("comparing files", num_workers, progress))
    first: dict[str, str] = {}
    for clip_id, answer in zip(suspects, hashes, strict=True):
        if "sha256" in answer and (original := first.setdefault(answer["sha256"], clip_id)) != clip_id:
            states[clip_id] = replace(states[clip_id], state="duplicate", reason=f"the same as {original}")


def _size(path: str) -> int:
    """Return a file's size; -1 for one that is gone since it was looked at, which hashing will name."""
    try:
        return Path(path).stat().st_size
    except OSError:
        return -1


def _hash(path: Path) -> dict[str, Any]:
    try:
        return {"sha256": file_sha256(path)}
    except OSError as error:
        return {"state": "unreadable", "reason": f"cannot be read ({error.strerror})"}


def write_states(states: Sequence[ClipState], path: str | Path) -> None:
    """Write one row per clip as CSV."""
    with replacing(Path(path)) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["clip_id", "state", "reason", "path", "sound_s", "video_s"])
        for one in states:
            ends = ("" if end is None else f"{end:.3f}" for end in (one.sound_s, one.video_s))
            writer.writerow([one.clip_id, one.state, one.reason, one.path, *ends])
