"""A few clips of the mini world with scored systems, for everything that makes reports."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import t2av_bench as tb
from t2av_bench.manifests import Manifest
from t2av_bench.manifests.mini import render
from t2av_bench.manifests.mini.predictions import write_prediction_sets

SYSTEMS = ("other-noise", "late-0.5s")
METRICS = ("FAD", "FAVD", "FAVD-b", "AV-index", "onset-acc", "event-F1", "AV-Align")


class World(NamedTuple):
    """What a report is made of.

    Attributes
    ----------
    manifest, manifest_file, data_dir
        Clips with media and event times.
    results, pred_dirs
        Of each system, in the same order.
    """

    manifest: Manifest
    manifest_file: Path
    data_dir: Path
    results: list[Path]
    pred_dirs: list[Path]


def make_world(folder: Path, clips_n: int = 8, systems: tuple[str, ...] = SYSTEMS) -> World:
    """Render clips, make the sounds of systems of known quality, and score them."""
    manifest = render("val", clips_n, 0, folder / "data", num_workers=0, progress=False)
    made = write_prediction_sets(manifest, folder / "preds")
    results = []
    for name in systems:
        result = tb.evaluate(
            made[name],
            manifest,
            features="lite",
            metrics=list(METRICS),
            uncertainty="stderr",
            num_workers=0,
            cache_dir=folder / "cache",
        )
        results.append(folder / f"{name}.json")
        result.save(results[-1])
    return World(manifest, folder / "data" / "manifest.csv", folder / "data", results, [made[name] for name in systems])
