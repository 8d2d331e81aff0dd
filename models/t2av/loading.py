"""From what a user calls a checkpoint to a pipeline on a device."""

from __future__ import annotations

import hashlib
from pathlib import Path

from t2av_bench.errors import PrerequisiteError
from t2av_bench.files import hash_stream
from t2av_bench.models.extractors.arithmetic import resolve_device
from t2av_bench.models.t2av.checkpoints import INDEX
from t2av_bench.models.t2av.pipeline import T2AVPipeline


def find_checkpoint(name: str | Path) -> Path:
    """Return the folder of a checkpoint.

    Parameters
    ----------
    name
        ``mini``, a folder with a ``model_index.json``, or the output folder of ``train-reference``.

    Raises
    ------
    PrerequisiteError
        If there is none.
    """
    if str(name) == "mini":
        folder = Path(__file__).parent / "checkpoints" / "mini"
        if not (folder / INDEX).is_file():
            raise PrerequisiteError(
                "this installation carries no mini checkpoint; train one with `t2av-bench train-reference --config mini"
                " --output DIR` and give --checkpoint DIR"
            )
        return folder
    for folder in (Path(name).expanduser(), Path(name).expanduser() / "final"):
        if (folder / INDEX).is_file():
            return folder
    raise PrerequisiteError(f"{name}: there must be a folder with a checkpoint ({INDEX}), or 'mini'")


def load_pipeline(folder: Path, device: str) -> T2AVPipeline:
    """Read a checkpoint onto a device, checked."""
    pipeline = T2AVPipeline.from_pretrained(folder).to(resolve_device(device))
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def checkpoint_sha256(folder: Path) -> str:
    """SHA-256 over names and contents of all files of a checkpoint."""
    digest = hashlib.sha256()
    for path in sorted(each for each in folder.rglob("*") if each.is_file()):
        digest.update(path.relative_to(folder).as_posix().encode() + b"\0")
        with path.open("rb") as file:
            hash_stream(digest, file)
    return digest.hexdigest()
