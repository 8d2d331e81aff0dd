"""Which features the stages learn from, and the frozen networks that compute them."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from t2av_bench.home import home
from t2av_bench.models.t2av.mel import audioldm_waveform, log_mel
from t2av_bench.models.training.clips import ClipStore
from t2av_bench.models.training.features import Array, Arrays, Compute, derive, features_key, open_features
from t2av_bench.models.training.stages.frames import as_pictures

if TYPE_CHECKING:
    from accelerate import Accelerator

_CLIPS_PER_PASS = 16


class Extraction:
    """Features of all clips, each computed when a stage first asks for it.

    Where all networks come from checkpoints, everything is computed in one pass and the decoded clips are not kept:
    the pictures of a large manifest would fill any disk. Where they are trained from nothing, each kind of feature has
    to wait for its network, and the clips stay.

    Parameters
    ----------
    pipeline
        Its networks must not change any more when features of them are asked for.
    store
        The clips.
    accelerator
        Devices and processes; each process computes its share.
    from_scratch
        Whether the networks are trained from nothing.
    """

    def __init__(self, pipeline: Any, store: ClipStore, accelerator: Accelerator, from_scratch: bool) -> None:
        self._pipeline, self._store, self._accelerator, self._from_scratch = pipeline, store, accelerator, from_scratch

    @cached_property
    def frames(self) -> Arrays:
        """``frames`` of each clip, for a frame encoder that learns."""
        self._prepare()
        return open_features(self._store, self._store.folder)

    @cached_property
    def mels(self) -> Arrays:
        """``log_mel`` of each clip."""
        return self._features("log-mels", {}, self._mel) if self._from_scratch else self._frozen

    @cached_property
    def latents(self) -> Arrays:
        """``latent`` of each clip, before scaling."""
        if not self._from_scratch:
            return self._frozen
        mels = self.mels

        def compute(_: dict[str, Array], which: slice) -> dict[str, Array]:
            return self._latent(mels.take("log_mel", np.arange(which.start, which.stop)).float())

        return self._features("latents", {"vae": self._pipeline.vae}, compute)

    @cached_property
    def embeddings(self) -> Arrays:
        """``text`` and ``audio`` of each clip."""
        if not self._from_scratch:
            return self._frozen
        clap, mels = self._pipeline.clap, self.mels

        def compute(_: dict[str, Array], which: slice) -> dict[str, Array]:
            some = mels.take("log_mel", np.arange(which.start, which.stop)).float()
            audio = clap.embed_mel(some.to(self._accelerator.device))
            return {**self._text(which), "audio": audio.half().cpu().numpy()}

        return self._features("embeddings", {"clap": clap}, compute)

    @cached_property
    def video(self) -> Arrays:
        """``video``, or ``vectors`` where the temporal transformer still learns and the frame encoder does not."""
        if not self._from_scratch:
            return self._frozen
        pipe = self._pipeline

        def compute(clips: dict[str, Array], _: slice) -> dict[str, Array]:
            return {"video": self._encoded(clips, pipe.encode_video)}

        networks = {"frame_encoder": pipe.frame_encoder, "temporal": pipe.temporal}
        return self._features("video features", networks, compute)

    @cached_property
    def _frozen(self) -> Arrays:
        """All features of networks that come from checkpoints."""
        pipe = self._pipeline

        def compute(clips: dict[str, Array], which: slice) -> dict[str, Array]:
            waveforms = self._waveforms(clips)
            mel = self._mel(clips, which)
            audio = pipe.joint_encoder.encode_audio(waveforms)
            return {
                **mel,
                **self._latent(log_mel(waveforms)),
                **self._text(which),
                "audio": audio.half().cpu().numpy(),
                "vectors": self._encoded(clips, pipe.frame_encoder),
            }

        names = ("vae", "clap", "text_encoder", "frame_encoder")
        networks = {name: getattr(pipe, name) for name in names if getattr(pipe, name) is not None}
        return self._features("features", networks, compute, keep_clips=False)

    def _features(self, what: str, networks: dict[str, nn.Module], compute: Compute, keep_clips: bool = True) -> Arrays:
        for network in networks.values():
            network.eval()
        if keep_clips:
            self._prepare()
        levelled = not self._from_scratch
        folder = home() / "training" / "features" / features_key(self._store, networks, what, levelled)
        rank, world = self._accelerator.process_index, self._accelerator.num_processes
        derive(self._store, folder, compute, what=f"Computing {what}", keep_clips=keep_clips, part=rank, parts_n=world)
        self._accelerator.wait_for_everyone()
        return open_features(self._store, folder)

    def _prepare(self) -> None:
        self._store.prepare(part=self._accelerator.process_index, parts_n=self._accelerator.num_processes)
        self._accelerator.wait_for_everyone()

    def _waveforms(self, clips: dict[str, Array]) -> torch.Tensor:
        samples = torch.from_numpy(np.array(clips["samples"], dtype=np.float32))
        # AudioLDM's networks know levelled sound only.
        return samples if self._from_scratch else audioldm_waveform(samples)

    def _mel(self, clips: dict[str, Array], _: slice) -> dict[str, Array]:
        return {"log_mel": log_mel(self._waveforms(clips)).half().numpy()}

    def _latent(self, mels: torch.Tensor) -> dict[str, Array]:
        scale = self._pipeline.vae.config.scaling_factor
        parts = [
            self._pipeline.encode_mel(part.to(self._accelerator.device)) / scale for part in mels.split(_CLIPS_PER_PASS)
        ]
        return {"latent": torch.cat(parts).half().cpu().numpy()}

    def _text(self, which: slice) -> dict[str, Array]:
        text = self._pipeline.encode_prompt(self._store.source.captions[which])
        return {"text": text.half().cpu().numpy()}

    def _encoded(self, clips: dict[str, Array], encode: Any) -> Array:
        frames = torch.from_numpy(np.array(clips["frames"]))
        parts = [encode(as_pictures(part.to(self._accelerator.device))) for part in frames.split(_CLIPS_PER_PASS)]
        rows: Array = torch.cat(parts).half().cpu().numpy()
        return rows
