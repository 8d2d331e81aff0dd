"""What all pictures of results share: where they may be written, how they look, and how an estimate is drawn.

Nothing tells things apart by colour alone: markers, dashes and filling differ too. The colours are Okabe and Ito's,
which people with either common kind of colour blindness can tell apart. The user's matplotlib is left alone: its
settings are neither read nor changed, and no window or backend is chosen for it.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from t2av_bench.errors import PrerequisiteError, ResultError, UsageError, shown
from t2av_bench.files import replacing
from t2av_bench.schemas import check_writable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SUFFIXES = (".png", ".svg", ".pdf")
# Okabe and Ito, Color universal design, 2008; without yellow, which is too pale for lines on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
# Two-sided 95 % of a normal distribution, in standard errors.
REACH = 1.96
_STYLE = {
    "font.size": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "pdf.fonttype": 42,  # as text: journals refuse type 3
    "svg.hashsalt": "t2av-bench",  # else the same picture would have other bytes each time
}
_UNDATED: dict[str, dict[str, Any]] = {".png": {}, ".svg": {"Date": None}, ".pdf": {"CreationDate": None}}


def check_plot_path(path: str | Path) -> None:
    """Raise before any work if a picture could not be written.

    Raises
    ------
    UsageError
        If its ending is none of ``.png``, ``.svg`` and ``.pdf``.
    PrerequisiteError
        If matplotlib is missing.
    ResultError
        If its folder cannot be written to or made.
    """
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise UsageError(f"a plot must be a file that ends in {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}; got {path}")
    if find_spec("matplotlib") is None:
        raise PrerequisiteError("plots need matplotlib: pip install matplotlib")
    check_writable(path)


@contextmanager
def drawing(path: str | Path, width_in: float, height_in: float) -> Iterator[Figure]:
    """Yield an empty figure in inches, and write it at the end, under a temporary name first.

    Raises
    ------
    UsageError, PrerequisiteError, ResultError
        As :func:`check_plot_path`, and if the file cannot be written.
    """
    path = Path(path)
    check_plot_path(path)
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with matplotlib.rc_context(), warnings.catch_warnings():
        # A name in a script that the font lacks: the picture shows boxes, and a warning would say no more.
        warnings.filterwarnings("ignore", r"Glyph \d+ .* missing from", UserWarning)
        matplotlib.rcdefaults()
        settings: Any = matplotlib.rcParams  # its stubs want literal names
        settings.update(_STYLE)
        figure = Figure(figsize=(width_in, height_in), layout="constrained")
        FigureCanvasAgg(figure)
        yield figure
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(path) as temporary:
                ending = path.suffix.lower()
                figure.savefig(temporary, dpi=150, format=ending[1:], metadata=_UNDATED[ending])
        except OSError as error:
            raise ResultError(f"{path}: cannot be written ({error.strerror or error})") from error


def inert(text: str, limit: int = 60) -> str:
    """Return foreign text as it may stand in a picture: one short line in which ``$`` starts no formula."""
    return shown(text, limit).replace("$", r"\$")


def name_rows(axes: Axes, names: Sequence[str]) -> None:
    """Make a row for each name, from the top, at the heights 0, 1, …, with a faint line between rows."""
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    for between in range(1, len(names)):
        axes.axhline(between - 0.5, color="0.9", linewidth=0.6, zorder=0)


def note_rows(axes: Axes, notes: Sequence[str]) -> None:
    """Write a note to the right of each row of :func:`name_rows`."""
    for row, note in enumerate(notes):
        axes.annotate(
            note, (1.0, row), (6, 0), xycoords=("axes fraction", "data"), textcoords="offset points", va="center",
            fontsize="small", color="0.25", annotation_clip=False,
        )  # fmt: skip


def draw_estimate(
    axes: Axes,
    row: float,
    value: float,
    interval: tuple[float, float] | None,
    *,
    colour: str = COLOURS[0],
    filled: bool = True,
) -> None:
    """Draw a value and its interval, if that is known, into a row."""
    face = colour if filled else "white"
    if interval is not None:
        axes.hlines(row, *interval, color=colour, linewidth=1.6)
        axes.plot(interval, [row, row], "|", color=colour, markersize=7, markeredgewidth=1.6)
    axes.plot([value], [row], "o", color=colour, markerfacecolor=face, markersize=6, markeredgewidth=1.4, zorder=4)


def towards_better(what: str, *, higher_is_better: bool) -> str:
    """Return the label of an axis with an arrow to where better scores lie."""
    return f"{what}   better →" if higher_is_better else f"← better   {what}"


__all__ = [
    "COLOURS",
    "REACH",
    "SUFFIXES",
    "check_plot_path",
    "draw_estimate",
    "drawing",
    "inert",
    "name_rows",
    "note_rows",
    "towards_better",
]
