"""A TAP service in a thread, for the logic of the client: its queries are answered by the SQL of polars.

It speaks as much of TAP, UWS and VOSI as a client needs, and it can be told to misbehave.
"""

from __future__ import annotations

import io
import re
import threading
import time
from collections import defaultdict, deque
from collections.abc import Iterator
from contextlib import contextmanager
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

import polars as pl
from astropy.io import votable
from astropy.table import Table

UWS = 'xmlns="http://www.ivoa.net/xml/UWS/v1.0" xmlns:xlink="http://www.w3.org/1999/xlink" version="1.1"'


class FakeTap:
    """The state of the service.

    Attributes
    ----------
    tables : dict of str to DataFrame
        By the name that queries use.
    hard, default : int
        Most rows of an answer, and rows of one that names no MAXREC; `honest`: cut-off answers say OVERFLOW.
    faults : dict of str to deque
        What goes wrong next, by where: "sync", "submit", "look" (at a job), "rows job", "count job", "result", and
        "rows" or "count", the results of these queries. A code of HTTP, "hang", "close", "cut", "torn", "short",
        "long"; for jobs "error", "aborted". None: nothing.
    """

    def __init__(self, tables: dict[str, pl.DataFrame]) -> None:
        self.tables = tables
        self.hard, self.default, self.honest, self.said = 10**9, 2000, True, True
        self.faults: dict[str, deque[str | None]] = defaultdict(deque)
        self.jobs: dict[str, dict[str, object]] = {}
        self.queries: list[str] = []
        self.deleted: list[str] = []
        self.headers: list[dict[str, str]] = []
        #: Serialisation of answers; faults that take rows out need "tabledata".
        self.form = "tabledata"
        self.hold = threading.Event()
        self.stuck = False
        self.url = ""
        self.lock = threading.Lock()

    def fault(self, where: str) -> str | None:
        with self.lock:
            return self.faults[where].popleft() if self.faults[where] else None

    def answer(self, form: dict[str, str], uploads: dict[str, pl.DataFrame]) -> bytes:
        """The VOTable for a query."""
        query = form["QUERY"]
        try:
            frame = self.evaluate(query, uploads)
        except (pl.exceptions.PolarsError, KeyError) as error:
            return failure(str(error))
        most = min(int(form.get("MAXREC", self.default)), self.hard)
        whole = frame.height <= most
        return document(frame.head(most), overflow=not whole and self.honest, form=self.form)

    def evaluate(self, query: str, uploads: dict[str, pl.DataFrame]) -> pl.DataFrame:
        tables = {**self.tables, **{f"TAP_UPLOAD.{name}": frame for name, frame in uploads.items()}}
        names = {name: f"table_{i}" for i, name in enumerate(tables)}
        for name, plain in names.items():
            query = query.replace(name, plain)
        top = re.match(r"SELECT TOP (\d+) (.*)", query, re.DOTALL)
        if top:
            query = f"SELECT {top[2]} LIMIT {top[1]}"
        context = pl.SQLContext({names[name]: frame for name, frame in tables.items()}, eager=True)
        return context.execute(query)


def document(frame: pl.DataFrame, *, overflow: bool = False, form: str = "tabledata") -> bytes:
    """A VOTable as services deliver it."""
    # VOTable has no such counts as polars gives; astropy below 7.1 does not widen them.
    frame = frame.with_columns(pl.col(pl.UInt32).cast(pl.Int64))
    masked = Table({name: _masked(frame[name]) for name in frame.columns}, masked=True)
    stream = io.BytesIO()
    votable.writeto(votable.from_table(masked), stream, tabledata_format=form)
    text = stream.getvalue().decode().replace("<RESOURCE type=", "<RESOURCE type=", 1)
    text = re.sub(r"(<RESOURCE[^>]*>)", r'\1<INFO name="QUERY_STATUS" value="OK"/>', text, count=1)
    if overflow:
        text = text.replace("</TABLE>", '</TABLE><INFO name="QUERY_STATUS" value="OVERFLOW"/>')
    return text.encode()


