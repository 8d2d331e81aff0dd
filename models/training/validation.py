"""Looking at a model in training: what it generates for clips it does not learn from, and when that sounds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from t2av_bench.home import home
from t2av_bench.metrics.onsets import event_f1
from t2av_bench.metrics.peaks import onset_times
from t2av_bench.models.extractors.onset_strength import OnsetStrengthExtractor
from t2av_bench.models.training.clips import ClipStore, MiniSource, clip_source
from t2av_bench.models.training.config import TrainingConfig, ValidationConfig

SR_HZ = 16_000
TOLERANCE_S = 0.05


def heard_onsets(samples: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Return when something starts in a sound, in seconds, as ``evaluate`` hears it.

    Parameters
    ----------
    samples : shape (samples,)
        16 kHz, full scale ±1.
    """
    hearing = OnsetStrengthExtractor()
    strength = hearing.windows(samples, len(samples) / SR_HZ)[:, 0]
    return onset_times(strength, hearing.rate_hz)


def event_scores(
    reference: Sequence[npt.ArrayLike], generated: Sequence[npt.NDArray[np.float32]], tolerance_s: float = TOLERANCE_S
) -> dict[str, float]:
    """Compare known event times with the onsets that are heard in generated sounds, as the score event-F1 does.

    Parameters
    ----------
    reference
        Event times of each clip in seconds; may be empty.
    generated
        Sounds of the same clips, 16 kHz.
    tolerance_s
        Largest difference of a match.

    Returns
    -------
    dict
        ``event_f1``, ``event_precision`` and ``event_recall``, from the sums over all clips, and ``events_n``.
    """
    hits = reference_n = generated_n = 0
    for times, samples in zip(reference, generated, strict=True):
        found = event_f1(times, heard_onsets(samples), tolerance=tolerance_s)
        hits, reference_n, generated_n = (
            hits + found.hits,
            reference_n + found.reference_n,
            generated_n + found.generated_n,
        )
    return {
        "event_f1": 2 * hits / max(1, reference_n + generated_n),
        "event_precision": hits / max(1, generated_n),
        "event_recall": hits / max(1, reference_n),
        "events_n": float(reference_n),
    }


def reference_events(store: ClipStore) -> list[npt.NDArray[np.float64]]:
    """Return the event times of a store's clips: exact for the mini world, else those heard in their own sound."""
    if isinstance(store.source, MiniSource):
        from t2av_bench.manifests.mini.world import Scene

        source = store.source
        scenes = (Scene(source.split, source.seed, index) for index in range(source.clips_n))
        return [np.asarray([event.time_s for event in scene.events()]) for scene in scenes]
    return [heard_onsets(samples) for bounds in store.shards() for samples in store.read_shard(*bounds)["samples"]]


def make_validation(pipeline: Any, store: ClipStore, settings: ValidationConfig) -> Callable[[int], dict[str, float]]:
    """Return what the engine calls: generates for all clips of a store and scores the events.

    Noise depends on the clip alone, so that scores of different steps differ by the model only.
    """
    events = reference_events(store)

    def validate(step: int) -> dict[str, float]:
        del step
        return event_scores(events, list(generate(pipeline, store, settings)))

    return validate


def generate(pipeline: Any, store: ClipStore, settings: ValidationConfig) -> list[npt.NDArray[np.float32]]:
    """Generate the sound of every clip of a store."""
    sounds: list[npt.NDArray[np.float32]] = []
    for first, end in store.shards():
        shard = store.read_shard(first, end)
        for at in range(0, end - first, settings.batch_size):
            pictures = torch.from_numpy(np.array(shard["frames"][at : at + settings.batch_size])).movedim(-1, 2)
            captions = store.source.captions[first + at : first + at + len(pictures)]
            length_s = shard["samples"].shape[1] / SR_HZ
            noise = [torch.Generator().manual_seed(first + at + i) for i in range(len(pictures))]
            made = pipeline(
                list(captions),
                frames=pictures,
                audio_length_in_s=length_s,
                num_inference_steps=settings.steps,
                guidance_scale=settings.guidance,
                generator=noise,
            )
            sounds.extend(np.asarray(made.audios, dtype=np.float32))
    return sounds


def score_pipeline(folder: Path, config: TrainingConfig) -> dict[str, float]:
    """Score what a trained pipeline generates for the validation clips of its recipe."""
    from t2av_bench.models.t2av.pipeline import T2AVPipeline

    store = ClipStore(clip_source(config, training=False), home() / "training" / "clips")
    pipeline = T2AVPipeline.from_pretrained(folder)
    pipeline.set_progress_bar_config(disable=True)
    return event_scores(reference_events(store), generate(pipeline, store, config.validation))
