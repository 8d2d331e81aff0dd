"""Which features a run uses, and the extractors that make them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from t2av_bench.errors import PrerequisiteError, UsageError, check_names
from t2av_bench.manifests import Manifest
from t2av_bench.models.extractors import Extractor, get_extractor
from t2av_bench.models.extractors.arithmetic import FULL, check_precision
from t2av_bench.models.extractors.network import NetworkExtractor
from t2av_bench.protocol import OURS, Protocol, make_protocol

DEFAULT_MANIFEST = "t2av-mini"
MODALITIES = ("audio", "video", "text")
_WITHOUT_WEIGHTS = "The features 'lite' need no weights: --features lite (features='lite'). They give other scores."


def default_features(benchmark: Manifest, protocol: str = OURS) -> str | None:
    """Return the feature preset used without ``features``: ``lite`` for the mini world, else ``paper``.

    None for another toolkit's protocol, which brings its own.
    """
    if protocol != OURS:
        return None
    return "lite" if benchmark.name == DEFAULT_MANIFEST else "paper"


def protocol_for(
    benchmark: Manifest,
    *,
    name: str,
    features: str | None,
    metrics: Sequence[str] | None,
    weights: str,
    seed: int,
    pooling: str = "window",
    has_events: bool,
) -> Protocol:
    """Return a user's choices about a manifest as a protocol, with the features that are the default there.

    Parameters
    ----------
    benchmark
        The manifest.
    name, features, metrics, weights, seed, pooling
        As in :func:`t2av_bench.evaluate`.
    has_events
        Whether it is known when the events of its clips are.

    Raises
    ------
    UsageError
        As :func:`~t2av_bench.protocol.make_protocol`.
    """
    check_names(metrics, "metrics")
    return make_protocol(
        name=name,
        features=features or default_features(benchmark, name),
        metrics=list(metrics) if metrics else None,
        pooling=pooling,
        weights=weights,
        seed=seed,
        known=("events",) if has_events else (),
    )


def make_extractors(
    protocol: Protocol,
    device: str,
    embedded: Collection[str] = MODALITIES,
    *,
    precision: str = FULL,
    compile: bool = False,
) -> dict[str, Extractor]:
    """Make the extractor of each part; parts that share a name share the extractor.

    ``embedded`` are the modalities that anything is embedded of: the weights of the others may be missing.

    Raises
    ------
    PrerequisiteError
        If weights are missing: all at once, and not after the files have been checked.
    UsageError
        If a precision or compilation is asked for and there is no network that could have it.
    """
    check_precision(precision)
    how = {**({} if precision == FULL else {"precision": precision}), **({"compile": True} if compile else {})}
    made: dict[str, Extractor] = {}
    for name in dict.fromkeys(protocol.extractors.values()):
        made[name] = make_extractor(name, protocol, device, how)
    way_out = [_WITHOUT_WEIGHTS] if protocol.preset is None and protocol.features == "paper" else []
    _check([extractor for extractor in made.values() if extractor.modality in embedded], way_out)
    if how and not any(isinstance(extractor, NetworkExtractor) for extractor in made.values()):
        raise UsageError(
            f"{' and '.join(how)} are about networks, and the extractors {', '.join(made)} have none: leave that out"
        )
    return {part: made[name] for part, name in protocol.extractors.items()}


def _check(extractors: Iterable[Extractor], way_out: Sequence[str]) -> None:
    lacking: dict[str, None] = {}  # two extractors may share a file
    for extractor in extractors:
        try:
            extractor.check()
        except PrerequisiteError as error:
            lacking[str(error)] = None
    if lacking:
        raise PrerequisiteError("\n".join([*lacking, *way_out]))


def make_extractor(name: str, protocol: Protocol, device: str, how: Mapping[str, Any] | None = None) -> Extractor:
    """Make one extractor with the options and the weights of a protocol; neither need be there.

    ``how`` a network is run besides: ``precision`` and ``compile``.
    """
    from t2av_bench.models.extractors.registry import extractor_class

    options, made_of = protocol.extractor_options(name), extractor_class(name)
    if made_of.has_network:
        options |= {"weights": protocol.weights, "seed": protocol.weights_seed, "device": device}
    if issubclass(made_of, NetworkExtractor):
        options |= how or {}
    return get_extractor(name, **options)
