"""What a report is made of, and whether it belongs together: results, manifest, media and sounds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from t2av_bench.errors import Problem, ReportError, T2AVBenchError, UsageError, shown
from t2av_bench.manifests import Clip, Manifest, event_times, load_manifest, manifest_names
from t2av_bench.metrics import METRICS
from t2av_bench.naming import locate_media, media_folder
from t2av_bench.predictions import match_predictions
from t2av_bench.reporting.clips import ClipFacts, Source
from t2av_bench.results import Result
from t2av_bench.results.comparability import Entry, check_comparable, load_entries, shared_scores

# The keys 1 to 9 choose a sound, and the first is the original.
MOST_SYSTEMS = 8
_CHECKED = "onset-acc"
_SAME = 1e-6
# Sounds that no longer fit their scores: of more clips than this share they are those of another system.
_MOST_CHANGED = 0.1


@dataclass(frozen=True)
class Inputs:
    """Everything that a report is made of.

    Attributes
    ----------
    entries
        Results with contributions of clips, each under a name of its own.
    manifest
        What they are results on.
    clips
        Those that at least one system was scored on, in the manifest's order.
    references, generated
        Clip id to the reference's file, and for each system clip id to its sound; or why there is none.
    events
        Clip id to event times in seconds; None where the manifest knows none.
    """

    entries: tuple[Entry, ...]
    manifest: Manifest
    clips: tuple[Clip, ...]
    references: Mapping[str, Source]
    generated: tuple[Mapping[str, Source], ...]
    events: Mapping[str, npt.NDArray[np.float64]] | None

    @property
    def results(self) -> list[Result]:
        """Return the results in order."""
        return [entry.result for entry in self.entries]


def gather(
    results: Sequence[str | Path | Result],
    pred_dirs: Sequence[str | Path],
    manifest: str | Path | Manifest | None,
    data_dir: str | Path | None,
) -> Inputs:
    """Load everything and hold it together.

    Raises
    ------
    UsageError
        If there is not one folder of sounds per result, or the manifest or the folder of media has to be named.
    ComparisonError
        If the results were not made in the same way.
    ReportError
        If the manifest is not that of the results, or a folder holds no sound of the scored clips.
    T2AVBenchError
        If something cannot be read.
    """
    if not 1 <= len(results) <= MOST_SYSTEMS:
        raise UsageError(f"a report is of 1 to {MOST_SYSTEMS} systems; got {len(results)}")
    if len(results) != len(pred_dirs):
        raise UsageError(
            f"each result needs the folder of its sounds, in the same order: got {len(results)} results and"
            f" {len(pred_dirs)} times --pred-dir (pred_dirs)"
        )
    entries = load_entries(results)
    if len(entries) > 1:
        check_comparable(entries, shared_scores(entries)[0], same_clips=False)
    benchmark = _manifest_of(entries[0], manifest)
    folder = media_folder(benchmark, data_dir)
    scored = {clip_id for entry in entries for clip_id in entry.result.per_clip}
    clips = tuple(clip for clip in benchmark.clips() if clip.clip_id in scored)
    if len(clips) < len(scored):
        strange = next(iter(scored - {clip.clip_id for clip in clips}))
        raise ReportError(
            f"the results have clips that the manifest {benchmark.name} has not, such as {shown(strange)!r}"
        )
    media, absent = locate_media(clips, folder)
    if not media:
        raise ReportError(
            f"{folder}: holds the media of no scored clip; is it the right folder (--data-dir, data_dir)?"
        )
    return Inputs(
        entries=tuple(entries),
        manifest=benchmark,
        clips=clips,
        references=_sources(clips, media, absent),
        generated=tuple(_sounds(clips, entry, path) for entry, path in zip(entries, pred_dirs, strict=True)),
        events=event_times(benchmark),
    )


def _manifest_of(entry: Entry, chosen: str | Path | Manifest | None) -> Manifest:
    """Return the manifest that a result is on."""
    record = entry.result.manifest
    if chosen is None:
        if record["name"] not in manifest_names():
            raise UsageError(
                f"{entry.name} is a result on {shown(record['name'])!r}, which is no built-in manifest: give its file"
                " with --manifest (manifest=...)"
            )
        chosen = str(record["name"])
    benchmark = chosen if isinstance(chosen, Manifest) else load_manifest(chosen)
    if benchmark.sha256 != record["sha256"]:
        raise ReportError(
            f"{entry.name} is a result on {shown(record['name'])} version {shown(record['version'])} (sha256"
            f" {record['sha256'][:8]}…), and the manifest is {benchmark.name} version {benchmark.version}"
            f" ({benchmark.sha256[:8]}…): give the one it was evaluated on (--manifest, manifest=...)"
        )
    return benchmark


def _sounds(clips: Sequence[Clip], entry: Entry, folder: str | Path) -> dict[str, Source]:
    """Find the sounds of a system's scored clips."""
    scored = [clip for clip in clips if clip.clip_id in entry.result.per_clip]
    try:
        matching = match_predictions(scored, folder)
    except T2AVBenchError as error:
        raise ReportError(f"the sounds of {entry.name}: {error}") from error
    found = _sources(scored, matching.files, matching.problems)
    return {clip.clip_id: found.get(clip.clip_id, Source(None, "was not scored")) for clip in clips}


def _sources(clips: Sequence[Clip], files: Mapping[str, Path], problems: Sequence[Problem]) -> dict[str, Source]:
    reasons = {problem.clip_id: problem.reason for problem in problems}
    return {
        clip.clip_id: Source(files[clip.clip_id]) if clip.clip_id in files else Source(None, reasons[clip.clip_id])
        for clip in clips
    }


def changed_sounds(inputs: Inputs, facts: Mapping[str, ClipFacts]) -> dict[tuple[str, int], str]:
    """Hold the sounds to the scores: their onset accuracy must be what the result says.

    Returns
    -------
    dict
        Clip id and index of the system to a remark, for sounds of which it is not.

    Raises
    ------
    ReportError
        If it is not for more than a tenth of a system's clips: then these are other sounds than those that were scored,
        perhaps of another system.
    """
    remarks: dict[tuple[str, int], str] = {}
    for system, entry in enumerate(inputs.entries):
        score = entry.result.scores.get(_CHECKED)
        if score is None or score.version != METRICS[_CHECKED].version:
            continue
        pairs = [
            (clip_id, float(entry.result.clip_values[clip_id][_CHECKED]), fact.sounds[1 + system].onset_accuracy)
            for clip_id, fact in facts.items()
            if _CHECKED in entry.result.clip_values.get(clip_id, {})
        ]
        known = [(clip_id, told, found) for clip_id, told, found in pairs if found is not None]
        other = [(clip_id, told, found) for clip_id, told, found in known if abs(told - found) > _SAME]
        if len(other) > max(1, _MOST_CHANGED * len(known)):
            clip_id, told, found = other[0]
            raise ReportError(
                f"the sounds given for {entry.name} are not those that were scored: {_CHECKED} differs for {len(other)}"
                f" of {len(known)} clips, such as {shown(clip_id)} ({told:.3g} in the result, {found:.3g} now). Give"
                " the folders of sounds in the order of the results, or evaluate again."
            )
        for clip_id, told, found in other:
            text = f"not the sound that was scored? {_CHECKED} is {found:.3g}, and {told:.3g} in the result"
            remarks[clip_id, system] = text
    return remarks
