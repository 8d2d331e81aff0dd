"""Ablations: the same training with one thing changed, again and again, and one table of what each change costs."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from t2av_bench.errors import UsageError, no_such_name
from t2av_bench.files import replacing
from t2av_bench.models.t2av.config import OPERATORS
from t2av_bench.models.training import saving
from t2av_bench.models.training.ablation_plot import plot_ablation
from t2av_bench.models.training.clips import clip_source
from t2av_bench.models.training.config import TrainingConfig, load_config
from t2av_bench.models.training.plan import ORDER, relevant_settings
from t2av_bench.models.training.training import train
from t2av_bench.models.training.validation import score_pipeline
from t2av_bench.plotting import check_plot_path

Row = dict[str, float | str]
FULL = "full"


def variants(config: TrainingConfig) -> dict[str, tuple[str, ...]]:
    """Return the ablations of a recipe: for each name, the settings that change.

    Operators, the visual-aligned CLAP and the ControlNet left out, the U-Net tuned or frozen, and for the mini world a
    quarter and a half of the clips for all that sees the video. Rungs of real data (AudioCaps, with VGGSound, with LLP)
    are manifests of one's own.

    Examples
    --------
    >>> variants(load_config("mini"))["operator-lstm"]
    ('model.control.operator=lstm',)
    """
    stages = config.stages
    chosen: dict[str, tuple[str, ...]] = {FULL: ()}
    for operator in OPERATORS:
        if operator != config.model.control.operator:
            chosen[f"operator-{operator}"] = (f"model.control.operator={operator}",)
    chosen["no-visual-clap"] = ("stages.fusion.steps=0",)
    chosen["no-controlnet"] = ("stages.control.steps=0", "stages.tune.steps=0")
    if stages.tune.steps:
        chosen["frozen-unet"] = ("stages.tune.steps=0",)
    else:
        chosen["tuned-unet"] = (f"stages.tune.steps={max(1, stages.control.steps // 4)}",)
    if config.data.manifest == "t2av-mini":
        for share in (4, 2):
            clips_n = max(1, config.data.clips_n // share)
            chosen[f"clips-{clips_n}"] = (f"data.video_clips_n={clips_n}",)
    return chosen


def ablate(
    source: str | Path,
    output: str | Path,
    *,
    changes: Sequence[str] = (),
    only: Sequence[str] = (),
    data: Mapping[str, str] | None = None,
    base: str | Path | None = None,
    num_workers: int = 0,
    plot: str | Path | None = None,
) -> list[Row]:
    """Train every variant of a recipe and score what each generates for the validation clips.

    A stage that a change does not touch is taken from the variant ``full``. A killed call goes on where it stopped.

    Parameters
    ----------
    source, changes
        The recipe, as for :func:`~t2av_bench.models.training.config.load_config`.
    output
        Gets a folder per variant, and ``ablation.json``, ``ablation.md`` and a plot.
    only
        Names of variants; all by default.
    data
        Further variants that learn from other manifests: path by name.
    base
        Output of a training with the same recipe, to take finished stages from.
    num_workers
        Processes that read clips.
    plot
        Picture to write, ``.png``, ``.svg`` or ``.pdf``; by default ``ablation.png`` in ``output``.

    Returns
    -------
    list of dict
        One row per variant: its name, event scores and seconds.

    Raises
    ------
    UsageError
        If there is no such variant, or ``plot`` has another ending.
    ResultError
        If the plot cannot be written.
    """
    picture = Path(output) / "ablation.png" if plot is None else Path(plot)
    check_plot_path(picture)
    config, output = load_config(source, changes), Path(output)
    table = variants(config) | {f"data-{name}": (f"data.manifest={path}",) for name, path in (data or {}).items()}
    for name in only:
        if name not in table:
            raise no_such_name(f"There is no variant named {name!r}", name, table)
    configs = {name: load_config(source, [*changes, *table[name]]) for name in only or table}
    for changed in configs.values():  # all of them before the first training
        clip_source(changed, training=True)
    rows: list[Row] = []
    for name, changed in configs.items():
        for donor in (base, output / FULL):
            if donor is None:
                continue
            take_finished_stages(changed, Path(donor), output / name)
        start, start_cpu = time.perf_counter(), time.process_time()
        folder = train(changed, output / name, resume=True, num_workers=num_workers)
        took = {"training_s": time.perf_counter() - start, "training_cpu_s": time.process_time() - start_cpu}
        if folder is None:
            raise UsageError(f"{name}: the recipe trains no base model, so that nothing can be generated.")
        rows.append({"variant": name, **score_pipeline(folder, changed), **took})
        write_table(rows, output)
        plot_ablation(rows, picture)
    return rows


def take_finished_stages(config: TrainingConfig, donor: Path, target: Path) -> list[str]:
    """Copy the stages that another training has finished with the same settings; return their names."""
    taken = []
    for name in ORDER:
        source, place = donor / name / saving.FINAL, target / name / saving.FINAL
        if donor == target or place.exists() or not source.is_dir():
            continue
        try:
            saving.check_config(source / "config.yaml", relevant_settings(config, name))
        except UsageError:
            continue
        place.parent.mkdir(parents=True, exist_ok=True)
        part = place.with_name(f".{saving.FINAL}.part")
        shutil.rmtree(part, ignore_errors=True)
        shutil.copytree(source, part)
        part.rename(place)
        taken.append(name)
    return taken


def write_table(rows: Sequence[Row], output: Path) -> None:
    """Write the rows as JSON and Markdown."""
    with replacing(output / "ablation.json") as path:
        path.write_text(json.dumps(list(rows), indent=2) + "\n", encoding="utf-8")
    with replacing(output / "ablation.md") as path:
        path.write_text(as_markdown(rows), encoding="utf-8")


def as_markdown(rows: Sequence[Row]) -> str:
    """Lay the rows out as a Markdown table.

    Examples
    --------
    >>> print(as_markdown([{"variant": "full", "event_f1": 0.5}]), end="")
    | variant | event_f1 |
    |---|---|
    | full | 0.500 |
    """
    columns = list(rows[0])

    def cell(value: Any) -> str:
        return f"{value:.3f}" if isinstance(value, float) else str(value)

    lines = [columns, ["---"] * len(columns), *([cell(row[column]) for column in columns] for row in rows)]
    return (
        "\n".join("|" + "|".join(line) + "|" if line[0] == "---" else "| " + " | ".join(line) + " |" for line in lines)
        + "\n"
    )
