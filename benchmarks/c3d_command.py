"""C3D over H.264 videos of 10 s: the whole command against the network alone on frames in memory.

    python benchmarks/c3d_command.py [--clips 12] [--runs 3] [--device cpu] [--precision fp32]

640 x 360 pixels at 25 frames per second, with sound; random weights, an empty cache. The command is also run over three
clips: its time per clip is what all clips take longer than those, and so free of the start. On a GPU more clips are
needed (``--clips 500``) for that to be exact. The median of the runs counts; on a busy machine the processor's times,
all processes together, are the ones to compare.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from statistics import median

import av
import numpy as np
import soundfile
from child_times import Times, command, part

SR_HZ, FPS, SECONDS, SIZE = 16_000, 25, 10, (360, 640)

FEW_CLIPS_N = 3

NETWORK = """
import sys, time, numpy as np
from t2av_bench.models.extractors import get_extractor
device, precision, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
c3d = get_extractor("c3d", weights="random", device=device, precision=precision)
rows = np.random.default_rng(0).integers(0, 256, (32, 16, 112, 112, 3), dtype=np.uint8)
c3d.embed_batch(rows[:2])
start_s, start_cpu_s = time.perf_counter(), time.process_time()
before = None
for start in range(0, count, 32):
    started = c3d.start(rows[: min(32, count - start)], [c3d])
    if before is not None:
        before()
    before = started
before()
print(time.perf_counter() - start_s, time.process_time() - start_cpu_s, 0.0, file=sys.stderr)
"""


def make_world(folder: Path, clips_n: int) -> None:
    rng = np.random.default_rng(0)
    (folder / "preds").mkdir(parents=True)
    (folder / "data").mkdir()
    scene = rng.integers(0, 256, (SIZE[0] // 8, SIZE[1] // 8 + FPS * SECONDS, 3), dtype=np.uint8)
    scene = scene.repeat(8, 0).repeat(8, 1)
    for i in range(clips_n):
        soundfile.write(folder / "preds" / f"{i:04}.wav", 0.1 * rng.standard_normal(SECONDS * SR_HZ), SR_HZ)
        with av.open(str(folder / "data" / f"{i:04}.mp4"), "w") as container:
            video = container.add_stream("libx264", rate=FPS, options={"preset": "veryfast"})
            video.height, video.width, video.pix_fmt = *SIZE, "yuv420p"
            sound = container.add_stream("aac", rate=SR_HZ, layout="mono")
            for t in range(FPS * SECONDS):
                seen = np.ascontiguousarray(scene[:, 4 * t + i : 4 * t + i + SIZE[1]])
                container.mux(video.encode(av.VideoFrame.from_ndarray(seen, "rgb24")))
            container.mux(video.encode())
            noise = (0.1 * rng.standard_normal((1, SECONDS * SR_HZ))).astype(np.float32)
            frame = av.AudioFrame.from_ndarray(noise, "fltp", "mono")
            frame.sample_rate = SR_HZ
            container.mux(sound.encode(frame))
            container.mux(sound.encode())
    rows = [f"{i:04},{i:04}.mp4,noise" for i in range(clips_n)]
    (folder / "manifest.csv").write_text("\n".join(["clip_id,media,caption", *rows]) + "\n")


def favd(folder: Path, device: str, precision: str) -> Times:
    with tempfile.TemporaryDirectory(dir=folder) as cache:
        return command(
            "evaluate", "--pred-dir", folder / "preds", "--manifest", folder / "manifest.csv", "--data-dir",
            folder / "data", "--features", "lite-audio,c3d", "--metrics", "FAVD", "--weights", "random", "--device",
            device, "--precision", precision, "--uncertainty", "none", "--cache-dir", cache,
            "-o", Path(cache) / "result.json",
        )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--clips", type=int, default=12, help="more than 3")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", default="fp32")
    chosen = parser.parse_args()
    how = chosen.device, chosen.precision
    with tempfile.TemporaryDirectory() as name:
        folder, few = Path(name, "all"), Path(name, "few")
        make_world(folder, chosen.clips)
        make_world(few, FEW_CLIPS_N)
        runs = [
            (favd(folder, *how), favd(few, *how), part(NETWORK, *how, 10 * chosen.clips)) for _ in range(chosen.runs)
        ]
    all_clips, few_clips, alone = (Times(*map(median, zip(*times, strict=True))) for times in zip(*runs, strict=True))
    clip, network = (all_clips - few_clips).scaled(1 / (chosen.clips - FEW_CLIPS_N)), alone.scaled(1 / chosen.clips)
    cpu_s = clip.cpu_s + clip.loaders_cpu_s
    print(f"{chosen.clips} clips, {10 * chosen.clips} windows, {how[0]}, {how[1]}, median of {chosen.runs}")
    print(f"whole command     {all_clips.wall_s:6.1f} s")
    print(f"network alone     {alone.wall_s:6.1f} s, ratio {all_clips.wall_s / alone.wall_s:.2f}")
    print(f"a clip after the start: {clip.wall_s:.2f} s, {clip.wall_s / network.wall_s:.2f} times its network alone")
    print(
        f"of the processor: {cpu_s:.2f} s, {cpu_s / network.cpu_s:.2f} times: network {network.cpu_s:.2f}, loaders"
        f" {clip.loaders_cpu_s:.2f}, rest {clip.cpu_s - network.cpu_s:.2f}"
    )
    print(f"start: {few_clips.wall_s - FEW_CLIPS_N * clip.wall_s:.1f} s")


if __name__ == "__main__":
    main()