def _masked(values: pl.Series) -> object:
    import numpy as np

    fill = "" if values.dtype == pl.String else False if values.dtype == pl.Boolean else 0
    filled = values.fill_null(fill).to_numpy()
    filled = filled.astype(str) if values.dtype == pl.String else filled
    return np.ma.array(filled, mask=values.is_null().to_numpy())


def failure(message: str) -> bytes:
    """A VOTable that says what is wrong."""
    text = message.replace("&", "&amp;").replace("<", "&lt;")
    return (
        '<VOTABLE version="1.3" xmlns="http://www.ivoa.net/xml/VOTable/v1.3"><RESOURCE type="results">'
        f'<INFO name="QUERY_STATUS" value="ERROR">{text}</INFO></RESOURCE></VOTABLE>'
    ).encode()


class Handler(BaseHTTPRequestHandler):
    """The protocol."""

    protocol_version = "HTTP/1.1"
    # Without these every small answer waits for 40 ms.
    disable_nagle_algorithm = True
    wbufsize = -1
    server: FakeServer

    def log_message(self, *_: object) -> None:
        pass

    @property
    def tap(self) -> FakeTap:
        return self.server.tap

    def send(self, body: bytes, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": "text/xml", **headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def misbehave(self, where: str, body: bytes | None = None) -> bool:
        """Do what the next fault says; whether there was one that ends the request."""
        kind = self.tap.fault(where)
        if kind is None:
            return False
        if kind == "hang":
            self.tap.hold.wait(20)
            self.close_connection = True
        elif kind == "close":
            self.close_connection = True
        elif kind == "cut" and body is not None:
            self.send_response(200)
            self.send_header("Content-Type", "text/xml")
            self.send_header("Connection", "close")
            self.end_headers()
            # No length is announced: only the XML itself shows that something is missing.
            self.wfile.write(body[: len(body) // 2])
            self.close_connection = True
        elif kind == "torn" and body is not None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: len(body) // 2])
            self.close_connection = True
        elif kind == "short" and body is not None:
            rows = re.findall(rb"<TR>.*?</TR>", body, re.DOTALL)
            self.send(body.replace(rows[-1], b"", 1))
        elif kind == "long" and body is not None:
            rows = re.findall(rb"<TR>.*?</TR>", body, re.DOTALL)
            self.send(body.replace(rows[-1], rows[-1] + rows[-1], 1))
        else:
            self.send(b"out of order", int(kind))
        return True

    def form(self) -> tuple[dict[str, str], dict[str, pl.DataFrame]]:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        kind = self.headers.get("Content-Type", "")
        if not kind.startswith("multipart"):
            return {name.upper(): values[0] for name, values in parse_qs(body.decode()).items()}, {}
        message = BytesParser().parsebytes(f"Content-Type: {kind}\r\n\r\n".encode() + body)
        fields, files = {}, {}
        for part in message.get_payload():  # type: ignore[union-attr]
            name = part.get_param("name", header="content-disposition")  # type: ignore[union-attr]
            content = part.get_payload(decode=True)  # type: ignore[union-attr]
            if part.get_filename() is not None:  # type: ignore[union-attr]
                files[str(name)] = content
            else:
                fields[str(name).upper()] = bytes(content).decode()
        named = dict(item.split(",param:") for item in fields.get("UPLOAD", "").split(";") if item)
        uploads = {}
        for table, file in named.items():
            parsed = votable.parse_single_table(io.BytesIO(files[file])).to_table()
            uploads[table] = pl.DataFrame({c: parsed[c].tolist() for c in parsed.colnames})
        return fields, uploads

    def do_POST(self) -> None:
        self.tap.headers.append(dict(self.headers))
        form, uploads = self.form()
        if self.path == "/tap/sync":
            self.tap.queries.append(form["QUERY"])
            body = self.tap.answer(form, uploads)
            if not self.misbehave("sync", body):
                self.send(body, 400 if b'value="ERROR"' in body else 200)
        elif self.path == "/tap/async":
            if self.misbehave("submit"):
                return
            with self.tap.lock:
                number = str(len(self.tap.jobs) + 1)
                self.tap.jobs[number] = {"form": form, "uploads": uploads, "phase": "PENDING"}
            self.tap.queries.append(form["QUERY"])
            self.send(b"", 303, Location=f"{self.tap.url}/async/{number}")
        elif self.path.endswith("/phase"):
            job = self.tap.jobs[self.path.split("/")[3]]
            self.execute(job)
            self.send(b"", 303, Location=f"{self.tap.url}/async/{self.path.split('/')[3]}")
        elif self.path == "/login":
            good = form.get("PASSWORD") == "secret"
            self.send(b"", 200 if good else 401, **({"Set-Cookie": "session=1"} if good else {}))
        else:
            self.send(b"", 404)

    def execute(self, job: dict[str, object]) -> None:
        if self.tap.stuck:
            job["phase"] = "EXECUTING"
            return
        counts = "COUNT(*)" in job["form"]["QUERY"]  # type: ignore[index]
        kind = self.tap.fault("count job" if counts else "rows job")
        body = self.tap.answer(job["form"], job["uploads"])  # type: ignore[arg-type]
        job["result"] = body
        error = re.search(rb'value="ERROR">(.*?)</INFO>', body, re.DOTALL)
        job["message"] = "out of memory" if kind == "error" else error[1].decode() if error else ""
        job["phase"] = "ABORTED" if kind == "aborted" else "ERROR" if job["message"] else "COMPLETED"

    def do_GET(self) -> None:
        self.tap.headers.append(dict(self.headers))
        parts = self.path.split("?")[0].split("/")
        if parts[-1] == "capabilities":
            self.capabilities()
        elif len(parts) >= 4 and parts[3] not in self.tap.jobs:
            self.send(b"", 404)
        elif parts[-1] == "result":
            body = self.tap.jobs[parts[3]]["result"]
            assert isinstance(body, bytes)
            counts = "COUNT(*)" in self.tap.jobs[parts[3]]["form"]["QUERY"]  # type: ignore[index]
            if not self.misbehave("result", body) and not self.misbehave("count" if counts else "rows", body):
                self.send(body)
        elif not self.misbehave("look"):
            self.send(self.job(parts[3]).encode())

    def job(self, number: str) -> str:
        job = self.tap.jobs[number]
        error = (
            f'<errorSummary type="fatal"><message>{job["message"]}</message></errorSummary>'
            if job.get("message")
            else ""
        )
        done = job["phase"] == "COMPLETED"
        href = f"{self.tap.url}/async/{number}/results/result"
        results = f'<results><result id="result" xlink:href="{href}"/></results>' if done else "<results/>"
        return f"<job {UWS}><jobId>{number}</jobId><phase>{job['phase']}</phase>{results}{error}</job>"

    def capabilities(self) -> None:
        hard = f'<hard unit="row">{self.tap.hard}</hard>' if self.tap.said else ""
        self.send(
            f"""<cap:capabilities xmlns:cap="http://www.ivoa.net/xml/VOSICapabilities/v1.0"
            xmlns:tr="http://www.ivoa.net/xml/TAPRegExt/v1.0" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
            <capability standardID="ivo://ivoa.net/std/TAP" xsi:type="tr:TableAccess">
            <language><name>ADQL</name><version ivo-id="ivo://ivoa.net/std/ADQL#v2.0">2.0</version></language>
            <outputLimit><default unit="row">{self.tap.default}</default>{hard}</outputLimit>
            </capability></cap:capabilities>""".encode()
        )

    def do_DELETE(self) -> None:
        number = self.path.split("/")[3]
        self.tap.deleted.append(number)
        self.send(b"")


class FakeServer(ThreadingHTTPServer):
    """Serves one :class:`FakeTap`."""

    daemon_threads = True

    # A client that goes away in the middle of an answer is what some tests are about.
    def handle_error(self, *_: object) -> None:
        pass

    def __init__(self, tap: FakeTap, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.tap = tap
        tap.url = f"http://127.0.0.1:{self.server_address[1]}/tap"


@contextmanager
def serving(tap: FakeTap, port: int = 0) -> Iterator[FakeServer]:
    """Run the service in a thread."""
    server = FakeServer(tap, port)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        tap.hold.set()
        server.shutdown()
        server.server_close()
        thread.join()
        time.sleep(0)
