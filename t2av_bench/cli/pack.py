"""``t2av-bench pack``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from t2av_bench.cli._options import (
    PATH,
    batch_size_option,
    cache_dir_option,
    device_option,
    features_option,
    manifest_option,
    on_error_option,
    seed_option,
    weights_option,
    workers_option,
)


@click.group()
def pack() -> None:
    """Build, verify and show reference packs.

    A pack holds the reference embeddings of a manifest in one file. With it `t2av-bench evaluate --reference-pack FILE`
    scores predictions without the videos.
    """


@pack.command()
@manifest_option
@click.option("--data-dir", type=PATH, help="Folder of the reference media.")
@click.option("-o", "--output", "path", required=True, type=PATH, help="File to write.")
@click.option(
    "--dtype",
    type=click.Choice(["float16", "float32"]),
    default="float16",
    show_default=True,
    help="Of the numbers; float32 gives the same bits as media do, in twice the space.",
)
@features_option
@click.option(
    "--metrics", help="Scores that the pack is for, separated by commas.  [default: all that the features allow]"
)
@click.option(
    "--protocol",
    default="t2av-bench/1",
    show_default=True,
    help="As of `evaluate`; another toolkit's has its features.",
)
@weights_option
@device_option
@click.option(
    "--precision",
    type=click.Choice(["fp32", "bf16", "fp16"]),
    default="fp32",
    show_default=True,
    help="Of the networks, not of what is stored; must be that of the evaluations, and only fp32 is comparable.",
)
@click.option("--compile", is_flag=True, help="Compile the networks first, as the evaluations then must, too.")
@batch_size_option
@workers_option()
@cache_dir_option
@on_error_option("Stop if a clip cannot be embedded, or leave it out of the pack.")
@seed_option("Of random weights.")
def build(metrics: str | None, **options: Any) -> None:
    """Write the reference embeddings of a manifest into one file.

    Embeddings go through the cache, so a stopped build goes on where it was. Prints the SHA-256 by which the file is
    known; the same embeddings make the same bytes.
    """
    from t2av_bench.distributed import is_first, processes
    from t2av_bench.packs.building import build_pack
    from t2av_bench.schemas import check_writable

    names = [name.strip() for name in metrics.split(",")] if metrics else None
    if is_first():
        check_writable(options["path"])
    with processes() as team:
        made = build_pack(metrics=names, processes=team, **options)
    if not team.leads:
        return
    of = made.record["manifest"]
    left_out = of["clips"] - made.record["clips"]
    click.echo(f"{made.path}: {made.record['clips']} clips of {of['name']}, {_size(made.path)}, SHA-256 {made.sha256}")
    if left_out:
        click.echo(f"{left_out} of {of['clips']} clips were left out: results with this pack are incomplete", err=True)
    for name, extractor in made.record["extractors"].items():
        if extractor["because"]:
            click.echo(f"{name} is stored in {extractor['dtype']}: {extractor['because']}", err=True)


@pack.command()
@click.argument("path", type=PATH)
@click.option("--manifest", help="Its manifest: name, or path.  [default: that of the name in the pack]")
@click.option("--data-dir", type=PATH, help="Folder of media to compare with those it was made of.")
@click.option(
    "--sample",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Number of clips to embed again from --data-dir.",
)
@seed_option("Of the choice of clips.")
@device_option
@workers_option()
def verify(path: Path, **options: Any) -> None:
    """Check a pack, and print the SHA-256 to know it by.

    Its bytes, structure and numbers; its clips against the manifest; its features against the extractors here; with
    --data-dir its media, too. Says what could not be checked; exits with 1 if anything is wrong.
    """
    from t2av_bench.errors import PackError
    from t2av_bench.packs.verifying import verify_pack

    found = verify_pack(path, **options)
    for title, clauses in (("right", found.held), ("not checked", found.unchecked), ("wrong", found.faults)):
        for clause in clauses:
            click.echo(f"{title}: {clause}")
    click.echo(f"SHA-256 {found.pack.sha256}")
    if found.faults:
        more = f" (and {len(found.faults) - 1} more)" if len(found.faults) > 1 else ""
        raise PackError(path, f"must not be used ({found.faults[0]}){more}")


@pack.command()
@click.argument("path", type=PATH)
@click.option("--format", "form", type=click.Choice(["plain", "json"]), default="plain", show_default=True)
def show(path: Path, form: str) -> None:
    """Show what a pack holds, after checking that it is undamaged."""
    from t2av_bench.errors import shown
    from t2av_bench.grids import plain_grid
    from t2av_bench.packs.reading import ReferencePack

    found = ReferencePack.open(path)
    record = found.record
    if form == "json":
        click.echo(json.dumps({"sha256": found.sha256, **record}, indent=2, ensure_ascii=True))
        return
    of, protocol = record["manifest"], record["protocol"]
    events = "with times of events" if found.event_times() is not None else "without times of events"
    click.echo(f"{path}: reference pack, {_size(found.path)}, made by t2av-bench {shown(record['tool_version'])}")
    click.echo(f"SHA-256   {found.sha256}")
    click.echo(f"manifest  {shown(of['name'])} version {shown(of['version'])} ({of['sha256'][:8]}…)")
    click.echo(f"clips     {record['clips']} of {of['clips']}, {events}")
    click.echo(
        f"protocol  {shown(protocol['name'])}, features {shown(protocol['features'])}, {protocol['weights']} weights"
    )
    click.echo(f"licence   {shown(record['licence'], 400)}\n")
    rows = [
        (
            name, str(extractor["version"]), extractor["unit"], f"{found.offsets[name][-1]} × {extractor['dim']}",
            extractor["dtype"], f"{extractor['rounding']:.1e}", f"{extractor['largest']:.3g}",
            extractor["fingerprint"][:8],
        )
        for name, extractor in record["extractors"].items()
    ]  # fmt: skip
    header = ("extractor", "version", "unit", "rows × dim", "stored in", "rounding", "largest", "fingerprint")
    click.echo(plain_grid(header, rows, 1), nl=False)
    for name, extractor in record["extractors"].items():
        if extractor["because"]:
            click.echo(f"{shown(name)} is stored in {extractor['dtype']}: {shown(extractor['because'], 200)}")
    click.echo("Rounding: root mean square error of storage, as a share of the features' spread.")


def _size(path: Path) -> str:
    bytes_n = path.stat().st_size
    return f"{bytes_n / 1e6:.1f} MB" if bytes_n >= 1e6 else f"{bytes_n / 1e3:.1f} kB"
