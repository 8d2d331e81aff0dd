"""A register of weights whose files lie on the tests' web server, and the command that fetches them."""

from __future__ import annotations

import hashlib
import io
from dataclasses import replace

import pytest
import torch
import web_server
from click.testing import CliRunner, Result

from t2av_bench.cli import main
from t2av_bench.models.extractors.catalogue import WEIGHTS


def call(*args: str) -> Result:
    done = CliRunner().invoke(main, list(args))
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done


def serve_weights(
    server: web_server.Server, monkeypatch: pytest.MonkeyPatch, name: str, content: bytes, **known: object
) -> None:
    """Register content as the published file of that name and let the server have it, if need be as the Hub."""
    hashes = {"sha256": hashlib.sha256(content).hexdigest(), "md5": None, "content_sha256": None, "bytes_n": None}
    entry = replace(WEIGHTS[name], **{**hashes, "url": f"{server.url}/{name}", **known})
    monkeypatch.setitem(WEIGHTS, name, entry)
    if entry.hub is None:
        server.files[f"/{name}"] = content
    else:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        server.files[f"/{entry.hub.repository}/resolve/{entry.hub.revision}/{entry.hub.path}"] = content


def saved(content: object, *, legacy: bool = False) -> bytes:
    stream = io.BytesIO()
    torch.save(content, stream, _use_new_zipfile_serialization=not legacy)
    return stream.getvalue()
