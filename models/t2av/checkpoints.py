"""Checking a checkpoint before any of it is used: the parts, their classes, and every tensor's name and shape.

diffusers and transformers fill what a file lacks with random numbers and a line in the log. Here it is an error that
names the tensors. Classes come from a fixed list, whatever ``model_index.json`` says, and tensors from safetensors, or,
for published files that exist in no other form, from pickles that are read without running code.
"""

from __future__ import annotations

import re
import sys
import warnings
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

from t2av_bench.download.fetching import is_offline
from t2av_bench.errors import PrerequisiteError, T2AVBenchError, quoted, shown
from t2av_bench.models.extractors.weights import layout_differences, load_checkpoint
from t2av_bench.models.t2av.bounds import LARGEST_PICTURE_PX, TooManyError, at_most, check_types, read_object

INDEX = "model_index.json"
_HERE = "t2av_bench.models.t2av"
CLASSES: dict[str, tuple[tuple[str, str], ...]] = {
    "vae": (("diffusers", "AutoencoderKL"),),
    "unet": (("diffusers", "UNet2DConditionModel"),),
    "scheduler": (("diffusers", "DDIMScheduler"),),
    "vocoder": (("transformers", "SpeechT5HifiGan"), (f"{_HERE}.vocoder", "GriffinLim")),
    "clap": (("transformers", "ClapModel"), (f"{_HERE}.clap", "SmallClap")),
    "text_encoder": (("transformers", "ClapTextModelWithProjection"),),
    "tokenizer": (("transformers", "RobertaTokenizer"), ("transformers", "RobertaTokenizerFast")),
    "feature_extractor": (("transformers", "ClapFeatureExtractor"),),
    "frame_encoder": ((f"{_HERE}.frames", "SmallFrameEncoder"), (f"{_HERE}.frames", "ClipFrameEncoder")),
    "temporal": ((f"{_HERE}.temporal", "TemporalTransformer"),),
    "fusion": ((f"{_HERE}.fusion", "VisualAlignedClap"),),
    "control": ((f"{_HERE}.control", "AudioVisualControlNet"),),
}
"""Library and class of each part of a pipeline; a part may have two."""

# What the noise schedule may be set to where not every text will do.
_SCHEDULES: dict[str, tuple[str | None, ...]] = {
    "prediction_type": ("epsilon", "sample", "v_prediction"),
    "timestep_spacing": ("leading", "trailing", "linspace"),
    "trained_betas": (None,),
}
# Lowest and highest values of a pipeline's own settings.
_SETTINGS = {
    "frame_rate_hz": (0.1, 1_000.0),
    "image_size_px": (1, LARGEST_PICTURE_PX),
    "duration_s": (0.2, 120.0),
    "steps_n": (1, 100_000),
    "guidance_scale": (-1_000.0, 1_000.0),
    "mel_mean": (-1_000.0, 1_000.0),
    "mel_std": (1e-6, 1_000.0),
}
# How many more parts than its file's tensors a network may begin to build before that is found absurd.
_SPARE_N = 1_000
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
_WITHOUT_TENSORS = ("scheduler", "tokenizer", "feature_extractor")
# Constants that transformers stored in some versions and not in others.
_CONSTANTS = (".position_ids", ".token_type_ids", ".relative_position_index")
# Names of the VAE's attention in files from before diffusers 0.12, which diffusers still reads.
_OLD_ATTENTION = {".query.": ".to_q.", ".key.": ".to_k.", ".value.": ".to_v.", ".proj_attn.": ".to_out.0."}
Shapes = dict[str, tuple[int, ...]]


def local_folder(source: str | Path, revision: str | None = None) -> Path:
    """Return the folder of a checkpoint, fetched from the Hub where ``source`` is no folder but a Hub id.

    Raises
    ------
    PrerequisiteError
        If there is neither, or the network is forbidden and the Hub's cache does not hold it.
    """
    folder = Path(source).expanduser()
    if folder.is_dir():
        return folder
    if not _HUB_ID.fullmatch(str(source)):
        raise PrerequisiteError(f"there is no checkpoint folder {source}")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    wanted = ["*.json", "*.txt", "*.safetensors", "*/*.json", "*/*.txt", "*/*.safetensors", "*/*.bin"]
    try:
        return Path(
            snapshot_download(
                str(source), revision=revision, allow_patterns=wanted, local_files_only=is_offline(), max_workers=4
            )
        )
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise PrerequisiteError(
            f"{source} is no folder and could not be fetched from the Hub ({str(error).splitlines()[0]}); fetch it "
            "elsewhere and give the folder"
        ) from error


