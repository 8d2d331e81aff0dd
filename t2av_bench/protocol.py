"""Every choice that decides what a score means, in one record.

A result carries its protocol, and only results of one protocol can be compared. ``t2av-bench/1`` is the toolkit's own:
mean of channels, soxr HQ to 16 kHz, no normalisation; windows of 0.96 s without overlap; statistics over windows. The
others are those of other toolkits (:mod:`t2av_bench.presets`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar, get_args

from t2av_bench.errors import UsageError, no_such_name
from t2av_bench.metrics import METRICS, MetricSpec
from t2av_bench.presets import PROTOCOL_PRESETS, Preset

Pooling = Literal["window", "clip"]
Value = TypeVar("Value")

_ENVELOPES = {"onset_strength": "onset-strength", "motion_energy": "motion-energy"}
# Feature presets: which extractor plays which part. `clip_audio` feeds FD.
PRESETS: dict[str, dict[str, str]] = {
    "paper": {
        "audio": "vggish",
        "video": "c3d",
        "text": "word2vec",
        "clip_audio": "panns",
        "logits": "panns-logits",
        **_ENVELOPES,
    },
    "lite": {
        "audio": "lite-audio",
        "video": "lite-video",
        "text": "lite-text",
        "clip_audio": "lite-audio",
        **_ENVELOPES,
    },
}
# Parts that every choice of features has, for scores that are asked for by name: most need weights of their own.
ON_REQUEST = {
    "logits": "panns-logits",
    "clap_audio": "clap-audio",
    "clap_text": "clap-text",
    "synchformer_audio": "synchformer-audio",
    "synchformer_video": "synchformer-video",
    **_ENVELOPES,
}
# Parts that come with an extractor, at no further download.
_BESIDE = {"panns": {"logits": "panns-logits"}}
OURS = "t2av-bench/1"
PROTOCOLS = (OURS, *PROTOCOL_PRESETS)


@dataclass(frozen=True)
class Protocol:
    """The choices behind a score.

    Attributes
    ----------
    name
        A name from :data:`PROTOCOLS`.
    features
        The feature preset's name, or ``custom``; of another toolkit's protocol, which brings its own, its name.
    extractors
        Part (``audio``, ``video``, ``text``, ``clip_audio``, ``logits`` …) to extractor name.
    pooling
        ``window``: every window is a sample; ``clip``: the mean over a clip's windows is.
    metrics
        Scores to compute, in the order of :data:`~t2av_bench.metrics.METRICS` or of the other toolkit.
    weights, weights_seed
        ``published``, or ``random`` with the seed they were drawn from; random ones make a result not comparable.
    """

    name: str = OURS
    features: str = "paper"
    extractors: dict[str, str] = field(default_factory=dict)
    pooling: Pooling = "window"
    metrics: tuple[str, ...] = ()
    weights: str = "published"
    weights_seed: int = 0

    @property
    def preset(self) -> Preset | None:
        """The other toolkit's protocol, None if it is ours."""
        return PROTOCOL_PRESETS.get(self.name)

    @property
    def frechet(self) -> list[MetricSpec]:
        """Entries of our Fréchet scores among the metrics; another toolkit's scores are measures of their own."""
        return [METRICS[name] for name in self.metrics if self.preset is None and METRICS[name].is_frechet]

    def extractor_options(self, extractor: str) -> dict[str, Any]:
        """Return the options that the protocol makes an extractor with."""
        return {} if self.preset is None else dict(self.preset.options.get(extractor, {}))

    def in_order(self, *found: Mapping[str, Value]) -> dict[str, Value]:
        """Return what was found for scores, by name, in the order of the protocol's."""
        joined = {name: value for part in found for name, value in part.items()}
        return {name: joined[name] for name in self.metrics if name in joined}

    def to_json(self) -> dict[str, Any]:
        """Return the record as it stands in a result file."""
        record: dict[str, Any] = {
            "name": self.name,
            "features": self.features,
            "extractors": dict(self.extractors),
            "pooling": self.pooling,
            "weights": self.weights,
        }
        if self.preset is not None:
            record["reproduces"] = f"{self.preset.project} @ {self.preset.commit}"
        if self.weights == "random":
            record["weights_seed"] = self.weights_seed
        return record


