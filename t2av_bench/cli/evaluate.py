"""``t2av-bench evaluate``."""

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

FORMATS = ("plain", "latex", "markdown", "csv", "json")


@click.command()
@click.option(
    "--pred-dir",
    required=True,
    type=PATH,
    help="Folder of predictions: <clip id>.wav …",
)
@manifest_option
@click.option("--data-dir", type=PATH, help="Folder of the reference media.")
@click.option(
    "--reference-pack",
    type=PATH,
    help="File with the reference's embeddings, in place of its media; see `t2av-bench pack`.",
)
@features_option
@click.option(
    "--metrics", help="Scores to compute, separated by commas.  [default: all that the features allow; CLAP by name]"
)
@pooling_option
@click.option(
    "--protocol",
    default="t2av-bench/1",
    show_default=True,
    help="Set of choices behind the scores; `t2av-bench protocols` lists those of other toolkits.",
)
@weights_option
@device_option
@click.option(
    "--precision",
    type=click.Choice(["fp32", "bf16", "fp16"]),
    default="fp32",
    show_default=True,
    help="Of the networks; the shorter ones are faster and make the result not comparable.",
)
@click.option("--compile", is_flag=True, help="Compile the networks first, which takes a while (torch.compile).")
@batch_size_option
@workers_option()
@cache_dir_option
@json_option("Result file", default="result.json")
@click.option("--system", help="Name of the system.  [default: the folder's name]")
@click.option("--description", default="", help="What the system is, for readers of the result.")
@on_error_option("Stop if a clip cannot be scored, or leave it out on both sides.")
@click.option(
    "--uncertainty",
    type=click.Choice(["auto", "full", "stderr", "none"]),
    default="auto",
    show_default=True,
    help="Standard errors and floor (stderr), with bias correction and extrapolation (full), where quick (auto).",
)
@seed_option()
@click.option(
    "--format", "form", type=click.Choice(FORMATS), default="plain", show_default=True, help="Of the printed table."
)
@click.option(
    "--per-clip",
    type=click.Path(path_type=Path),
    help="CSV file for another copy of the table of clips.",
)
@plot_option("of the scores")
@click.option("--worst", type=click.IntRange(1), help="Name the N clips that harm a score most.", metavar="N")
@click.option(
    "--worst-by", help="The score that --worst is about.  [default: FAVD, or the first that can]", metavar="SCORE"
)
def evaluate(
    output: Path,
    form: str,
    metrics: str | None,
    per_clip: Path | None,
    plot: Path | None,
    worst: int | None,
    worst_by: str | None,
    **options: Any,
) -> None:
    """Score a folder of predictions against a manifest.

    Prints a table and writes a result file. Nothing is scored unless every clip can be (see --on-error).
    Processes that torchrun starts share the work: `torchrun --nproc-per-node 2 -m t2av_bench evaluate ...`.
    """
    from t2av_bench.cli._problems import problem_lines
    from t2av_bench.distributed import is_first, processes
    from t2av_bench.errors import Problem, UsageError
    from t2av_bench.evaluation import evaluate as run
    from t2av_bench.extraction.choice import default_features
    from t2av_bench.manifests import load_manifest
    from t2av_bench.metrics import METRICS
    from t2av_bench.plotting import check_plot_path
    from t2av_bench.presets import PROTOCOL_PRESETS
    from t2av_bench.results.per_clip import per_clip_path
    from t2av_bench.results.plot import plot_result
    from t2av_bench.results.tables import format_results, format_worst
    from t2av_bench.schemas import check_apart, check_writable

    check_apart(output, per_clip_path(output), per_clip, plot)
    if plot is not None:
        check_plot_path(plot)
    names = [name.strip() for name in metrics.split(",")] if metrics else None
    preset = PROTOCOL_PRESETS.get(options["protocol"])
    if worst_by is not None and worst is None:
        raise UsageError("--worst-by needs --worst N")
    known = names or list(METRICS if preset is None else preset.specs)
    if worst_by is not None and worst_by not in known:
        raise UsageError(f"--worst-by must name one of {', '.join(known)}; got {worst_by!r}")
    options["manifest"] = load_manifest(options["manifest"])
    if options["features"] is None and preset is None and options["reference_pack"] is None:
        options["features"] = default_features(options["manifest"])
        click.echo(f"Features: {options['features']} (the default for {options['manifest'].name})", err=True)
    for path in (output, per_clip):
        if path is not None and is_first():
            check_writable(path)
    with processes() as team:
        result = run(metrics=names, processes=team, **options)
    if not team.leads:
        return
    result.save(output)
    if per_clip is not None:
        result.save_per_clip(per_clip)
    click.echo(format_results([result], form), nl=False)  # type: ignore[arg-type]  # click has checked the choice
    if result.problems:
        left_out = problem_lines([Problem(**problem) for problem in result.problems])
        click.echo("\n".join(["Left out on both sides:", *left_out]), err=True)
    click.echo(f"Result written to {output}, its clips to {per_clip_path(output)}", err=True)
    if per_clip is not None:
        click.echo(f"Contributions of clips written to {per_clip}", err=True)
    if plot is not None:
        plot_result(result, plot)
        click.echo(f"Plot written to {plot}", err=True)
    if worst is not None:  # last: it fails where nothing is known of a score's clips
        # What a program reads from stdout stays a table or JSON alone.
        click.echo("\n" + format_worst(result, worst, worst_by), nl=False, err=form != "plain")
