"""Twelve clips and sounds for them, and what is in a folder."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import t2av_bench as tb
from t2av_bench.manifests.mini import render
from t2av_bench.manifests.mini.predictions import write_prediction_sets

CLIPS_N = 12


class World(NamedTuple):
    """A manifest with its media, and predictions for it."""

    manifest: Path
    media: Path
    predictions: Path

    def evaluate(self, folder: Path, *more: str | Path) -> list[str | Path]:
        """Return the arguments of an evaluation that writes into a folder only."""
        what = ["--pred-dir", self.predictions, "--manifest", self.manifest, "--features", "lite", "--system", "late"]
        where = ["--cache-dir", folder / "cache", "-o", folder / "out" / "result.json"]
        return ["evaluate", *what, *where, *more]

    def generate(self, checkpoint: Path, out: Path) -> list[str | Path]:
        """Return the arguments of a generation, two steps for two clips at a time."""
        which = ["--checkpoint", checkpoint, "--manifest", self.manifest, "--out", out]
        return ["generate", *which, "--steps", "2", "--batch-size", "2", "--device", "cpu"]


class Whole(NamedTuple):
    """An evaluation without interruption: the folder it wrote into, and how long it took."""

    folder: Path
    took_s: float

    def equals(self, folder: Path) -> bool:
        """Whether another evaluation wrote the same files, with the same scores, clips and embeddings to the bit."""
        names = listing(self.folder)
        same = [name for name in names if name.startswith("cache/entries") or name.endswith(".csv")]
        scores = [tb.Result.load(one / "out/result.json").scores for one in (self.folder, folder)]
        return (
            listing(folder) == names
            and len(same) > 1
            and all((folder / name).read_bytes() == (self.folder / name).read_bytes() for name in same)
            and scores[0] == scores[1]
        )


def make_world(folder: Path, clips_n: int = CLIPS_N) -> World:
    manifest = render("train", clips_n, 0, folder)
    sets = write_prediction_sets(manifest, folder / "predictions")
    return World(folder / "manifest.csv", folder / "media", sets["late-0.5s"])


def listing(folder: Path) -> list[str]:
    """Return all files below a folder, relative to it, hidden ones included."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir())


def contents(folder: Path) -> dict[str, bytes]:
    """Return all files below a folder, hidden ones included, and what is in them."""
    return {name: (folder / name).read_bytes() for name in listing(folder)}
