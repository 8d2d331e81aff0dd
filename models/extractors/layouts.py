"""Which tensors each published file must hold, and whether a file on disk does.

A hash says that a file is the published one. Where none is published, and for a user's own file, names and shapes are
the best that can be compared, and they must be: transformers and diffusers read a file that lacks tensors with no more
than a warning and fill the gap with random numbers.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from t2av_bench.download.remote import Fault, RemoteFile
from t2av_bench.errors import PrerequisiteError, no_such_name, shown
from t2av_bench.models.extractors.catalogue import WEIGHTS
from t2av_bench.models.extractors.weights import find_weights, layout_differences, load_checkpoint, load_state_dict

if TYPE_CHECKING:
    import torch

Shapes = Mapping[str, tuple[int, ...]]

# Counters and indices that a network computes itself; whether a file holds them depends on its age.
_COMPUTED = re.compile(r"(^|\.)(position_ids|relative_position_index|num_batches_tracked)$")
# Attention layers of diffusers before 0.18, which it still reads: old name, new name.
_OLD_NAMES = (("query", "to_q"), ("key", "to_k"), ("value", "to_v"), ("proj_attn", "to_out.0"))


class Layout(NamedTuple):
    """What a file must hold.

    Attributes
    ----------
    shapes
        Returns names and shapes of the tensors.
    key
        The file's entry that may hold the tensors; empty where the file holds NumPy arrays.
    is_whole
        Whether a file may hold nothing else.
    """

    shapes: Callable[[], Shapes]
    key: str = "state_dict"
    is_whole: bool = True


def shapes_of(build: Callable[[], torch.nn.Module]) -> Shapes:
    """Return names and shapes of a network's tensors, without giving them any memory."""
    import torch

    with torch.device("meta"):
        return {name: tuple(tensor.shape) for name, tensor in build().state_dict().items()}


def _of_extractor(name: str) -> Layout:
    from t2av_bench.models.extractors.network import NetworkExtractor
    from t2av_bench.models.extractors.registry import get_extractor

    extractor = get_extractor(name, weights="random", device="cpu")
    assert isinstance(extractor, NetworkExtractor)
    return Layout(lambda: shapes_of(extractor.build_network), extractor.load_key)


def _clap() -> Shapes:
    from transformers import ClapConfig, ClapModel

    return shapes_of(lambda: ClapModel(ClapConfig()))


def _audioldm(part: str, group: str) -> Shapes:
    from t2av_bench.models.extractors.networks import audioldm

    if part == "unet":
        return shapes_of(lambda: audioldm.unet(audioldm.UNET_WIDTHS[group]))
    parts: dict[str, Callable[[], torch.nn.Module]] = {
        "vae": audioldm.vae,
        "text-encoder": audioldm.text_encoder,
        "vocoder": audioldm.vocoder,
    }
    return shapes_of(parts[part])


_WIDTH_N = 768
_SYNCHFORMER = {
    # The ends of its three networks; 16 frames in pairs, 14 x 14 patches and one for the whole.
    "vfeat_extractor.cls_token": (1, 1, _WIDTH_N),
    "vfeat_extractor.pos_embed": (1, 197, _WIDTH_N),
    "vfeat_extractor.temp_embed": (1, 8, _WIDTH_N),
    "vproj.weight": (_WIDTH_N, _WIDTH_N),
    "aproj.weight": (_WIDTH_N, _WIDTH_N),
}


def _layouts() -> dict[str, Callable[[], Layout]]:
    layouts: dict[str, Callable[[], Layout]] = {
        name: lambda name=name: _of_extractor(name)  # type: ignore[misc]
        for name in ("vggish", "c3d", "panns", "i3d")
    }
    layouts["vggish-pca"] = lambda: Layout(lambda: {"pca_eigen_vectors": (128, 128), "pca_means": (128,)}, key="")
    layouts["clap/model"] = lambda: Layout(_clap)
    for name in WEIGHTS:
        group, _, part = name.partition("/")
        if group.startswith("audioldm-") and part in ("unet", "vae", "text-encoder", "vocoder"):
            layouts[name] = lambda part=part, group=group: Layout(lambda: _audioldm(part, group))  # type: ignore[misc]
    layouts["synchformer"] = lambda: Layout(lambda: _SYNCHFORMER, is_whole=False)
    return layouts


LAYOUTS: dict[str, Callable[[], Layout]] = _layouts()
"""Layouts by the names of the register; word2vec has a format of its own, and configuration files none."""


