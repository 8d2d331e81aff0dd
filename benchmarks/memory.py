"""Peak memory of an evaluation with lite features: 200 clips against 2,000.

    python benchmarks/memory.py

Clips are short WAV and MP4 files of the mini world; 2,000 clips are 200 files under ten names each, with a caption of
their own, so that the manifest, the matching, the checks and the statistics all see 2,000 clips.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from t2av_bench.manifests import Manifest, write_manifest
from t2av_bench.manifests.mini import render
from t2av_bench.manifests.mini.predictions import write_prediction_sets

CLIPS_N = 200

# The peak of the main process alone; loader workers are as many as before and hold one clip each.
MEASURED = """
import resource, sys
from t2av_bench.cli import main
try:
    main(sys.argv[1:])
finally:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)
"""


def repeated(manifest: Manifest, preds: Path, times: int, out: Path) -> Path:
    """Write a manifest of ``times`` as many clips and a folder of hard-linked predictions."""
    import pandas as pd

    tables = []
    (out / "preds").mkdir(parents=True)
    for turn in range(times):
        table = manifest.table.copy()
        for clip_id in table["clip_id"]:
            (out / "preds" / f"{clip_id}-{turn}.wav").hardlink_to(preds / f"{clip_id}.wav")
        table["clip_id"] = table["clip_id"] + f"-{turn}"
        table["caption"] = table["caption"] + f" again {turn}"
        tables.append(table)
    path = out / "manifest.csv"
    write_manifest(Manifest("repeated", pd.concat(tables)), path)
    return path


def peak_mib(folder: Path, data: Path) -> float:
    arguments = ["evaluate", "--pred-dir", folder / "preds", "--manifest", folder / "manifest.csv", "--data-dir", data,
                 "--features", "lite", "--cache-dir", folder / "cache", "-o", folder / "result.json"]  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, *map(str, arguments)], check=True, capture_output=True, text=True
    )
    return int(done.stderr.splitlines()[-1]) / 1024


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        out = Path(name)
        manifest = render("train", CLIPS_N, 0, out / "data")
        preds = write_prediction_sets(manifest, out / "sets")["other-noise"]
        peaks = {}
        for times in (1, 10):
            repeated(manifest, preds, times, out / str(times))
            peaks[times] = peak_mib(out / str(times), out / "data")
            shutil.rmtree(out / str(times) / "preds")
            print(f"{times * CLIPS_N:5} clips: peak {peaks[times]:.0f} MiB")
        print(f"{100 * (peaks[10] / peaks[1] - 1):+.1f} %")


if __name__ == "__main__":
    main()
