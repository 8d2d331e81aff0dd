"""FAD with VGGish over 44.1 kHz stereo WAV files of 10 s: the whole command, the network alone, and torchvggish's loop.

    python benchmarks/fad_command.py [--clips 96] [--runs 3]

Half of the files are the reference, half the predictions; random weights, an empty cache. Side by side, in turn:

- the command, in float32 and in bf16, over all files and over 16;
- the network alone: its forward passes over ready-made log-mel examples, 32 at a time, with torch imported and the
  weights in place, as torchvggish makes it, and in the memory layout this toolkit puts it in;
- the log-mel front end alone, which the command runs in the same process as the network;
- the loop that tools around torchvggish have: one file after the other through its own ``wavfile_to_examples``
  (soundfile, resampy, NumPy) and its network, without any statistics. It needs resampy, which torchvggish brings.

The median of the runs counts. The command's time per file is what all files take longer than 16, divided by how many
they are more; its start is what 16 files take beyond that: imports, loaders, drawing the weights, scores. Both sizes
fill the network's batches.

Beside the time per file stands the processor time it is made of. Loaders read each file twice, first to hash and check
it, then to mix and resample it, on the cores that the network runs on. That is the least a file costs, so its ratio to
the network alone cannot be one. On a busy machine the processor's times are the ones to compare.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import soundfile
from child_times import Times, command, part, whole

SR_HZ = 44_100
WINDOWS_N = 10
FEW_CLIPS_N = 8
WHOLE, FEW = "command over all files", "command over 16 files"
OURS, FRONT_END = "network alone, in the layout here", "front end alone"
PEER = "one file at a time, torchvggish"

ALONE = """
import sys, time, torch
from t2av_bench.models.extractors import get_extractor
from t2av_bench.models.extractors.networks import vggish
from t2av_bench.models.extractors.arithmetic import exact_arithmetic
from t2av_bench.models.extractors.mel import vggish_log_mel
what, precision, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
network = get_extractor("vggish", weights="random", device="cpu", precision=precision).network
if what == "theirs":
    ours, network = network, vggish.build()
    network.load_state_dict(ours.state_dict())
    network.eval().to(memory_format=torch.contiguous_format)
rows_n = 32
if what == "front end":
    network, rows_n = vggish_log_mel, get_extractor("vggish").chunks_n["cpu"][0]
shape = (15600,) if what == "front end" else (1, 96, 64)
examples = torch.randn(count, *shape, generator=torch.Generator().manual_seed(0))
with exact_arithmetic(torch.device("cpu"), precision):
    def run(count):
        for start in range(0, count, rows_n):
            network(examples[start : start + rows_n])
    run(64)
    start_s, start_cpu_s = time.perf_counter(), time.process_time()
    run(count)
    print(time.perf_counter() - start_s, time.process_time() - start_cpu_s, 0.0, file=sys.stderr)
"""

LOOP = """
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


def make_world(folder: Path, clips_n: int) -> None:
    rng = np.random.default_rng(0)
    for side in ("data", "preds"):
        (folder / side).mkdir(parents=True)
        for i in range(clips_n):
            soundfile.write(folder / side / f"{i:04}.wav", 0.1 * rng.standard_normal((10 * SR_HZ, 2)), SR_HZ)
    rows = [f"{i:04},{i:04}.wav,noise" for i in range(clips_n)]
    (folder / "manifest.csv").write_text("\n".join(["clip_id,media,caption", *rows]) + "\n")


def fad(folder: Path, precision: str) -> Times:
    with tempfile.TemporaryDirectory(dir=folder) as cache:
        return command(
            "evaluate", "--pred-dir", folder / "preds", "--manifest", folder / "manifest.csv", "--data-dir",
            folder / "data", "--features", "vggish", "--metrics", "FAD", "--weights", "random", "--device", "cpu",
            "--cache-dir", cache, "--precision", precision, "-o", Path(cache) / "result.json",
        )  # fmt: skip


def per_file(found: dict[str, Times], precision: str, files_n: int) -> str:
    """Say what a file costs once the command has started, and of what that is made up."""
    few_n = 2 * FEW_CLIPS_N
    all_files, few_files = (found[f"{what}, {precision}"] for what in (WHOLE, FEW))
    file = (all_files - few_files).scaled(1e3 / (files_n - few_n))
    network, front_end = (found[what].scaled(1e3 / files_n) for what in (f"{OURS}, {precision}", FRONT_END))
    cpu = file.cpu_s + file.loaders_cpu_s
    rest = file.cpu_s - network.cpu_s - front_end.cpu_s
    start_s = few_files.wall_s - few_n * file.wall_s / 1e3
    return (
        f"{precision}, a file after the start: {file.wall_s:.0f} ms, {file.wall_s / network.wall_s:.2f} times its"
        f" network alone\n"
        f"{precision}, of the processor: {cpu:.0f} ms, {cpu / network.cpu_s:.2f} times: network {network.cpu_s:.0f},"
        f" front end {front_end.cpu_s:.1f}, loaders {file.loaders_cpu_s:.1f}, rest {rest:.1f}\n"
        f"{precision}, with the start of {start_s:.1f} s:"
        f" {all_files.wall_s / (network.wall_s * files_n / 1e3):.2f} times its network alone"
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--clips", type=int, default=96, help="more than 8 on each side")
    parser.add_argument("--runs", type=int, default=3)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder, few = Path(name, "all"), Path(name, "few")
        make_world(folder, chosen.clips)
        make_world(few, FEW_CLIPS_N)
        windows_n = 2 * chosen.clips * WINDOWS_N
        measured: dict[str, Callable[[], Times]] = {
            f"{WHOLE}, fp32": lambda: fad(folder, "fp32"),
            f"{WHOLE}, bf16": lambda: fad(folder, "bf16"),
            f"{FEW}, fp32": lambda: fad(few, "fp32"),
            f"{FEW}, bf16": lambda: fad(few, "bf16"),
            "network alone, as torchvggish's, fp32": lambda: part(ALONE, "theirs", "fp32", windows_n),
            f"{OURS}, fp32": lambda: part(ALONE, "ours", "fp32", windows_n),
            f"{OURS}, bf16": lambda: part(ALONE, "ours", "bf16", windows_n),
            FRONT_END: lambda: part(ALONE, "front end", "fp32", windows_n),
            PEER: lambda: whole(LOOP, folder / "data", folder / "preds"),
        }
        runs = [{what: measure() for what, measure in measured.items()} for _ in range(chosen.runs)]
    found = {what: Times(*map(median, zip(*(run[what] for run in runs), strict=True))) for what in measured}
    print(f"{2 * chosen.clips} files, median of {chosen.runs}")
    for what, times in found.items():
        loaders = f" + {times.loaders_cpu_s:4.1f} s in loaders" if what.startswith("command") else ""
        print(f"{what:40} {times.wall_s:6.1f} s, CPU {times.cpu_s:6.1f} s{loaders}")
    for precision in ("fp32", "bf16"):
        print(per_file(found, precision, 2 * chosen.clips))
        faster = found[PEER].wall_s / found[f"{WHOLE}, {precision}"].wall_s
        print(f"{precision}, with the start: {faster:.1f} times as fast as the loop")


if __name__ == "__main__":
    main()
