"""``t2av-bench compare``."""

from __future__ import annotations

from pathlib import Path

import click

from t2av_bench.cli._options import json_option, plot_option
from t2av_bench.cli.evaluate import FORMATS


@click.command()
@click.argument("results", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="A.json B.json …")
@click.option("--baseline", help="System to test all others against: a name or a file.  [default: every pair]")
@click.option("--metrics", help="Scores to test, separated by commas.  [default: all that every result has]")
@click.option(
    "--confidence", type=float, default=0.95, show_default=True, help="Of the intervals; one minus it is the level."
)
@json_option("File")
@plot_option("of the effects")
@click.option(
    "--format", "form", type=click.Choice(FORMATS), default="plain", show_default=True, help="Of the printed table."
)
def compare(
    results: tuple[Path, ...],
    baseline: str | None,
    metrics: str | None,
    confidence: float,
    output: Path | None,
    plot: Path | None,
    form: str,
) -> None:
    """Test whether systems differ, score by score and clip by clip.

    Takes the result files of `t2av-bench evaluate`, each with its table of clips beside it (result.per_clip.csv).
    Results that were not made in the same way are refused.
    """
    from t2av_bench.comparison import compare as run
    from t2av_bench.comparison.plot import plot_comparison
    from t2av_bench.comparison.tables import format_comparison
    from t2av_bench.plotting import check_plot_path
    from t2av_bench.schemas import check_apart

    check_apart(output, plot, read=results)
    if plot is not None:
        check_plot_path(plot)
    names = [name.strip() for name in metrics.split(",")] if metrics else None
    comparison = run(results, baseline, metrics=names, confidence=confidence)
    if output is not None:
        comparison.save(output)
    click.echo(format_comparison(comparison, form), nl=False)  # type: ignore[arg-type]  # click has checked the choice
    if output is not None:
        click.echo(f"Comparison written to {output}", err=True)
    if plot is not None:
        plot_comparison(comparison, plot)
        click.echo(f"Plot written to {plot}", err=True)
