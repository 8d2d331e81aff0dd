"""Levels of distortions, scored as predictions like any other: side by side where that is faster."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree
from typing import Any

from t2av_bench.errors import ProblemsError
from t2av_bench.evaluation import evaluate
from t2av_bench.manifests import Manifest
from t2av_bench.predictions import LIST_NAME
from t2av_bench.progress import progress_bar
from t2av_bench.results import Result
from t2av_bench.validation.catalogue import DISTORTIONS, Distortion
from t2av_bench.validation.sounds import Sounds
from t2av_bench.workers import JobFailure, run_jobs

NONE = ("none", 0.0)
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

    def __call__(self, job: tuple[str, float], num_workers: int = 0, progress: bool = False) -> Result:
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


def score_levels(
    scorer: LevelScorer, jobs: Mapping[tuple[str, float], str], none: Result, workers_n: int, progress: bool
) -> dict[tuple[str, float], Result | str]:
    """Score every level; a reason where that cannot be done.

    Levels run side by side in loader processes, unless a network embeds the sounds: of that there should be one at a
    time, with all loaders working for it.
    """
    wanted = [job for job, objection in jobs.items() if not objection]
    outcomes: dict[tuple[str, float], Result | str] = {job: reason for job, reason in jobs.items() if reason}
    with progress_bar(len(wanted), "levels", "level", progress) as bar:
        for job, outcome in _run(scorer, wanted, none, workers_n):
            outcomes[job] = outcome
            bar.update()
    return outcomes


def _run(
    scorer: LevelScorer, jobs: Sequence[tuple[str, float]], none: Result, workers_n: int
) -> Iterator[tuple[tuple[str, float], Result | str]]:
    from t2av_bench.models.extractors.registry import extractor_class

    if any(extractor_class(record["name"]).has_network for record in none.extractors.values()):
        for job in jobs:
            try:
                yield job, scorer(job, num_workers=workers_n)
            except ProblemsError as error:
                yield job, str(error)
        return
    with closing(run_jobs(scorer, jobs, num_workers=workers_n, timeout_s=None)) as found:
        for index, outcome in found:
            yield jobs[index], outcome.reason if isinstance(outcome, JobFailure) else outcome
