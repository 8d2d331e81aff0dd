"""The reference system's sounds for a manifest: one WAV per clip, ready for ``evaluate``.

Read :func:`generate` from top to bottom. A clip's sound follows from the checkpoint, the settings, the seed and the
clip; batches, shards and processes move nothing but the last bits (kernels round differently for other batch sizes). An
interrupted run that goes on gives the same bits: its batches are those of the whole list.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np

from t2av_bench.distributed import ALONE, Processes, same_outcome
from t2av_bench.errors import Problem, ProblemsError, T2AVBenchError, UsageError
from t2av_bench.files import remove_leftovers, replacing
from t2av_bench.generation.batches import Float32Array, Share, Studio, batches, shares, sounds
from t2av_bench.generation.record import Sampling, agree_on_settings, check_settings, settings_record
from t2av_bench.manifests import Clip, Manifest, load_manifest
from t2av_bench.naming import locate_media, media_folder
from t2av_bench.progress import progress_bar
from t2av_bench.schemas import check_writable
from t2av_bench.workers import run_one

SR_HZ = 16_000
_ADVICE = "Mend these files; if all are missing, is --data-dir the right folder?"


@dataclass(frozen=True)
class Generated:
    """What a run did: clips written, and clips that were there already."""

    written_n: int
    kept_n: int


@same_outcome
def generate(
    checkpoint: str | Path,
    manifest: str | Path | Manifest,
    out: str | Path,
    data_dir: str | Path | None = None,
    *,
    sampling: Sampling | None = None,
    shard: tuple[int, int] = (0, 1),
    batch_size: int = 8,
    device: str = "auto",
    num_workers: int = 1,
    progress: bool = True,
    processes: Processes = ALONE,
) -> Generated:
    """Generate the sounds of a manifest's clips, as ``<clip_id>.wav`` (16 kHz, mono, 16 bit).

    Clips whose WAV exists are kept, so that an interrupted run goes on; ``generation.json`` beside them holds the
    checkpoint's hash and all settings, and a run with others is refused.

    Parameters
    ----------
    checkpoint
        ``mini``, or a folder that ``T2AVPipeline.save_pretrained`` or ``train-reference`` wrote.
    manifest, data_dir
        As in :func:`t2av_bench.evaluate`.
    out
        Folder for the WAVs; made where it does not exist.
    sampling
        Steps, guidance, seed, …
    shard
        (i, n): only every n-th clip, from the i-th on; shards may run at once on the same folder.
    batch_size
        Clips of one length that go through the networks together.
    device
        ``auto``, ``cpu``, ``cuda`` or ``cuda:1``.
    num_workers
        Processes that decode video; 0 decodes in this one.
    progress
        Whether to show a bar when stderr is a terminal.
    processes
        Those that share the clips, as in :func:`t2av_bench.evaluate`; ``out`` must be one folder for all of them.

    Raises
    ------
    PrerequisiteError
        If the checkpoint is missing or of another kind.
    ProblemsError
        If media are missing (before anything is generated) or cannot be decoded (after all others are done).
    UsageError
        If the folder holds sounds made with other settings, or the options contradict themselves.
    """
    if not 0 <= shard[0] < shard[1]:
        raise UsageError(f"the shard must be i/n with 0 <= i < n, got {shard[0]}/{shard[1]}")
    if batch_size < 1:
        raise UsageError(f"the batch size must be at least 1, got {batch_size}")
    from t2av_bench.models.t2av.loading import find_checkpoint, load_pipeline

    sampling = sampling or Sampling()
    benchmark = manifest if isinstance(manifest, Manifest) else load_manifest(manifest)
    clips = list(benchmark.clips())[shard[0] :: shard[1]]
    media = _media_of(clips, benchmark, data_dir) if sampling.video else {}
    folder = find_checkpoint(checkpoint)
    target = Path(out)
    pipeline = load_pipeline(folder, processes.device(device))
    settings = settings_record(folder, benchmark, sampling, pipeline)
    studio = Studio(pipeline, media, target, settings, sampling, num_workers, progress and processes.leads)
    if not processes.leads:
        served: Generated = processes.serve(studio)
        return served

    # The first process begins the folder, before the others look at it.
    agree_on_settings(target, settings)
    remove_leftovers(target)
    missing = {clip.clip_id for clip in clips if not (target / f"{clip.clip_id}.wav").is_file()}
    found = processes.each(_generate_share, studio, shares(clips, missing, batch_size, processes.n))
    problems = _in_order([problem for part in found for problem in part], clips)
    if problems:
        message = f"{len(problems)} of {len(clips)} clips have no sound; all others are written"
        raise ProblemsError(message, problems, _ADVICE)
    return Generated(len(missing), len(clips) - len(missing))


def _generate_share(studio: Studio, share: Share) -> list[Problem]:
    """Write the sounds of a process's clips."""
    check_settings(studio.target, studio.settings)
    problems: list[Problem] = []
    count = sum(clip.clip_id in share.missing for clip in chain(*share.groups))
    with progress_bar(count, "generate", "clip", wanted=studio.progress) as bar:
        for batch in batches(studio, share.groups, share.missing, problems):
            for clip, sound in zip(batch.clips, sounds(studio, batch), strict=True):
                if clip.clip_id in share.missing:
                    write_wav(studio.target / f"{clip.clip_id}.wav", sound)
                    bar.update()
    return problems


