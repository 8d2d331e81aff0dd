"""Clips as files: lossless pictures and sound in one MP4."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np

from t2av_bench.files import replacing
from t2av_bench.manifests.mini.constants import FRAME_RATE_HZ, SIZE_PX, SR_HZ
from t2av_bench.manifests.mini.world import MiniClip


def write_clip(clip: MiniClip, path: Path) -> None:
    """Write a clip as MP4 with lossless H.264 (RGB) and 16-bit FLAC: decoding gives back every bit."""
    import av

    with replacing(path) as temporary, av.open(str(temporary), "w") as container:
        # One thread per clip: many clips are written at once, and frames this small do not gain from more.
        video = container.add_stream(
            "libx264rgb", rate=FRAME_RATE_HZ, options={"qp": "0", "preset": "ultrafast", "g": "25", "threads": "1"}
        )
        video.width = video.height = SIZE_PX
        video.pix_fmt = "rgb24"
        audio = container.add_stream("flac", rate=SR_HZ, options={"compression_level": "5"})
        audio.layout = "mono"
        audio.format = "s16"
        for image in clip.frames:
            container.mux(video.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(video.encode())
        sound = av.AudioFrame.from_ndarray(np.ascontiguousarray(clip.pcm[None]), format="s16", layout="mono")
        sound.sample_rate = SR_HZ
        sound.time_base = Fraction(1, SR_HZ)
        sound.pts = 0
        container.mux(audio.encode(sound))
        container.mux(audio.encode())
