"""Versions and devices behind a result, for the result file."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

_PACKAGES = ("numpy", "scipy", "soundfile", "soxr", "av", "decord", "torch", "torchvggish", "pytorchvideo", "gensim")


def environment(device: str) -> dict[str, str]:
    """Return versions of what can move a score, the platform, and the device asked for."""
    found = {"python": platform.python_version(), "platform": platform.platform(), "device": device}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "absent"
    return found
