"""A proxy on loopback before a real TAP server, which can be told to break answers."""

from __future__ import annotations

import http.client
import re
import threading
from collections import defaultdict, deque
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Proxy(ThreadingHTTPServer):
    """Forwards to `target` (host:port); `faults` are taken one by one for the answers of a kind.

    Kinds: "result" (the rows of a query), "job" (everything else). Faults: "500", "hang", "cut"; None.
    """

    daemon_threads = True

    def __init__(self, target: str) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.target = target
        self.own = f"127.0.0.1:{self.server_address[1]}"
        self.faults: dict[str, deque[str | None]] = defaultdict(deque)
        self.over = threading.Event()
        self.done: list[str] = []

    def handle_error(self, *_: object) -> None:
        """A client that gave up is what the tests are about."""


class Handler(BaseHTTPRequestHandler):
    server: Proxy
    disable_nagle_algorithm = True

    def log_message(self, *_: object) -> None:
        pass

    def forward(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        kind = "result" if self.path.endswith("results/result") else "job"
        faults = self.server.faults[kind]
        fault = faults.popleft() if faults else None
        if fault is not None:
            self.server.done.append(fault)
        if fault == "hang":
            self.server.over.wait(20)
            return
        if fault == "500":
            self.send_response(500)
            self.end_headers()
            return
        upstream = http.client.HTTPConnection(self.server.target, timeout=60)
        kept = {
            k: v for k, v in self.headers.items() if k.lower() not in ("host", "accept-encoding", "connection")
        }
        upstream.request(self.command, self.path, body or None, kept)
        answer = upstream.getresponse()
        content = answer.read()
        if kind == "job":
            content = content.replace(self.server.target.encode(), self.server.own.encode())
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if re.fullmatch("content-type|location", name, re.IGNORECASE):
                self.send_header(name, value.replace(self.server.target, self.server.own))
        self.end_headers()
        self.wfile.write(content[: len(content) // 2] if fault == "cut" else content)
        upstream.close()

    do_GET = do_POST = do_DELETE = do_HEAD = forward


@contextmanager
def proxy(target: str) -> Iterator[Proxy]:
    """Run the proxy in a thread."""
    server = Proxy(target)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.over.set()
        server.shutdown()
        server.server_close()
        thread.join()
