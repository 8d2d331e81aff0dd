"""Extractors: media and captions to embeddings, behind one interface."""

from t2av_bench.models.extractors.base import AudioExtractor, Extractor, TextExtractor, VideoExtractor
from t2av_bench.models.extractors.clip_source import ClipSource
from t2av_bench.models.extractors.registry import extractor_names, get_extractor

__all__ = [
    "AudioExtractor",
    "ClipSource",
    "Extractor",
    "TextExtractor",
    "VideoExtractor",
    "extractor_names",
    "get_extractor",
]
