"""Reading sound and pictures from any file a user may have."""

from t2av_bench.media.audio import read_audio, read_clip_audio
from t2av_bench.media.info import MediaInfo, probe
from t2av_bench.media.video import read_frames

__all__ = ["MediaInfo", "probe", "read_audio", "read_clip_audio", "read_frames"]