def stored_shapes(path: Path, *, key: str = "state_dict", safetensors: bool | None = None) -> Shapes:
    """Return names and shapes of the tensors (or NumPy arrays) in a file, without reading their values.

    Parameters
    ----------
    path
        A ``.safetensors`` file or one of ``torch.save``.
    key
        The entry that may hold the tensors; empty for NumPy arrays.
    safetensors
        Which of the two it is; by default its ending tells.

    Raises
    ------
    PrerequisiteError
        If it cannot be read, or would run code.
    """
    if safetensors if safetensors is not None else path.suffix == ".safetensors":
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, framework="pt") as file:
                return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
        except (SafetensorError, OSError) as error:
            raise PrerequisiteError(f"{path} cannot be read as a safetensors file: {shown(str(error), 300)}") from error
    if not key:
        return _array_shapes(load_checkpoint(path))
    return {name: tuple(tensor.shape) for name, tensor in load_state_dict(path, key=key).items()}


def _array_shapes(content: Any) -> Shapes:
    """Return the shapes of NumPy arrays by name; a column counts as a vector."""
    arrays = content.items() if isinstance(content, Mapping) else ()
    return {str(name): tuple(n for n in np.shape(array) if n != 1) for name, array in arrays}


def layout_fault(entry: RemoteFile, path: Path) -> Fault | None:
    """Compare the tensors in a file with those that the published one has.

    Parameters
    ----------
    entry, path
        The register's entry, and an existing file, under whatever name.

    Returns
    -------
    Fault or None
        What is missing, unknown or of another shape; None if nothing is, or if no layout is known.
    """
    if entry.file_name.endswith(".json"):
        return _json_fault(path)
    if entry.name not in LAYOUTS:
        return None
    layout = LAYOUTS[entry.name]()
    expected = f"the {entry.name} tensors"
    try:
        stored = stored_shapes(path, key=layout.key, safetensors=entry.file_name.endswith(".safetensors"))
    except PrerequisiteError as error:
        return Fault(expected, f"other content: {error}")
    differences = compare_shapes(layout, stored)
    return Fault(expected, f"another layout: {differences}") if differences else None


def _json_fault(path: Path) -> Fault | None:
    try:
        json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        return Fault("a JSON document", f"other content: {error}")
    return None


def compare_shapes(layout: Layout, stored: Shapes) -> str:
    """Say how a file's tensors differ from a layout; empty if they do not."""
    wanted = {name: shape for name, shape in layout.shapes().items() if not _COMPUTED.search(name)}
    given = {name: shape for name, shape in stored.items() if not _COMPUTED.search(name)}
    for old, new in _OLD_NAMES:
        given = {_renamed(name, old, new, wanted): shape for name, shape in given.items()}
    if not layout.is_whole:
        given = {name: shape for name, shape in given.items() if name in wanted}
    return layout_differences(wanted, given)


def _renamed(name: str, old: str, new: str, wanted: Shapes) -> str:
    """Return an old name's new form if that is wanted."""
    candidate = re.sub(rf"(attentions\.\d+)\.{old}\.", rf"\1.{new}.", name)
    return candidate if candidate in wanted else name


def find_model(group: str) -> Path:
    """Return the folder of a downloaded model of several files: whole, verified, every tensor in its place.

    Parameters
    ----------
    group
        ``clap``, ``audioldm-s``, ``audioldm-m`` or ``audioldm-l``.

    Returns
    -------
    pathlib.Path
        What ``from_pretrained(folder, local_files_only=True)`` of transformers and diffusers takes.

    Raises
    ------
    UsageError
        If the register has no such group.
    PrerequisiteError
        If a file is missing, or is not the published one, or holds other tensors; says which and how to get it.
    """
    members = {name: entry for name, entry in WEIGHTS.items() if name.startswith(f"{group}/")}
    if not members:
        groups = dict.fromkeys(name.split("/")[0] for name in WEIGHTS if "/" in name)
        raise no_such_name(f"There is no model {group!r}", group, groups)
    for entry in members.values():
        path = find_weights(entry)
        fault = layout_fault(entry, path)
        if fault is not None:
            raise PrerequisiteError(
                f"{path} must hold {fault.expected}, but has {fault.found}. "
                f"`t2av-bench download weights --only {entry.name}` replaces it."
            )
    first = next(iter(members.values()))
    return first.path.parents[len(Path(first.file_name).parts) - 2]
