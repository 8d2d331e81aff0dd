"""T2AV as a diffusers pipeline: a caption and a silent video in, sound out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from diffusers import AudioPipelineOutput, DiffusionPipeline

from t2av_bench.models.extractors.arithmetic import BUILDING
from t2av_bench.models.t2av.checkpoints import check_pipeline, local_folder, own_memory, read_checked, stored_variant
from t2av_bench.models.t2av.clap import PublishedClap, SmallClap
from t2av_bench.models.t2av.inputs import (
    OptionalVideos,
    Video,
    as_list,
    check_choices,
    checked_negatives,
    given_pictures,
)
from t2av_bench.models.t2av.mel import BANDS_N, HOP_N, SR_HZ
from t2av_bench.models.t2av.reading import PictureJob
from t2av_bench.models.t2av.sampling import Callback, Conditions, Generators, at_rest, denoise, draw_noise


class T2AVPipeline(DiffusionPipeline):
    """Video-aligned text-to-audio: AudioLDM's latent diffusion, visual-aligned CLAP, Audio-Visual ControlNet.

    Without a video, and while the gate of ``fusion`` and the convolutions of ``control`` are zero, it is its base
    model bit for bit.

    Parameters
    ----------
    vae, unet, scheduler, vocoder
        The base model.
    clap
        ``SmallClap``, or a ``ClapModel``, which then is only needed to compare sounds with captions.
    text_encoder, tokenizer, feature_extractor
        AudioLDM's text half of CLAP and its tokenizer, and CLAP's front end.
    frame_encoder, temporal, fusion, control
        What T2AV adds. Without ``fusion`` the caption embedding stays as it is; without ``control`` nothing places
        sounds in time.
    frame_rate_hz, image_size_px
        Of the pictures that ``frame_encoder`` sees.
    duration_s, steps_n, guidance_scale
        Where a call does not say otherwise.
    mel_mean, mel_std
        The autoencoder sees ``(log_mel - mel_mean) / mel_std``.
    """

    _optional_components = [
        "clap", "text_encoder", "tokenizer", "feature_extractor", "frame_encoder", "temporal", "fusion", "control",
    ]  # fmt: skip
    model_cpu_offload_seq = "text_encoder->frame_encoder->temporal->fusion->control->unet->vae->vocoder->clap"
    _callback_tensor_inputs = ["latents"]

    def __init__(
        self,
        vae: Any,
        unet: Any,
        scheduler: Any,
        vocoder: Any,
        clap: Any = None,
        text_encoder: Any = None,
        tokenizer: Any = None,
        feature_extractor: Any = None,
        frame_encoder: Any = None,
        temporal: Any = None,
        fusion: Any = None,
        control: Any = None,
        frame_rate_hz: float = 25.0,
        image_size_px: int = 64,
        duration_s: float = 4.0,
        steps_n: int = 25,
        guidance_scale: float = 1.5,
        mel_mean: float = 0.0,
        mel_std: float = 1.0,
    ) -> None:
        super().__init__()
        self.register_modules(
            vae=vae, unet=unet, scheduler=scheduler, vocoder=vocoder, clap=clap, text_encoder=text_encoder,
            tokenizer=tokenizer, feature_extractor=feature_extractor, frame_encoder=frame_encoder, temporal=temporal,
            fusion=fusion, control=control,
        )  # fmt: skip
        self.register_to_config(
            frame_rate_hz=frame_rate_hz, image_size_px=image_size_px, duration_s=duration_s, steps_n=steps_n,
            guidance_scale=guidance_scale, mel_mean=mel_mean, mel_std=mel_std,
        )  # fmt: skip

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | Path, **options: Any) -> T2AVPipeline:
        """Read a checkpoint that ``save_pretrained`` wrote, after checking every tensor's name and shape.

        Parameters
        ----------
        pretrained_model_name_or_path
            A folder, or a Hub id.
        options
            As in diffusers. Half-precision files are found by themselves, and give float32 networks unless
            ``torch_dtype`` says otherwise. Only safetensors are read.

        Raises
        ------
        PrerequisiteError
            If the checkpoint is missing, of another kind, or does not have the layout its configuration says; names
            the tensors.
        """
        folder = local_folder(pretrained_model_name_or_path, options.pop("revision", None))
        options.setdefault("variant", stored_variant(folder))
        options["use_safetensors"] = True
        check_pipeline(folder, options["variant"])
        with BUILDING:
            pipeline: T2AVPipeline = read_checked(super().from_pretrained, folder, **options)
        for part in pipeline.components.values():
            if isinstance(part, torch.nn.Module):
                own_memory(part)
        return pipeline

    @classmethod
    def from_audioldm(cls, source: str | Path, **options: Any) -> T2AVPipeline:
        """Make T2AV from AudioLDM's published weights: :func:`t2av_bench.models.t2av.audioldm.from_audioldm`."""
        from t2av_bench.models.t2av.audioldm import from_audioldm

        return from_audioldm(source, **options)

    # What training and sampling share -------------------------------------------------------------------------------

    @property
    def joint_encoder(self) -> SmallClap | PublishedClap:
        """What embeds captions and sounds."""
        if isinstance(self.clap, SmallClap):
            return self.clap
        return PublishedClap(self.text_encoder, self.tokenizer, self.clap, self.feature_extractor)

    @property
    def mel_frames_per_latent(self) -> int:
        """How many frames of 10 ms make one step of the latent's time axis."""
        return int(2 ** (len(self.vae.config.block_out_channels) - 1))

    @property
    def mel_rows_n(self) -> int:
        """Height of the latent along the mel bands."""
        return BANDS_N // self.mel_frames_per_latent

    def latent_steps_n(self, length_s: float) -> int:
        """Length of the latent's time axis for a clip; it covers the clip, or up to one step more."""
        # Rounded first: 4.0 s is 400 frames even where the float lies a little above.
        frames_n = math.ceil(round(length_s * SR_HZ / HOP_N, 6))
        return math.ceil(frames_n / self.mel_frames_per_latent)

    def video_frames_n(self, length_s: float) -> int:
        """How many pictures span the latent's time axis."""
        latent_s = self.mel_frames_per_latent * HOP_N / SR_HZ
        return max(1, round(self.latent_steps_n(length_s) * latent_s * self.config.frame_rate_hz))

    def picture_job(self, path: Video, length_s: float, start_s: float = 0.0) -> PictureJob:
        """Say which pictures of a video span a clip."""
        rate_hz, size_px = self.config.frame_rate_hz, self.config.image_size_px
        return PictureJob(str(path), self.video_frames_n(length_s), rate_hz, size_px, start_s)

    def encode_prompt(self, captions: Sequence[str]) -> torch.Tensor:
        """Embed captions, (captions, text_dim), unit length; the empty caption is the null condition."""
        return self.joint_encoder.encode_text(captions)

    def encode_video(self, frames: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """Turn pictures (batch, frames, 3, height, width) in [0, 1] into V, (batch, frames, video_dim)."""
        features: torch.Tensor = self.temporal(self.frame_encoder(frames, mask), mask)
        return features

    def encode_mel(self, log_mel: torch.Tensor, generator: torch.Generator | None = None) -> torch.Tensor:
        """Turn log-mel spectrograms (batch, frames, 64) into scaled latents (batch, channels, time, mel rows).

        A sample of the posterior with a generator, its mode without.
        """
        normed = ((log_mel - self.config.mel_mean) / self.config.mel_std).to(self.vae.dtype)
        posterior = self.vae.encode(normed[:, None]).latent_dist
        latents = posterior.mode() if generator is None else posterior.sample(generator)
        return latents * self.vae.config.scaling_factor

    def decode_latents(self, latents: torch.Tensor) -> torch.Tensor:
        """Turn scaled latents into log-mel spectrograms, (batch, frames, 64)."""
        decoded = self.vae.decode(latents.to(self.vae.dtype) / self.vae.config.scaling_factor).sample[:, 0]
        return decoded * self.config.mel_std + self.config.mel_mean

    # Sampling -------------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def __call__(
        self,
        prompt: str | Sequence[str],
        video: OptionalVideos = None,
        frames: Any = None,
        audio_length_in_s: float | None = None,
        num_inference_steps: int | None = None,
        guidance_scale: float | None = None,
        negative_prompt: str | Sequence[str] | None = None,
        num_candidates: int = 1,
        generator: Generators = None,
        control_scale: float = 1.0,
        callback_on_step_end: Callback | None = None,
        output_type: str = "np",
        return_dict: bool = True,
    ) -> Any:
        """Generate sounds.

        Parameters
        ----------
        prompt
            One caption or several; may be empty.
        video
            A video file for each caption, or None for those that have none: they get the base model.
        frames
            In place of ``video``: pictures (batch, frames, 3, height, width), bytes or floats in [0, 1], spread evenly
            over the clip; or a NumPy array with the colours last.
        audio_length_in_s
            0.2 to 120 s. By default the video's length, or the pipeline's own without a video.
        num_inference_steps, guidance_scale
            DDIM steps, and how far to go from the null condition through the given one; 1 is no guidance.
        negative_prompt
            What the null condition says; the empty caption by default. It has no video.
        num_candidates
            How many sounds to try per caption; the one nearest to its caption by CLAP is kept.
        generator
            One, or one for each caption; then a clip's noise does not depend on the batch. Noise is drawn on the
            generator's device in float32.
        control_scale
            Factor on the ControlNet's residuals.
        callback_on_step_end
            Called with the pipeline, step, timestep and ``{"latents": …}`` after each step; may return the same.
        output_type
            ``np`` or ``pt`` for sounds (batch, samples), 16 kHz; ``mel``, ``latent``.
        return_dict
            Whether to return an ``AudioPipelineOutput`` rather than a tuple.

        Raises
        ------
        UsageError
            If the arguments contradict each other.
        MediaError
            If a video cannot be read.
        """
        captions = as_list(prompt)
        negatives = checked_negatives(negative_prompt, len(captions))
        most_steps_n = self.scheduler.config.num_train_timesteps
        check_choices(output_type, num_candidates, num_inference_steps, most_steps_n)
        pictures, length_s = given_pictures(self, len(captions), video, frames, audio_length_in_s)
        scale = self.config.guidance_scale if guidance_scale is None else guidance_scale
        shape = (self.unet.config.in_channels, self.latent_steps_n(length_s), self.mel_rows_n)
        noise = draw_noise(len(captions), num_candidates, shape, generator)
        with at_rest(self.components.values()):
            conditions = self._conditions(captions, negatives if scale != 1 else None, pictures, length_s)
            latents = denoise(
                self,
                noise,
                conditions.repeated(num_candidates),
                steps_n=num_inference_steps or self.config.steps_n,
                guidance_scale=scale,
                control_scale=control_scale,
                callback=callback_on_step_end,
            )
            output = self._finished(latents, captions, length_s, num_candidates, output_type)
        self.maybe_free_model_hooks()
        return AudioPipelineOutput(audios=output) if return_dict else (output,)

    def _conditions(
        self, captions: list[str], negatives: list[str] | None, pictures: list[torch.Tensor | None], length_s: float
    ) -> Conditions:
        device, dtype = self.unet.device, self.unet.dtype
        text = self.encode_prompt(captions)
        null = None if negatives is None else self.encode_prompt(negatives).to(device, dtype)
        shown = [each for each in pictures if each is not None]
        if not shown or (self.control is None and self.fusion is None):
            return Conditions(text.to(device, dtype), null, None)
        has_video = torch.tensor([each is not None for each in pictures], device=device)
        stacked = torch.stack([torch.zeros_like(shown[0]) if each is None else each for each in pictures])
        video = self.encode_video(stacked.to(device))
        if self.fusion is not None:
            text = torch.where(has_video[:, None], self.fusion(text, video), text)
        hint = None
        if self.control is not None:
            hint = self.control.make_hint(video.to(dtype), text.to(dtype), self.latent_steps_n(length_s))
        return Conditions(text.to(device, dtype), null, hint, None if hint is None else has_video.to(dtype))

    def _finished(
        self, latents: torch.Tensor, captions: list[str], length_s: float, candidates_n: int, output_type: str
    ) -> Any:
        """Decode latents as far as is wanted; of the candidates, keep the one nearest to its caption."""
        if output_type == "latent":
            return latents
        log_mel = self.decode_latents(latents)
        if output_type == "mel":
            return log_mel
        vocoder_dtype = next(self.vocoder.parameters(), log_mel).dtype
        sounds = self.vocoder(log_mel.to(vocoder_dtype)).float()[:, : round(length_s * SR_HZ)]
        if candidates_n > 1:
            repeated = [caption for caption in captions for _ in range(candidates_n)]
            near = self.joint_encoder.similarity(repeated, sounds).unflatten(0, (-1, candidates_n)).argmax(1)
            sounds = sounds.unflatten(0, (-1, candidates_n))[torch.arange(len(captions), device=sounds.device), near]
        return sounds.cpu().numpy() if output_type == "np" else sounds
