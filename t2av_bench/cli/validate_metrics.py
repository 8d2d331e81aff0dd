"""``t2av-bench validate-metrics``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from t2av_bench.cli._options import (
    PATH,
    batch_size_option,
    cache_dir_option,
    device_option,
    features_option,
    json_option,
    manifest_option,
    on_error_option,
    plot_option,
    pooling_option,
    seed_option,
    weights_option,
    workers_option,
)

FORMATS = ("plain", "markdown", "csv", "json")


@click.command("validate-metrics")
@manifest_option
@click.option("--data-dir", type=PATH, help="Folder of the real media.")
@features_option
@click.option("--metrics", help="Scores to look at, separated by commas.  [default: all the features allow]")
@click.option("--distortions", help="Distortions to apply, separated by commas.  [default: all]")
@click.option(
    "--levels",
    multiple=True,
    metavar="NAME=LEVEL,LEVEL…",
    help="Levels of a distortion in its unit, in place of the usual ones; may be repeated.",
)
@click.option("--max-clips", type=click.IntRange(2), help="Only so many clips, drawn at random.", metavar="N")
@pooling_option
@click.option("--protocol", default="t2av-bench/1", show_default=True, help="Set of choices behind the scores.")
@weights_option
@device_option
@batch_size_option
@workers_option("Levels at once, or loader processes where there are networks")
@cache_dir_option
@on_error_option("Stop if a clip cannot be used, or leave it out.")
@seed_option()
@json_option("File", default="validation.json")
@plot_option("of the responses")
@click.option(
    "--format", "form", type=click.Choice(FORMATS), default="plain", show_default=True, help="Of the printed table."
)
def validate_metrics(
    metrics: str | None,
    distortions: str | None,
    levels: tuple[str, ...],
    output: Path,
    plot: Path | None,
    form: str,
    **options: Any,
) -> None:
    """See which scores notice what goes wrong with a sound.

    Distorts the real sounds of a manifest by known amounts, scores every level as predictions, and says for every score
    whether it puts the levels in order, from which level on it notices, and what it is blind to. Processes that
    torchrun starts share the levels.
    """
    from t2av_bench.distributed import is_first, processes
    from t2av_bench.plotting import check_plot_path
    from t2av_bench.schemas import check_writable
    from t2av_bench.validation import validate_metrics as run
    from t2av_bench.validation.plot import plot_validation
    from t2av_bench.validation.report import format_validation

    if plot is not None:
        check_plot_path(plot)
    chosen_levels = dict(map(_parsed_levels, levels))
    if is_first():
        check_writable(output)
    with processes() as team:
        found = run(
            metrics=_names(metrics),
            distortions=_names(distortions),
            levels=chosen_levels,
            processes=team,
            **options,
        )
    if not team.leads:
        return
    found.save(output)
    click.echo(format_validation(found, form), nl=False)  # type: ignore[arg-type]  # click has checked the choice
    click.echo(f"Validation written to {output}", err=True)
    if plot is not None:
        plot_validation(found, plot)
        click.echo(f"Plot written to {plot}", err=True)


def _names(text: str | None) -> list[str] | None:
    return [name.strip() for name in text.split(",")] if text else None


def _parsed_levels(text: str) -> tuple[str, list[float]]:
    from t2av_bench.errors import UsageError

    name, _, numbers = text.partition("=")
    try:
        return name.strip(), [float(number) for number in numbers.split(",")]
    except ValueError:
        raise UsageError(f"--levels must be like late=0.1,0.5; got {text!r}") from None
