"""A web server on loopback that misbehaves on request."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Server(ThreadingHTTPServer):
    """Serves ``files``; answers the first requests with ``script``, one answer each, then as it should.

    Attributes
    ----------
    files
        Path (``/name``) to bytes.
    script
        Answers to come: functions of the request's handler.
    seen
        (path, Range header) of every request so far.
    hub_hashes
        Path to what a Hub tells of the file in answer to HEAD.
    tokens
        (path, Authorization header) of every request so far.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, bytes] = {}
        self.script: list[Callable[[_Handler], None]] = []
        self.seen: list[tuple[str, str | None]] = []
        self.etag: str | None = '"one"'
        self.hub_hashes: dict[str, str] = {}
        self.tokens: list[tuple[str, str | None]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def do_HEAD(self) -> None:
        told = self.server.hub_hashes.get(self.path)
        if told is None:
            return self.head(404, 0)
        revision = self.path.partition("/resolve/")[2].partition("/")[0]
        return self.head(200, 0, X_Repo_Commit=revision, X_Linked_Etag=f'"{told}"', X_Linked_Size="1")

    def do_GET(self) -> None:
        self.server.tokens.append((self.path, self.headers.get("Authorization")))
        self.server.seen.append((self.path, self.headers.get("Range")))
        answer = self.server.script.pop(0) if self.server.script else well
        answer(self)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        """Say nothing."""

    def head(self, status: int, length: int, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(length))
        if self.server.etag:
            self.send_header("ETag", self.server.etag)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()


def well(handler: _Handler, cut: int | None = None, pause_s: float = 0.0) -> None:
    """Serve the file, or what a Range asks for; stop after ``cut`` bytes of it."""
    content = handler.server.files.get(handler.path)
    if content is None:
        return handler.head(404, 0)
    start = 0
    wanted, same = handler.headers.get("Range"), handler.headers.get("If-Range")
    if wanted and (same is None or same == handler.server.etag):
        start = int(wanted.removeprefix("bytes=").partition("-")[0])
        if start >= len(content):
            return handler.head(416, 0, Content_Range=f"bytes */{len(content)}")
    body = content[start:]
    extra = {"Content_Range": f"bytes {start}-{len(content) - 1}/{len(content)}"} if start else {}
    handler.head(206 if start else 200, len(body), **extra)
    body = body[:cut]
    step = max(1, len(body) // 10) if pause_s else max(1, len(body))
    for i in range(0, len(body), step):
        time.sleep(pause_s)
        try:
            handler.wfile.write(body[i : i + step])
            handler.wfile.flush()
        except OSError:
            return None  # the client was killed
    return None


def truncated(after: int) -> Callable[[_Handler], None]:
    return lambda handler: well(handler, cut=after)


def slow(pause_s: float) -> Callable[[_Handler], None]:
    return lambda handler: well(handler, pause_s=pause_s)


def status(code: int, **headers: str) -> Callable[[_Handler], None]:
    return lambda handler: handler.head(code, 0, **headers)


def without_range(handler: _Handler) -> None:
    """Ignore the Range header, as simple servers do."""
    del handler.headers["Range"]
    well(handler)


@contextmanager
def serving() -> Iterator[Server]:
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
