"""A trained pipeline in half precision, small enough to be shipped."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import torch

from t2av_bench.models.t2av.pipeline import T2AVPipeline
from t2av_bench.models.training.checkpoints import write_folder

RECIPE = "recipe.yaml"


def export_half(folder: Path, target: Path) -> int:
    """Write a pipeline's weights with 16 bits each, and its recipe.

    Parameters
    ----------
    folder
        Of a pipeline that :func:`~t2av_bench.models.training.training.train` wrote.
    target
        Folder to write; replaced if it exists.

    Returns
    -------
    int
        Size of what was written, in bytes.

    Raises
    ------
    TrainingError
        If it cannot be written.
    """

    def write(place: Path) -> None:
        pipeline = T2AVPipeline.from_pretrained(folder)
        for part in pipeline.components.values():
            if isinstance(part, torch.nn.Module):
                part.half()
        pipeline.save_pretrained(place, variant="fp16")
        for path in place.rglob("*.json"):
            _forget_origin(path)
        if (folder / RECIPE).is_file():
            shutil.copy(folder / RECIPE, place / RECIPE)

    target.parent.mkdir(parents=True, exist_ok=True)
    write_folder(target, write)
    return sum(path.stat().st_size for path in target.rglob("*") if path.is_file())


def _forget_origin(path: Path) -> None:
    """Remove the folder that diffusers notes a network was read from: it means nothing on another machine."""
    values = json.loads(path.read_text(encoding="utf-8"))
    values.pop("_name_or_path", None)
    path.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
