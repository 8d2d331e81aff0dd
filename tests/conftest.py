"""What all tests share: no network, a home folder of their own, and where the reference material lies."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import web_server

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared"


if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # The tests were started in the background of a script. Those of Ctrl-C need it, and so do the commands they start.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only loopback may be reached; anything else is an error in the test."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: object) -> None:
        host = address[0] if isinstance(address, tuple) else address
        if self.family != socket.AF_UNIX and host not in ("127.0.0.1", "::1", "localhost"):
            raise RuntimeError(f"a test tried to reach {host!r}")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)


@pytest.fixture(autouse=True)
def _own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the user's home folder."""
    monkeypatch.setenv("T2AV_BENCH_HOME", str(tmp_path_factory.mktemp("home")))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with golden values and real media; tests that need it skip where it is absent."""
    if not (SHARED / "golden" / "README.md").is_file():
        pytest.skip(f"needs the shared reference material in {SHARED.name}/ beside the checkout")
    return SHARED


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[web_server.Server]:
    """A web server on loopback; nothing in the environment leads elsewhere, and retries do not wait."""
    from t2av_bench.download import transfer as _transfer

    monkeypatch.setattr(_transfer, "_BACK_OFF_S", 0.001)
    ours = ("T2AV_BENCH_OFFLINE", "T2AV_BENCH_MIRROR", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy")
    for name in (*ours, "HF_ENDPOINT", "HF_TOKEN", "HF_HUB_OFFLINE", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    with web_server.serving() as running:
        yield running
