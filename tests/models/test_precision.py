"""Shorter numbers and compiled networks: explicit, recorded, and never taken for the plain ones."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from t2av_bench.errors import MetricError, UsageError
from t2av_bench.models.extractors import Extractor, get_extractor
from t2av_bench.models.extractors.arithmetic import FULL, exact_arithmetic, lower_weights
from t2av_bench.models.extractors.mel import panns_log_mel, vggish_log_mel
from t2av_bench.models.extractors.network import NetworkExtractor

CPU = torch.device("cpu")
# With random weights: what the caches and results of version 0.1 are keyed by.
FINGERPRINTS = {
    "vggish": "beb072878b7f64ab",
    "c3d": "d2962bb9c3ce3665",
    "i3d": "e9ba5c1516493b16",
    "panns": "8fdb044514ee49ab",
    "panns-logits": "08a8a48c49419211",
    "synchformer-audio": "51c8be7e877c585b",
    "synchformer-video": "2c914b2cc4234c89",
    "clap-audio": "0b5279b25d8aa06a",
    "clap-text": "f3bd83c0e4a9e479",
}


def made(name: str, **options: object) -> NetworkExtractor:
    extractor = get_extractor(name, weights="random", device="cpu", **options)
    assert isinstance(extractor, NetworkExtractor)
    return extractor


def rows_of(extractor: Extractor, rows_n: int) -> np.ndarray:
    rng = np.random.default_rng(4)
    assert isinstance(extractor, NetworkExtractor)
    if extractor.row_dtype is np.uint8:
        return rng.integers(0, 256, (rows_n, *(size or 1 for size in extractor.row_shape)), dtype=np.uint8)
    return (0.2 * rng.standard_normal((rows_n, extractor.row_shape[0] or 5_000))).astype(np.float32)


@pytest.mark.parametrize("name", FINGERPRINTS)
def test_the_default_adds_nothing_to_the_fingerprint_and_every_other_choice_does(name: str):
    plain = made(name)
    assert plain.fingerprint.startswith(FINGERPRINTS[name])
    assert not {"precision", "compiled"} & set(plain.options())
    assert made(name, precision=FULL, compile=False).fingerprint == plain.fingerprint
    others = [made(name, precision="bf16"), made(name, precision="fp16"), made(name, compile=True)]
    assert others[0].options()["precision"] == "bf16"
    assert others[2].options()["compiled"] is True
    assert len({extractor.fingerprint for extractor in [plain, *others]}) == 4


def test_another_precision_is_not_comparable():
    assert made("vggish", precision="bf16").not_comparable == (
        "the vggish weights are random (seed 0); the vggish network ran in bf16, not fp32"
    )
    assert "fp32" not in made("vggish", compile=True).not_comparable


@pytest.mark.parametrize("name", ["vggish", "panns", pytest.param("c3d", marks=pytest.mark.slow)])
def test_bf16_embeddings_are_near_and_do_not_depend_on_the_batch(name: str):
    plain, short = made(name), made(name, precision="bf16")
    rows = rows_of(plain, 2)
    exact, near = plain.embed_batch(rows), short.embed_batch(rows)
    assert near.dtype == np.float32
    error = np.abs(near - exact).max() / np.abs(exact).max()
    assert 1e-5 < error < 0.03  # bf16 has 8 bits
    np.testing.assert_array_equal(short.embed_batch(rows[1:]), near[1:])
    np.testing.assert_array_equal(short.embed_batch(rows[::-1])[::-1], near)


def test_only_products_are_shortened():
    network = made("panns", precision="bf16").network
    types = {type(module).__name__: {p.dtype for p in module.parameters(recurse=False)} for module in network.modules()}
    assert types["Conv2d"] == types["Linear"] == {torch.bfloat16}
    assert types["BatchNorm2d"] == {torch.float32}
    plain = made("panns").network
    assert {p.dtype for p in lower_weights(plain, FULL).parameters()} == {torch.float32}


@pytest.mark.parametrize("log_mel", [vggish_log_mel, panns_log_mel])
def test_front_ends_stay_exact(log_mel: object):
    samples = torch.from_numpy(rows_of(made("vggish"), 2))
    exact = log_mel(samples)  # type: ignore[operator]
    with exact_arithmetic(CPU, "bf16"):
        assert torch.equal(log_mel(samples), exact)  # type: ignore[operator]


def test_pca_stays_exact(tmp_path: Path):
    rng = np.random.default_rng(0)
    vectors = np.linalg.qr(rng.standard_normal((128, 128)))[0].astype(np.float32)
    torch.save({"pca_eigen_vectors": vectors, "pca_means": np.zeros(128, np.float32)}, tmp_path / "pca.pth")
    short = made("vggish", precision="bf16", pca=tmp_path / "pca.pth", relu=True)
    rows = rows_of(short, 2)
    embedded = made("vggish", precision="bf16", relu=True).embed_batch(rows)
    levels = ((np.clip(embedded @ vectors.T, -2, 2) + 2) * 255 / 4).round()
    assert np.abs(short.embed_batch(rows) - levels).max() <= 1


def test_wrong_precisions_are_refused():
    with pytest.raises(UsageError, match="There is no precision 'bf61'.*bf16"):
        made("vggish", precision="bf61")
    with pytest.raises(UsageError, match="fp16 needs a GPU.*bf16"):
        made("vggish", precision="fp16").check()
    made("vggish", precision="bf16").check()


def test_a_precision_cannot_save_wrong_input():
    rows = rows_of(made("vggish"), 1)
    rows[0, 5] = np.inf
    with pytest.raises(MetricError, match="1 of 1 embeddings are not finite"):
        made("vggish", precision="bf16").embed_batch(rows)


def test_embeddings_and_logits_of_one_pass_are_those_of_two():
    panns, logits = made("panns"), made("panns-logits")
    assert panns.pass_key == logits.pass_key
    assert panns.pass_key not in {made("panns", precision="bf16").pass_key, made("panns", front_end="fadtk").pass_key}
    rows = rows_of(panns, 2)
    for lead in (panns, logits):
        together = lead.start(rows, [panns, logits])()
        np.testing.assert_array_equal(together[0], panns.embed_batch(rows))
        np.testing.assert_array_equal(together[1], logits.embed_batch(rows))


def test_less_memory_means_fewer_rows_per_pass_and_the_same_embeddings_but_for_rounding():
    extractor = made("vggish")
    rows = rows_of(extractor, 3)
    before = extractor.embed_batch(rows)
    sizes = [extractor.pass_rows_n]
    while extractor.use_less_memory():
        sizes.append(extractor.pass_rows_n)
    assert sizes == [32, 16, 8, 4, 2, 1]
    np.testing.assert_allclose(extractor.embed_batch(rows), before, rtol=0, atol=1e-5 * np.abs(before).max())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["vggish", "c3d", "panns"])
def test_compiled_embeddings_differ_by_rounding_only(name: str):
    if shutil.which("c++") is None and shutil.which("g++") is None:
        pytest.skip("torch.compile needs a C++ compiler")
    plain, compiled = made(name), made(name, compile=True)
    rows = rows_of(plain, 3)
    exact, embedded = plain.embed_batch(rows), compiled.embed_batch(rows)
    np.testing.assert_allclose(embedded, exact, rtol=0, atol=1e-5 * np.abs(exact).max())
    np.testing.assert_array_equal(compiled.embed_batch(rows[:1]), embedded[:1])


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
@pytest.mark.parametrize("name", ["vggish", "c3d", "panns"])
def test_cuda_agrees_with_cpu(name: str, precision: str):
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    plain = made(name)
    rows = rows_of(plain, 40 if name == "vggish" else 5)
    exact = plain.embed_batch(rows)
    there = get_extractor(name, weights="random", device="cuda", precision=precision)
    started = [there.start(rows, [there]) for _ in range(3)]  # batches in flight do not disturb each other
    tolerance = {"fp32": 1e-4, "bf16": 0.05, "fp16": 0.01}[precision]
    for finish in started:
        (embedded,) = finish()
        np.testing.assert_allclose(embedded, exact, rtol=0, atol=tolerance * np.abs(exact).max())
        np.testing.assert_array_equal(embedded, there.embed_batch(rows))
