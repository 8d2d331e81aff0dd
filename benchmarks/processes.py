"""One process with two loader workers against two processes of torchrun with one each: time of the whole command.

    python benchmarks/processes.py [--clips N] [--runs N] [--json FILE]
    python benchmarks/processes.py --costs

FAD with VGGish (random weights) over reference and predicted WAV files of 10 s, from an empty cache each time, on the
CPU. The two are run in turn; medians count. The two scores must be the same bits.

With two processes torch is imported three times, once by torchrun itself, and only one of them scores: some seconds
whatever the size. So the ratio of a short run is that of starting, and the usual 400 files are meant to see past it.
Both are also run over 64 files; the second ratio is of what all files take longer than those, and so free of the start.
Only an idle machine compares the two fairly: torchrun gives its processes sessions of their own, and Linux shares a
busy processor out by session.

With --costs: the time of one core that each extractor takes per second of media, on a clip of the mini world. These are
the figures by which work is shared out (`t2av_bench/distributed/shares.py`).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile

SR_HZ = 16_000
TARGET = 1.10
FEW_CLIPS_N = 32

# Those that need no more than the toolkit has, with random weights.
EXTRACTORS = ("vggish", "panns", "c3d", "i3d", "lite-audio", "onset-strength", "lite-video", "motion-energy",
              "tempotokens-peaks", "tempotokens-flow", "condfoleygen-onsets")  # fmt: skip


def make_world(folder: Path, clips_n: int) -> None:
    rng = np.random.default_rng(0)
    for side in ("data", "preds"):
        (folder / side).mkdir(parents=True)
        for i in range(clips_n):
            soundfile.write(folder / side / f"{i:03}.wav", 0.1 * rng.standard_normal(10 * SR_HZ), SR_HZ)
    manifest = folder / "manifest.csv"
    manifest.write_text("\n".join(["clip_id,media,caption", *(f"{i:03},{i:03}.wav,noise" for i in range(clips_n))]))


def run_s(folder: Path, processes_n: int) -> tuple[float, float]:
    """Return the time of a run, and its FAD."""
    with tempfile.TemporaryDirectory(dir=folder) as cache:
        result = Path(cache, "result.json")
        start = [sys.executable, "-m"]
        if processes_n > 1:
            start += ["torch.distributed.run", "--standalone", f"--nproc-per-node={processes_n}", "-m"]
        arguments = ["evaluate", "--pred-dir", folder / "preds", "--manifest", folder / "manifest.csv", "--data-dir",
                     folder / "data", "--features", "vggish", "--metrics", "FAD", "--weights", "random", "--device",
                     "cpu", "--num-workers", 2 // processes_n, "--cache-dir", cache, "-o", result]  # fmt: skip
        start_s = time.perf_counter()
        subprocess.run([*start, "t2av_bench", *map(str, arguments)], check=True, capture_output=True)
        taken_s = time.perf_counter() - start_s
        return taken_s, json.loads(result.read_text())["scores"]["FAD"]["value"]


def compare(clips_n: int, runs_n: int) -> dict[str, object]:
    with tempfile.TemporaryDirectory() as name:
        folder, few = Path(name, "all"), Path(name, "few")
        make_world(folder, clips_n)
        make_world(few, FEW_CLIPS_N)
        runs = [[run_s(world, processes_n) for world in (folder, few) for processes_n in (1, 2)] for _ in range(runs_n)]
    one_runs_s, two_runs_s, *few_runs_s = ([run[i][0] for run in runs] for i in range(4))
    one_s, two_s, one_few_s, two_few_s = map(statistics.median, (one_runs_s, two_runs_s, *few_runs_s))
    scores = {score for run in runs for _, score in run[:2]}
    assert len(scores) == 1, f"the scores must be the same bits: {scores}"
    few_n = 2 * FEW_CLIPS_N
    files_s = [(whole_s - few_s) / (2 * clips_n - few_n) for whole_s, few_s in ((one_s, one_few_s), (two_s, two_few_s))]
    later = files_s[1] / files_s[0]
    one_start_s, two_start_s = one_few_s - few_n * files_s[0], two_few_s - few_n * files_s[1]
    print(f"{2 * clips_n} files of 10 s, {runs_n} runs each on {os.cpu_count()} cores; in brackets the start")
    print(f"one process, two workers          {one_s:6.1f} s ({one_start_s:.1f} s)")
    print(f"two processes, one worker each    {two_s:6.1f} s ({two_start_s:.1f} s)")
    print(f"ratio {two_s / one_s:.2f} (wanted: at most {TARGET:.2f}), {later:.2f} without the start")
    return {
        "files": 2 * clips_n,
        "runs": runs_n,
        "one_process_s": one_s,
        "two_processes_s": two_s,
        "ratio": two_s / one_s,
        "ratio_without_start": later,
        "one_process_runs_s": one_runs_s,
        "two_processes_runs_s": two_runs_s,
        "one_process_start_s": one_start_s,
        "two_processes_start_s": two_start_s,
        "cores": os.cpu_count(),
    }


def costs() -> None:
    import torch

    from t2av_bench.manifests.mini import render
    from t2av_bench.models.extractors import ClipSource, get_extractor
    from t2av_bench.models.extractors.registry import extractor_class

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        clip = render("val", 1, 0, Path(name), num_workers=0, progress=False).clips()[0]
        source = ClipSource(Path(name, clip.media), clip.start_s, clip.duration_s)
        for extractor_name in EXTRACTORS:
            options = {"weights": "random", "device": "cpu"} if extractor_class(extractor_name).has_network else {}
            extractor = get_extractor(extractor_name, **options)
            extractor.embed_batch(extractor.load(source))  # builds the network
            start_s = time.process_time()
            for _ in range(3):
                extractor.embed_batch(extractor.load(source))
            taken_s = (time.process_time() - start_s) / 3
            print(f"{extractor_name:20} {taken_s / clip.duration_s:8.4f} s per second")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=200, help="of 10 s, each a reference and a prediction; over 32")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", type=Path, help="file to write")
    parser.add_argument("--costs", action="store_true")
    chosen = parser.parse_args()
    if chosen.costs:
        costs()
        return
    found = compare(chosen.clips, chosen.runs)
    if chosen.json is not None:
        chosen.json.parent.mkdir(parents=True, exist_ok=True)
        chosen.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
