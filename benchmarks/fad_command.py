"""FAD with VGGish over 200 WAV files of 10 s: the whole command against the network alone on ready-made examples.

    python benchmarks/fad_command.py

100 reference and 100 predicted files, random weights, an empty cache. The network's time is that of its forward passes
over 2,000 log-mel examples, 32 at a time, with torch imported and the weights in place: as torchvggish makes it, and in
the memory layout this toolkit puts it in. Each is run three times in turn; the fastest of each counts.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile

CLIPS_N = 100
SR_HZ = 16_000
RUNS_N = 3

NETWORK = """
import time, numpy as np, torch
from t2av_bench.models.extractors import get_extractor
from t2av_bench.models.extractors.networks import vggish
ours = get_extractor("vggish", weights="random", device="cpu").network
theirs = vggish.build()
theirs.load_state_dict(ours.state_dict())
theirs.eval().to(memory_format=torch.contiguous_format)
examples = torch.randn(2000, 1, 96, 64, generator=torch.Generator().manual_seed(0))
for network in (theirs, ours):
    with torch.inference_mode():
        def run(count):
            for start in range(0, count, 32):
                network(examples[start : start + 32])
        run(64)
        start_s = time.perf_counter()
        run(2000)
        print(time.perf_counter() - start_s)
"""


def make_world(folder: Path) -> Path:
    rng = np.random.default_rng(0)
    rows = ["clip_id,media,caption"]
    for side in ("data", "preds"):
        (folder / side).mkdir()
        for i in range(CLIPS_N):
            soundfile.write(folder / side / f"{i:03}.wav", 0.1 * rng.standard_normal(10 * SR_HZ), SR_HZ)
    rows += [f"{i:03},{i:03}.wav,noise" for i in range(CLIPS_N)]
    manifest = folder / "manifest.csv"
    manifest.write_text("\n".join(rows) + "\n")
    return manifest


def command_s(folder: Path, manifest: Path, run: int) -> float:
    arguments = ["evaluate", "--pred-dir", folder / "preds", "--manifest", manifest, "--data-dir", folder / "data",
                 "--features", "vggish", "--metrics", "FAD", "--weights", "random", "--device", "cpu",
                 "--cache-dir", folder / f"cache-{run}", "-o", folder / "result.json"]  # fmt: skip
    start_s = time.perf_counter()
    subprocess.run([sys.executable, "-m", "t2av_bench", *map(str, arguments)], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start_s


def network_s() -> tuple[float, float]:
    """Return the times as torchvggish makes the network, and as it is laid out here."""
    done = subprocess.run([sys.executable, "-c", NETWORK], check=True, capture_output=True, text=True)
    theirs, ours = map(float, done.stdout.split())
    return theirs, ours


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        manifest = make_world(folder)
        runs = [(*network_s(), command_s(folder, manifest, run)) for run in range(RUNS_N)]
    theirs, ours, command = (min(times) for times in zip(*runs, strict=True))
    print(f"whole command                       {command:5.1f} s")
    print(f"network alone, as torchvggish's     {theirs:5.1f} s, ratio {command / theirs:.2f}")
    print(f"network alone, in the layout here   {ours:5.1f} s, ratio {command / ours:.2f}")


if __name__ == "__main__":
    main()
