"""Checkpoints of a stage of training: complete, and never half written.

A checkpoint is a folder ``step-00000400`` of

=================== ==============================================================================
file                what
=================== ==============================================================================
weights.safetensors the trained parameters
ema.safetensors     their moving averages
training.pt         optimiser, schedule, moving average's counter
rng-<rank>.pt       states of Python's, NumPy's and torch's random generators in each process
state.json          stage, step and the data position (the number of updates done decides both)
config.yaml         the resolved configuration
=================== ==============================================================================

It is written under a temporary name, flushed to the disk and renamed. A folder under the final name is therefore
complete, whenever the process died or the disk filled up.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError

from t2av_bench.errors import TrainingError

_STEP_FOLDER = re.compile(r"step-(\d{8})")
_KEPT_N = 2


def checkpoint_path(folder: Path, step: int) -> Path:
    """Return the place of the checkpoint of a step."""
    return folder / f"step-{step:08d}"


def newest(folder: Path) -> Path | None:
    """Return the last complete checkpoint in a stage's folder, None if there is none."""
    found = [path for path in folder.glob("step-*") if _STEP_FOLDER.fullmatch(path.name) and path.is_dir()]
    return max(found, default=None)


def write_folder(path: Path, write: Callable[[Path], None]) -> None:
    """Let ``write`` fill a folder that appears at ``path`` complete or not at all.

    Raises
    ------
    TrainingError
        If it cannot be written, as on a full disk; says which checkpoint is the last good one.
    """
    temporary = path.with_name(f".{path.name}.part")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        temporary.mkdir(parents=True)
        write(temporary)
        _flush(temporary)
        if path.exists():
            shutil.rmtree(path)
        os.replace(temporary, path)
        _flush_entry(path.parent)
    except (OSError, RuntimeError, SafetensorError) as error:  # torch and safetensors have errors of their own
        shutil.rmtree(temporary, ignore_errors=True)
        raise TrainingError(
            f"{path}: cannot be written ({_reason(error)}). {last_good(path.parent)} Free some space and go on with"
            " --resume."
        ) from error


def last_good(folder: Path) -> str:
    """Return a sentence that names the last complete checkpoint."""
    path = newest(folder)
    return f"The last good checkpoint is {path}." if path else "There is no earlier checkpoint of this stage."


def forget_old(folder: Path) -> None:
    """Remove all but the last two checkpoints, and what a killed process left behind."""
    found = sorted(path for path in folder.glob("step-*") if _STEP_FOLDER.fullmatch(path.name))
    for path in [*found[:-_KEPT_N], *folder.glob(".step-*.part")]:
        shutil.rmtree(path, ignore_errors=True)


def random_states() -> dict[str, Any]:
    """Return the states of all random generators of this process, as ``torch.load(weights_only=True)`` can read."""
    kind, keys, position, has_gauss, gauss = np.random.get_state()  # noqa: NPY002 - models of third parties use it
    return {
        "python": random.getstate(),
        "numpy": (str(kind), torch.from_numpy(np.asarray(keys, dtype=np.int64)), position, has_gauss, gauss),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def restore_random_states(states: dict[str, Any]) -> None:
    """Put the random generators back into the states that :func:`random_states` returned."""
    version, keys, gauss = states["python"]
    random.setstate((version, tuple(keys), gauss))
    kind, numpy_keys, *rest = states["numpy"]
    np.random.set_state((kind, numpy_keys.numpy().astype(np.uint32), *rest))  # noqa: NPY002
    torch.set_rng_state(states["torch"])
    if states["cuda"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(states["cuda"])


def read_torch(path: Path) -> dict[str, Any]:
    """Read a file of tensors and numbers; runs no code that the file may hold.

    Raises
    ------
    TrainingError
        If the file is missing or damaged.
    """
    try:
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # zipfile, pickle and torch each have their own
        raise TrainingError(f"{path}: cannot be read ({_reason(error)}); delete this checkpoint to go on") from error
    return content


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """Read a safetensors file.

    Raises
    ------
    TrainingError
        If the file is missing or damaged.
    """
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise TrainingError(f"{path}: cannot be read ({_reason(error)})") from error


def read_state(checkpoint: Path) -> dict[str, Any]:
    """Read ``state.json`` of a checkpoint.

    Raises
    ------
    TrainingError
        If it is missing or damaged.
    """
    try:
        state: dict[str, Any] = json.loads((checkpoint / "state.json").read_text(encoding="utf-8"))
        int(state["step"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TrainingError(f"{checkpoint}: is no checkpoint of t2av-bench ({_reason(error)})") from error
    return state


def _reason(error: BaseException) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def _flush(folder: Path) -> None:
    for path in folder.rglob("*"):
        _flush_entry(path)
    _flush_entry(folder)


def _flush_entry(path: Path) -> None:
    if path.is_dir() and os.name == "nt":  # a folder cannot be opened there
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
