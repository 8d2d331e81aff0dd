"""Time and peak memory of `t2av-bench evaluate` with lite features, from 200 to 20,000 clips.

    python benchmarks/scaling.py [--sizes 200 2000 20000] [--runs 5] [--pack] [--folder DIR] [--json [FILE]]
    python benchmarks/scaling.py --show                         # the table of the results that are there

Clips last 2 s. Each is its own range of one of 100 rendered videos with sound, and each prediction is a WAV of its own,
so nothing is checked, decoded or embedded twice. 20,000 clips are 1.3 GB of predictions, of which every smaller size
takes the first ones; they are written to a temporary folder, or kept in ``--folder`` for the next time. Every size runs
once with an empty cache ("cold") and ``--runs`` times with a full one ("warm", median; above 5,000 clips once), where
only statistics and scores are left. With ``--pack`` also cold with a float16 reference pack in place of media.

Peak memory is that of the main process; loader workers hold a clip each. Of a pack, which is mapped into memory, the
pages that were read count too, though the operating system can take them back at any time. What grows with the clips
are their names, paths and hashes, and what each adds to each score; rows that a score goes through again and again lie
in a temporary file.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
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
MANY_CLIPS = 5000
RESULTS = Path(__file__).resolve().parent / "results" / "scaling.json"

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


def write_sounds(count: int, folder: Path) -> None:
    """Write so many predictions, each by a generator of its own; those that are there are kept."""
    folder.mkdir(parents=True, exist_ok=True)
    beat = np.exp(-np.arange(int(CLIP_S * SR_HZ)) % 8000 / 400.0)
    for i in range(count):
        path = folder / f"clip-{i:06}.wav"
        if not path.exists():
            rng = np.random.default_rng(i)
            sound = beat * rng.standard_normal(len(beat)) * rng.uniform(0.05, 0.3)
            soundfile.write(folder / "next.wav", np.roll(sound, rng.integers(8000)), SR_HZ)
            os.replace(folder / "next.wav", path)


def write_clips(videos: Manifest, count: int, sounds: Path, out: Path) -> None:
    """Write a manifest of so many clips, each another range of a video, and link a prediction for each."""
    shutil.rmtree(out, ignore_errors=True)
    (out / "preds").mkdir(parents=True)
    files = [(clip.media, clip.caption) for clip in videos.clips()]
    per_video_n = -(-count // len(files))
    with (out / "clips.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["clip_id", "media", "start_s", "duration_s", "caption"])
        for i in range(count):
            media, caption = files[i % len(files)]
            start_s = (VIDEO_S - CLIP_S) * (i // len(files)) / per_video_n
            rows.writerow([f"clip-{i:06}", media, f"{start_s:.6f}", CLIP_S, f"{caption}, {i}"])
            os.link(sounds / f"clip-{i:06}.wav", out / "preds" / f"clip-{i:06}.wav")


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


def scaled(videos: Manifest, folder: Path, count: int, runs_n: int, with_pack: bool) -> dict[str, Any]:
    data, out = folder / "data", folder / str(count)
    write_clips(videos, count, folder / "sounds", out)
    score = ["evaluate", "--pred-dir", str(out / "preds"), "-o", str(out / "result.json")]
    cold = measured([*score, *command(out, "--data-dir", data, cache="cache")])
    runs_n = runs_n if count <= MANY_CLIPS else 1
    warm = [measured([*score, *command(out, "--data-dir", data, cache="cache")]) for _ in range(runs_n)]
    found = {"cold": cold._asdict(), "warm": max(warm, key=lambda run: run.peak_mib)._asdict()}
    found["warm"] |= {"seconds": statistics.median(run.seconds for run in warm), "runs": runs_n}
    if with_pack:
        pack = out / "reference.pack"
        build = measured(["pack", "build", "-o", str(pack), *command(out, "--data-dir", data, cache="cache")])
        found["pack_build"] = {**build._asdict(), "bytes": pack.stat().st_size}
        found["pack"] = measured([*score, *command(out, "--reference-pack", pack, cache="pack-cache")])._asdict()
    shutil.rmtree(out)
    return found


def shown(count: object, kind: str, run: dict[str, Any]) -> str:
    rate = int(str(count)) / run["seconds"]
    return f"{count:>7}  {kind:10} {run['seconds']:8.1f} {rate:8.1f} {run['peak_mib']:9.0f}"


HEADER = f"{'clips':>7}  {'run':10} {'seconds':>8} {'clips/s':>8} {'peak MiB':>9}"


def growth(runs: dict[Any, dict[str, Any]]) -> str:
    """Say by how much the peak grows between the last two sizes."""
    (smaller, before), (larger, after) = [(size, found["cold"]["peak_mib"]) for size, found in runs.items()][-2:]
    more = (
        f"{100 * (after / before - 1):+.1f} %, {1024 * (after - before) / (int(larger) - int(smaller)):.1f} KiB a clip"
    )
    return f"peak of the main process, {smaller} to {larger} clips: {more}"


def show(path: Path) -> None:
    runs = json.loads(path.read_text(encoding="utf-8"))["runs"]
    print(HEADER)
    print("\n".join(shown(count, kind, run) for count, found in runs.items() for kind, run in found.items()))
    if len(runs) > 1:
        print(growth(runs))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[200, 2000, 20_000], help="numbers of clips")
    parser.add_argument("--runs", type=int, default=5, help="warm runs of each size")
    parser.add_argument("--pack", action="store_true", help="also with a reference pack")
    parser.add_argument("--folder", type=Path, help="where the clips are written and kept")
    parser.add_argument("--json", nargs="?", type=Path, const=RESULTS, metavar="FILE", help=f"[{RESULTS}]")
    parser.add_argument("--show", nargs="?", type=Path, const=RESULTS, metavar="FILE", help="print and stop")
    options = parser.parse_args()
    if options.show is not None:
        show(options.show)
        return
    found: dict[int, dict[str, Any]] = {}
    kept: AbstractContextManager[Any] = nullcontext(options.folder) if options.folder else tempfile.TemporaryDirectory()
    with kept as name:
        folder = Path(name)
        videos = render("train", VIDEOS_N, 0, folder / "data", progress=False)
        write_sounds(max(options.sizes), folder / "sounds")
        print(HEADER)
        for count in sorted(options.sizes):
            found[count] = scaled(videos, folder, count, options.runs, options.pack)
            print("\n".join(shown(count, kind, run) for kind, run in found[count].items()), flush=True)
    if len(found) > 1:
        print(growth(found))
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        record = {"environment": environment("cpu"), "clip_s": CLIP_S, "runs": found}
        options.json.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
