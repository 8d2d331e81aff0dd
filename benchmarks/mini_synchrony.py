"""Does the mini checkpoint place sounds where the video has them? Event F1 on the mini test split, from the waveform.

    python benchmarks/mini_synchrony.py --checkpoint mini --output out/

Generates for all 128 clips with the whole system, with the caption alone, without the ControlNet, without the
visual-aligned CLAP, and with the video of another clip of the same family; detects events in every sound and compares
them with the world's exact times (within 50 ms, all clips, also those without events). Leaves the sounds in
`out/<system>/<clip id>.wav` for `t2av-bench evaluate --pred-dir`, and `out/scores.json`.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch

from t2av_bench.generation import write_wav
from t2av_bench.manifests.mini import load_test_split
from t2av_bench.manifests.mini.world import Scene, parse_clip_id
from t2av_bench.metrics.onsets import event_f1
from t2av_bench.models.t2av.loading import find_checkpoint, load_pipeline
from t2av_bench.models.t2av.mel import log_mel
from t2av_bench.models.t2av.sampling import clip_generator
from t2av_bench.models.training.validation import event_scores

BATCH_N = 16
SYSTEMS = ("full", "caption-only", "no-controlnet", "no-visual-clap", "swapped-video")


def same_family_partner(scenes: list[Scene]) -> list[int]:
    """For each clip, the next one with the same first family; the last gets the first."""
    members: dict[str, list[int]] = defaultdict(list)
    for i, scene in enumerate(scenes):
        members[scene.families[0]].append(i)
    partner = {}
    for group in members.values():
        partner |= dict(zip(group, group[1:] + group[:1], strict=True))
    return [partner[i] for i in range(len(scenes))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", default="mini")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--systems", nargs="+", default=SYSTEMS, choices=SYSTEMS)
    parser.add_argument("--clips", type=int, default=128)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--guidance", type=float)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()

    clips = list(load_test_split().clips())[: arguments.clips]
    scenes = [Scene(*parse_clip_id(clip.clip_id)) for clip in clips]
    events = [np.array([event.time_s for event in scene.events()]) for scene in scenes]
    frames = np.stack([scene.frames() for scene in scenes])
    sounds = np.stack([scene.pcm() for scene in scenes]).astype(np.float32) / 32768
    partner = same_family_partner(scenes)
    pipeline = load_pipeline(find_checkpoint(arguments.checkpoint), "auto")
    control, fusion = pipeline.control, pipeline.fusion

    chance = [event_f1(events[i], events[j], tolerance=0.05) for i, j in enumerate(partner)]
    total = sum(score.reference_n + score.generated_n for score in chance)
    rows = {
        "true sound": event_scores(events, list(sounds)),
        "true sound through VAE and vocoder": event_scores(events, through_codec(pipeline, sounds)),
        "true times of the swapped clip": {"event_f1": 2 * sum(score.hits for score in chance) / total},
    }
    for system in arguments.systems:
        start = time.perf_counter()
        pipeline.control = None if system == "no-controlnet" else control
        pipeline.fusion = None if system == "no-visual-clap" else fusion
        order = partner if system == "swapped-video" else list(range(len(clips)))
        made: list[np.ndarray] = []
        for at in range(0, len(clips), BATCH_N):
            some = clips[at : at + BATCH_N]
            pictures = None if system == "caption-only" else frames[order[at : at + BATCH_N]]
            made.extend(
                pipeline(
                    [clip.caption for clip in some],
                    frames=pictures,
                    audio_length_in_s=4.0,
                    num_inference_steps=arguments.steps,
                    guidance_scale=arguments.guidance,
                    generator=[clip_generator(arguments.seed, clip.clip_id) for clip in some],
                ).audios
            )
        folder = arguments.output / system
        folder.mkdir(parents=True, exist_ok=True)
        for clip, sound in zip(clips, made, strict=True):
            write_wav(folder / f"{clip.clip_id}.wav", sound)
        rows[system] = event_scores(events, made) | {"seconds": time.perf_counter() - start}
        print(system, rows[system], flush=True)
    (arguments.output / "scores.json").write_text(json.dumps(rows, indent=2) + "\n")
    print(table(rows))


def through_codec(pipeline: object, sounds: np.ndarray) -> list[np.ndarray]:
    """True sound, encoded, decoded and put back into a waveform: what no generator can beat."""
    coded: list[np.ndarray] = []
    with torch.no_grad():
        for some in np.split(sounds, range(BATCH_N, len(sounds), BATCH_N)):
            latents = pipeline.encode_mel(log_mel(torch.from_numpy(some)))  # type: ignore[attr-defined]
            coded.extend(pipeline.vocoder(pipeline.decode_latents(latents)).numpy())  # type: ignore[attr-defined]
    return coded


def table(rows: dict[str, dict[str, float]]) -> str:
    lines = ["| system | event F1 | precision | recall |", "|---|---|---|---|"]
    for name, scores in rows.items():
        cells = (
            f"{scores[key]:.3f}" if key in scores else "–" for key in ("event_f1", "event_precision", "event_recall")
        )
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
