"""Where the time and the memory of the reference system go.

    python benchmarks/reference_speed.py mini        # updates of the diffusion stages, and sampling, split by part
    python benchmarks/reference_speed.py memory      # one update of audioldm-s's stage control, by precision
    python benchmarks/reference_speed.py log run/    # what a training's own logs say of all its stages

Weights and features are random, of the recipes' own sizes; updates run through the real engine, loader and optimiser.
On a GPU (``--device cuda``) memory is what torch has allocated at most, on a CPU the process's largest resident set.
``--peak-tflops`` adds which share of the device's peak is reached.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from t2av_bench.models.training.config import StageConfig, load_config
from t2av_bench.models.training.features import Arrays
from t2av_bench.models.training.stages.base import Stage

CLIPS_N = 256
CASES = [(precision, kept) for precision in ("no", "bf16") for kept in (False, True)]


class Clock:
    """Seconds by part of a pipeline, from hooks around its networks."""

    def __init__(self, device: str) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._device = device

    def now(self) -> float:
        if self._device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()

    @contextmanager
    def on(self, parts: dict[str, nn.Module]) -> Iterator[None]:
        began: dict[str, float] = {}
        handles: list[Any] = []
        for name, part in parts.items():

            def before(_: nn.Module, __: Any, name: str = name) -> None:
                began[name] = self.now()

            def after(_: nn.Module, __: Any, ___: Any, name: str = name) -> None:
                self.seconds[name] += self.now() - began[name]

            handles += [part.register_forward_pre_hook(before), part.register_forward_hook(after)]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()


def features(clips_n: int, latent: tuple[int, ...], text_dim: int, video: tuple[int, ...], folder: Path) -> Arrays:
    """Write random features as training keeps them, memory-mapped, and open them."""
    rng = np.random.default_rng(0)
    shapes = {"latent": latent, "text": (text_dim,), "audio": (text_dim,), "video": video}
    for name, shape in shapes.items():
        np.save(folder / f"{name}.npy", rng.standard_normal((clips_n, *shape), np.float32).astype(np.float16))
    return Arrays([{name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in shapes}])


def run_updates(stage: Stage, settings: StageConfig, precision: str, folder: Path) -> dict[str, float]:
    """Train for a few updates; return the means of the log's last rows."""
    from accelerate import Accelerator

    from t2av_bench.models.training.engine import Run, Trainer
    from t2av_bench.models.training.logs import read_log

    Trainer(stage, CLIPS_N, settings, Run(Accelerator(mixed_precision=precision), {}), folder).train()
    rows = read_log(folder / "log.csv")[-max(1, settings.steps // 20) :]
    return {key: float(np.mean([row[key] for row in rows])) for key in ("step_s", "step_cpu_s", "loading_share")}


def diffusion_stages(pipeline: Any, arrays: Arrays, settings: StageConfig) -> dict[str, Stage]:
    from t2av_bench.models.training.stages import ControlStage, TuneStage, UNetStage

    parts = {name: getattr(pipeline, name) for name in ("unet", "control", "fusion", "temporal")}
    rest = (pipeline.scheduler, arrays, 1.0, arrays, torch.zeros(pipeline.fusion.config.text_dim), settings)
    return {
        "unet": UNetStage({"unet": pipeline.unet}, *rest),
        "control": ControlStage(parts, *rest, video=arrays),
        "tune": TuneStage(parts, *rest, video=arrays),
    }


def mini(device: str, peak_tflops: float | None, updates_n: int) -> None:
    from t2av_bench.models.t2av.building import build_mini

    config = load_config("mini")
    torch.manual_seed(0)
    pipeline = build_mini(config.model).to(device)
    pipeline.set_progress_bar_config(disable=True)
    print(f"mini, {device}, {torch.get_num_threads()} threads, {config.precision}\n")
    columns = (
        "update", "clips", "s", "CPU s", "loading", "U-Net forward, s", "ControlNet forward, s",
        "backward and optimiser, s", "TFLOP/s",
    )  # fmt: skip
    print(f"| {' | '.join(columns)} |\n{'|---' * len(columns)}|")
    with tempfile.TemporaryDirectory() as folder:
        arrays = features(CLIPS_N, (4, 100, 16), config.model.clap.dim, (100, config.model.temporal.dim), Path(folder))
        for name in ("unet", "control", "tune"):
            settings = replace(getattr(config.stages, name), steps=updates_n, warmup_steps=1)
            stage = diffusion_stages(pipeline, arrays, settings)[name].to(device)
            clock = Clock(device)
            work = flops_of_update(stage, settings.batch_size, device)
            with clock.on({key: getattr(pipeline, key) for key in ("unet", "control")}):
                took = run_updates(stage, settings, config.precision, Path(folder) / name)
            forward = [clock.seconds[key] / updates_n for key in ("unet", "control")]
            rest = took["step_s"] * (1 - took["loading_share"]) - sum(forward)
            cells = [f"{took['step_s']:.3f}", f"{took['step_cpu_s']:.3f}", f"{took['loading_share']:.1%}"]
            cells += [f"{each:.3f}" for each in (*forward, rest)]
            cells.append(rate(work / took["step_s"], peak_tflops))
            print(f"| {name} | {settings.batch_size} | {' | '.join(cells)} |", flush=True)
    sampling(pipeline, device, peak_tflops)


def from_logs(run: Path) -> None:
    """Print what the logs of a training say of its stages; the shares are of rows of ten updates."""
    from t2av_bench.models.training.logs import read_log
    from t2av_bench.models.training.plan import ORDER

    columns = ("stage", "updates", "minutes", "CPU minutes", "s/update", "loading, mean", "loading, most")
    print(f"| {' | '.join(columns)} |\n{'|---' * len(columns)}|")
    largest = 0.0
    for name in ORDER:
        rows = read_log(run / name / "log.csv")
        if not rows:
            continue
        steps = np.diff([0.0, *(row["step"] for row in rows)])
        seconds, cpu, shares = (
            np.array([row[key] for row in rows]) for key in ("step_s", "step_cpu_s", "loading_share")
        )
        # Of the first rows, some fill the page cache.
        most = float(shares[1:].max(initial=0.0))
        largest = max(largest, most)
        times = f"{seconds @ steps / 60:.1f} | {cpu @ steps / 60:.1f} | {np.median(seconds):.3f}"
        mean = float((shares * seconds) @ steps / (seconds @ steps))
        print(f"| {name} | {steps.sum():.0f} | {times} | {mean:.2%} | {most:.2%} |")
    print(f"\nLoading takes {largest:.2%} of ten updates at most, after the first ten of each stage.")


def flops_of_update(stage: Stage, batch_size: int, device: str) -> float:
    """Count the operations of a forward and a backward pass."""
    from t2av_bench.models.training.stages.base import to_device

    batch = to_device(stage.batch(np.arange(batch_size), np.random.default_rng(0)), torch.device(device))
    with FlopCounterMode(display=False) as counter:
        stage(batch).backward()
    stage.zero_grad()
    return float(counter.get_total_flops())


def rate(flops_per_s: float, peak_tflops: float | None) -> str:
    tflops = flops_per_s / 1e12
    return f"{tflops:.3f}" if peak_tflops is None else f"{tflops:.3f} ({tflops / peak_tflops:.1%})"


def sampling(pipeline: Any, device: str, peak_tflops: float | None) -> None:
    parts = {
        "frames": pipeline.frame_encoder, "temporal": pipeline.temporal, "ControlNet": pipeline.control,
        "U-Net": pipeline.unet, "VAE": pipeline.vae.decoder, "vocoder": pipeline.vocoder,
    }  # fmt: skip
    print(f"\nSampling, clips of 4 s, {pipeline.config.steps_n} steps, guidance {pipeline.config.guidance_scale}\n")
    print(f"| clips at once | s/clip | clips/s | {' | '.join(parts)} | rest | TFLOP/s |")
    print("|---" * (len(parts) + 5) + "|")
    for batch_n in (1, 4, 16):
        frames = torch.rand(batch_n, 100, 3, 64, 64)
        prompts = ["a ball bounces"] * batch_n
        with FlopCounterMode(display=False) as counter:
            pipeline(prompts, frames=frames)
        clock = Clock(device)
        with clock.on(parts):
            start_s = clock.now()
            pipeline(prompts, frames=frames)
            took_s = clock.now() - start_s
        shares = [clock.seconds[name] / took_s for name in parts]
        cells = [f"{share:.0%}" for share in (*shares, 1 - sum(shares))]
        speed = rate(counter.get_total_flops() / took_s, peak_tflops)
        print(f"| {batch_n} | {took_s / batch_n:.3f} | {batch_n / took_s:.2f} | {' | '.join(cells)} | {speed} |")


def memory(device: str, batch_size: int) -> None:
    print(f"audioldm-s, stage control, 10.24 s clips, batch {batch_size}, one update, {device}\n")
    print("| precision | gradient checkpointing | peak GiB | of it before the update | s/update |")
    print("|---|---|---|---|---|")
    for precision, kept in CASES:
        case = ["case", "--device", device, "--batch", str(batch_size), "--precision", precision]
        command = [sys.executable, __file__, *case, *(["--checkpointing"] if kept else [])]
        ended = subprocess.run(command, check=True, capture_output=True, text=True)
        seen = json.loads(ended.stdout.splitlines()[-1])
        name = "fp32" if precision == "no" else precision
        cells = f"{seen['peak_gib']:.2f} | {seen['before_gib']:.2f} | {seen['step_s']:.2f}"
        print(f"| {name} | {'yes' if kept else 'no'} | {cells} |", flush=True)


def one_case(device: str, batch_size: int, precision: str, checkpointing: bool) -> None:
    """Do one update on AudioLDM-S's layout in this process, whose peak memory is then that of the case."""
    from diffusers import DDIMScheduler, UNet2DConditionModel

    from t2av_bench.models.t2av.audioldm import scheduler_config, unet_config
    from t2av_bench.models.t2av.building import video_parts
    from t2av_bench.models.t2av.frames import SmallFrameEncoder

    config = load_config("audioldm-s")
    settings = replace(config.stages.control, steps=1, batch_size=batch_size, gradient_checkpointing=checkpointing)
    torch.manual_seed(0)
    unet = UNet2DConditionModel(**unet_config("s"))
    # The real frame encoder's features are computed beforehand: it takes no part.
    encoder = SmallFrameEncoder(dim=config.model.temporal.dim)
    parts = {"unet": unet, **video_parts(config.model, unet, 16, frame_encoder=encoder)}
    frames_n = round(config.model.duration_s * config.model.frame_rate_hz)

    class Holder:
        scheduler = DDIMScheduler(**scheduler_config())

    for name, part in parts.items():
        setattr(Holder, name, part)
    with tempfile.TemporaryDirectory() as folder:
        arrays = features(CLIPS_N, (8, 256, 16), 512, (frames_n, config.model.temporal.dim), Path(folder))
        stage = diffusion_stages(Holder, arrays, settings)["control"].to(device)
        before = peak_gib(device)
        took = run_updates(stage, settings, precision, Path(folder) / "control")
    print(json.dumps({"peak_gib": peak_gib(device), "before_gib": before, "step_s": took["step_s"]}))


def peak_gib(device: str) -> float:
    if device == "cuda":
        return torch.cuda.max_memory_allocated() / 2**30
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("mini", "memory", "log", "case"), help="`case` is one row of `memory`")
    parser.add_argument("run", type=Path, nargs="?", help="of `log`: the training's folder")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", choices=("cpu", "cuda"))
    parser.add_argument("--peak-tflops", type=float, help="of the device, in the precision of the recipe")
    parser.add_argument("--updates", type=int, default=40)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--precision", default="bf16", choices=("no", "bf16", "fp16"))
    parser.add_argument("--checkpointing", action="store_true")
    arguments = parser.parse_args()
    if arguments.what == "mini":
        mini(arguments.device, arguments.peak_tflops, arguments.updates)
    elif arguments.what == "memory":
        memory(arguments.device, arguments.batch)
    elif arguments.what == "log":
        if arguments.run is None:
            parser.error("log needs the training's folder")
        from_logs(arguments.run)
    else:
        one_case(arguments.device, arguments.batch, arguments.precision, arguments.checkpointing)


if __name__ == "__main__":
    main()
