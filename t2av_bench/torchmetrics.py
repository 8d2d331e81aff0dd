"""The scores as torchmetrics objects, for use inside a training loop: FD, FAD, FAVD, FATD, FA(VT)D, KAD and joint KAD.

Each takes sound, frames and captions as they come out of a model and a data loader, embeds them and counts; or, with
``features={"audio": 128, ...}``, ready embeddings. What they keep is in :mod:`t2av_bench.metrics.modules`.

In a loop, the reference does not change. Give it beforehand, and only generated sound is embedded:

    fad = FAD("paper", reference="validation/sound/", device="cuda")
    for step, batch in enumerate(training):
        ...
        if step % 5000 == 0:
            for clip in validation:
                fad.update(model(clip["frames"]), sr_hz=16_000)
            log("FAD", fad.compute())
            fad.reset()

Several scores over the same clips should share one pass of the networks: embed with
:func:`~t2av_bench.models.extractors.in_memory.embed_clips` and feed a ``MetricCollection`` of metrics over ready
embeddings (``tests/test_torchmetrics.py`` has that loop, too).

Under ``torchrun`` every process feeds its share of the clips, and ``compute`` gives all processes the value over all of
them. A ``DistributedSampler`` repeats clips until all shares are equal; those count twice (``drop_last``, or shares of
one's own, avoid it).

A validation set is smaller than a benchmark. Fréchet distances of few windows are too large by about d / n: compare
values of the same clips with each other, not with a published table.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from torch import Tensor

from t2av_bench.errors import UsageError
from t2av_bench.extraction.embedding import halved
from t2av_bench.manifests import Manifest
from t2av_bench.metrics.modules import AlignmentIndex, FrechetScore, KernelScore
from t2av_bench.metrics.states import ClipIds, Rows
from t2av_bench.metrics.streaming import EmbeddingScore, Reference
from t2av_bench.models.extractors import Extractor, get_extractor
from t2av_bench.models.extractors.base import Float32Array
from t2av_bench.models.extractors.in_memory import ClipBatch, clip_means, embed_clips
from t2av_bench.models.extractors.registry import extractor_class
from t2av_bench.packs.reading import ReferencePack
from t2av_bench.packs.references import check_extractors
from t2av_bench.protocol import PRESETS
from t2av_bench.references import embedded_clips, packed_clips, reference_clips, rows_of, stats_of

__all__ = ["FAD", "FATD", "FAVD", "FAVTD", "FD", "KAD", "KATD", "KAVD", "KAVTD", "ATIndex", "AVIndex"]

Media = Rows | Sequence[Rows]


class ClipScore(EmbeddingScore):
    """A score that is fed with clips, or with ready embeddings.

    Parameters
    ----------
    features
        ``paper`` or ``lite``; or an extractor for each of the score's blocks (``{"audio": get_extractor("vggish")}``);
        or their dimensions (``{"audio": 128}``), which makes ``update`` take ready embeddings.
    reference
        Known beforehand: a folder of media files, a reference pack (a file of ``t2av-bench pack build``), a
        :class:`~t2av_bench.Manifest`, embeddings by block, or :class:`~t2av_bench.metrics.JointStats`. None: fed by
        ``update(..., real=True)``.
    data_dir
        Folder of a manifest's media, where it does not know it.
    weights, weights_seed, device
        Of the networks of a preset: ``published``, or ``random`` with its seed; ``auto``, ``cpu``, ``cuda`` or
        ``cuda:1``. States are where ``.to(...)`` puts them, by default on the CPU.
    progress
        Whether to show a bar while a reference is embedded.
    **options
        ``reference_clip_ids``, ``stderr`` and ``reset_real_features``, see
        :class:`~t2av_bench.metrics.streaming.EmbeddingScore`; ``balanced`` of the Fréchet distances; ``bandwidth`` and
        ``seed`` of the kernel distances; torchmetrics' own.

    Raises
    ------
    UsageError
        If features or options do not suit the score.
    PrerequisiteError
        If weights are missing.
    PackError
        If a reference pack is damaged or of other extractors.
    """

    parts: ClassVar[dict[str, str]]
    """For each block, the part of a feature preset that plays it."""
    clip_means: ClassVar[bool] = False
    """Whether a clip's mean is the sample, and not each of its windows."""

    def __init__(
        self,
        features: str | Mapping[str, Extractor] | Mapping[str, int] = "paper",
        *,
        reference: str | Path | Manifest | Reference | None = None,
        data_dir: str | Path | None = None,
        weights: str = "published",
        weights_seed: int = 0,
        device: str = "auto",
        progress: bool = True,
        **options: Any,
    ) -> None:
        chosen = _chosen_features(features, self.parts, {"weights": weights, "seed": weights_seed, "device": device})
        self.extractors = {block: item for block, item in chosen.items() if isinstance(item, Extractor)}
        dims = {block: item.dim if isinstance(item, Extractor) else int(item) for block, item in chosen.items()}
        self._rounded: tuple[str, ...] = ()
        if isinstance(reference, str | Path | Manifest):
            if not self.extractors:
                raise UsageError("a reference of files needs extractors: features='paper' or 'lite'")
            names, clips = self._reference_clips(reference, data_dir, list(dims), progress)
            if self.needs_rows or options.get("stderr"):
                reference, options["reference_clip_ids"] = rows_of(clips, names)
            else:
                reference = stats_of(clips, dims)
        super().__init__(dims, reference=reference, **options)

    def update(
        self,
        audio: Media,
        video: Media | None = None,
        text: Sequence[str] | Rows | None = None,
        *,
        real: bool = False,
        clip_ids: ClipIds | None = None,
        sr_hz: int | None = None,
        fps: float | None = None,
        duration_s: float | Sequence[float] | None = None,
    ) -> None:
        """Add clips of one side.

        Blocks that the score is not over may be given and are left aside, so that the metrics of a collection can be
        fed in one call.

        Parameters
        ----------
        audio
            Sound of shape (clips, samples) or (clips, channels, samples), full scale ±1; or a list of clips.
        video
            Frames of shape (clips, frames, height, width, 3), uint8, RGB; or a list of clips.
        text
            One caption per clip.
        real
            Whether these are of the reference; else they are generated.
        clip_ids
            One per clip (with ready embeddings: one per window); needed with ``stderr=True``, and used by kernel
            distances.
        sr_hz, fps
            Sample rate of the sound, frames per second.
        duration_s
            Nominal duration of the clips, in seconds; by default that of the frames, or of the sound where there are
            none. Sound may be up to 0.1 s shorter, and is cut where it is longer.

        Raises
        ------
        MetricError
            If arrays do not fit, or a clip is shorter than 0.975 s.
        UsageError
            If something is missing that the score needs.
        """
        given: dict[str, Any] = {"audio": audio, "video": video, "text": text}
        if self.extractors:
            given, places = self._embed(given, sr_hz, fps, duration_s)
            if clip_ids is not None:
                names = clip_ids.tolist() if isinstance(clip_ids, Tensor | np.ndarray) else list(clip_ids)
                if len(names) != len(audio):
                    raise UsageError(f"`clip_ids` must name each of the {len(audio)} clips; got {len(names)}")
                clip_ids = [names[place] for place in places]
        self._add(given, real, clip_ids)

    def _reference_clips(
        self, reference: str | Path | Manifest, data_dir: str | Path | None, blocks: list[str], progress: bool
    ) -> tuple[list[str], Iterator[dict[str, Float32Array]]]:
        """Return the ids of a reference's clips, and their embeddings."""
        path = None if isinstance(reference, Manifest) else Path(reference)
        if path and path.suffix.lower() in (".csv", ".jsonl"):
            raise UsageError(f"a reference's manifest is given as load_manifest({str(reference)!r})")
        if path and path.is_file():
            pack = ReferencePack.open(path)
            check_extractors(pack, list(self.extractors.values()))
            stored = pack.record["extractors"]
            self._rounded = tuple(b for b, made in self.extractors.items() if stored[made.name]["dtype"] == "float16")
            return [clip.clip_id for clip in pack.clips], packed_clips(
                pack, self.extractors, clip_means=self.clip_means
            )
        sources = reference_clips(reference, data_dir, blocks)
        clips = embedded_clips(sources.values(), self.extractors, clip_means=self.clip_means, progress=progress)
        return list(sources), clips

    def _embed(
        self, given: Mapping[str, Any], sr_hz: int | None, fps: float | None, duration_s: float | Sequence[float] | None
    ) -> tuple[dict[str, Any], npt.NDArray[np.intp]]:
        if sr_hz is None:
            raise UsageError("sound needs its sample rate: update(..., sr_hz=16_000)")
        clips_n = len(given["audio"])
        durations_s = [duration_s] * clips_n if isinstance(duration_s, int | float) else duration_s
        text = given["text"] if "text" in self.extractors else None
        video = _arrays(given["video"]) if given["video"] is not None and "video" in self.extractors else None
        clips = ClipBatch(_arrays(given["audio"]), sr_hz, video, fps, text, durations_s)
        found, places = embed_clips(self.extractors, clips)
        # As the reference's: a copy of the real sound must score as one.
        rows = {block: halved(array) if block in self._rounded else array for block, array in found.items()}
        if self.clip_means:
            rows = {block: clip_means(found, places) for block, found in rows.items()}
            places = np.arange(clips_n)
        return dict(rows), places