def generate_one(
    checkpoint: str | Path,
    prompt: str,
    out: str | Path,
    video: str | Path,
    *,
    length_s: float | None = None,
    sampling: Sampling | None = None,
    device: str = "auto",
) -> tuple[Path, Path]:
    """Generate the sound of one video, as WAV and muxed with its pictures as MP4.

    Parameters
    ----------
    checkpoint, sampling, device
        As in :func:`generate`.
    prompt
        What is heard; may be empty.
    out
        WAV file to write; the MP4 goes beside it under the same name.
    video
        Any video file.
    length_s
        Of the sound; the video's by default.

    Returns
    -------
    wav, mp4 : pathlib.Path

    Raises
    ------
    MediaError
        If the video cannot be read, or holds no pictures.
    PrerequisiteError, UsageError
        As in :func:`generate`.
    """
    from t2av_bench.media.muxing import mux
    from t2av_bench.models.t2av.inputs import checked_length_s, stated_length_s
    from t2av_bench.models.t2av.loading import find_checkpoint, load_pipeline
    from t2av_bench.models.t2av.reading import probe_video, read_pictures
    from t2av_bench.models.t2av.sampling import clip_generator

    wav = Path(out)
    mp4 = wav.with_suffix(".mp4")
    if wav.suffix.lower() != ".wav":
        raise UsageError(f"the output must end in .wav, got {wav}")
    if mp4.exists() and mp4.resolve() == Path(video).resolve():
        raise UsageError(f"{mp4} is the video itself and would be overwritten; give another --out")
    check_writable(wav)
    info = run_one(probe_video, video, video)
    sampling = sampling or Sampling()
    pipeline = load_pipeline(find_checkpoint(checkpoint), device)
    pictures = None
    if sampling.video:
        length_s = checked_length_s(stated_length_s(info, video) if length_s is None else length_s)
        pictures = run_one(read_pictures, pipeline.picture_job(video, length_s), video)[None]
    made = pipeline(
        prompt,
        frames=pictures,
        audio_length_in_s=length_s,
        generator=[clip_generator(sampling.seed, wav.stem)],
        **sampling.call_options(),
    ).audios
    write_wav(wav, made[0])
    run_one(partial(mux, samples=made[0], sr_hz=SR_HZ, out=mp4), video, video)
    return wav, mp4


def write_wav(path: Path, sound: Float32Array) -> None:
    """Write a sound as 16-bit WAV; one louder than full scale is scaled down to it, not clipped.

    Raises
    ------
    T2AVBenchError
        If it is not finite, or cannot be written, as on a full disk.
    """
    import soundfile

    if not np.isfinite(sound).all():
        raise T2AVBenchError(f"{path}: the sound that was generated is not finite; is the checkpoint sound?")

    peak = float(np.abs(sound).max(initial=0.0))
    try:
        with replacing(path, durable=True) as temporary:
            soundfile.write(temporary, sound / max(1.0, peak), SR_HZ, subtype="PCM_16")
    except (OSError, soundfile.LibsndfileError) as error:
        raise T2AVBenchError(f"{path}: cannot be written ({_reason(error)}); what is written so far is kept") from error


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error).strip().rstrip(".")


def _in_order(problems: Sequence[Problem], clips: Sequence[Clip]) -> list[Problem]:
    """Return problems in the order of the clips."""
    places = {clip.clip_id: place for place, clip in enumerate(clips)}
    return sorted(problems, key=lambda problem: places[problem.clip_id])


def _media_of(clips: Sequence[Clip], benchmark: Manifest, data_dir: str | Path | None) -> Mapping[str, Path]:
    folder = media_folder(benchmark, data_dir)
    media, problems = locate_media(clips, folder)
    if problems:
        raise ProblemsError(f"{len(problems)} of {len(clips)} clips have no video", problems, _ADVICE)
    return media
