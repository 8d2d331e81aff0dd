"""``t2av-bench demo``."""

from __future__ import annotations

from pathlib import Path

import click

from t2av_bench.cli._options import workers_option

# Enough to see what each kind of score can tell, and narrow enough for a terminal.
_SHOWN = ("FAD", "FAVD", "AV-index", "event-F1")
_GENERATED = "T2AV mini"


@click.command()
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default=Path("demo-output"),
    show_default=True,
    help="Folder for the prediction sets and result files.",
)
@workers_option()
@click.option("--no-generate", is_flag=True, help="Leave out the bundled reference system, which takes minutes.")
def demo(output: Path, num_workers: int | None, no_generate: bool) -> None:
    """Score prediction sets of known quality, and the bundled system, on the built-in mini world.

    Renders the test split once (128 clips of 4 s), makes predictions from best to worst (the reference sound, another
    realisation of its noise, 0.5 s late, sounds swapped between clips, white noise), generates sounds with the bundled
    checkpoint of the reference system, and scores all with the lite features. Needs no download.
    """
    from t2av_bench.evaluation import evaluate
    from t2av_bench.generation.making import generate
    from t2av_bench.manifests import load_manifest
    from t2av_bench.manifests.mini.predictions import write_prediction_sets
    from t2av_bench.results.tables import format_results

    manifest = load_manifest("t2av-mini")
    click.echo(f"{manifest.name}: {len(manifest)} clips in {manifest.data_dir}", err=True)
    sets = dict(write_prediction_sets(manifest, output / "predictions"))
    if not no_generate:
        sets[_GENERATED] = output / "predictions" / "t2av-mini-checkpoint"
        generate("mini", manifest, sets[_GENERATED])
    results = []
    for name, folder in sets.items():
        result = evaluate(folder, manifest, features="lite", system=name, num_workers=num_workers)
        result.save(output / f"{name}.json")
        results.append(result)
    click.echo(format_results(results, scores=_SHOWN), nl=False)
    click.echo(f"\nAll scores, one result file per system: {output}")