def read_checked(read: Callable[..., Any], folder: Path, **options: Any) -> Any:
    """Call a library's reader on a folder whose tensors are checked; what it makes of odd settings becomes one line.

    Raises
    ------
    PrerequisiteError
        If the folder cannot be read.
    """
    try:
        return quietly(read, folder, **options)
    except T2AVBenchError:
        raise
    except Exception as error:  # three libraries, each with its own
        reason = shown(str(error).strip() or type(error).__name__, 300)
        raise PrerequisiteError(f"{folder} cannot be read as a checkpoint: {reason}") from error


def quietly(read: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """Call a library's reader without its progress bars where the output is no terminal."""
    from diffusers.utils import logging as of_diffusers
    from transformers.utils import logging as of_transformers

    if sys.stderr.isatty():
        return read(*arguments, **options)
    for library in (of_diffusers, of_transformers):
        library.disable_progress_bar()
    try:
        return read(*arguments, **options)
    finally:
        for library in (of_diffusers, of_transformers):
            library.enable_progress_bar()


def own_memory(network: torch.nn.Module) -> None:
    """Move a network's tensors out of the mapped file they were read from.

    They lie there at any address, and kernels for aligned and unaligned memory round differently: without this, a
    saved network would differ from the same one read back by about 1e-6.
    """
    for tensor in (*network.parameters(), *network.buffers()):
        tensor.data = tensor.data.clone()


def check_pipeline(folder: Path, variant: str | None) -> None:
    """Check a folder that ``T2AVPipeline.save_pretrained`` wrote.

    Parameters
    ----------
    folder
        The checkpoint.
    variant
        ``fp16`` if its files carry that in their names.

    Raises
    ------
    PrerequisiteError
        If it is missing, of another kind, incomplete, or a tensor is missing, unknown or of another shape.
    """
    index = read_index(folder)
    if index.get("_class_name") != "T2AVPipeline":
        raise PrerequisiteError(
            f"{folder} holds a {quoted(index.get('_class_name'))}, not a T2AVPipeline; AudioLDM's published "
            "checkpoints are read with T2AVPipeline.from_audioldm"
        )
    for name, (lowest, highest) in _SETTINGS.items():
        value = index.get(name, lowest)
        if isinstance(value, bool) or not isinstance(value, (type(lowest), int)) or not lowest <= value <= highest:
            raise PrerequisiteError(
                f"{folder / INDEX}: {name} must be from {lowest} to {highest}, got {shown(repr(value))}"
            )
    parts = {name: value for name, value in index.items() if isinstance(value, list)}
    for name in ("vae", "unet", "scheduler", "vocoder"):
        if parts.get(name) in (None, [], [None, None]):
            raise PrerequisiteError(f"{folder / INDEX} names no {name}, which every pipeline needs")
    for name, kind in parts.items():
        if name not in CLASSES or (kind != [None, None] and kind not in [list(each) for each in CLASSES[name]]):
            raise PrerequisiteError(f"{folder / INDEX}: the part {name!r} must not be of the class {quoted(kind)}")
        if kind[0] is not None and name not in _WITHOUT_TENSORS:
            check_part(folder / name, part_class(*kind), variant)
    path = folder / "scheduler" / "scheduler_config.json"
    schedule = read_object(path)
    for name, choices in _SCHEDULES.items():
        if name in schedule and schedule[name] not in choices:
            raise PrerequisiteError(f"{path}: {name} must be one of {choices}, got {quoted(schedule[name])}")


def stored_variant(folder: Path) -> str | None:
    """Return ``fp16`` where a checkpoint holds half-precision files only, else None."""
    files = [path.name for path in (folder / "unet").glob("*.safetensors")]
    return "fp16" if files and all(".fp16." in name for name in files) else None


def read_index(folder: Path) -> dict[str, Any]:
    """Read a checkpoint's list of parts.

    Raises
    ------
    PrerequisiteError
        If there is no such folder or list, or it is malformed.
    """
    if not folder.is_dir():
        raise PrerequisiteError(f"there is no checkpoint folder {folder}")
    if not (folder / INDEX).is_file():
        raise PrerequisiteError(f"{folder} holds no {INDEX}, so it is no checkpoint of a pipeline")
    return read_object(folder / INDEX)


def part_class(library: str, name: str) -> Any:
    """Return a class of :data:`CLASSES`."""
    return getattr(import_module(library), name)


def check_part(folder: Path, kind: Any, variant: str | None = None, *, pickles: bool = False) -> None:
    """Check that a part's tensors are those of its class at the sizes in its ``config.json``.

    Parameters
    ----------
    folder, kind, variant
        The part's folder, its class, and the variant in the names of its files.
    pickles
        Whether a ``.bin`` file will do where there is no safetensors file.

    Raises
    ------
    PrerequisiteError
        If files are missing, or a tensor is missing, unknown or of another shape: says which.
    """
    config = read_object(folder / "config.json")
    found = _found(folder, variant, pickles)
    expected = _expected(folder, kind, config, len(found))
    if kind.__name__ == "AutoencoderKL":
        found = {_renamed(name): _squeezed(name, shape, expected) for name, shape in found.items()}
    for shapes in (expected, found):
        for name in [each for each in shapes if each.endswith(_CONSTANTS)]:
            del shapes[name]
    faults = layout_differences(expected, found)
    if faults:
        raise PrerequisiteError(f"{folder} does not have the layout of {kind.__name__}: {faults}.")


def _expected(folder: Path, kind: Any, config: dict[str, Any], tensors_n: int) -> Shapes:
    """Build the network without memory and return its tensors' shapes; give up if it has many more than its file."""
    check_types(config, kind, folder / "config.json")
    try:
        with torch.device("meta"), warnings.catch_warnings(), at_most(tensors_n + _SPARE_N):
            warnings.simplefilter("ignore")
            network = kind.from_config(config) if hasattr(kind, "from_config") else kind(kind.config_class(**config))
    except TooManyError as error:
        raise PrerequisiteError(f"{folder / 'config.json'}: {error}") from error
    except Exception as error:  # whatever the constructors of three libraries make of odd values
        reason = shown(str(error).strip() or type(error).__name__, 300)
        raise PrerequisiteError(f"{folder / 'config.json'} is no configuration of {kind.__name__}: {reason}") from error
    return {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}


def _found(folder: Path, variant: str | None, pickles: bool) -> Shapes:
    infix = f".{variant}" if variant else ""
    for stem in ("diffusion_pytorch_model", "model"):
        path = folder / f"{stem}{infix}.safetensors"
        if path.is_file():
            return _read_shapes(path)
    for name in ("diffusion_pytorch_model.bin", "pytorch_model.bin"):
        if pickles and not variant and (folder / name).is_file():
            return {key: tuple(tensor.shape) for key, tensor in load_checkpoint(folder / name).items()}
    wanted = f"diffusion_pytorch_model{infix}.safetensors or model{infix}.safetensors"
    raise PrerequisiteError(f"{folder} holds no weights that can be read; there must be a {wanted}")


def _read_shapes(path: Path) -> Shapes:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise PrerequisiteError(
            f"{path} cannot be read as safetensors; it may be truncated: {shown(str(error), 300)}"
        ) from error


def _renamed(name: str) -> str:
    for old, new in _OLD_ATTENTION.items():
        name = name.replace(old, new) if ".attentions." in name else name
    return name


def _squeezed(name: str, shape: tuple[int, ...], expected: Shapes) -> tuple[int, ...]:
    """Return the shape of an old attention's 1x1 convolution as the linear layer that it has become."""
    is_old = shape[2:] == (1, 1) and expected.get(_renamed(name)) == shape[:2]
    return shape[:2] if is_old else shape
