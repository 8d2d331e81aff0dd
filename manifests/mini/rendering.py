"""Any number of clips as files, and the official test split."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from t2av_bench.errors import ManifestError, UsageError
from t2av_bench.files import replacing
from t2av_bench.home import home
from t2av_bench.manifests.mini.constants import DURATION_S, WORLD_VERSION
from t2av_bench.manifests.mini.files import write_clip
from t2av_bench.manifests.mini.world import Event, Scene, make_clip
from t2av_bench.manifests.schema import Manifest, read_manifest, write_manifest

NAME = "t2av-mini"
LICENCE = "CC0-1.0"
TEST_CLIPS = 128
TEST_SEED = 0
TEST_SHA256 = "2f7d8af21274dc09007e7575e402ab39eb7c611bdfc2d30f08587febc5016733"
"""Hash of the official test split's manifest."""

_VERSION_FILE = "world-version.txt"
_CLIPS_PER_WORKER = 200  # with fewer, starting another process takes longer than it saves


def render(
    split: str,
    n: int,
    seed: int,
    out: str | Path,
    *,
    num_workers: int | None = None,
    progress: bool | None = None,
) -> Manifest:
    """Render clips 0 … n-1 of a split into a folder; what is there already is kept.

    Writes ``media/<clip_id>.mp4``, then ``events.csv`` and ``manifest.csv``. Each file appears complete or not at all,
    so a killed call goes on where it stopped.

    Parameters
    ----------
    split
        ``train``, ``val`` or ``test``; no clip is in two of them.
    n
        Number of clips. Clip i is the same whatever ``n`` is.
    seed
        Another seed gives other clips.
    out
        The folder; made if needed.
    num_workers
        Processes that render; 0 renders in this one. By default several only if ``n`` is large. They are started
        afresh, so a script that calls this with workers needs its ``if __name__ == "__main__":``.
    progress
        Whether to show a progress bar; by default if the standard error stream is a terminal.

    Returns
    -------
    Manifest
        With ``data_dir`` set to the folder.

    Raises
    ------
    UsageError
        If the folder holds clips of another version of the world, an argument is out of range, or workers cannot start.
    """
    if n < 1:
        raise UsageError(f"n must be at least 1, got {n}")
    if num_workers is not None and num_workers < 0:
        raise UsageError(f"num_workers must not be negative, got {num_workers}")
    out = Path(out)
    scenes = [Scene(split, seed, index) for index in range(n)]
    (out / "media").mkdir(parents=True, exist_ok=True)
    _claim(out)
    missing = [i for i, scene in enumerate(scenes) if not _media_path(out, scene.clip_id).is_file()]
    done = _render_all(partial(_render_one, split, seed, out), missing, num_workers)
    # disable=None: tqdm itself looks whether it writes to a terminal.
    disable = None if progress is None else not progress
    for _ in tqdm(done, desc=f"Rendering {NAME} {split}", total=len(missing), unit="clip", disable=disable):
        pass
    with replacing(out / "events.csv") as path:
        _event_table(scenes).to_csv(path, index=False, lineterminator="\n")
    manifest = _manifest(_clip_table(scenes, split), out)
    with replacing(out / "manifest.csv") as path:
        write_manifest(manifest, path)
    return manifest


def load_test_split() -> Manifest:
    """Return the official test split: 128 clips, rendered into the home folder on first use.

    Several processes may call this at once: every file appears complete or not at all, and the manifest last. A
    complete folder is only read.

    Raises
    ------
    ManifestError
        If the clips are not the official ones.
    """
    out = home() / "mini" / f"test-v{WORLD_VERSION}"
    manifest = _read_complete(out) or render("test", TEST_CLIPS, TEST_SEED, out)
    if manifest.sha256 != TEST_SHA256:
        raise ManifestError(
            f"{out}: must hold the official test split of {NAME}, SHA-256 {TEST_SHA256}, but the manifest there has"
            f" {manifest.sha256}; delete the folder to have it rendered again"
        )
    return replace(manifest, official=True)


def read_events(folder: str | Path) -> pd.DataFrame:
    """Read the exact event times of a rendered folder.

    Returns
    -------
    DataFrame
        One row per event: ``clip_id`` and the fields of :class:`Event`. Clips without events have no row.

    Raises
    ------
    ManifestError
        If the folder holds no ``events.csv``.
    """
    path = Path(folder) / "events.csv"
    if not path.is_file():
        raise ManifestError(f"{path}: no such file; render() writes it beside the clips")
    # Python's own conversion is exact; that of pandas' parser depends on its release.
    numbers = dict.fromkeys(("time_s", "x_px", "y_px", "strength"), float)
    table = pd.read_csv(path, dtype={"clip_id": str, "family": str, "source": int}, converters=numbers)
    return table.astype(numbers)


def _claim(out: Path) -> None:
    """Mark the folder with the world's version, or refuse one with another mark."""
    mark = out / _VERSION_FILE
    if mark.is_file() and mark.read_text().strip() != str(WORLD_VERSION):
        raise UsageError(
            f"{out}: holds clips of version {mark.read_text().strip()} of {NAME}, this is version {WORLD_VERSION};"
            " choose another folder"
        )
    with replacing(mark) as path:
        path.write_text(f"{WORLD_VERSION}\n")


def _manifest(table: pd.DataFrame, out: Path) -> Manifest:
    return Manifest(NAME, table, str(WORLD_VERSION), LICENCE, data_dir=out)


def _read_complete(out: Path) -> Manifest | None:
    """Read the manifest of a folder if nothing is missing from the folder."""
    if not ((out / "manifest.csv").is_file() and (out / "events.csv").is_file()):
        return None
    manifest = _manifest(read_manifest(out / "manifest.csv").table, out)
    return manifest if all((out / clip.media).is_file() for clip in manifest.clips()) else None


def _media_path(out: Path, clip_id: str) -> Path:
    return out / "media" / f"{clip_id}.mp4"


def _render_one(split: str, seed: int, out: Path, index: int) -> None:
    clip = make_clip(split, seed, index)
    write_clip(clip, _media_path(out, clip.clip_id))


def _render_all(task: partial[None], indices: list[int], num_workers: int | None) -> Iterator[None]:
    """Run the task for each index, here or in other processes."""
    if num_workers is None:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        num_workers = min(cores, len(indices) // _CLIPS_PER_WORKER)
        num_workers = num_workers if num_workers > 1 else 0
    if num_workers == 0 or not indices:
        yield from map(task, indices)
        return
    # Not fork: the caller may run threads, and a forked child of a threaded process can hang.
    with ProcessPoolExecutor(num_workers, mp_context=get_context("spawn")) as pool:
        try:
            yield from pool.map(task, indices, chunksize=8)
        except BrokenProcessPool as error:
            raise UsageError(
                "a worker process ended early: a script that renders with workers must start under"
                ' `if __name__ == "__main__":` (num_workers=0 needs none), and memory must suffice;'
                " rendering again goes on where it stopped"
            ) from error


def _clip_table(scenes: list[Scene], split: str) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "clip_id": [scene.clip_id for scene in scenes],
            "source": NAME,
            "media": [f"media/{scene.clip_id}.mp4" for scene in scenes],
            "start_s": 0.0,
            "duration_s": DURATION_S,
            "caption": [scene.caption for scene in scenes],
            "labels": [";".join(scene.families) for scene in scenes],
            "split": split,
        }
    )


def _event_table(scenes: list[Scene]) -> pd.DataFrame:
    rows = [(scene.clip_id, *event) for scene in scenes for event in scene.events()]
    return pd.DataFrame(rows, columns=["clip_id", *Event._fields])
