"""``t2av-bench generate``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from t2av_bench.cli._options import PATH, device_option, workers_option


class _Shard(click.ParamType):  # type: ignore[type-arg, unused-ignore]  # generic from click 8.2 on
    """``i/n`` as two numbers."""

    name = "i/n"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        if isinstance(value, tuple):
            return value
        first, _, second = str(value).partition("/")
        if not (first.isdecimal() and second.isdecimal() and int(first) < int(second)):
            self.fail(f"must be i/n with 0 <= i < n, such as 0/4; got {value!r}", param, ctx)
        return int(first), int(second)


@click.command()
@click.option("--checkpoint", default="mini", show_default=True, help="mini, or a checkpoint folder.", metavar="DIR")
@click.option("--manifest", help="Generate for all clips: a name, or path of a .csv or .jsonl file.")
@click.option("--data-dir", type=PATH, help="Folder of the manifest's media.")
@click.option("--video", type=PATH, help="Generate for one video instead.")
@click.option("--prompt", default="", help="What is heard in that video.")
@click.option("--length", "length_s", type=float, help="Of that sound, seconds.  [default: the video's]")
@click.option("-o", "--out", required=True, type=PATH, help="Folder for <clip id>.wav; with --video a .wav file.")
@click.option("--steps", "steps_n", type=click.IntRange(1), help="DDIM steps.  [default: the checkpoint's]")
@click.option("--guidance", "guidance_scale", type=float, help="Strength, 1 for none.  [default: the checkpoint's]")
@click.option(
    "--candidates", "candidates_n", type=click.IntRange(1), default=1, show_default=True, help="Keep the best of N."
)
@click.option("--negative-prompt", default="", help="What guidance leads away from.")
@click.option("--no-video", is_flag=True, help="Hide the video from the system: its base model, caption only.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the noise, with each clip's id.")
@click.option("--shard", type=_Shard(), default=(0, 1), help="Only every n-th clip from the i-th on, such as 0/4.")
@click.option("--batch-size", type=click.IntRange(1), default=8, show_default=True, help="Clips at once.")
@workers_option("Processes decoding video", usual=1)
@device_option
def generate(
    checkpoint: str,
    manifest: str | None,
    data_dir: Path | None,
    video: Path | None,
    prompt: str,
    length_s: float | None,
    out: Path,
    no_video: bool,
    shard: tuple[int, int],
    batch_size: int,
    num_workers: int,
    device: str,
    **sampled: Any,
) -> None:
    """Generate sounds with the reference system T2AV.

    For a manifest: one WAV per clip, named by its id, ready for `evaluate --pred-dir`. The same command goes on where
    an interrupted one stopped. For one --video: a WAV, and an MP4 with the video's pictures. Processes that torchrun
    starts share a manifest's clips.
    """
    from t2av_bench.distributed import launched, processes
    from t2av_bench.errors import UsageError
    from t2av_bench.generation.making import generate as run
    from t2av_bench.generation.making import generate_one
    from t2av_bench.generation.record import Sampling

    if (manifest is None) == (video is None):
        raise UsageError("give either --manifest or --video")
    sampling = Sampling(video=not no_video, **sampled)
    if video is not None:
        if shard != (0, 1):
            raise UsageError("--shard belongs to --manifest; one --video has no shards")
        if launched():
            raise UsageError("one --video is no work for several processes; run this command without torchrun")
        wav, mp4 = generate_one(checkpoint, prompt, out, video, length_s=length_s, sampling=sampling, device=device)
        click.echo(f"Sound: {wav}\nWith its pictures: {mp4}")
        return
    if prompt or length_s is not None:
        raise UsageError("--prompt and --length belong to --video; a manifest has its own captions and lengths")
    with processes() as team:
        done = run(
            checkpoint,
            str(manifest),
            out,
            data_dir,
            sampling=sampling,
            shard=shard,
            batch_size=batch_size,
            device=device,
            num_workers=num_workers,
            processes=team,
        )
    kept = f", {done.kept_n} were there already" if done.kept_n else ""
    click.echo(f"{done.written_n} sounds written to {out}{kept}", err=True)
