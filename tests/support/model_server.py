"""A web server on this machine with packed models, and entries of registry files."""

from __future__ import annotations

import hashlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def entry(place: str, data: bytes, name: str = "small", **fields: str | int) -> str:
    """An entry of a registry file; `place` is TOML such as ``path = "x.tar"``."""
    more = "".join(f"{key} = {value!r}\n" for key, value in fields.items())
    sha256 = hashlib.sha256(data).hexdigest()
    return f'[[models]]\nname = "{name}"\ntitle = "t"\n{place}\nsha256 = "{sha256}"\nlabels = ["teff"]\n{more}'


class Answers(BaseHTTPRequestHandler):
    """Serves the files of the server; the first part of the path says how."""

    server: Server

    def do_GET(self) -> None:
        self.server.asked += 1
        how, _, name = self.path.strip("/").partition("/")
        data = self.server.files.get(name)
        if how == "away":
            self.send_response(302)
            self.send_header("Location", name)
            self.end_headers()
            return
        if data is None:
            self.send_error(404)
            return
        self.send_response(200)
        if not how.startswith("unsized"):
            self.send_header("Content-Length", str(len(data) + (1000 if how == "short" else 0)))
        self.end_headers()
        self.wfile.write(data[:-600] if how == "unsized-short" else data)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


class Server(ThreadingHTTPServer):
    """Files by name, and the number of requests."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.files: dict[str, bytes] = {}
        self.asked = 0

    def address(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/{path}"
