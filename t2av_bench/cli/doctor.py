"""``t2av-bench doctor``."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from t2av_bench.inventory import State


@click.command()
def doctor() -> None:
    """Say what works here, what is missing, and the command that gets it.

    Reads no large file: `t2av-bench download all --verify` does. Exits with 1 if something is here and wrong.
    """
    from t2av_bench.errors import T2AVBenchError
    from t2av_bench.inventory import choose_manifests, choose_weights, manifest_state, state_of

    _section("Versions", _versions())
    _section("Devices", _devices())
    _section("Decoders", _decoders())
    _section("Home folder", _home())
    weights = [(file.name, state_of(file), f"weights --only {file.name}") for file in choose_weights([])]
    manifests = [(name, manifest_state(name), f"manifests --only {name}") for name in choose_manifests([])]
    _section("Weights", _judged(weights))
    _section("Manifests", [("t2av-mini", "built in"), *_judged(manifests)])
    wrong_n = sum(state.condition == "wrong" for _, state, _ in (*weights, *manifests))
    if wrong_n:
        raise T2AVBenchError(f"{wrong_n} files are here and wrong; the commands above replace them")


def _section(title: str, rows: Iterator[tuple[str, str]] | list[tuple[str, str]]) -> None:
    rows = list(rows)
    width = max(len(name) for name, _ in rows)
    click.echo(f"{title}")
    for name, value in rows:
        click.echo(f"  {name:<{width}}  {value}")
    click.echo()


def _versions() -> Iterator[tuple[str, str]]:
    from t2av_bench._version import __version__
    from t2av_bench.environment import environment

    yield "t2av-bench", __version__
    yield from ((name, value) for name, value in environment("").items() if name != "device")


def _devices() -> Iterator[tuple[str, str]]:
    import os

    yield "cpu", f"{os.cpu_count()} cores"
    import torch

    if not torch.cuda.is_available():
        yield "cuda", "none: networks run on the CPU"
    for index in range(torch.cuda.device_count()):
        facts = torch.cuda.get_device_properties(index)
        yield f"cuda:{index}", f"{facts.name}, {facts.total_memory / 1e9:.0f} GB"


def _decoders() -> Iterator[tuple[str, str]]:
    for module, purpose in (
        ("soundfile", "sound files"),
        ("av", "video files, and sound in them"),
        ("decord", "video"),
    ):
        try:
            import_module(module)
        except Exception as error:  # a broken shared library raises whatever it likes
            yield module, f"cannot be loaded ({type(error).__name__}: {error})".replace("\n", " ")
        else:
            yield module, f"works ({purpose})"


def _home() -> Iterator[tuple[str, str]]:
    import os

    from t2av_bench.download.fetching import MIRROR, OFFLINE, is_offline
    from t2av_bench.home import home

    folder = home()
    yield "folder", f"{folder} ({'exists' if folder.is_dir() else 'made on first use'})"
    existing = next(place for place in (folder, *folder.absolute().parents, Path("/")) if place.is_dir())
    yield "free", f"{shutil.disk_usage(existing).free / 1e9:.1f} GB"
    yield "network", f"forbidden by {OFFLINE}" if is_offline() else "allowed"
    yield "mirror", os.environ.get(MIRROR) or "none"
    yield "hub", os.environ.get("HF_ENDPOINT") or "https://huggingface.co"


def _judged(rows: list[tuple[str, State, str]]) -> Iterator[tuple[str, str]]:
    """Say what each needs; the files of one model and the splits of one source share a line if all are missing."""
    from t2av_bench.manifests.official import canonical_name

    groups: dict[str, list[tuple[str, State, str]]] = {}
    for row in rows:
        groups.setdefault(row[0].split("/")[0], []).append(row)
    for group, members in groups.items():
        what, state = members[0][2].split()[0], members[0][1]
        # `--only t2av-bench` means the manifest of that name, not all that begin so.
        is_group = what == "weights" or canonical_name(group) != group
        if len(members) > 1 and is_group and all(one.condition == "missing" for _, one, _ in members):
            unit = "files" if what == "weights" else "lists"
            yield f"{group} ({len(members)} {unit})", f"{state.detail}: t2av-bench download {what} --only {group}"
            continue
        for name, state, how in members:
            fix = f": t2av-bench download {how}" if state.condition in ("missing", "wrong") else ""
            yield name, state.detail + fix
