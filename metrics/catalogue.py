"""Every score the toolkit knows: its name, what it is computed from, and which way is better.

Two families. *Fréchet scores* (kinds ``raw``, ``balanced``, ``index``) are formulas of the statistics of joint features
(:mod:`t2av_bench.metrics.joint`). *Companions* (all other kinds) say what a Fréchet distance cannot, each from its own
formula; :mod:`t2av_bench.companions` binds them to the clips of an evaluation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["raw", "balanced", "index", "kernel", "classes", "support", "similarity", "sync"]
# Parts that a manifest knows and no extractor makes.
KNOWN_PARTS = ("events",)
FRECHET_KINDS: tuple[Kind, ...] = ("raw", "balanced", "index")


@dataclass(frozen=True)
class MetricSpec:
    """What a score is computed from.

    Attributes
    ----------
    name
        As it stands in tables and result files.
    blocks
        Parts of a clip's features it needs: ``audio``, ``video`` and ``text`` are the blocks of the joint features,
        paired window by window; ``clip_audio`` is the clip-level audio embedding of FD, ``logits`` the class logits of
        a sound classifier, ``clap_audio`` and ``clap_text`` the two sides of a shared space of sound and text;
        ``onset_strength`` and ``motion_energy`` are envelopes of sound and picture, ``synchformer_audio`` and
        ``synchformer_video`` its encoded segments; ``events`` are times that the manifest knows.
    kind
        ``raw`` or ``balanced`` Fréchet distance, alignment ``index``; ``kernel`` distance, comparison of sound
        ``classes`` or of the sets' ``support``, ``similarity`` of sound and caption, or timing (``sync``).
    higher_is_better
        False for distances.
    version
        Raised whenever the same input would give another value.
    """

    name: str
    blocks: tuple[str, ...]
    kind: Kind
    higher_is_better: bool = False
    version: int = 1

    @property
    def is_frechet(self) -> bool:
        """Whether the score is a formula of joint statistics, and no companion."""
        return self.kind in FRECHET_KINDS


METRICS: dict[str, MetricSpec] = {
    spec.name: spec
    for spec in (
        MetricSpec("FD", ("clip_audio",), "raw"),
        MetricSpec("FAD", ("audio",), "raw"),
        MetricSpec("FAVD", ("audio", "video"), "raw"),
        MetricSpec("FATD", ("audio", "text"), "raw"),
        MetricSpec("FA(VT)D", ("audio", "video", "text"), "raw"),
        MetricSpec("FAD-b", ("audio",), "balanced"),
        MetricSpec("FAVD-b", ("audio", "video"), "balanced"),
        MetricSpec("FATD-b", ("audio", "text"), "balanced"),
        MetricSpec("FA(VT)D-b", ("audio", "video", "text"), "balanced"),
        MetricSpec("AV-index", ("audio", "video"), "index", higher_is_better=True, version=2),
        MetricSpec("AT-index", ("audio", "text"), "index", higher_is_better=True, version=2),
        MetricSpec("KAD", ("audio",), "kernel", version=2),
        MetricSpec("KAVD", ("audio", "video"), "kernel", version=2),
        MetricSpec("KATD", ("audio", "text"), "kernel", version=2),
        MetricSpec("KA(VT)D", ("audio", "video", "text"), "kernel", version=2),
        MetricSpec("IS", ("logits",), "classes", higher_is_better=True),
        MetricSpec("KL-softmax", ("logits",), "classes"),
        MetricSpec("KL-sigmoid", ("logits",), "classes"),
        MetricSpec("precision", ("clip_audio",), "support", higher_is_better=True),
        MetricSpec("recall", ("clip_audio",), "support", higher_is_better=True),
        MetricSpec("density", ("clip_audio",), "support", higher_is_better=True),
        MetricSpec("coverage", ("clip_audio",), "support", higher_is_better=True),
        MetricSpec("CLAP", ("clap_audio", "clap_text"), "similarity", higher_is_better=True),
        MetricSpec("onset-acc", ("onset_strength",), "sync", higher_is_better=True),
        MetricSpec("onset-AP", ("onset_strength",), "sync", higher_is_better=True),
        MetricSpec("event-F1", ("onset_strength", "events"), "sync", higher_is_better=True),
        MetricSpec("AV-Align", ("onset_strength", "motion_energy"), "sync", higher_is_better=True),
        MetricSpec("AV-offset", ("onset_strength", "motion_energy"), "sync"),
        MetricSpec("DeSync", ("synchformer_audio", "synchformer_video"), "sync"),
    )
}
