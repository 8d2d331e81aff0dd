"""``t2av-bench report``."""

from __future__ import annotations

from pathlib import Path

import click

from t2av_bench.cli._options import PATH, seed_option, workers_option


@click.command()
@click.argument("results", nargs=-1, required=True, type=PATH, metavar="RESULT.json …")
@click.option(
    "--pred-dir",
    "pred_dirs",
    multiple=True,
    required=True,
    type=PATH,
    help="Folder of a system's sounds; once for each result, in the same order.",
)
@click.option("--manifest", help="Name, or path of a .csv or .jsonl file.  [default: the results' own, if built in]")
@click.option("--data-dir", type=PATH, help="Folder of the reference media.  [default: where the manifest knows it]")
@click.option(
    "-o", "--output", type=PATH, default=Path("report"), show_default=True, help="Folder to write; index.html in it."
)
@click.option(
    "--clips",
    default="100",
    show_default=True,
    metavar="N|all",
    help="Clips to show: half with the largest contributions, a quarter the best, the rest random.",
)
@click.option(
    "--media",
    type=click.Choice(["copy", "link"]),
    default="copy",
    show_default=True,
    help="Copy the shown range of each file, or link files that browsers play as they are.",
)
@workers_option("Processes")
@seed_option("Of the random clips.")
def report(
    results: tuple[Path, ...],
    pred_dirs: tuple[Path, ...],
    manifest: str | None,
    data_dir: Path | None,
    output: Path,
    clips: str,
    media: str,
    num_workers: int | None,
    seed: int,
) -> None:
    """Make a page to look at and listen to, of one or several systems.

    Takes the result files of `t2av-bench evaluate`, each with its table of clips beside it (result.per_clip.csv), and
    the sounds that were scored. The page shows all scores, what they are made of, and a gallery of clips with the
    original and every system's sound. It needs no network and no server.
    """
    from t2av_bench.errors import UsageError
    from t2av_bench.reporting import report as run

    if clips != "all" and not (clips.isdecimal() and int(clips) > 0):
        raise UsageError(f"--clips must be a number from 1 on, or 'all'; got {clips!r}")
    page = run(
        results,
        pred_dirs,
        output,
        manifest=manifest,
        data_dir=data_dir,
        clips=None if clips == "all" else int(clips),
        media=media,  # type: ignore[arg-type]  # click has checked the choice
        num_workers=num_workers,
        seed=seed,
    )
    click.echo(f"Report written to {page}", err=True)
