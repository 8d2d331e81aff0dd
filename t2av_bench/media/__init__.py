"""Reading sound and pictures from any file a user may have."""

from t2av_bench.media._container import TOLERANCE_S
from t2av_bench.media.audio import AudioCheck, check_audio, read_audio
from t2av_bench.media.front_end import FRONT_ENDS, AudioFrontEnd, read_clip_audio
from t2av_bench.media.info import MediaInfo, probe
from t2av_bench.media.video import read_frames, read_frames_in_sizes

__all__ = [
    "FRONT_ENDS",
    "TOLERANCE_S",
    "AudioCheck",
    "AudioFrontEnd",
    "MediaInfo",
    "check_audio",
    "probe",
    "read_audio",
    "read_clip_audio",
    "read_frames",
    "read_frames_in_sizes",
]
