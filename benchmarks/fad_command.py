"""FAD with VGGish over 44.1 kHz stereo WAV files of 10 s: the whole command, the network alone, and torchvggish's loop.

    python benchmarks/fad_command.py [--clips 100] [--runs 3]

Half of the files are the reference, half the predictions; random weights, an empty cache. Side by side, in turn:

- the command, in float32 and in bf16;
- the network alone: its forward passes over ready-made log-mel examples, 32 at a time, with torch imported and the
  weights in place, as torchvggish makes it, and in the memory layout this toolkit puts it in;
- the loop that tools around torchvggish have: one file after the other through its own ``wavfile_to_examples``
  (soundfile, resampy, NumPy) and its network, without any statistics. It needs resampy, which torchvggish brings.

The median of the runs counts; CPU seconds are those of the main process.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
import soundfile

SR_HZ = 44_100
WINDOWS_N = 10

TIMED = """
import resource, sys, time
start_s = time.perf_counter()
{code}
usage = resource.getrusage(resource.RUSAGE_SELF)
print(time.perf_counter() - start_s, usage.ru_utime + usage.ru_stime, file=sys.stderr)
"""

COMMAND = TIMED.format(code="from t2av_bench.cli import main\nmain(sys.argv[1:], standalone_mode=False)")

NETWORK = """
import sys, time, torch
from t2av_bench.models.extractors import get_extractor
from t2av_bench.models.extractors.networks import vggish
from t2av_bench.models.extractors.arithmetic import exact_arithmetic
layout, precision, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
network = get_extractor("vggish", weights="random", device="cpu", precision=precision).network
if layout == "theirs":
    ours, network = network, vggish.build()
    network.load_state_dict(ours.state_dict())
    network.eval().to(memory_format=torch.contiguous_format)
examples = torch.randn(count, 1, 96, 64, generator=torch.Generator().manual_seed(0))
with exact_arithmetic(torch.device("cpu"), precision):
    def run(count):
        for start in range(0, count, 32):
            network(examples[start : start + 32])
    run(64)
    start_s, start_cpu_s = time.perf_counter(), time.process_time()
    run(count)
    print(time.perf_counter() - start_s, time.process_time() - start_cpu_s, file=sys.stderr)
"""

LOOP = TIMED.format(
    code="""
import warnings
warnings.simplefilter("ignore")
import torch
from pathlib import Path
from torchvggish.torchvggish import VGG, make_layers
from torchvggish.vggish_input import wavfile_to_examples
from t2av_bench.models.extractors.drawn import draw_state_dict
network = VGG(make_layers(), postprocess=False).eval()
network.load_state_dict(draw_state_dict(network, 0))
with torch.inference_mode():
    for folder in sys.argv[1:]:
        for path in sorted(Path(folder).glob("*.wav")):
            network(wavfile_to_examples(str(path)))
"""
)


def make_world(folder: Path, clips_n: int) -> Path:
    rng = np.random.default_rng(0)
    for side in ("data", "preds"):
        (folder / side).mkdir()
        for i in range(clips_n):
            soundfile.write(folder / side / f"{i:04}.wav", 0.1 * rng.standard_normal((10 * SR_HZ, 2)), SR_HZ)
    manifest = folder / "manifest.csv"
    rows = [f"{i:04},{i:04}.wav,noise" for i in range(clips_n)]
    manifest.write_text("\n".join(["clip_id,media,caption", *rows]) + "\n")
    return manifest


def timed(code: str, *arguments: object) -> tuple[float, float]:
    """Return wall and CPU seconds that a child says it took; the command's include its start."""
    start_s = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], check=True, text=True, stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )  # fmt: skip
    whole_s = time.perf_counter() - start_s
    wall_s, cpu_s = map(float, done.stderr.splitlines()[-1].split())
    return (wall_s if code is NETWORK else whole_s), cpu_s


def command(folder: Path, manifest: Path, precision: str) -> tuple[float, float]:
    with tempfile.TemporaryDirectory(dir=folder) as cache:
        return timed(
            COMMAND, "evaluate", "--pred-dir", folder / "preds", "--manifest", manifest, "--data-dir", folder / "data",
            "--features", "vggish", "--metrics", "FAD", "--weights", "random", "--device", "cpu", "--cache-dir", cache,
            "--precision", precision, "-o", Path(cache) / "result.json",
        )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--clips", type=int, default=100)
    parser.add_argument("--runs", type=int, default=3)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        manifest = make_world(folder, chosen.clips)
        windows_n = 2 * chosen.clips * WINDOWS_N
        measured = {
            "whole command, fp32": lambda: command(folder, manifest, "fp32"),
            "whole command, bf16": lambda: command(folder, manifest, "bf16"),
            "network alone, as torchvggish's, fp32": lambda: timed(NETWORK, "theirs", "fp32", windows_n),
            "network alone, in the layout here, fp32": lambda: timed(NETWORK, "ours", "fp32", windows_n),
            "network alone, in the layout here, bf16": lambda: timed(NETWORK, "ours", "bf16", windows_n),
            "one file at a time, torchvggish": lambda: timed(LOOP, folder / "data", folder / "preds"),
        }
        runs = [{what: measure() for what, measure in measured.items()} for _ in range(chosen.runs)]
    wall_s, cpu_s = ({what: median(run[what][i] for run in runs) for what in measured} for i in (0, 1))
    print(f"{2 * chosen.clips} files, median of {chosen.runs}")
    for what in measured:
        print(f"{what:40} {wall_s[what]:6.1f} s, CPU {cpu_s[what]:6.1f} s")
    fp32, bf16, loop = (wall_s[what] for what in (*list(measured)[:2], "one file at a time, torchvggish"))
    for precision, whole in (("fp32", fp32), ("bf16", bf16)):
        alone = wall_s[f"network alone, in the layout here, {precision}"]
        print(f"{precision}: {whole / alone:.2f} times its network alone, {loop / whole:.1f} times as fast as the loop")


if __name__ == "__main__":
    main()
