"""Protocols of other toolkits: the data hang together, and the whole way gives those toolkits' own values."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from click.testing import CliRunner
from scipy import linalg

import t2av_bench as tb
from t2av_bench.cli import main
from t2av_bench.companions import ClipArrays, ClipSet
from t2av_bench.companions.peers import FORMULAS, measures_of
from t2av_bench.companions.scores import Companions, score_companions
from t2av_bench.errors import ComparisonError, UsageError
from t2av_bench.manifests import Clip
from t2av_bench.manifests.mini import render
from t2av_bench.manifests.mini.predictions import write_prediction_sets
from t2av_bench.media.front_end import FRONT_ENDS
from t2av_bench.models.extractors import ClipSource, get_extractor
from t2av_bench.models.extractors.registry import extractor_class
from t2av_bench.presets import PROTOCOL_PRESETS
from t2av_bench.protocol import make_protocol
from t2av_bench.results.tables import format_results
from t2av_bench.scoring.distances import FRECHET_PARTS

Rows = Sequence[npt.NDArray[np.float32]]


def score(name: str, reference: dict[str, Rows], generated: dict[str, Rows]) -> Companions:
    """Score clips, given as lists of arrays by part, by a preset."""
    count = len(next(iter(reference.values())))
    clips = [Clip(f"clip {i}", "", "", 0.0, 10.0, "", "", "test") for i in range(count)]

    def read(place: int, parts: Sequence[str]) -> ClipArrays:
        sides = (reference, {**reference, **generated})
        return ClipArrays(clips[place], *({p: side[p][place] for p in parts if p in side} for side in sides))

    protocol = make_protocol(name=name, features=None)
    return score_companions(protocol.metrics, ClipSet(clips, read), 0, measures=measures_of(protocol))


def fid_style(reference: np.ndarray, generated: np.ndarray) -> float:
    """The textbook formula, as these projects write it."""
    x, y = reference.astype(np.float64), generated.astype(np.float64)
    first, second = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    shift = x.mean(axis=0) - y.mean(axis=0)
    return float(shift @ shift + np.trace(first + second) - 2 * np.trace(linalg.sqrtm(first @ second)).real)


@pytest.mark.parametrize("name", PROTOCOL_PRESETS)
def test_every_preset_hangs_together(name: str):
    preset = PROTOCOL_PRESETS[name]
    assert preset.name == name
    assert preset.quirks, "a preset says what is odd about it"
    assert set(preset.scores.values()) <= set(FORMULAS)
    assert {block for spec in preset.scores for block in spec.blocks} == set(preset.extractors)
    # parts of its own: our Fréchet scores and their statistics are not made of them
    assert not set(preset.extractors) & set(FRECHET_PARTS)
    assert set(preset.options) <= set(preset.extractors.values())
    assert not set(preset.specs) & set(preset.absent)
    for extractor in preset.extractors.values():
        options = dict(preset.options.get(extractor, {}))
        assert options.get("front_end", "fadtk") in FRONT_ENDS
        if extractor_class(extractor).has_network:
            get_extractor(extractor, weights="random", **options).check()
    measures = measures_of(make_protocol(name=name, features=None))
    assert list(measures) == list(preset.specs)
    assert [measure.spec for measure in measures.values()] == list(preset.scores)


def test_every_preset_of_the_issue_is_there():
    assert {"audioldm_eval", "fadtk", "av-benchmark", "google-fad", "peavs-favd"} <= set(PROTOCOL_PRESETS)


PATHS = {
    "audioldm_eval": ("audioldm_eval", "frechet_audio_distance"),
    "frechet_audio_distance": ("frechet_audio_distance", "FAD-vggish"),
    "av-benchmark": ("av_benchmark_8s", "FD-VGG"),
}


@pytest.mark.parametrize("name", PATHS)
def test_fad_of_recorded_embeddings_is_the_textbook_formula(shared: Path, name: str):
    golden = np.load(shared / "golden" / "frontends_embeddings.npz")
    path, metric = PATHS[name]
    rows = [golden[key][:, :6] for key in golden.files if key.endswith(f"/{path}")]
    assert len(rows) == 4
    others = [*rows[1:], rows[0] * 1.3]
    filler = {part: [np.zeros((1, 4), np.float32)] * 4 for part in ("panns", "panns_logits")}
    found = score(name, {**filler, "vggish": rows}, {**filler, "vggish": others})
    expected = fid_style(np.concatenate(rows), np.concatenate(others))
    assert found.scores[metric].value == pytest.approx(expected, rel=1e-6)
    assert found.scores[metric].stderr > 0
    assert found.scores[metric].d == 6


def test_fadtk_stores_float16_and_is_undefined_with_a_clip_of_one_window(shared: Path):
    golden = np.load(shared / "golden" / "frontends_embeddings.npz")
    rows = [golden[key][:, :6] for key in golden.files if key.endswith("/fadtk")]
    others = [*rows[1:], rows[0] * 1.3]
    value = score("fadtk", {"vggish": rows}, {"vggish": others}).scores["FAD-vggish"].value
    exact = fid_style(np.concatenate(rows), np.concatenate(others))
    assert value == pytest.approx(exact, rel=1e-2)
    assert abs(value / exact - 1) > 1e-6
    found = score("fadtk", {"vggish": [rows[0][:1], *rows[1:]]}, {"vggish": others})
    assert "NaN" in found.absent["FAD-vggish"]
    assert not found.scores


def test_kad_is_times_100_with_the_bandwidth_of_the_evaluated_set(shared: Path):
    golden = json.loads((shared / "golden" / "setlevel.json").read_text())
    draw = np.random.RandomState(golden["seed"] + 10)
    ref = draw.randn(80, 64).astype("float32")
    gen = (0.5 * draw.randn(200, 64) + 0.1).astype("float32")
    found = score("kadtk", {"vggish": np.split(ref, 4)}, {"vggish": np.split(gen, 4)})
    theirs = golden["kad_80_200x64"]["kad_x100"]["as_code_bandwidth_from_evaluated_set"]
    assert found.scores["KADx100-vggish"].value == pytest.approx(theirs, abs=1e-4)


def test_class_scores_are_the_recorded_ones(shared: Path):
    golden = json.loads((shared / "golden" / "setlevel.json").read_text())
    entry, draw = golden["logits_500x527"], np.random.RandomState(golden["seed"] + 6)
    gt = (2.5 * draw.randn(500, 527) - 3).astype("float32")
    pred = (gt + 1.5 * draw.randn(500, 527)).astype("float32")
    sides = [{"panns_logits": np.split(rows, 500)} for rows in (gt, pred)]
    filler = {
        part: [rows] * 500 for part, rows in (("panns", np.zeros((1, 2), "f4")), ("vggish", np.zeros((2, 2), "f4")))
    }
    for name, tool in (
        ("audioldm_eval", "audioldm_eval_calculate_kl_pred_first"),
        ("av-benchmark", "av_benchmark_compute_kl"),
    ):
        found = score(name, {**filler, **sides[0]}, {**filler, **sides[1]}).scores
        inception = entry["inception_score"]["av_benchmark_compute_isc_pred"]
        for metric, form in (("kullback_leibler_divergence_softmax", "softmax"), ("KL-PANNS-softmax", "softmax"),
                             ("kullback_leibler_divergence_sigmoid", "sigmoid")):  # fmt: skip
            if metric in found:
                theirs = next(value for key, value in entry["kl"][tool].items() if key.endswith(form))
                assert found[metric].value == pytest.approx(theirs, rel=1e-5)
        for metric in found:
            if "inception" in metric or "ISC" in metric:
                statistic = "std" if metric.endswith("std") else "mean"
                assert found[metric].value == pytest.approx(inception[f"inception_score_{statistic}"], rel=1e-6)


def test_favd_is_the_recorded_one(shared: Path):
    golden = json.loads((shared / "golden" / "setlevel.json").read_text())
    entry, draw = golden["favd_600x80"], np.random.RandomState(golden["seed"] + 1)
    ref_video, ref_audio = draw.randn(600, 64), draw.randn(600, 16)
    gen_video, gen_audio = 0.9 * draw.randn(600, 64) + 0.1, 1.2 * draw.randn(600, 16) - 0.05
    sides = [
        {"i3d": np.split(video, 60), "vggish": np.split(audio, 60)}
        for video, audio in ((ref_video, ref_audio), (gen_video, gen_audio))
    ]
    found = score("peavs-favd", *sides).scores["FAVD"]
    assert found.value == pytest.approx(entry["favd_ref_gen"], rel=1e-9)
    assert (found.n_windows, found.d) == (600, 80)


def test_onset_scores_of_real_clips_are_condfoleygens(shared: Path):
    """From the files on: each clip's onsets against those of the next one."""
    golden = json.loads((shared / "golden" / "onsets.json").read_text())
    extractor = get_extractor("condfoleygen-onsets")
    rows = {
        clip: extractor.load(ClipSource(shared / "golden" / "flac" / f"{clip}.flac", 0.0, 10.0))
        for clip in golden["onsets"]
    }
    clips = list(rows)
    pairs = [(clip, clips[(i + 1) % len(clips)]) for i, clip in enumerate(clips)]
    recorded = [
        golden["pairs"][f"moviepy_decimation_10s: target {target} vs generated {generated}"]["delta_0.1"]
        for target, generated in pairs
    ]
    found = score("condfoleygen", {"onsets": [rows[t] for t, _ in pairs]}, {"onsets": [rows[g] for _, g in pairs]})
    values = {name: found.clip_values[name] for name in found.scores}
    np.testing.assert_allclose(values["detection acc"], [pair["acc"] for pair in recorded])
    np.testing.assert_allclose(values["detection ap"], [pair["ap"] for pair in recorded])
    np.testing.assert_array_equal(values["onset acc"], [pair["count_match"] for pair in recorded])


