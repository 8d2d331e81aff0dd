"""JSON files held to the schemas that lie beside this module."""

from __future__ import annotations

import json
from functools import lru_cache
from importlib.resources import files
from typing import Any


def first_violation(record: Any, schema: str) -> str | None:
    """Return the first place where a record breaks ``<schema>.schema.json`` and how, or None if it does not."""
    from jsonschema import Draft202012Validator

    error = next(Draft202012Validator(_schema(schema)).iter_errors(record), None)
    if error is None:
        return None
    place = "/".join(map(str, error.absolute_path)) or "the top level"
    message = error.message if len(error.message) < 200 else error.message[:200] + " …"
    return f"at {place}: {message}"


@lru_cache(maxsize=8)
def _schema(name: str) -> dict[str, Any]:
    text = files("t2av_bench").joinpath(f"{name}.schema.json").read_text(encoding="utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema
