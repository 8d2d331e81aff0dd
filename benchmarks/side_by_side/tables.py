"""A part's rows as text: what, seconds, how many times ours."""

from __future__ import annotations

import statistics
from typing import Any

from t2av_bench.grids import plain_grid


def row(what: str, runs_s: list[float], *, scale: float = 1.0, once_s: float = 0.0, note: str = "") -> dict[str, Any]:
    """Return one line of a table.

    Parameters
    ----------
    what
        What was run.
    runs_s
        Time of each run in seconds.
    scale, once_s
        What the runs are multiplied with where they were over fewer files, and what is added once.
    note
        For the table's last column.
    """
    median_s = statistics.median(runs_s)
    made: dict[str, Any] = {"what": what, "seconds": median_s * scale + once_s, "runs_s": runs_s}
    if scale != 1.0:
        made |= {"scale": scale, "once_s": once_s}
    return made | ({"note": note} if note else {})


def as_text(part: dict[str, Any]) -> str:
    """Return a part as a table, with ratios to the row that it names as the base."""
    rows = part["rows"]
    header = ["", "s", "ratio", "runs", "spread", "note"]
    cells, base_s = [], None
    for line in rows:
        base_s = line["seconds"] if line.get("base") else base_s
        spread = (max(line["runs_s"]) - min(line["runs_s"])) / statistics.median(line["runs_s"])
        ratio = "" if base_s is None else f"{line['seconds'] / base_s:.2f}"
        cells.append(
            [line["what"], f"{line['seconds']:.3g}", ratio, str(len(line["runs_s"])), f"{100 * spread:.0f} %",
             line.get("note", "")]
        )  # fmt: skip
    machine = part["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    set_ = "".join(f", {name}={value}" for name, value in machine["environment"].items())
    lines = [part["title"], "", plain_grid(header, cells, left=1).rstrip("\n"), *part.get("notes", [])]
    lines += [
        f"{machine['cpu']}, {machine['cores']} cores, {machine['system']}, Python {machine['python']}{set_}",
        versions,
    ]
    return "\n".join(lines) + "\n"