def test_av_align_of_recorded_flow_and_peaks_is_tempotokens(shared: Path):
    golden = json.loads((shared / "golden" / "avalign.json").read_text())["clips"]
    flows = np.load(shared / "golden" / "avalign.npz")
    for sound, expected in (
        ("audio_peaks_seconds", "iou_own_audio"),
        ("audio_peaks_next_seconds", "iou_next_clip_audio"),
    ):
        video, audio = [], []
        for clip, entry in golden.items():
            flow = flows[f"{clip}/flow_trajectory"]
            video.append(np.concatenate([[entry["fps"]], flow, np.full(300, -1.0)])[:, None].astype("f4"))
            audio.append(np.zeros((431, 1), np.float32))
            audio[-1][np.rint(np.array(entry[sound]) * 22_050 / 512).astype(int)] = 1.0
        silent = [np.zeros_like(rows) for rows in audio]
        found = score("tempotokens", {"flow": video, "sound_peaks": silent}, {"sound_peaks": audio})
        np.testing.assert_allclose(found.clip_values["AV-Align"], [entry[expected] for entry in golden.values()])


def test_clips_on_which_the_original_stops_are_left_out_and_counted():
    onset = np.zeros((87, 3), np.float32)
    onset[[20, 40]] = [1.0, 0.5, 0.5]
    early, none = onset.copy(), np.zeros((87, 3), np.float32)
    early[1] = [1.0, 0.5, -1.0]
    found = score("condfoleygen", {"onsets": [onset, onset, none]}, {"onsets": [onset, early, none]})
    accuracy = found.scores["detection acc"]
    assert (accuracy.value, accuracy.n_clips, accuracy.n_undefined) == (1.0, 1, 2)
    assert found.scores["onset acc"].n_clips == 3


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("world")
    write_prediction_sets(render("val", 4, 0, out / "data", num_workers=0, progress=False), out / "preds")
    return out


