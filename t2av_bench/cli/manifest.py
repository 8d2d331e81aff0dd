"""``t2av-bench manifest``."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

from t2av_bench.cli._options import workers_option

if TYPE_CHECKING:
    from t2av_bench.manifests import Manifest

_RECONSTRUCTION = (
    "This is a reconstruction: the paper that describes T2AV-Bench (arXiv 2403.07938) published no list of clips."
)


@click.group()
def manifest() -> None:
    """Show, build, check and filter manifests.

    NAME is the name of a manifest or the path of a .csv or .jsonl file.
    """


@manifest.command()
@click.argument("name", required=False)
def show(name: str | None) -> None:
    """Show what a manifest holds; without NAME, which there are and whether they are built."""
    from t2av_bench.manifests import load_manifest, manifest_names

    if name is None:
        for known in manifest_names():
            click.echo(f"{known:<26}  {_described(known)}")
        return
    chosen = load_manifest(name)
    facts = {
        "name": chosen.name,
        "version": chosen.version,
        "clips": str(len(chosen)),
        "sources": _counted(chosen, "source"),
        "splits": _counted(chosen, "split"),
        "duration": f"{chosen.table['duration_s'].sum() / 3600:.2f} h",
        "licence": chosen.licence or "not stated",
        "sha256": chosen.sha256,
        "official": "yes" if chosen.official else _why_not_official(chosen.name),
    }
    for title, value in facts.items():
        click.echo(f"{title:<9} {value}")
    if chosen.name.startswith("t2av-bench"):
        click.echo(_RECONSTRUCTION)
    click.echo("\nFirst clips:")
    for clip in list(chosen.clips())[:5]:
        click.echo(f"  {clip.clip_id}  {clip.caption}")


def _described(name: str) -> str:
    from t2av_bench.inventory import manifest_state
    from t2av_bench.manifests.catalogue import MINI
    from t2av_bench.manifests.official import canonical_name

    if name == MINI:
        return "built in: synthetic clips, rendered on first use"
    return manifest_state(name).detail if name == canonical_name(name) else f"short for {canonical_name(name)}"


def _why_not_official(name: str) -> str:
    from t2av_bench.manifests.pins import PINS
    from t2av_bench.manifests.recipes import RECIPES

    if name in RECIPES and name not in PINS:
        return "no: not pinned, as its list was not at hand when the hashes of the others were computed"
    return "no: results with it are not comparable with those of others"


def _counted(chosen: Manifest, column: str) -> str:
    counts = Counter(chosen.table[column])
    return ", ".join(f"{value or 'unnamed'} {count}" for value, count in sorted(counts.items()))


@manifest.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
def build(names: tuple[str, ...]) -> None:
    """Build manifests from the downloaded lists; all that can be built without NAME.

    The result must have the pinned hash. `t2av-bench download manifests` fetches the lists and does this too.
    """
    from t2av_bench.errors import PrerequisiteError
    from t2av_bench.manifests.official import BUILDABLE, build_official
    from t2av_bench.manifests.recipes import reader

    read = reader()
    for name in names or BUILDABLE:
        try:
            built = build_official(name, read)
        except PrerequisiteError as error:
            if names:
                raise
            click.echo(f"{name}: not built. {error}", err=True)
            continue
        left_out = f", {built.left_out_n} left out" if built.left_out_n else ""
        click.echo(f"{name}: {built.rows_n} {built.unit}{left_out}, {built.state}, {built.path}")


@manifest.command()
@click.argument("name")
@click.option("--data-dir", type=click.Path(path_type=Path), help="Folder of the media.")
@click.option("--decode", is_flag=True, help="Read all sound: finds silence and damage, and takes longer.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="CSV file with one row per clip to write.")
@workers_option("Processes")
@click.option(
    "--cache-dir", type=click.Path(path_type=Path), help="Where answers are kept.  [default: the home folder]"
)
def check(
    name: str, data_dir: Path | None, decode: bool, output: Path | None, num_workers: int | None, cache_dir: Path | None
) -> None:
    """Check the media of a manifest: there, readable, long enough, with sound and pictures, each once.

    Exits with 1 if a clip cannot be used. A stopped check goes on where it was.
    """
    import os

    from t2av_bench.cache import EmbeddingCache
    from t2av_bench.datacheck import STATES, UNUSABLE, check_data, write_states
    from t2av_bench.errors import T2AVBenchError, UsageError
    from t2av_bench.home import home
    from t2av_bench.manifests import load_manifest

    chosen = load_manifest(name)
    folder = data_dir or chosen.data_dir
    if folder is None:
        raise UsageError(f"Where the media of {chosen.name} lies must be given with --data-dir.")
    workers_n = min(os.cpu_count() or 1, 8) if num_workers is None else num_workers
    cache = EmbeddingCache(cache_dir or home() / "embeddings")
    states = check_data(list(chosen.clips()), folder, cache=cache, decode=decode, num_workers=workers_n)
    if output is not None:
        try:
            write_states(states, output)
        except OSError as error:
            raise T2AVBenchError(f"{output}: cannot be written ({error.strerror})") from error
    counts = Counter(one.state for one in states)
    click.echo(f"{chosen.name}: {len(states)} clips in {folder}")
    for state, meaning in STATES.items():
        if counts[state]:
            click.echo(f"{state:<10} {counts[state]:>7}  {meaning}")
    _show_examples([f"{one.path or one.clip_id}: {one.state} {one.reason}" for one in states if one.state in UNUSABLE])
    unusable_n = sum(counts[state] for state in UNUSABLE)
    if unusable_n:
        hint = "" if output else "; --output writes a list of all"
        if counts["missing"] and counts["missing"] < len(states):
            hint += (
                f", `t2av-bench manifest filter {name} --present-in {folder} -o part.csv` keeps those that are there"
            )
        raise T2AVBenchError(f"{unusable_n} of {len(states)} clips cannot be used{hint}")


def _show_examples(lines: list[str], shown_n: int = 10) -> None:
    for line in lines[:shown_n]:
        click.echo(f"  {line.rstrip()}", err=True)
    if len(lines) > shown_n:
        click.echo(f"  … and {len(lines) - shown_n} more", err=True)


@manifest.command(name="filter")
@click.argument("name")
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path), help="CSV file to write; names the part."
)
@click.option("--label", "labels", multiple=True, help="Keep clips with this label; repeatable.")
@click.option("--source", "sources", multiple=True, help="Keep clips of this source; repeatable.")
@click.option("--split", "splits", multiple=True, help="Keep clips of this split; repeatable.")
@click.option("--present-in", type=click.Path(path_type=Path), help="Keep clips whose media is in this folder.")
@click.option("--exclude", type=click.Path(path_type=Path), help="Leave out the clip ids in this file, one per line.")
def filter_(
    name: str,
    output: Path,
    labels: tuple[str, ...],
    sources: tuple[str, ...],
    splits: tuple[str, ...],
    present_in: Path | None,
    exclude: Path | None,
) -> None:
    """Write the part of a manifest that meets all conditions.

    The part has its own name and hash: results with it are not comparable with those of the full manifest.
    """
    from t2av_bench.errors import T2AVBenchError, UsageError
    from t2av_bench.manifests import load_manifest, write_manifest
    from t2av_bench.manifests.filtering import filter_manifest, read_ids
    from t2av_bench.naming import locate_media

    if output.suffix.lower() != ".csv":
        raise UsageError(f"--output must end in .csv; got {output}.")
    if output.exists():
        raise UsageError(f"{output} exists already; choose another name.")
    whole = load_manifest(name)
    keep = None if present_in is None else set(locate_media(list(whole.clips()), present_in)[0])
    part = filter_manifest(
        whole,
        output.stem,
        labels=labels,
        sources=sources,
        splits=splits,
        keep=keep,
        exclude=read_ids(exclude) if exclude else (),
    )
    try:
        write_manifest(part, output)
    except OSError as error:
        raise T2AVBenchError(f"{output}: cannot be written ({error.strerror})") from error
    click.echo(f"{output}: {len(part)} of {len(whole)} clips, sha256 {part.sha256}; not comparable with {whole.name}")
