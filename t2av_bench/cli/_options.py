"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

_Command = Callable[..., Any]


def plot_option(what: str, default: str = "") -> Callable[[_Command], _Command]:
    """Return the option ``--plot`` of a command; ``what`` follows "Picture", ``default`` names a file."""
    shown = f"Picture {what} to write, .png, .svg or .pdf." + (f"  [default: {default}]" if default else "")
    return click.option("--plot", type=click.Path(path_type=Path), help=shown, metavar="FILE")
