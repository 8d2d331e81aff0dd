"""CLAP on a tiny model written in the published layout: parity with transformers' own use, and what is refused."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from clap_folder import write_clap_folder
from transformers import AutoTokenizer, ClapFeatureExtractor, ClapModel

from t2av_bench.errors import PrerequisiteError
from t2av_bench.models.extractors import ClipSource, get_extractor

CAPTIONS = ["a dog barks", "rain", "Ein lauter Knall – während es läutet"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clap_folder(tmp_path_factory.mktemp("clap") / "clap-htsat-unfused")


@pytest.fixture(scope="module")
def sounds() -> np.ndarray:
    return (0.1 * np.random.default_rng(0).standard_normal((3, 4 * 48_000))).astype(np.float32)


def test_sounds_are_embedded_as_transformers_embeds_them(folder: Path, sounds: np.ndarray) -> None:
    ours = get_extractor("clap-audio", weights=folder, device="cpu").embed_batch(sounds)
    model, front_end = ClapModel.from_pretrained(folder).eval(), ClapFeatureExtractor.from_pretrained(folder)
    with torch.inference_mode():
        inputs = front_end(list(sounds), sampling_rate=48_000, return_tensors="pt")
        found = model.get_audio_features(**inputs)
    theirs = getattr(found, "pooler_output", found).numpy()
    np.testing.assert_allclose(ours, theirs, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(ours, axis=1), 1, atol=1e-5)
    assert np.abs(ours[0] - ours[1]).max() > 1e-4


def test_captions_are_embedded_as_transformers_embeds_them(folder: Path) -> None:
    ours = get_extractor("clap-text", weights=folder, device="cpu").embed_captions(CAPTIONS)
    model, tokenizer = ClapModel.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    with torch.inference_mode():
        found = model.get_text_features(**tokenizer(CAPTIONS, padding=True, return_tensors="pt"))
    theirs = getattr(found, "pooler_output", found).numpy()
    np.testing.assert_allclose(ours, theirs, atol=1e-5)
    assert np.abs(ours[0] - ours[1]).max() > 1e-3


@pytest.mark.parametrize("name", ["clap-audio", "clap-text"])
def test_an_embedding_depends_on_nothing_but_its_row(folder: Path, sounds: np.ndarray, name: str) -> None:
    extractor = get_extractor(name, weights=folder, device="cpu")
    rows = sounds if name == "clap-audio" else np.array(CAPTIONS)
    whole = extractor.embed_batch(rows)
    assert whole.dtype == np.float32
    np.testing.assert_array_equal(extractor.embed_batch(rows[::-1])[::-1], whole)
    carried = pickle.dumps(extractor)
    assert len(carried) < 8192
    np.testing.assert_array_equal(pickle.loads(carried).embed_batch(rows[:1]), whole[:1])
    extractor.release()
    np.testing.assert_array_equal(extractor.embed_batch(rows[1:2]), whole[1:2])
    assert extractor.embed_batch(rows[:0]).shape == (0, 512)


def test_a_long_sound_is_its_first_ten_seconds_and_nothing_is_drawn(folder: Path, tmp_path: Path) -> None:
    extractor = get_extractor("clap-audio", weights=folder, device="cpu")
    sound = (0.1 * np.random.default_rng(0).standard_normal(12 * 48_000)).astype(np.float32)
    soundfile.write(tmp_path / "long.wav", sound, 48_000, subtype="FLOAT")
    rows = extractor.load(ClipSource(tmp_path / "long.wav", 0.0, 12.0))
    assert rows.shape == (1, 480_000)
    np.testing.assert_array_equal(extractor.embed_batch(rows), extractor.embed_batch(rows))
    np.testing.assert_array_equal(rows[0], sound[:480_000])


def test_the_fingerprint_follows_the_content_of_the_folder(folder: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    one, two = (get_extractor("clap-audio", weights=place) for place in (folder, copy))
    assert one.fingerprint == two.fingerprint
    assert "user's own folder" in one.not_comparable
    (copy / "preprocessor_config.json").write_text((copy / "preprocessor_config.json").read_text() + "\n")
    assert get_extractor("clap-audio", weights=copy).fingerprint != one.fingerprint
    assert get_extractor("clap-text", weights=folder).fingerprint != one.fingerprint


def test_loading_draws_no_bars(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    get_extractor("clap-text", weights=folder, device="cpu").warm_up()
    assert capfd.readouterr() == ("", "")


def test_missing_weights_are_named_with_the_command_that_fetches_them() -> None:
    for name in ("clap-audio", "clap-text"):
        with pytest.raises(PrerequisiteError, match=r"weights 'clap/model' are missing. Run `t2av-bench download"):
            get_extractor(name).check()


def test_folders_that_hold_no_clap_are_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(PrerequisiteError, match=r"lacks config.json, .* model.safetensors or pytorch_model.bin"):
        get_extractor("clap-audio", weights=tmp_path)
    broken = Path(shutil.copytree(folder, tmp_path / "broken"))
    (broken / "pytorch_model.bin").write_bytes(b"no checkpoint")
    with pytest.raises(PrerequisiteError, match="must hold a CLAP model in the layout of transformers"):
        get_extractor("clap-audio", weights=broken).warm_up()
    state = torch.load(folder / "pytorch_model.bin", weights_only=True)
    torch.save({name: state[name] for name in list(state)[5:]}, broken / "pytorch_model.bin")
    with pytest.raises(PrerequisiteError, match="does not hold all weights of a CLAP model"):
        get_extractor("clap-text", weights=broken).warm_up()
    fused = write_clap_folder(tmp_path / "fused", enable_fusion=True)
    with pytest.raises(PrerequisiteError, match="must be an unfused CLAP model"):
        get_extractor("clap-audio", weights=fused).warm_up()


@pytest.mark.slow
def test_random_weights_of_the_published_size_tell_inputs_apart() -> None:
    sound = (0.1 * np.random.default_rng(0).standard_normal((2, 48_000))).astype(np.float32)
    for name, rows in (("clap-audio", sound), ("clap-text", np.array(CAPTIONS))):
        extractor = get_extractor(name, weights="random", device="cpu")
        embeddings = extractor.embed_batch(rows)
        assert embeddings.shape == (len(rows), 512)
        assert np.abs(embeddings[0] - embeddings[1]).max() > 1e-5
        assert "random" in extractor.not_comparable
