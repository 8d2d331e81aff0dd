"""``t2av-bench download``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from t2av_bench.download.remote import RemoteFile
    from t2av_bench.inventory import State


@click.command()
@click.argument("what", type=click.Choice(["manifests", "weights", "all"]), required=False)
@click.option(
    "--only", multiple=True, metavar="NAME", help="Only these manifests or weights; repeat or separate by commas."
)
@click.option("--mirror", metavar="URL", help="Fetch from a copy of a home folder.  [default: T2AV_BENCH_MIRROR]")
@click.option("--verify", is_flag=True, help="Read what is here and compare it with all that is known; fetch nothing.")
@click.option("--list", "listed", is_flag=True, help="Show size, licence and state of everything; fetch nothing.")
def download(what: str | None, only: tuple[str, ...], mirror: str | None, verify: bool, listed: bool) -> None:
    """Fetch and verify manifests and weights.

    Say manifests, weights or all; --list and --verify show all without. Lists of clips are fetched from their
    publishers and the manifests are built from them on this machine; t2av-bench is a reconstruction, as the paper
    published no list. Weights come from their publishers too, those of the audioldm groups only when named with --only.
    """
    from t2av_bench.errors import UsageError
    from t2av_bench.inventory import choose_manifests, choose_weights, lists_of

    if what is None and not (verify or listed):
        raise UsageError(
            "Say what to download: manifests, weights or all. `t2av-bench download --list` shows what there is."
        )
    what = what or "all"
    names = [name.strip() for part in only for name in part.split(",") if name.strip()]
    if what == "all" and names:
        raise UsageError(
            "--only needs to know of what: use `download manifests --only …` or `download weights --only …`."
        )
    if verify and listed:
        raise UsageError("--verify and --list cannot be combined; --verify shows the state of everything as well.")
    manifests = choose_manifests(names) if what != "weights" else []
    files = lists_of(manifests) + (choose_weights(names, on_request=listed or verify) if what != "manifests" else [])
    if listed or verify:
        _show(files, manifests, read=verify)
    else:
        _get(files, manifests, mirror)


def _show(files: list[RemoteFile], manifests: list[str], *, read: bool) -> None:
    """Print the state of everything; with ``read``, fail if something is here and wrong."""
    from t2av_bench.errors import T2AVBenchError
    from t2av_bench.inventory import manifest_state, state_of

    states = {file.name: state_of(file, read=read) for file in files}
    built = {name: manifest_state(name) for name in manifests}
    if files:
        _table([("file", "size", "state", "licence"), *_rows(files, states)])
    if manifests:
        click.echo()
        _table([("manifest", "state"), *((name, state.detail) for name, state in built.items())])
    wrong_n = sum(state.condition == "wrong" for state in (*states.values(), *built.values()))
    if read and wrong_n:
        raise T2AVBenchError(
            f"{wrong_n} of these must be fetched or built anew; the same command without --verify does."
        )


def _rows(files: list[RemoteFile], states: dict[str, State]) -> Iterator[tuple[str, str, str, str]]:
    """Yield a row per file; the settings of one model share a row while they are in the same state."""
    shown = set()
    for file in files:
        group, state = file.name.partition("/")[0], states[file.name]
        alike = [
            one
            for one in files
            if _is_setting(one) and (one.name.partition("/")[0], states[one.name]) == (group, state)
        ]
        if not _is_setting(file) or len(alike) < 2:
            yield file.name, file.size, state.detail, file.licence
        elif (group, state) not in shown:
            shown.add((group, state))
            yield f"{group} ({len(alike)} settings)", "a few MB", state.detail, file.licence


def _is_setting(file: RemoteFile) -> bool:
    """Whether a file of a model holds no weights."""
    return file.file_name.endswith((".json", ".txt"))


def _table(rows: Sequence[Sequence[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        click.echo("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())


def _get(files: list[RemoteFile], manifests: list[str], mirror: str | None) -> None:
    """Fetch and build everything that can be had; fail at the end if something could not."""
    from t2av_bench.download.fetching import fetch
    from t2av_bench.errors import T2AVBenchError, UsageError
    from t2av_bench.inventory import content_check, lists_of, state_of
    from t2av_bench.manifests.official import build_official
    from t2av_bench.manifests.recipes import reader

    failed: dict[str, str] = {}
    for file in files:
        try:
            done = fetch(file, mirror=mirror, check=content_check(file))
        except UsageError:
            raise
        except T2AVBenchError as error:
            failed[file.name] = str(error)
            continue
        doubt = "" if file.is_pinned else f" ({state_of(file).detail})"
        click.echo(f"{file.name}: {done.origin}, {done.path}{doubt}")
    read = reader()
    for name in manifests:
        if lacking := [file.name for file in lists_of([name]) if file.name in failed]:
            failed[f"manifest {name}"] = f"The manifest {name} could not be built without {', '.join(lacking)}."
            continue
        built = build_official(name, read)
        left_out = f", {built.left_out_n} left out" if built.left_out_n else ""
        click.echo(f"{name}: {built.rows_n} {built.unit}{left_out}, {built.state}, {built.path}")
    if failed:
        lines = "\n".join(f"  {reason}" for reason in failed.values())
        raise T2AVBenchError(f"{len(failed)} could not be had:\n{lines}")
