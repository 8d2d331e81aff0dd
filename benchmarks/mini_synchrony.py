"""Does the mini checkpoint place sounds where the video has them? Event F1 on the mini test split, from the waveform.

    python benchmarks/mini_synchrony.py --checkpoint mini --output out/

Generates for all 128 clips with the whole system, with the caption alone, without the ControlNet, without the
visual-aligned CLAP, and with the video of another clip of the same family; detects events in every sound as the score
event-F1 does, and compares them with the world's exact times (within 50 ms, all clips, also those without events).
Where the caption names one of two sources that are seen, a caption for the other one is tried as well: the events
should then be the other one's. Leaves the sounds in `out/<system>/<clip id>.wav` for `t2av-bench evaluate --pred-dir`,
and `out/scores.json`. `--keep` scores the sounds that lie there already, and generates for the systems that have none.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch

from t2av_bench.generation.making import write_wav
from t2av_bench.manifests import Clip
from t2av_bench.manifests.mini import load_test_split
from t2av_bench.manifests.mini.captions import caption
from t2av_bench.manifests.mini.stream import Stream
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
    parser.add_argument("--keep", action="store_true")
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
        paths = [arguments.output / system / f"{clip.clip_id}.wav" for clip in clips]
        if not (arguments.keep and all(path.is_file() for path in paths)):
            pipeline.control = None if system == "no-controlnet" else control
            pipeline.fusion = None if system == "no-visual-clap" else fusion
            order = partner if system == "swapped-video" else list(range(len(clips)))
            pictures = None if system == "caption-only" else frames[order]
            paths[0].parent.mkdir(parents=True, exist_ok=True)
            for path, sound in zip(paths, generated(pipeline, clips, pictures, arguments), strict=True):
                write_wav(path, sound)
        made = [soundfile.read(path, dtype="float32")[0] for path in paths]
        rows[system] = event_scores(events, made)
        print(system, rows[system], flush=True)
        for name, which in kinds_of_clips(scenes).items():
            rows[f"{system}, {name}"] = event_scores([events[i] for i in which], [made[i] for i in which])
        if system == "full":
            pipeline.control, pipeline.fusion = control, fusion
            rows |= choice_by_caption(pipeline, clips, scenes, frames, made, arguments)
    (arguments.output / "scores.json").write_text(json.dumps(rows, indent=2) + "\n")
    print(table(rows))


def kinds_of_clips(scenes: list[Scene]) -> dict[str, list[int]]:
    """Which clips show one source, two that are both named, and two of which one is named."""
    kinds = {(1, 0): "one source", (2, 0): "two sources", (1, 1): "one named of two"}
    members: dict[str, list[int]] = {name: [] for name in kinds.values()}
    for i, scene in enumerate(scenes):
        members[kinds[len(scene.sources), len(scene.bystanders)]].append(i)
    return {name: which for name, which in members.items() if which}


def choice_by_caption(
    pipeline: Any,
    clips: list[Clip],
    scenes: list[Scene],
    frames: np.ndarray,
    made: list[np.ndarray],
    arguments: argparse.Namespace,
) -> dict[str, dict[str, float]]:
    """Where one of two visible sources is named: whose events are heard, and whose if the caption names the other."""
    which = kinds_of_clips(scenes).get("one named of two", [])
    if not which:
        return {}
    named = [[event.time_s for event in scenes[i].events()] for i in which]
    other = [[hit.time_s for hit in scenes[i].bystanders[0].hits] for i in which]
    asked = [
        clips[i]._replace(caption=caption(Stream("other caption", clips[i].clip_id), scenes[i].bystanders))
        for i in which
    ]
    again = list(generated(pipeline, asked, frames[which], arguments))
    return {
        "full, one named of two, events of the other": event_scores(other, [made[i] for i in which]),
        "full, the other named, events of the other": event_scores(other, again),
        "full, the other named, events of the first": event_scores(named, again),
    }


def generated(
    pipeline: Any, clips: list[Clip], pictures: np.ndarray | None, arguments: argparse.Namespace
) -> np.ndarray:
    """Sounds of all clips, each with its own noise."""
    made = []
    for at in range(0, len(clips), BATCH_N):
        some = clips[at : at + BATCH_N]
        made.append(
            pipeline(
                [clip.caption for clip in some],
                frames=None if pictures is None else pictures[at : at + BATCH_N],
                audio_length_in_s=4.0,
                num_inference_steps=arguments.steps,
                guidance_scale=arguments.guidance,
                generator=[clip_generator(arguments.seed, clip.clip_id) for clip in some],
            ).audios
        )
    return np.concatenate(made)


def through_codec(pipeline: Any, sounds: np.ndarray) -> list[np.ndarray]:
    """True sound, encoded, decoded and put back into a waveform: what no generator can beat."""
    coded: list[np.ndarray] = []
    with torch.no_grad():
        for some in np.split(sounds, range(BATCH_N, len(sounds), BATCH_N)):
            latents = pipeline.encode_mel(log_mel(torch.from_numpy(some)))
            coded.extend(pipeline.vocoder(pipeline.decode_latents(latents)).numpy())
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