class FD(ClipScore, FrechetScore):
    """Fréchet distance over clip-level embeddings of the sound (PANNs)."""

    parts = {"audio": "clip_audio"}
    clip_means = True


class FAD(ClipScore, FrechetScore):
    """Fréchet audio distance, over windows.

    Examples
    --------
    A validation step: sound of a model against a reference that was given beforehand.

    >>> import torch
    >>> noise = torch.Generator().manual_seed(0)
    >>> metric = FAD("lite", reference={"audio": torch.randn(50, 64, generator=noise)})
    >>> for _ in range(3):
    ...     metric.update(0.1 * torch.randn(4, 2 * 16_000, generator=noise), sr_hz=16_000)
    >>> bool(metric.compute() > 0), metric.update_count
    (True, 3)
    """

    parts = {"audio": "audio"}


class FAVD(ClipScore, FrechetScore):
    """Fréchet audio-visual distance; balanced (``FAVD-b``) with ``balanced=True``."""

    parts = {"audio": "audio", "video": "video"}


class FATD(ClipScore, FrechetScore):
    """Fréchet audio-text distance; balanced (``FATD-b``) with ``balanced=True``."""

    parts = {"audio": "audio", "text": "text"}


class FAVTD(ClipScore, FrechetScore):
    """FA(VT)D, of sound with video and text; balanced (``FA(VT)D-b``) with ``balanced=True``."""

    parts = {"audio": "audio", "video": "video", "text": "text"}


