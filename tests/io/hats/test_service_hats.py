"""The bulk path: a HATS catalogue on an HTTP server, read by LSDB, then a table like any other."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import starscale as ss
from starscale.vocabulary.settings.cuts import Cuts, ExtraCut
from support.places import SUPPORT

pytestmark = pytest.mark.service

CLIENT = SUPPORT / "hats_client.py"


class Quiet(SimpleHTTPRequestHandler):
    """Files, with the ranges that readers of Parquet ask for."""

    asked: list[str] = []  # noqa: RUF012  shared by all requests on purpose

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self.asked.append(self.path)
        wanted = self.headers.get("Range", "")
        file = Path(self.translate_path(self.path))
        if not wanted.startswith("bytes=") or not file.is_file():
            super().do_GET()
            return
        content = file.read_bytes()
        first, _, last = wanted.removeprefix("bytes=").partition("-")
        start = int(first) if first else len(content) - int(last)
        end = min(int(last) + 1 if first and last else len(content), len(content))
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {start}-{end - 1}/{len(content)}")
        self.send_header("Content-Length", str(end - start))
        self.end_headers()
        self.wfile.write(content[start:end])


@pytest.fixture
def lsdb() -> Path:
    found = os.environ.get("STARSCALE_LSDB_PYTHON")
    if not found:
        pytest.skip("LSDB cannot be had here, or make service-tests was not used")
    return Path(found)


@pytest.fixture
def hosted(lsdb: Path, sky: Path, tmp_path: Path) -> Iterator[str]:
    """The mock Gaia as a HATS catalogue behind an HTTP server; its address."""
    work(lsdb, "make", sky / "mock" / "gaia_dr3.parquet", tmp_path / "hosted" / "gaia")
    Quiet.asked.clear()
    handler = partial(Quiet, directory=str(tmp_path / "hosted"))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/gaia"
    server.shutdown()
    server.server_close()
    thread.join()


def work(python: Path, *arguments: object) -> None:
    command = [str(python), str(CLIENT), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]


def test_a_cone_of_a_hosted_catalogue_is_a_table(lsdb: Path, hosted: str, sky: Path, tmp_path: Path) -> None:
    gaia = ss.read(sky / "mock" / "gaia_dr3.parquet", survey="gaia_dr3")
    ra, dec, radius = float(gaia["ra"][0]), float(gaia["dec"][0]), 1.0
    work(lsdb, "cone", hosted, ra, dec, radius * 3600, tmp_path / "part")
    a, d = np.radians(gaia["ra"].to_numpy()), np.radians(gaia["dec"].to_numpy())
    a0, d0 = np.radians(ra), np.radians(dec)
    half = np.sin((d - d0) / 2) ** 2 + np.cos(d) * np.cos(d0) * np.sin((a - a0) / 2) ** 2
    inside = gaia.filter(
        pl.Series(np.degrees(2 * np.arcsin(np.sqrt(half))) <= radius), pl.col("phot_g_mean_mag") < 18
    )
    found = ss.read(tmp_path / "part", survey="gaia_dr3")
    columns = ["source_id", "ra", "dec", "pmra", "pmdec", "phot_g_mean_mag", "ruwe"]
    assert inside.height > 10
    assert found.select(columns).sort("source_id").equals(inside.select(columns).sort("source_id"))
    # Only the cells that the cone touches were read.
    cells = {path for path in Quiet.asked if "Npix=" in path}
    assert 0 < len(cells) < len(list((tmp_path / "hosted").rglob("Npix=*.parquet")))
    cuts = Cuts(apply=False, extra=(ExtraCut(name="ruwe", keep="ruwe <= 1.4"),))
    cleaned = ss.clean(tmp_path / "part", survey="gaia_dr3", cuts=cuts)
    assert 0 < cleaned.table.height <= found.height
