"""Options that several commands share."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

PATH = click.Path(path_type=Path, readable=False)
"""A file or folder that the command itself will say the right thing about if it is missing."""

_Command = Callable[..., Any]
_NOT_JSON = frozenset({".csv", ".tsv", ".md", ".tex", ".txt", ".html", ".png", ".svg", ".pdf"})
# That torch's generators take as well.
_LARGEST_SEED = 2**63 - 1


def plot_option(what: str, default: str = "") -> Callable[[_Command], _Command]:
    """Return the option ``--plot`` of a command; ``what`` follows "Picture", ``default`` names a file."""
    shown = f"Picture {what} to write, .png, .svg or .pdf." + (f"  [default: {default}]" if default else "")
    return click.option("--plot", type=click.Path(path_type=Path), help=shown, metavar="FILE")


def json_option(what: str, default: str = "") -> Callable[[_Command], _Command]:
    """Return the option ``--output`` of a command that writes ``what`` as JSON; ``default`` names a file."""
    return click.option(
        "-o",
        "--output",
        type=PATH,
        default=Path(default) if default else None,
        show_default=bool(default),
        callback=_named_as_json,
        help=f"{what} to write.",
        metavar="FILE.json",
    )


def _named_as_json(context: click.Context, parameter: click.Parameter, path: Path | None) -> Path | None:
    """Refuse a name that promises another format: what is written is JSON."""
    if path is not None and path.suffix.lower() in _NOT_JSON:
        raise click.BadParameter(
            f"is written as JSON, so name it FILE.json; got {path} (--format is of what is printed)"
        )
    return path


def on_error_option(what: str) -> Callable[[_Command], _Command]:
    """Return the option ``--on-error``; ``what`` says what either choice does."""
    return click.option("--on-error", type=click.Choice(["fail", "skip"]), default="fail", show_default=True, help=what)


def workers_option(what: str = "Loader processes", usual: int | None = None) -> Callable[[_Command], _Command]:
    """Return the option ``--num-workers``: ``what`` they are, and how many there ``usual`` are, None for the cores."""
    shown = f"{what}; with 0 a damaged file can crash the run." + (
        "" if usual else "  [default: one per core, at most 8]"
    )
    return click.option(
        "--num-workers", type=click.IntRange(0), default=usual, show_default=usual is not None, help=shown
    )


def seed_option(what: str = "Of everything random.") -> Callable[[_Command], _Command]:
    """Return the option ``--seed``; ``what`` says of what."""
    return click.option("--seed", type=click.IntRange(0, _LARGEST_SEED), default=0, show_default=True, help=what)


def _device(context: click.Context, parameter: click.Parameter, name: str) -> str:
    """Refuse a name that no device has, also where no network would have asked for it; torch is not needed for that."""
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", name):
        raise click.BadParameter(f"must be auto, cpu, cuda or cuda:<i>; got {name!r}")
    return name


# What several commands take, under the names of the Python functions' parameters.
manifest_option = click.option(
    "--manifest", default="t2av-mini", show_default=True, help="Name, or path of a .csv or .jsonl file."
)
features_option = click.option(
    "--features", help="paper, lite, or extractor names separated by commas.  [default: lite for t2av-mini, else paper]"
)
pooling_option = click.option(
    "--pooling", type=click.Choice(["window", "clip"]), default="window", show_default=True, help="What one sample is."
)
weights_option = click.option(
    "--weights",
    type=click.Choice(["published", "random"]),
    default="published",
    show_default=True,
    help="Weights of the networks; random ones make the result not comparable.",
)
device_option = click.option(
    "--device", default="auto", show_default=True, callback=_device, help="auto, cpu, cuda or cuda:<i>."
)
batch_size_option = click.option(
    "--batch-size",
    type=click.IntRange(1),
    default=32,
    show_default=True,
    help="Windows that a network gets at once, at least.",
)
cache_dir_option = click.option(
    "--cache-dir", type=PATH, help="Where embeddings are kept.  [default: in T2AV_BENCH_HOME]"
)
