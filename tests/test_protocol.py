"""A user's choices become a protocol, or an error that says what exists."""

from __future__ import annotations

import pytest

from t2av_bench.errors import UsageError
from t2av_bench.metrics import METRICS
from t2av_bench.protocol import ON_REQUEST, make_protocol


def test_presets_compute_every_score_that_needs_no_weights_beyond_theirs():
    paper, lite = make_protocol(features="paper"), make_protocol(features="lite")
    assert paper.metrics == tuple(name for name in METRICS if name not in ("CLAP", "DeSync", "event-F1"))
    envelopes = {"onset_strength", "motion_energy"}
    assert set(paper.extractors) == {"audio", "video", "text", "clip_audio", "logits"} | envelopes
    foreign = {*ON_REQUEST, "events"} - envelopes
    assert lite.metrics == tuple(name for name, spec in METRICS.items() if not set(spec.blocks) & foreign)
    assert set(lite.extractors) == {"audio", "video", "text", "clip_audio"} | envelopes


def test_scores_of_known_events_come_with_a_manifest_that_knows_them():
    assert "event-F1" in make_protocol(features="lite", known=["events"]).metrics
    named = make_protocol(features="vggish", metrics=["event-F1"], known=["events"])
    assert named.extractors == {"onset_strength": "onset-strength"}
    with pytest.raises(UsageError, match="event-F1 needs a manifest that knows when its events are"):
        make_protocol(features="lite", metrics=["event-F1"])


def test_learned_offsets_are_computed_when_asked_for_by_name():
    named = make_protocol(features="lite", metrics=["DeSync"])
    assert set(named.extractors.values()) == {"synchformer-audio", "synchformer-video"}


def test_a_score_with_weights_of_its_own_is_computed_when_asked_for_by_name():
    protocol = make_protocol(features="lite", metrics=["CLAP", "FAD"])
    assert protocol.metrics == ("FAD", "CLAP")
    assert protocol.extractors == {"audio": "lite-audio", "clap_audio": "clap-audio", "clap_text": "clap-text"}
    assert make_protocol(features="vggish", metrics=["KL-softmax"]).extractors == {"logits": "panns-logits"}


def test_only_the_extractors_the_scores_need_are_used():
    assert make_protocol(features="paper", metrics=["FAD"]).extractors == {"audio": "vggish"}
    assert make_protocol(features="paper", metrics=["FD"]).extractors == {"clip_audio": "panns"}
    assert set(make_protocol(features="lite", metrics=["AV-index"]).extractors) == {"audio", "video"}


def test_named_extractors_are_sorted_by_what_they_are_of():
    protocol = make_protocol(features="lite-video, vggish")
    assert protocol.features == "custom"
    assert protocol.extractors == {"audio": "vggish", "video": "lite-video"}
    assert protocol.metrics == ("FAD", "FAVD", "FAD-b", "FAVD-b", "AV-index", "KAD", "KAVD")


def test_the_classifier_comes_with_its_embedding():
    protocol = make_protocol(features="panns")
    assert protocol.extractors == {"clip_audio": "panns", "logits": "panns-logits"}
    assert {"FD", "IS", "KL-softmax", "KL-sigmoid", "coverage"} <= set(protocol.metrics)
    assert make_protocol(features="panns-logits").metrics == ("IS", "KL-softmax", "KL-sigmoid")


def test_scores_keep_their_order_whatever_the_users():
    assert make_protocol(features="lite", metrics=["FATD", "FAD"]).metrics == ("FAD", "FATD")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"features": "papier"}, "no feature preset or extractor named 'papier'. Did you mean 'paper'"),
        ({"features": "vggish,lite-audio"}, "names two extractors for audio: vggish and lite-audio"),
        ({"features": "c3d"}, "an extractor of sound is needed"),
        ({"features": "vggish", "metrics": ["FAVD"]}, "FAVD needs video features; --features vggish has audio"),
        ({"features": "vggish", "metrics": ["FD"]}, "FD needs clip-level audio features"),
        ({"features": "lite", "metrics": ["FAVDD"]}, "no metric named 'FAVDD'. Did you mean 'FAVD'"),
        ({"features": "lite", "name": "t2av-bench/2"}, "no protocol named 't2av-bench/2'. Did you mean 't2av-bench/1'"),
        ({"features": "lite", "pooling": "frame"}, "no pooling named 'frame'.*Available: window, clip"),
        ({"features": "lite", "weights": "none"}, "no weights named 'none'.*Available: published, random"),
    ],
)
def test_what_does_not_exist_is_said(options: dict, message: str):
    with pytest.raises(UsageError, match=message):
        make_protocol(**options)
