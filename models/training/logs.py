"""What training leaves to look at: a CSV log, a plot of the loss, TensorBoard's files where it is installed."""

from __future__ import annotations

import csv
import time
from pathlib import Path
from typing import Any

import numpy as np

from t2av_bench.files import replacing


class TrainingLog:
    """The log of one stage.

    Parameters
    ----------
    folder
        Gets ``log.csv``, ``validation.csv``, ``loss.png`` and, where TensorBoard is installed, its event files. The
        first has means since the row before: the loss, the seconds of an update by the clock and of the processor
        (``step_cpu_s``, of all threads; it says more where others use the machine too), and the share of loading.
    step
        Rows after this step are dropped: a resumed stage does those steps again.
    """

    def __init__(self, folder: Path, step: int) -> None:
        self.folder = folder
        for name in ("log.csv", "validation.csv"):
            _cut(folder / name, step)
        self._board = _tensorboard(folder, step)

    def step(self, step: int, values: dict[str, float]) -> None:
        """Write one row about training."""
        self._write("log.csv", {"step": step, **values})

    def validation(self, step: int, values: dict[str, float]) -> None:
        """Write one row of metrics."""
        self._write("validation.csv", {"step": step, **values})

    def close(self) -> None:
        """Draw the plot and close TensorBoard's file."""
        self.plot()
        if self._board is not None:
            self._board.close()

    def plot(self) -> None:
        """Draw ``loss.png`` from the log."""
        rows = read_log(self.folder / "log.csv")
        if len(rows) < 2:
            return
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        figure = Figure(figsize=(7, 4), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.add_subplot(xlabel="step", ylabel="loss", title=self.folder.name)
        axes.plot([row["step"] for row in rows], [row["loss"] for row in rows], linewidth=0.8)
        axes.grid(alpha=0.3)
        with replacing(self.folder / "loss.png") as path:
            figure.savefig(path, dpi=120)

    def _write(self, name: str, row: dict[str, float]) -> None:
        path = self.folder / name
        new = not path.is_file()
        with path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(row))
            if new:
                writer.writeheader()
            writer.writerow({key: f"{value:.6g}" if isinstance(value, float) else value for key, value in row.items()})
        if self._board is not None:
            for key, value in row.items():
                if key != "step":
                    self._board.add_scalar(f"{path.stem}/{key}", value, int(row["step"]))


class Meter:
    """Loss, time and share of loading of updates."""

    def __init__(self) -> None:
        self._began_s = self._began_cpu_s = 0.0
        self._clear()

    def _clear(self) -> None:
        self._losses: list[float] = []
        self._loading_s = self._total_s = self._cpu_s = 0.0

    def start(self) -> None:
        """Begin an update."""
        self._began_s, self._began_cpu_s = time.perf_counter(), time.process_time()

    def loaded(self) -> None:
        """Note that its batch is there."""
        self._loading_s += time.perf_counter() - self._began_s

    def done(self, loss: float) -> None:
        """Note that it is made, and its loss."""
        self._total_s += time.perf_counter() - self._began_s
        self._cpu_s += time.process_time() - self._began_cpu_s
        self._losses.append(loss)

    def read(self) -> dict[str, float]:
        """Return the means over the updates since the last call."""
        count = len(self._losses)
        values = {
            "loss": float(np.mean(self._losses)),
            "step_s": self._total_s / count,
            "step_cpu_s": self._cpu_s / count,
            "loading_share": self._loading_s / max(self._total_s, 1e-9),
        }
        self._clear()
        return values


def read_log(path: Path) -> list[dict[str, float]]:
    """Read the rows of a log; an absent one has none."""
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [{key: float(value) for key, value in row.items() if value} for row in csv.DictReader(file)]


def _cut(path: Path, step: int) -> None:
    """Drop rows after a step, and a last row that a killed process left half written."""
    if not path.is_file():
        return
    with path.open(newline="", encoding="utf-8") as file:
        header, *rows = list(csv.reader(file)) or [[]]
    kept = [row for row in rows if len(row) == len(header) and row[0].isdigit() and int(row[0]) <= step]
    if not kept:
        path.unlink()
        return
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *kept])


def _tensorboard(folder: Path, step: int) -> Any | None:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(folder / "tensorboard", purge_step=step + 1)
