"""``t2av-bench ablate``."""

from __future__ import annotations

import os
from pathlib import Path

import click

from t2av_bench.cli._options import plot_option


@click.command()
@click.option("--config", "source", default="mini", show_default=True, metavar="NAME|FILE", help="The recipe to vary.")
@click.option("-o", "--output", type=click.Path(path_type=Path, file_okay=False), help="Folder for all.")
@click.option("--only", multiple=True, metavar="VARIANT", help="Only these variants.  [default: all]")
@click.option(
    "--data", multiple=True, metavar="NAME=MANIFEST", help="A further variant: another manifest to learn from."
)
@click.option("--base", type=click.Path(path_type=Path, exists=True), help="A training to take finished stages from.")
@click.option("--set", "changes", multiple=True, metavar="KEY=VALUE", help="Change a setting of every variant.")
@click.option(
    "--num-workers", type=click.IntRange(0), help="Processes that read clips.  [default: one per core, at most 8]"
)
@plot_option("of the variants", default="ablation.png in the folder")
@click.option("--list", "listing", is_flag=True, help="Name the variants and what each changes, and stop.")
def ablate(
    source: str,
    output: Path | None,
    only: tuple[str, ...],
    data: tuple[str, ...],
    base: Path | None,
    changes: tuple[str, ...],
    num_workers: int | None,
    plot: Path | None,
    listing: bool,
) -> None:
    """Train variants of the reference system and compare them.

    Each differs from the recipe in one thing: the operator, no visual-aligned CLAP, no ControlNet, tuned or frozen
    U-Net, less or other data. Stages that a change does not touch are trained once. Writes ablation.json and .md, and a
    plot.
    """
    from t2av_bench.errors import UsageError
    from t2av_bench.plotting import check_plot_path

    if output is None and not listing:
        raise click.UsageError("Missing option '--output' / '-o'.")
    if plot is not None:
        check_plot_path(plot)  # before the imports that take seconds
    from t2av_bench.models.training.ablation import ablate as run
    from t2av_bench.models.training.ablation import as_markdown, variants
    from t2av_bench.models.training.config import load_config

    if listing or output is None:
        for name, changed in variants(load_config(source, changes)).items():
            click.echo(f"{name:32s} {' '.join(changed)}".rstrip())
        return
    rungs = {}
    for rung in data:
        name, equals, path = rung.partition("=")
        if not (name and equals and path):
            raise UsageError(f"--data takes NAME=MANIFEST, such as AC=audiocaps.csv; given: {rung!r}")
        rungs[name] = path
    workers = min(os.cpu_count() or 1, 8) if num_workers is None else num_workers
    rows = run(source, output, changes=changes, only=only, data=rungs, base=base, num_workers=workers, plot=plot)
    click.echo(as_markdown(rows), nl=False)
