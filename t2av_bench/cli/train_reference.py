"""``t2av-bench train-reference``."""

from __future__ import annotations

import os
from pathlib import Path

import click

STAGES = ("all", "base", "align", "control", "tune", "vae", "clap", "unet", "frames", "fusion")


@click.command("train-reference")
@click.option(
    "--config",
    "config_name",
    default="mini",
    show_default=True,
    metavar="NAME|FILE",
    help="mini, audioldm-s, audioldm-m, audioldm-l, or a .yaml file.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for checkpoints, logs and the trained pipeline.",
)
@click.option(
    "--stage",
    type=click.Choice(STAGES),
    default="all",
    show_default=True,
    help="Train one stage; earlier ones are done.",
)
@click.option(
    "--resume", is_flag=True, help="Go on where a training with this output stopped; begin where there is none."
)
@click.option(
    "--set", "changes", multiple=True, metavar="KEY=VALUE", help="Change a setting: stages.control.steps=100."
)
@click.option(
    "--num-workers", type=click.IntRange(0), help="Processes that read clips.  [default: one per core, at most 8]"
)
@click.option(
    "--half",
    type=click.Path(path_type=Path, file_okay=False),
    help="Also write the pipeline in half precision, to ship.",
)
@click.option("--print-config", is_flag=True, help="Print the resolved configuration and stop.")
def train_reference(
    config_name: str,
    output: Path | None,
    stage: str,
    resume: bool,
    changes: tuple[str, ...],
    num_workers: int | None,
    half: Path | None,
    print_config: bool,
) -> None:
    """Train the reference system T2AV.

    The recipe `mini` trains everything from scratch on the mini world, on a CPU; the audioldm recipes start from
    published checkpoints. On several devices or machines:

        accelerate launch -m t2av_bench train-reference --config audioldm-s …
    """
    from t2av_bench.models.training.config import load_config

    config = load_config(config_name, changes)
    if print_config:
        import yaml

        click.echo(yaml.safe_dump(config.to_mapping(), sort_keys=False), nl=False)
        return
    if output is None:
        raise click.UsageError("Missing option '--output' / '-o'.")
    from t2av_bench.models.training.training import train

    workers = min(os.cpu_count() or 1, 8) if num_workers is None else num_workers
    path = train(config, output, stage=stage, resume=resume, num_workers=workers)
    if path is None:
        click.echo(f"Done; a pipeline can be written when vae, clap and unet are trained in {output}.")
        return
    if half is not None:
        from t2av_bench.models.training.export import export_half

        click.echo(f"{half}: {export_half(path, half) / 1e6:.2f} MB in half precision")
    click.echo(f"The pipeline is in {path}; generate with: t2av-bench generate --checkpoint {path}")