def run(world: Path, protocol: str, **options: object) -> tb.Result:
    return tb.evaluate(
        world / "preds" / "swapped", world / "data" / "manifest.csv", protocol=protocol, weights="random",
        num_workers=0, cache_dir=world / "cache", device="cpu", **options,  # type: ignore[arg-type]
    )  # fmt: skip


def test_an_evaluation_says_whose_protocol_it_is_and_what_is_odd_about_it(world: Path, tmp_path: Path):
    result = run(world, "kadtk")
    assert list(result.scores) == ["KADx100-vggish", "FAD-vggish"]
    assert result.protocol["name"] == "kadtk"
    assert result.protocol["reproduces"] == "YoonjinXD/kadtk @ 8bda71d87f55"
    assert result.extractors["vggish"]["options"]["front_end"]["bits16"] == "truncate"
    assert "kadtk: KAD is multiplied by 100" in result.notes
    assert "the protocol is that of YoonjinXD/kadtk, not t2av-bench/1" in result.not_comparable_because
    assert not any("features" in reason for reason in result.not_comparable_because)
    assert "swapped on manifest (4 of 4 clips), protocol kadtk" in format_results([result], "plain")
    result.save(tmp_path / "r.json")
    assert tb.Result.load(tmp_path / "r.json") == result


