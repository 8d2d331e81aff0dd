"""Where the files of a report lie: under numbers, never under a name that a stranger chose."""

from __future__ import annotations

PAGE = "index.html"


def clip_folder(place: int) -> str:
    """Return the folder of the gallery's clip of this number, relative to the page."""
    return f"clips/{place:04d}"
