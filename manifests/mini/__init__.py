"""The mini world: a synthetic audio-visual benchmark, ``t2av-mini``.

Every clip is 4 s of 64 × 64 RGB pictures at 25 frames per second with 16 kHz mono sound that follows from what is seen:
balls bounce, hammers strike, wheels hum, sirens pass. Captions come from a small grammar and the time of every audible
contact is known exactly. Some clips have two sources, silent movers, feints that stop before contact, something in the
way or a shaking camera. Where two sources are seen, half the captions name one of them only, and that one alone is
heard: picture and caption together tell what to do, neither alone does. A clip with one source has at most five
contacts, so that another clip's times match within 0.1 s by chance only: F1 is about 0.2.

A clip depends on its split, seed and index alone, and is the same to the last bit on every machine and with every
NumPy: random numbers are made from the raw words of a counter-based generator (:mod:`.stream`), and pictures and sound
with elementwise float64 arithmetic that IEEE 754 fixes (:mod:`.exact`). The training split never shows some pairs of
object and colour that the other splits do (:func:`.world.is_unseen`).

>>> from t2av_bench.manifests.mini import make_clip
>>> clip = make_clip("train", seed=0, index=0)
>>> clip.frames.shape, clip.pcm.shape
((100, 64, 64, 3), (64000,))
"""

from t2av_bench.manifests.mini.predictions import write_prediction_sets
from t2av_bench.manifests.mini.rendering import load_test_split, read_events, render
from t2av_bench.manifests.mini.world import FAMILIES, SPLITS, Event, MiniClip, make_clip

__all__ = [
    "FAMILIES",
    "SPLITS",
    "Event",
    "MiniClip",
    "load_test_split",
    "make_clip",
    "read_events",
    "render",
    "write_prediction_sets",
]
