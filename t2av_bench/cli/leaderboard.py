"""``t2av-bench leaderboard``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from t2av_bench.leaderboard import Entry, Leaderboard

_FILE = click.Path(path_type=Path)


@click.group()
def leaderboard() -> None:
    """Collect results of many systems, check them and publish them.

    BOARD is a leaderboard file, `leaderboard.json`. All its entries were made on one manifest with one protocol and the
    same features; what was not is refused.
    """


@leaderboard.command()
@click.argument("board", type=_FILE)
@click.argument("results", nargs=-1, required=True, type=_FILE, metavar="RESULT.json …")
@click.option("--title", help="Heading of the page.  [default: the board's]")
@click.option(
    "--list-not-comparable",
    is_flag=True,
    help="Take results that are not comparable: incomplete ones apart, without a place; the page says so.",
)
@click.option("--replace", is_flag=True, help="Let a result take the place of the one of the same name.")
def add(board: Path, results: tuple[Path, ...], title: str | None, list_not_comparable: bool, replace: bool) -> None:
    """Add results to BOARD, which is made if it does not exist.

    Each is checked as by `validate`; if one is refused, the board stays as it was.
    """
    import dataclasses

    from t2av_bench.leaderboard import Leaderboard

    held = Leaderboard.load(board) if board.exists() else Leaderboard()
    held = dataclasses.replace(held, title=title) if title else held
    joined = held.add(results, list_not_comparable=list_not_comparable, replace_same_name=replace)
    joined.save(board)
    click.echo(f"{board}: {_counted(joined)}, {len(joined.entries) - len(held.entries)} of them new", err=True)


@leaderboard.command()
@click.argument("files", nargs=-1, required=True, type=_FILE, metavar="FILE.json …")
@click.option("--against", type=_FILE, help="Leaderboard that the results are to join.", metavar="BOARD")
@click.option("--list-not-comparable", is_flag=True, help="Let results pass that are not comparable.")
def validate(files: tuple[Path, ...], against: Path | None, list_not_comparable: bool) -> None:
    """Check results and leaderboards without writing anything; ends with 1 if one is refused.

    A result must follow the schema and not contradict itself: fingerprints, counts, ranges and order of its scores, and
    with the table of clips beside it every standard error and mean. A leaderboard must hold such results only,
    unchanged and all made in the same way.
    """
    from t2av_bench.errors import T2AVBenchError, shown
    from t2av_bench.leaderboard import Leaderboard
    from t2av_bench.leaderboard.submissions import read_submission
    from t2av_bench.schemas import read_json

    held = Leaderboard.load(against) if against else Leaderboard()
    refused = 0
    for path in files:
        try:
            record = read_json(path)
            if isinstance(record, dict) and "entries" in record:
                said = _counted(Leaderboard.load(path))
            else:
                entry = read_submission(path)
                if against or not list_not_comparable:
                    held.add(path, list_not_comparable=list_not_comparable)
                said = f"{shown(entry.name)}, {len(entry.result.scores)} scores, {_how_checked(entry)}"
            click.echo(f"ok       {path}: {said}")
        except T2AVBenchError as error:
            refused += 1
            reason = str(error).removeprefix(f"{path}: ").removeprefix("refused: ")
            click.echo(f"refused  {path}: {reason}")
    if refused:
        raise click.ClickException(f"{refused} of {len(files)} files are refused")


@leaderboard.command()
@click.argument("boards", nargs=-1, required=True, type=_FILE, metavar="BOARD …")
@click.option("-o", "--output", required=True, type=_FILE, help="Leaderboard to write.", metavar="BOARD")
def merge(boards: tuple[Path, ...], output: Path) -> None:
    """Join leaderboards; entries that several hold count once.

    What the first calls itself is the title. Different results of one system are refused.
    """
    from t2av_bench.leaderboard import Leaderboard

    first, *others = [Leaderboard.load(path) for path in boards]
    joined = first.merge(*others)
    joined.save(output)
    click.echo(f"{output}: {_counted(joined)}", err=True)


@leaderboard.command()
@click.argument("board", type=_FILE)
@click.option(
    "--format",
    "form",
    type=click.Choice(["plain", "csv", "markdown", "latex", "model-index"]),
    default="plain",
    show_default=True,
    help="model-index: YAML for the model card of --system.",
)
@click.option("--metrics", help="Scores to export, separated by commas.  [default: all]")
@click.option("--order", help="Score to sort by, best first.  [default: FAVD, or the first]", metavar="SCORE")
@click.option("--system", help="Id or name of the system that a model-index is for.", metavar="ID")
@click.option("-o", "--output", type=_FILE, help="File to write.  [default: print]")
def export(
    board: Path, form: str, metrics: str | None, order: str | None, system: str | None, output: Path | None
) -> None:
    """Write BOARD as a table for a paper, a README or a spreadsheet, or as YAML for a model card."""
    from t2av_bench.errors import UsageError
    from t2av_bench.leaderboard import Leaderboard
    from t2av_bench.leaderboard.exports import format_board
    from t2av_bench.leaderboard.model_index import model_index
    from t2av_bench.schemas import write_text

    if (system is not None) != (form == "model-index"):
        raise UsageError("--system and --format model-index go together: a model card is of one system")
    held = Leaderboard.load(board)
    names = [name.strip() for name in metrics.split(",")] if metrics else None
    if system is not None:
        text = model_index(held, _find(held, system), names)
    else:
        text = format_board(held, form, names, order)  # type: ignore[arg-type]  # click has checked the choice
    if output is None:
        click.echo(text, nl=False)
    else:
        write_text(output, text)
        click.echo(f"{output}: {_counted(held)}", err=True)


@leaderboard.command()
@click.argument("board", type=_FILE)
@click.option("-o", "--output", type=_FILE, default=Path("leaderboard.html"), show_default=True, help="Page to write.")
def render(board: Path, output: Path) -> None:
    """Make the page of BOARD: one HTML file that needs no network and no server."""
    from t2av_bench.leaderboard import Leaderboard
    from t2av_bench.leaderboard.rendering import render_page
    from t2av_bench.schemas import write_text

    held = Leaderboard.load(board)
    write_text(output, render_page(held))
    click.echo(f"{output}: {_counted(held)}", err=True)


def _find(board: Leaderboard, system: str) -> Entry:
    from t2av_bench.errors import no_such_name

    for entry in board.entries:
        if system in (entry.id, entry.name):
            return entry
    raise no_such_name(f"The leaderboard has no system {system!r}", system, [entry.id for entry in board.entries])


def _counted(board: Leaderboard) -> str:
    count = len(board.entries)
    return f"{count} {'system' if count == 1 else 'systems'}"


def _how_checked(entry: Entry) -> str:
    if entry.clips_checked:
        return "errors recomputed from the table of clips"
    return "no table of clips to recompute its errors from"
