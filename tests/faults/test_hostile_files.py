"""Files from strangers: taken or refused in one line, without running code, and never written beside their folder.

Valid files are changed by seeded edits; whatever comes of them, a reader raises nothing but the toolkit's own errors.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import pickle
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from made_boards import submission
from made_results import made_result
from safetensors.torch import save_file
from small_world import listing
from t2av_support import tiny_config
from training_support import LineStage, make_trainer

import t2av_bench as tb
from t2av_bench.cache import EmbeddingCache
from t2av_bench.correlation.ratings import read_ratings
from t2av_bench.errors import ManifestError, PrerequisiteError, T2AVBenchError, TrainingError
from t2av_bench.generation.record import agree_on_settings
from t2av_bench.manifests import Manifest, event_times, read_manifest
from t2av_bench.manifests.filtering import read_ids
from t2av_bench.models.extractors import get_extractor
from t2av_bench.models.extractors.layouts import stored_shapes
from t2av_bench.models.extractors.weights import load_state_dict
from t2av_bench.models.t2av import T2AVPipeline, build_mini
from t2av_bench.models.t2av.checkpoints import check_pipeline
from t2av_bench.models.training.config import load_config
from t2av_bench.predictions import match_predictions
from t2av_bench.results.per_clip import per_clip_path

MANIFEST = (
    "clip_id,media,start_s,duration_s,caption,labels\na,a.mp4,0,4,a dog barks,dog\nb,b.mp4,1.5,4,rain,rain;wind\n"
)
TOKENS = [
    *(
        "",
        "0",
        "-1",
        "1e999",
        "nan",
        "inf",
        "true",
        "null",
        '"',
        "'",
        ",",
        ";",
        "\t",
        "\n",
        "\r",
        "\x00",
        "\ufeff",
        "é",
    ),
    *(
        "\ud800".encode("utf-8", "surrogatepass").decode("latin-1"),
        "[" * 2000,
        "{" * 50,
        "../../x",
        "/etc/passwd",
        "C:\\x",
    ),
    *("9" * 400, "x" * 70_000, "\u202e", "\x1b[2J", ": ", "- ", "!!python/object/apply:os.system [id]", "&a [*a]"),
]


def edited(content: bytes, rng: np.random.Generator) -> bytes:
    """Change a file: tokens put in or over something, bits flipped, pieces cut out or repeated."""
    data = bytearray(content)
    for _ in range(rng.integers(1, 4)):
        at, length = int(rng.integers(0, len(data) + 1)), int(rng.integers(0, 24))
        token = TOKENS[rng.integers(len(TOKENS))].encode("latin-1" if rng.random() < 0.1 else "utf-8", "replace")
        kind = rng.integers(5)
        if kind == 0 and data:
            data[min(at, len(data) - 1)] ^= 1 << int(rng.integers(8))
        elif kind == 1:
            del data[at : at + length * 10]
        elif kind == 2:
            data[at:at] = data[at : at + length] * int(rng.integers(1, 3))
        else:
            data[at : at + (length if kind == 3 else 0)] = token
    return bytes(data)


class Case(NamedTuple):
    """A valid file, and what reads it."""

    path: Path
    read: Callable[[], object]


def manifest_of(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text)
    return path


def csv_manifest(folder: Path) -> Case:
    path = manifest_of(folder, "m.csv", MANIFEST)
    return Case(path, lambda: read_manifest(path))


def jsonl_manifest(folder: Path) -> Case:
    rows = pd.read_csv(manifest_of(folder, "m.csv", MANIFEST)).to_dict("records")
    path = manifest_of(folder, "m.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    return Case(path, lambda: read_manifest(path))


def events(folder: Path) -> Case:
    manifest = read_manifest(manifest_of(folder, "m.csv", MANIFEST))
    path = manifest_of(folder, "events.csv", "clip_id,time_s\na,0.5\na,1.25\nb,3\n")
    return Case(path, lambda: event_times(manifest))


def predictions(folder: Path) -> Case:
    clips = list(read_manifest(manifest_of(folder, "m.csv", MANIFEST)).clips())
    path = manifest_of(folder, "predictions.csv", "clip_id,path\na,one.wav\nb,deeper/two.wav\n")

    def read() -> None:
        found = match_predictions(clips, folder)
        for file in (*found.files.values(), *found.unknown):
            assert Path(os.path.normpath(file)).is_relative_to(folder), file

    return Case(path, read)


def ratings(folder: Path) -> Case:
    path = manifest_of(folder, "r.csv", "system;clip_id;rating;rater\nA;a;3;x\nA;b;4.5;x\nB;a;2;y\n")
    return Case(path, lambda: read_ratings(path))


def ids(folder: Path) -> Case:
    path = manifest_of(folder, "ids.txt", "# those\na\nb\n")
    return Case(path, lambda: read_ids(path))


def made(folder: Path) -> Path:
    clips = {name: {"FAD": 0.1 * number, "FAVD": 1.0} for number, name in enumerate("abc")}
    made_result("A", {"FAD": 1.0, "FAVD": 2.0}, clips).save(folder / "result.json")
    return folder / "result.json"


def result(folder: Path) -> Case:
    path = made(folder)
    return Case(path, lambda: tb.Result.load(path))


def clip_table(folder: Path) -> Case:
    """With the hash in the result brought up to date, as a forger would."""
    path = made(folder)
    table = per_clip_path(path)

    def read() -> None:
        record = json.loads(path.read_text())
        record["per_clip_file"]["sha256"] = hashlib.sha256(table.read_bytes()).hexdigest()
        path.write_text(json.dumps(record))
        tb.Result.load(path, per_clip=True)

    return Case(table, read)


def leaderboard(folder: Path) -> Case:
    path = folder / "board.json"
    tb.Leaderboard().add([submission("A", 1), submission("B", 2)], list_not_comparable=True).save(path)
    return Case(path, lambda: tb.Leaderboard.load(path))


def generation(folder: Path) -> Case:
    record: dict[str, Any] = {"tool_version": "1", "checkpoint_sha256": "0" * 64, "sampling": {"steps_n": 3, "seed": 0}}
    agree_on_settings(folder, record)
    return Case(folder / "generation.json", lambda: agree_on_settings(folder, record))


def recipe(folder: Path) -> Case:
    path = manifest_of(folder, "recipe.yaml", "extends: mini\nseed: 3\nstages:\n  control:\n    steps: 10\n")
    return Case(path, lambda: load_config(str(path), ()))


def zip_weights(folder: Path, *, legacy: bool = False) -> Case:
    path = folder / "w.pth"
    torch.save({"state_dict": {"a": torch.ones(3, 2)}}, path, _use_new_zipfile_serialization=not legacy)
    return Case(path, lambda: load_state_dict(path))


def old_weights(folder: Path) -> Case:
    return zip_weights(folder, legacy=True)


def safe_weights(folder: Path) -> Case:
    path = folder / "w.safetensors"
    save_file({"a": torch.ones(3, 2)}, path)
    return Case(path, lambda: stored_shapes(path))


def word_vectors(folder: Path, *, compressed: bool = False) -> Case:
    path = folder / ("v.bin.gz" if compressed else "v.bin")
    content = b"2 300\n" + b"".join(word + b" " + np.ones(300, "<f4").tobytes() + b"\n" for word in (b"dog", b"rain"))
    path.write_bytes(gzip.compress(content) if compressed else content)
    return Case(path, lambda: get_extractor("word2vec", weights=path).embed_captions(["dog"]))


def compressed_vectors(folder: Path) -> Case:
    return word_vectors(folder, compressed=True)


TEXTS = (csv_manifest, jsonl_manifest, events, predictions, ratings, ids, result, clip_table, leaderboard, generation)
BINARIES = (recipe, zip_weights, old_weights, safe_weights, word_vectors, compressed_vectors)


def survive(case: Case, count: int, first: int = 0) -> int:
    """Read a file after each of many edits; return how often it was refused."""
    content = case.path.read_bytes()
    refused_n = 0
    for seed in range(first, first + count):
        case.path.write_bytes(edited(content, np.random.default_rng(seed)))
        try:
            case.read()
        except T2AVBenchError as error:
            refused_n += 1
            message = str(error)
            assert message, seed
            assert len(message) < 3000, (seed, len(message))
            assert not set(message) & set("\x00\x1b\r"), (seed, message)
    case.path.write_bytes(content)
    case.read()
    return refused_n


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("make", [*TEXTS, *BINARIES], ids=lambda make: make.__name__)
@pytest.mark.parametrize("count", [40, pytest.param(600, marks=pytest.mark.slow)])
def test_edited_files_are_taken_or_refused(make: Callable[[Path], Case], count: int, tmp_path: Path):
    folder = tmp_path / "deeper" / "down"
    folder.mkdir(parents=True)
    (tmp_path / "x").write_text("mine")
    case = make(folder)
    before = listing(tmp_path)
    assert survive(case, count) > 0
    assert listing(tmp_path) == before
    assert (tmp_path / "x").read_text() == "mine"


@settings(max_examples=200, deadline=None)
@given(
    clip_id=st.text(max_size=12) | st.sampled_from(["..", "../a", "a/b", "a\\b", "C:a", "\x00", "a" * 300]),
    media=st.text(max_size=12) | st.sampled_from(["../a.mp4", "/etc/passwd", "a/../../b", "C:\\x.mp4", "a/./b"]),
)
def test_no_clip_names_a_place_outside_its_folders(clip_id: str, media: str):
    table = pd.DataFrame({"clip_id": [clip_id], "media": [media], "caption": ["x"]}, dtype=object)
    try:
        (clip,) = Manifest("m", table).clips()
    except ManifestError:
        return
    out, data = Path("/somewhere/out"), Path("/somewhere/data")
    assert Path(os.path.normpath(out / f"{clip.clip_id}.wav")).parent == out
    assert Path(os.path.normpath(data / clip.media)).is_relative_to(data)


# Code in weights ----------------------------------------------------------------------------------------------------


class _Exploit:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return (os.mkdir, (str(self.path),))


def armed(kind: str, mark: Path) -> bytes:
    """Return a file that makes a folder when it is unpickled."""
    import io

    stream = io.BytesIO()
    if kind == "pickle":
        pickle.dump({"a": _Exploit(mark)}, stream)
    elif kind == "array":
        np.save(stream, np.array([_Exploit(mark)], dtype=object), allow_pickle=True)
    else:
        torch.save({"state_dict": _Exploit(mark)}, stream, _use_new_zipfile_serialization=kind == "zip")
    return stream.getvalue()


@pytest.mark.parametrize("kind", ["pickle", "array", "zip", "legacy"])
@pytest.mark.parametrize(
    ("extractor", "suffix"),
    [
        *(("vggish", suffix) for suffix in (".pt", ".pth", ".bin", ".safetensors", ".npy", "")),
        *((name, ".pth") for name in ("c3d", "panns", "i3d", "synchformer-video")),
        *(("word2vec", suffix) for suffix in (".bin", ".bin.gz")),
    ],
)
def test_code_offered_as_the_weights_of_an_extractor_is_refused(kind: str, suffix: str, extractor: str, tmp_path: Path):
    path = tmp_path / f"weights{suffix}"
    content = armed(kind, tmp_path / "was here")
    path.write_bytes(gzip.compress(content) if suffix.endswith(".gz") and kind == "pickle" else content)
    chosen = get_extractor(extractor, weights=path, device="cpu")

    def use() -> None:
        chosen.check()
        chosen.warm_up() if extractor != "word2vec" else chosen.embed_batch(np.array(["dog"]))

    with pytest.raises(T2AVBenchError, match="weights"):
        use()
    assert not (tmp_path / "was here").exists()


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("tiny") / "checkpoint"
    build_mini(tiny_config()).save_pretrained(folder)
    return folder


@pytest.fixture
def checkpoint(tiny: Path, tmp_path: Path) -> Path:
    """A checkpoint that a test may change."""
    shutil.copytree(tiny, tmp_path / "checkpoint")
    return tmp_path / "checkpoint"


@pytest.mark.parametrize("kind", ["pickle", "zip", "legacy"])
@pytest.mark.parametrize(
    "name", ["diffusion_pytorch_model.bin", "pytorch_model.bin", "diffusion_pytorch_model.safetensors"]
)
def test_code_in_a_checkpoint_of_t2av_is_refused(checkpoint: Path, tmp_path: Path, kind: str, name: str):
    for path in (checkpoint / "unet").glob("*.safetensors"):
        path.unlink()
    (checkpoint / "unet" / name).write_bytes(armed(kind, tmp_path / "was here"))
    with pytest.raises(PrerequisiteError, match="no weights that can be read|cannot be read as safetensors"):
        T2AVPipeline.from_pretrained(checkpoint)
    assert not (tmp_path / "was here").exists()


@pytest.mark.parametrize("kind", ["pickle", "zip", "legacy"])
def test_code_in_a_training_that_goes_on_is_refused(tmp_path: Path, kind: str):
    folder = tmp_path / "line"
    make_trainer(LineStage(), folder, steps=7).train()
    newest = max(folder.glob("step-*"))
    (newest / "training.pt").write_bytes(armed(kind, tmp_path / "was here"))
    shutil.rmtree(folder / "final")
    with pytest.raises(TrainingError, match=r"training\.pt: cannot be read .*delete this checkpoint to go on"):
        make_trainer(LineStage(), folder, steps=7).train(resume=True)
    assert not (tmp_path / "was here").exists()


@pytest.mark.parametrize("content", [{}, {"optimizer": {}}, {"optimizer": 3, "schedule": 1}, [1, 2], torch.ones(2)])
def test_other_content_in_a_training_that_goes_on_is_named(tmp_path: Path, content: object):
    folder = tmp_path / "line"
    make_trainer(LineStage(), folder, steps=7).train()
    torch.save(content, max(folder.glob("step-*")) / "training.pt")
    with pytest.raises(
        TrainingError, match="is no checkpoint of this training .*delete it to go on from an earlier one"
    ):
        make_trainer(LineStage(), folder, steps=7).train(resume=True)


def test_code_in_the_cache_is_no_entry(tmp_path: Path):
    cache, key = EmbeddingCache(tmp_path / "cache"), "ab" * 32
    cache.store(key, np.ones((2, 3), np.float32))
    (path,) = (tmp_path / "cache" / "entries").rglob("*.npy")
    path.write_bytes(armed("array", tmp_path / "was here"))
    assert EmbeddingCache(tmp_path / "cache").load(key, (2, 3)) is None
    assert not (tmp_path / "was here").exists()


def test_code_in_converted_word_vectors_is_refused(tmp_path: Path):
    case = word_vectors(tmp_path)
    case.read()
    (folder,) = (Path(os.environ["T2AV_BENCH_HOME"]) / "weights").glob("word2vec-*")
    assert listing(folder) == ["vectors.npy", "words.txt"]
    (folder / "vectors.npy").write_bytes(armed("array", tmp_path / "was here"))
    with pytest.raises(PrerequisiteError, match="is damaged; delete it to have the vectors converted again"):
        case.read()
    assert not (tmp_path / "was here").exists()


# Sizes that a file only claims --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("part", "key", "value"),
    [
        ("unet", "layers_per_block", 10**12),
        ("unet", "layers_per_block", 900_000),
        ("unet", "block_out_channels", [8] * 900),
        ("unet", "block_out_channels", [10**9, 10**9]),
        ("vae", "latent_channels", 10**30),
        ("temporal", "layers_n", 10**6),
        ("clap", "text_layers_n", 999_999),
        ("control", "dim", -5),
        ("frame_encoder", "widths", [2] * 1000),
        ("unet", "sample_size", float("inf")),
    ],
)
def test_absurd_sizes_in_a_checkpoint_are_refused_at_once(checkpoint: Path, part: str, key: str, value: object):
    path = checkpoint / part / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))
    began_s = time.monotonic()
    with pytest.raises(PrerequisiteError, match=rf"{part}.config\.json"):
        check_pipeline(checkpoint, None)
    assert time.monotonic() - began_s < 10


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("frame_rate_hz", 1e6),
        ("image_size_px", 10**5),
        ("duration_s", 1e5),
        ("steps_n", -1),
        ("mel_std", 0),
        ("steps_n", "x"),
    ],
)
def test_absurd_settings_of_a_checkpoint_are_refused(checkpoint: Path, key: str, value: object):
    path = checkpoint / "model_index.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))
    with pytest.raises(PrerequisiteError, match=f"{key} must be from"):
        T2AVPipeline.from_pretrained(checkpoint)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "name", ["model_index.json", "unet/config.json", "scheduler/scheduler_config.json", "temporal/config.json"]
)
@pytest.mark.parametrize("count", [15, pytest.param(60, marks=pytest.mark.slow)])
def test_edited_settings_of_a_checkpoint_are_taken_or_refused(checkpoint: Path, name: str, count: int):
    case = Case(checkpoint / name, lambda: T2AVPipeline.from_pretrained(checkpoint))
    assert survive(case, count) > 0


@pytest.mark.parametrize("header", [b"99999999999999 300\n", b"2 99999999\n", b"3000000000 300\n"])
def test_word_vectors_that_claim_to_fill_the_memory_are_refused(tmp_path: Path, header: bytes):
    for name, content in (("v.bin", header), ("v.bin.gz", gzip.compress(header + bytes(100_000), mtime=0))):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(PrerequisiteError, match="it announces"):
            get_extractor("word2vec", weights=tmp_path / name).embed_captions(["dog"])


def test_a_recipe_that_extends_itself_is_refused(tmp_path: Path):
    one, two = tmp_path / "one.yaml", tmp_path / "two.yaml"
    one.write_text(f"extends: {two}\n")
    two.write_text(f"extends: {one}\n")
    with pytest.raises(T2AVBenchError, match="one.yaml: extends itself, by way of .*two.yaml"):
        load_config(str(one), ())
    one.write_text("extends: [mini]\n")
    with pytest.raises(T2AVBenchError, match="extends must name a recipe"):
        load_config(str(one), ())