class AVIndex(ClipScore, AlignmentIndex):
    """Alignment index of sound with video: 1 as tied to it as real sound is, 0 as random pairing."""

    parts = FAVD.parts


class ATIndex(ClipScore, AlignmentIndex):
    """Alignment index of sound with text."""

    parts = FATD.parts


class KAD(ClipScore, KernelScore):
    """Kernel audio distance; all rows are kept."""

    parts = FAD.parts


class KAVD(ClipScore, KernelScore):
    """Kernel distance of sound with video, balanced."""

    parts = FAVD.parts


class KATD(ClipScore, KernelScore):
    """Kernel distance of sound with text, balanced."""

    parts = FATD.parts


class KAVTD(ClipScore, KernelScore):
    """Kernel distance of sound with video and text, balanced."""

    parts = FAVTD.parts


def _chosen_features(
    features: str | Mapping[str, Extractor] | Mapping[str, int], parts: Mapping[str, str], network: dict[str, Any]
) -> dict[str, Extractor | int]:
    """Return an extractor, or a dimension, for each block of a score."""
    if isinstance(features, str):
        if features not in PRESETS:
            raise UsageError(f"`features` must be {' or '.join(PRESETS)}, or extractors by block; got {features!r}")
        names = {block: PRESETS[features][part] for block, part in parts.items()}
        made = {
            b: get_extractor(name, **(network if extractor_class(name).has_network else {}))
            for b, name in names.items()
        }
        for extractor in made.values():
            extractor.check()
        return dict(made)
    absent = [block for block in parts if block not in features]
    if absent:
        raise UsageError(f"the score is over {' and '.join(parts)}; `features` has no {absent[0]}")
    chosen: dict[str, Extractor | int] = {block: features[block] for block in parts}
    if len({isinstance(item, Extractor) for item in chosen.values()}) > 1:
        raise UsageError("`features` must be extractors or dimensions, not some of each")
    return chosen


def _arrays(clips: Media) -> list[npt.NDArray[Any]]:
    """Return each clip as a NumPy array."""
    return [clip.detach().cpu().numpy() if isinstance(clip, Tensor) else np.asarray(clip) for clip in clips]
