"""How a folder of generated sounds was made, kept beside them so that no folder mixes two ways."""

from __future__ import annotations

import json
import math
import os
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from t2av_bench._version import __version__
from t2av_bench.errors import UsageError, quoted, shown
from t2av_bench.files import replacing
from t2av_bench.manifests import Manifest

if TYPE_CHECKING:
    from t2av_bench.models.t2av import T2AVPipeline

SETTINGS_FILE = "generation.json"
# How long a file server may take to show a new file to another machine.
_APPEARS_S = 30.0


@dataclass(frozen=True)
class Sampling:
    """How sounds are drawn; None is the checkpoint's own choice.

    Attributes
    ----------
    steps_n, guidance_scale
        DDIM steps, and strength of guidance from 0 on.
    candidates_n
        Sounds tried per clip, of which the nearest to the caption by CLAP is kept.
    negative_prompt
        What guidance leads away from.
    video
        Whether the system sees the video; without, it is its base model.
    seed
        With the clip's id, of the clip's noise.

    Raises
    ------
    UsageError
        If the guidance is negative or not finite.
    """

    steps_n: int | None = None
    guidance_scale: float | None = None
    candidates_n: int = 1
    negative_prompt: str = ""
    video: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        if self.guidance_scale is not None and not 0.0 <= self.guidance_scale < math.inf:
            raise UsageError(f"the guidance must be a number from 0 on; got {self.guidance_scale:g}")

    def call_options(self) -> dict[str, Any]:
        """Return the arguments of the pipeline's call."""
        return {
            "num_inference_steps": self.steps_n,
            "guidance_scale": self.guidance_scale,
            "num_candidates": self.candidates_n,
            "negative_prompt": self.negative_prompt,
        }


def settings_record(folder: Path, benchmark: Manifest, sampling: Sampling, pipeline: T2AVPipeline) -> dict[str, Any]:
    """Return all that decides what the sounds are, with the checkpoint's own choices filled in.

    Parameters
    ----------
    folder, pipeline
        The checkpoint, and what was read from it.
    benchmark, sampling
        The clips, and how their sounds are drawn.
    """
    from t2av_bench.models.t2av.loading import checkpoint_sha256

    chosen = asdict(sampling)
    chosen["steps_n"] = sampling.steps_n or pipeline.config.steps_n
    if sampling.guidance_scale is None:
        chosen["guidance_scale"] = pipeline.config.guidance_scale
    return {
        "tool_version": __version__,
        "checkpoint": folder.name,
        "checkpoint_sha256": checkpoint_sha256(folder),
        "manifest": benchmark.name,
        "manifest_sha256": benchmark.sha256,
        "sampling": chosen,
    }


def agree_on_settings(target: Path, settings: dict[str, Any]) -> None:
    """Write the settings into a new folder, or check that an old one was begun with the same.

    Raises
    ------
    UsageError
        If it was not, or the folder holds sounds of another origin.
    """
    path = target / SETTINGS_FILE
    try:
        target.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise UsageError(f"{target}: the sounds need a folder, and here stands a file") from error
    # In this order: another process, with another shard, may just be beginning, and it writes the record first.
    has_sounds = any(target.glob("*.wav"))
    if not path.is_file():
        if has_sounds:
            raise UsageError(f"{target} holds WAV files but no {SETTINGS_FILE}; give an empty or a new folder")
        _write_first(path, json.dumps(settings, indent=2) + "\n")
    _compare(path, settings)


def check_settings(target: Path, settings: dict[str, Any]) -> None:
    """Check in another process that a folder was begun with the same settings.

    Raises
    ------
    UsageError
        If it was not, or this process sees another folder there.
    """
    path = target / SETTINGS_FILE
    end_s = time.monotonic() + _APPEARS_S
    while not path.is_file():
        if time.monotonic() > end_s:
            raise UsageError(f"{target} must be one folder that all processes see; {SETTINGS_FILE} is not in it here")
        time.sleep(0.1)
    _compare(path, settings)


def _write_first(path: Path, text: str) -> None:
    """Write a file, unless another process is first."""
    with suppress(FileExistsError), replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
        try:
            os.link(temporary, path)
        except FileExistsError:
            raise
        except OSError:
            pass  # a file system without links, where of two at once the last one wins


def _compare(path: Path, settings: dict[str, Any]) -> None:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"{path} cannot be read ({shown(str(error), 200)}); give a new folder") from error
    if not isinstance(found, dict) or not isinstance(found.get("sampling"), dict):
        raise UsageError(f"{path} is no record of this command; give a new folder")
    differing = _differences(found, settings)
    if differing:
        raise UsageError(f"{path.parent} was begun with other settings ({'; '.join(differing)}); give a new folder")


def _differences(found: dict[str, Any], wanted: dict[str, Any]) -> list[str]:
    flat = ({**values, **values["sampling"], "sampling": None} for values in (found, wanted))
    before, now = flat
    # The name is for readers; a moved checkpoint is the same one.
    keys = [key for key in {**before, **now} if key != "checkpoint"]
    return [
        f"{shown(key)}: {quoted(before.get(key))}, now {quoted(now.get(key))}"
        for key in keys
        if before.get(key) != now.get(key)
    ]
