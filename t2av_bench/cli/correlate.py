"""``t2av-bench correlate``."""

from __future__ import annotations

from pathlib import Path

import click

from t2av_bench.cli._options import json_option
from t2av_bench.cli.evaluate import FORMATS


@click.command()
@click.argument("results", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="A.json B.json …")
@click.option(
    "--ratings",
    required=True,
    type=click.Path(path_type=Path),
    help="Table with the columns system,rating or system,clip_id,rating, and rater if several people rated.",
    metavar="FILE.csv",
)
@click.option("--metrics", help="Scores to correlate, separated by commas.  [default: all that every result has]")
@click.option("--confidence", type=float, default=0.95, show_default=True, help="Of the intervals.")
@json_option("File")
@click.option(
    "--format", "form", type=click.Choice(FORMATS), default="plain", show_default=True, help="Of the printed table."
)
def correlate(
    results: tuple[Path, ...],
    ratings: Path,
    metrics: str | None,
    confidence: float,
    output: Path | None,
    form: str,
) -> None:
    """Set scores against human ratings: Spearman, Kendall and Pearson with intervals.

    Takes the result files of the rated systems, each with its table of clips beside it (result.per_clip.csv) where
    clips are rated. In the ratings, higher is better.
    """
    from t2av_bench.correlation import correlate as run
    from t2av_bench.correlation.tables import format_correlation
    from t2av_bench.schemas import check_apart

    check_apart(output, read=(*results, ratings))
    names = [name.strip() for name in metrics.split(",")] if metrics else None
    correlation = run(results, ratings, metrics=names, confidence=confidence)
    if output is not None:
        correlation.save(output)
    click.echo(format_correlation(correlation, form), nl=False)  # type: ignore[arg-type]  # click has checked the choice
    if output is not None:
        click.echo(f"Correlation written to {output}", err=True)