def test_results_of_two_toolkits_are_not_compared(world: Path):
    found = [run(world, name, system=name, metrics=["FAD-vggish"]) for name in ("kadtk", "fadtk")]
    with pytest.raises(ComparisonError, match="the protocols are kadtk and fadtk") as caught:
        tb.compare(found)
    assert "reproduces" not in str(caught.value)


def test_our_own_protocol_has_no_word_of_it(world: Path):
    result = tb.evaluate(
        world / "preds" / "swapped", world / "data" / "manifest.csv", features="lite", num_workers=0, metrics=["FAD"]
    )
    assert "reproduces" not in result.protocol
    assert "front_end" not in result.extractors["audio"]["options"]
    assert not any("conventions" in note for note in result.notes)


def test_what_a_toolkit_has_and_we_cannot_compute_is_absent_with_its_reason(world: Path):
    result = run(world, "av-benchmark", metrics=["FD-VGG"])
    assert list(result.scores) == ["FD-VGG"]
    assert "ImageBind" in result.absent["IB-Score"]
    assert set(result.extractors) == {"vggish"}


@pytest.mark.parametrize("name", ["condfoleygen", "tempotokens"])
def test_timing_protocols_need_no_weights(world: Path, name: str):
    result = run(world, name)
    assert result.scores or result.absent
    assert all(0 <= found.value <= 1 for found in result.scores.values())
    assert result.counts["scored"] == 4


def test_a_preset_brings_its_own_choices():
    with pytest.raises(UsageError, match="fadtk brings its own features: leave out --features lite"):
        make_protocol(name="fadtk", features="lite")
    with pytest.raises(UsageError, match="has a pooling of its own"):
        make_protocol(name="fadtk", features=None, pooling="clip")
    with pytest.raises(UsageError, match="IB-Score of av-benchmark cannot be computed: needs ImageBind"):
        make_protocol(name="av-benchmark", features=None, metrics=["IB-Score"])
    with pytest.raises(UsageError, match=r"no score of fadtk named 'FAD'.*FAD-vggish"):
        make_protocol(name="fadtk", features=None, metrics=["FAD"])
    with pytest.raises(UsageError, match=r"no protocol named 'fadkt'.*Did you mean 'fadtk'"):
        make_protocol(name="fadkt", features="lite")


def test_the_command_lists_and_shows_protocols(world: Path):
    listed = CliRunner().invoke(main, ["protocols"])
    assert listed.exit_code == 0
    assert all(name in listed.output for name in ("t2av-bench/1", *PROTOCOL_PRESETS))
    shown = CliRunner().invoke(main, ["protocols", "av-benchmark"])
    assert "FD-VGG (vggish; lower is better)" in shown.output
    assert "IB-Score: needs ImageBind" in shown.output
    assert CliRunner().invoke(main, ["protocols", "fadkt"]).exit_code == 2
    wrong = CliRunner().invoke(
        main, ["evaluate", "--pred-dir", str(world), "--protocol", "fadtk", "--features", "lite"]
    )
    assert wrong.exit_code == 2
    assert "leave out --features lite" in wrong.output