def make_protocol(
    *,
    name: str = OURS,
    features: str | None,
    metrics: list[str] | None = None,
    pooling: str = "window",
    weights: str = "published",
    seed: int = 0,
    known: Sequence[str] = (),
) -> Protocol:
    """Check a user's choices and return them as a protocol.

    Parameters
    ----------
    name, metrics, pooling, weights, seed
        As in :func:`t2av_bench.evaluate`.
    features
        As there, with its default filled in; None for another toolkit's protocol, which brings its own.
    known
        Parts that need no extractor, because the manifest has them: ``events``.

    Raises
    ------
    UsageError
        If a name is unknown or a score needs a part that no chosen extractor plays.
    """
    _known(name, list(PROTOCOLS), "protocol")
    _known(pooling, list(get_args(Pooling)), "pooling")
    _known(weights, ["published", "random"], "weights")
    if name in PROTOCOL_PRESETS:
        return _of_preset(PROTOCOL_PRESETS[name], features, metrics, pooling, weights, seed)
    assert features is not None  # the caller knows the manifest, on which the default depends
    preset, extractors = _parts(features)
    available = {**ON_REQUEST, **extractors}
    for metric in metrics or ():
        _known(metric, list(METRICS), "metric")
        lacking = sorted(set(METRICS[metric].blocks) - {*available, *known})
        if lacking == ["events"]:
            raise UsageError(f"{metric} needs a manifest that knows when its events are: a file events.csv beside it")
        if lacking:
            raise UsageError(
                f"{metric} needs {_spoken(lacking)} features; --features {features} has {_spoken(extractors)}"
            )
    possible = [spec.name for spec in METRICS.values() if set(spec.blocks) <= {*extractors, *known}]
    chosen = tuple(metric for metric in METRICS if metric in (metrics or possible))
    needed = {block for metric in chosen for block in METRICS[metric].blocks}
    used = {part: extractor for part, extractor in available.items() if part in needed}
    return Protocol(name, preset, used, "clip" if pooling == "clip" else "window", chosen, weights, seed)


def _of_preset(
    preset: Preset, features: str | None, metrics: list[str] | None, pooling: str, weights: str, seed: int
) -> Protocol:
    """Return another toolkit's protocol, of which only the scores may be chosen."""
    if features is not None:
        raise UsageError(f"--protocol {preset.name} brings its own features: leave out --features {features}")
    if pooling != "window":
        raise UsageError(f"--protocol {preset.name} has a pooling of its own: leave out --pooling {pooling}")
    for metric in metrics or ():
        if metric in preset.absent:
            raise UsageError(f"{metric} of {preset.name} cannot be computed: {preset.absent[metric]}")
        _known(metric, list(preset.specs), f"score of {preset.name}")
    chosen = {name: spec for name, spec in preset.specs.items() if name in (metrics or preset.specs)}
    needed = {block for spec in chosen.values() for block in spec.blocks}
    used = {part: extractor for part, extractor in preset.extractors.items() if part in needed}
    return Protocol(preset.name, preset.name, used, "window", tuple(chosen), weights, seed)


def _parts(features: str) -> tuple[str, dict[str, str]]:
    """Return the preset's name and the extractor of each part; a list of names is sorted into the parts they play."""
    if features in PRESETS:
        return features, PRESETS[features]
    from t2av_bench.models.extractors.registry import extractor_class, extractor_names

    parts: dict[str, str] = {}
    for name in (part.strip() for part in features.split(",")):
        if name not in extractor_names():
            _known(name, [*PRESETS, *extractor_names()], "feature preset or extractor")
        part = extractor_class(name).plays()
        if part in parts:
            raise UsageError(f"--features names two extractors for {_spoken([part])}: {parts[part]} and {name}")
        parts[part] = name
    if all(extractor_class(name).modality != "audio" for name in parts.values()):
        raise UsageError(f"--features {features}: an extractor of sound is needed, e.g. vggish or lite-audio")
    beside = {part: extra for name in parts.values() for part, extra in _BESIDE.get(name, {}).items()}
    return "custom", {**beside, **parts}


def _known(value: str, allowed: list[str], what: str) -> None:
    if value not in allowed:
        raise no_such_name(f"There is no {what} named {value!r}", value, allowed)


def _spoken(parts: list[str] | dict[str, str]) -> str:
    return " and ".join("clip-level audio" if part == "clip_audio" else part.replace("_", " ") for part in parts)
