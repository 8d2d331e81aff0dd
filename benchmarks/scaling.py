"""Time and peak memory of `t2av-bench evaluate` with lite features, from 200 to 20,000 clips.

    python benchmarks/scaling.py [--sizes 200 2000 20000] [--runs 5] [--pack] [--json FILE]

Clips last 2 s. Each is its own range of one of 100 rendered videos with sound, and each prediction is a WAV of its own,
so nothing is checked, decoded or embedded twice: 20,000 clips are 1.3 GB of predictions, written to a temporary folder
(``--folder``). Every size runs once with an empty cache ("cold") and ``--runs`` times with a full one ("warm", median),
where only statistics and scores are left. With ``--pack`` also cold with a float16 reference pack in place of media.

Peak memory is that of the main process; loader workers hold a clip each. Of a pack, which is mapped into memory, the
pages that were read count too, though the operating system can take them back at any time. Between 200 and 2,000 clips
the bandwidth of KAD comes to be fitted on all of its 4,096 windows, whose distances are held at once.
"""

from __future__ import annotations

import argparse
import csv
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import soundfile

from t2av_bench.environment import environment
from t2av_bench.manifests import Manifest
from t2av_bench.manifests.mini import render

VIDEOS_N = 100
CLIP_S = 2.0
VIDEO_S = 4.0
SR_HZ = 16_000

MEASURED = """
import resource, sys
from t2av_bench.cli import main
try:
    main(sys.argv[1:])
finally:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)
"""


class Run(NamedTuple):
    seconds: float
    peak_mib: float


def write_clips(videos: Manifest, count: int, out: Path) -> None:
    """Write a manifest of so many clips, each another range of a video, and a prediction for each."""
    (out / "preds").mkdir(parents=True)
    files = [(clip.media, clip.caption) for clip in videos.clips()]
    per_video_n = -(-count // len(files))
    rng = np.random.default_rng(0)
    beat = np.exp(-np.arange(int(CLIP_S * SR_HZ)) % 8000 / 400.0)
    with (out / "clips.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["clip_id", "media", "start_s", "duration_s", "caption"])
        for i in range(count):
            media, caption = files[i % len(files)]
            start_s = (VIDEO_S - CLIP_S) * (i // len(files)) / per_video_n
            rows.writerow([f"clip-{i:06}", media, f"{start_s:.6f}", CLIP_S, f"{caption}, {i}"])
            sound = beat * rng.standard_normal(len(beat)) * rng.uniform(0.05, 0.3)
            soundfile.write(out / "preds" / f"clip-{i:06}.wav", np.roll(sound, rng.integers(8000)), SR_HZ)


def command(folder: Path, *more: object, cache: str) -> list[str]:
    shared = ["--manifest", folder / "clips.csv", "--features", "lite", "--cache-dir", folder / cache, *more]
    return [str(argument) for argument in shared]


def measured(arguments: Sequence[str]) -> Run:
    start_s = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", MEASURED, *arguments], capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - start_s
    if done.returncode:
        raise SystemExit(done.stderr)
    return Run(seconds, int(done.stderr.splitlines()[-1]) / 1024)


def scaled(videos: Manifest, data: Path, count: int, runs_n: int, with_pack: bool, out: Path) -> dict[str, Any]:
    write_clips(videos, count, out)
    score = ["evaluate", "--pred-dir", str(out / "preds"), "-o", str(out / "result.json")]
    cold = measured([*score, *command(out, "--data-dir", data, cache="cache")])
    warm = [measured([*score, *command(out, "--data-dir", data, cache="cache")]) for _ in range(runs_n)]
    found = {"cold": cold._asdict(), "warm": max(warm, key=lambda run: run.peak_mib)._asdict()}
    found["warm"]["seconds"] = statistics.median(run.seconds for run in warm)
    if with_pack:
        pack = out / "reference.pack"
        build = measured(["pack", "build", "-o", str(pack), *command(out, "--data-dir", data, cache="cache")])
        found["pack_build"] = {**build._asdict(), "bytes": pack.stat().st_size}
        found["pack"] = measured([*score, *command(out, "--reference-pack", pack, cache="pack-cache")])._asdict()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[200, 2000, 20_000], help="numbers of clips")
    parser.add_argument("--runs", type=int, default=5, help="warm runs of each size")
    parser.add_argument("--pack", action="store_true", help="also with a reference pack")
    parser.add_argument("--folder", type=Path, help="where the clips are written for the time being")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    found: dict[int, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        out = Path(name)
        videos = render("train", VIDEOS_N, 0, out / "data", progress=False)
        print(f"{'clips':>7}  {'run':10} {'seconds':>8} {'clips/s':>8} {'peak MiB':>9}")
        for count in options.sizes:
            found[count] = scaled(videos, out / "data", count, options.runs, options.pack, out / str(count))
            for kind, run in found[count].items():
                rate = count / run["seconds"]
                print(f"{count:7}  {kind:10} {run['seconds']:8.1f} {rate:8.1f} {run['peak_mib']:9.0f}", flush=True)
    if len(options.sizes) > 1:
        before, last = (found[count]["cold"]["peak_mib"] for count in options.sizes[-2:])
        growth = f"{100 * (last / before - 1):+.1f} %"
        print(f"peak of the main process, {options.sizes[-2]} to {options.sizes[-1]} clips: {growth}")
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        record = {"environment": environment("cpu"), "clip_s": CLIP_S, "runs": found}
        options.json.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
