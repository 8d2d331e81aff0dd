"""Making a listening report: from results, sounds and media to a folder with a page.

::

    results + manifest + sounds + media ─► choose clips ─► per clip: pictures, sounds, spectrograms, onsets
    ─► hold the sounds to the scores ─► summary and page

Read :func:`report` from top to bottom; each step is a function of the module it names.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Literal, get_args

from t2av_bench.errors import ReportError, UsageError
from t2av_bench.files import replacing_folder
from t2av_bench.manifests import Manifest
from t2av_bench.progress import progress_bar
from t2av_bench.reporting.clips import ClipFacts, ClipJob, SoundFacts, make_clip
from t2av_bench.reporting.inputs import Inputs, changed_sounds, gather
from t2av_bench.reporting.pictures import palette
from t2av_bench.reporting.places import PAGE, clip_folder
from t2av_bench.reporting.rendering import GENERATOR, render_report
from t2av_bench.reporting.selection import select_clips
from t2av_bench.results import Result
from t2av_bench.schemas import write_text
from t2av_bench.workers import JobFailure, run_jobs

Media = Literal["copy", "link"]


def report(
    results: str | Path | Result | Sequence[str | Path | Result],
    pred_dirs: str | Path | Sequence[str | Path],
    output: str | Path,
    *,
    manifest: str | Path | Manifest | None = None,
    data_dir: str | Path | None = None,
    clips: int | None = 100,
    media: Media = "copy",
    num_workers: int | None = None,
    seed: int = 0,
    progress: bool = True,
) -> Path:
    """Make a page to look at and listen to: a summary with charts, and a gallery of clips.

    Parameters
    ----------
    results
        Result files, each with its table of clips beside it, or results that hold their contributions; one or several
        systems, made in the same way.
    pred_dirs
        The folder of each system's sounds, in the same order.
    output
        Folder to write. An earlier report there is replaced; any other folder must be empty.
    manifest
        What the results are on; by default the built-in one of that name.
    data_dir
        Folder with the reference media; by default the one the manifest knows.
    clips
        How many clips the gallery shows: the largest contributions to each score, the best, and random ones
        (:func:`t2av_bench.reporting.selection.select_clips`). None for all.
    media
        ``copy`` writes the range of each clip that is shown, sound without loss. ``link`` links videos and WAV files
        that browsers play as they are, and copies the rest: smaller, but the report is bound to this machine.
    num_workers
        Processes; by default one per core, at most 8. 0 works in this process.
    seed
        Of the random clips.
    progress
        Whether to show progress on stderr: a bar on a terminal, else a line a minute.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    UsageError
        If an option makes no sense.
    ComparisonError
        If the results were not made in the same way.
    ReportError
        If results, manifest, media and sounds do not belong together, or the report cannot be written.
    T2AVBenchError
        If something cannot be read. What is wrong with a single clip is told on the page instead.
    """
    given = [results] if isinstance(results, (str, Path, Result)) else list(results)
    folders = [pred_dirs] if isinstance(pred_dirs, (str, Path)) else list(pred_dirs)
    if media not in get_args(Media):
        raise UsageError(f"media must be 'copy' or 'link'; got {media!r}")
    output = Path(output).resolve()
    _check_output(output)
    inputs = gather(given, folders, manifest, data_dir)
    chosen = select_clips(inputs.results, [clip.clip_id for clip in inputs.clips], clips, seed)
    workers_n = min(os.cpu_count() or 1, 8) if num_workers is None else num_workers
    try:
        with replacing_folder(output) as folder:
            facts = _make_clips(_jobs(inputs, chosen, folder, media), workers_n, progress)
            remarks = changed_sounds(inputs, facts)
            write_text(folder / PAGE, render_report(inputs, chosen, facts, remarks))
    except OSError as error:
        raise ReportError(f"{output}: the report cannot be written ({error.strerror or error})") from error
    return output / PAGE


def _check_output(output: Path) -> None:
    """Let nothing be deleted that is no report."""
    if not output.exists():
        return
    if not output.is_dir():
        raise UsageError(f"{output}: the output must be a folder, and here is a file")
    page = output / PAGE
    head = page.read_text(encoding="utf-8", errors="replace")[:2000] if page.is_file() else ""
    ours = f'<meta name="generator" content="{GENERATOR} ' in head
    if not ours and any(output.iterdir()):
        raise UsageError(f"{output}: the folder must be empty or hold an earlier report")


def _jobs(inputs: Inputs, chosen: Mapping[str, object], folder: Path, media: Media) -> list[ClipJob]:
    """List the clips of the gallery, and all others where their events' times are compared."""
    colours = palette()
    places = {clip_id: folder / clip_folder(place) for place, clip_id in enumerate(chosen)}
    return [
        ClipJob(
            clip=clip,
            reference=inputs.references[clip.clip_id],
            generated=tuple(sounds[clip.clip_id] for sounds in inputs.generated),
            folder=places.get(clip.clip_id),
            link=media == "link",
            colours=colours,
        )
        for clip in inputs.clips
        if clip.clip_id in places or inputs.events is not None
    ]


def _make_clips(jobs: Sequence[ClipJob], workers_n: int, progress: bool) -> dict[str, ClipFacts]:
    """Run the jobs; a clip whose process crashed keeps its place, with the reason."""
    made: dict[str, ClipFacts] = {}
    with (
        closing(run_jobs(make_clip, jobs, num_workers=workers_n)) as outcomes,
        progress_bar(len(jobs), "clips", "clip", progress) as bar,
    ):
        for place, outcome in outcomes:
            job = jobs[place]
            if isinstance(outcome, JobFailure):
                if outcome.error is not None:
                    raise outcome.error
                lost = SoundFacts(problem=outcome.reason)
                outcome = ClipFacts(video_problem=outcome.reason, sounds=(lost,) * (1 + len(job.generated)))
            made[job.clip.clip_id] = outcome
            bar.update()
    return {job.clip.clip_id: made[job.clip.clip_id] for job in jobs}
