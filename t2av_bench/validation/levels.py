"""Levels of distortions, scored as predictions like any other: side by side where that is faster."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from shutil import rmtree
from typing import Any, NamedTuple

from t2av_bench.distributed import Processes
from t2av_bench.errors import ProblemsError
from t2av_bench.evaluation import evaluate
from t2av_bench.manifests import Manifest
from t2av_bench.predictions import LIST_NAME
from t2av_bench.progress import progress_bar
from t2av_bench.results import Result
from t2av_bench.validation.catalogue import DISTORTIONS, Distortion
from t2av_bench.validation.sounds import Sounds
from t2av_bench.workers import JobFailure, run_jobs

Job = tuple[str, float]

NONE: Job = ("none", 0.0)
"""The job of the undistorted sound."""


@dataclass(frozen=True)
class LevelScorer:
    """Scores one level of one distortion; crosses to worker processes.

    Attributes
    ----------
    manifest, data_dir
        The clips and where their media are.
    sounds
        Their real sounds.
    folder
        Where predictions lie while they are scored.
    options
        Of :func:`t2av_bench.evaluate`.
    """

    manifest: Manifest
    data_dir: Path
    sounds: Sounds
    folder: Path
    options: Mapping[str, Any]

    def __call__(self, job: Job, num_workers: int = 0, progress: bool = False) -> Result:
        """Score a distortion's name and level."""
        name, level = job
        predictions = self.folder / f"{name} {level:g}"
        predictions.mkdir()
        try:
            self._write(predictions, DISTORTIONS.get(name), level)
            captions = DISTORTIONS[name].captions(self.sounds, level) if name in DISTORTIONS else {}
            return evaluate(
                predictions,
                self.manifest,
                self.data_dir,
                captions=captions,
                num_workers=num_workers,
                progress=progress,
                **self.options,
            )
        finally:
            rmtree(predictions, ignore_errors=True)

    def _write(self, predictions: Path, distortion: Distortion | None, level: float) -> None:
        """Write every clip's sound, and a list of them: an id need not be a file name.

        As float AU: of the same samples it has the same bytes, by which the cache knows them. Float WAV holds the time
        of writing.
        """
        import soundfile

        with (predictions / LIST_NAME).open("w", encoding="utf-8", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(["clip_id", "path"])
            for place, clip in enumerate(self.sounds.clips):
                sound = self.sounds.read(place) if distortion is None else distortion.apply(self.sounds, place, level)
                soundfile.write(predictions / f"{place}.au", sound.samples, sound.sr_hz, subtype="FLOAT")
                rows.writerow([clip.clip_id, f"{place}.au"])


@dataclass(frozen=True)
class LevelPlace:
    """Where a process scores levels.

    Attributes
    ----------
    folder, options
        Its own in place of a :class:`LevelScorer`'s.
    num_workers, progress
        Of its own.
    processes
        Those that share the levels.
    """

    folder: Path
    options: Mapping[str, Any]
    num_workers: int
    progress: bool
    processes: Processes


class _Levels(NamedTuple):
    """What all processes score, each those levels that it takes."""

    scorer: LevelScorer
    jobs: Sequence[Job]
    one_by_one: bool


def score_levels(
    scorer: LevelScorer, jobs: Mapping[Job, str], none: Result, place: LevelPlace
) -> dict[Job, Result | str]:
    """Score every level; a reason where that cannot be done.

    Levels run side by side in loader processes, unless a network embeds the sounds: of that there should be one at a
    time, with all loaders working for it. Of several processes, each takes a level when it is free.
    """
    from t2av_bench.models.extractors.registry import extractor_class

    outcomes: dict[Job, Result | str] = {job: reason for job, reason in jobs.items() if reason}
    wanted = [job for job, objection in jobs.items() if not objection]
    one_by_one = any(extractor_class(record["name"]).has_network for record in none.extractors.values())
    processes = place.processes
    for found in processes.each(_score_taken, place, [_Levels(scorer, wanted, one_by_one)] * processes.n):
        outcomes |= found
    return outcomes


def _score_taken(place: LevelPlace, levels: _Levels) -> dict[Job, Result | str]:
    scorer = replace(levels.scorer, folder=place.folder, options=place.options)
    taken = (levels.jobs[number] for number in place.processes.taken(len(levels.jobs)))
    outcomes: dict[Job, Result | str] = {}
    with progress_bar(len(levels.jobs), "levels", "level", place.progress) as bar:
        for job, outcome in _run(scorer, taken, levels.one_by_one, place.num_workers):
            outcomes[job] = outcome
            bar.update()
    return outcomes


def _run(
    scorer: LevelScorer, jobs: Iterator[Job], one_by_one: bool, num_workers: int
) -> Iterator[tuple[Job, Result | str]]:
    if one_by_one:
        for job in jobs:
            try:
                yield job, scorer(job, num_workers=num_workers)
            except ProblemsError as error:
                yield job, str(error)
        return
    begun: list[Job] = []

    def noted() -> Iterator[Job]:
        for job in jobs:
            begun.append(job)
            yield job

    with closing(run_jobs(scorer, noted(), num_workers=num_workers, timeout_s=None)) as found:
        for index, outcome in found:
            yield begun[index], outcome.reason if isinstance(outcome, JobFailure) else outcome
