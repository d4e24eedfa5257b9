"""Sending tables by SAMP, with the hub and a client of the library in this process."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

import numpy as np
import polars as pl
import pytest

import starscale as ss
from starscale.publication import send
from starscale.publication.send import MTYPE, samp_library
from support.command import command as starscale

TABLE = pl.DataFrame(
    {"source_id": np.arange(3) + 10**18, "teff": [5000.0, None, 6000.0], "name": ["a", None, "ü"]}
)


class Program:
    """A program that takes tables, or says that it cannot."""

    def __init__(self, name: str, *, able: bool = True) -> None:
        samp = samp_library()
        with samp.conf.set_temp("use_internet", False):
            self.client = samp.SAMPIntegratedClient(metadata={"samp.name": name}, addr="127.0.0.1")
        self.client.connect()
        self.able, self.got = able, []  # type: tuple[bool, list[tuple[dict[str, Any], pl.DataFrame]]]
        self.client.bind_receive_call(MTYPE, self.receive)

    def receive(self, key: str, sender: str, message: str, mtype: str, params: Any, extra: Any) -> None:
        if self.able:
            self.got.append((params, ss.read(unquote(urlparse(params["url"]).path))))
            self.client.reply(message, {"samp.status": "samp.ok", "samp.result": {}})
        else:
            error = {"samp.errortxt": "no memory"}
            self.client.reply(message, {"samp.status": "samp.error", "samp.result": {}, "samp.error": error})


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    lock = tmp_path / "samp.lock"
    monkeypatch.setenv("SAMP_HUB", f"std-lockurl:{lock.as_uri()}")
    samp = samp_library()
    with samp.conf.set_temp("use_internet", False):
        server = samp.SAMPHubServer(web_profile=False, lockfile=str(lock), addr="127.0.0.1", pool_size=2)
        server.start()
    yield
    server.stop()


@pytest.mark.usefixtures("hub")
def test_an_answer_that_comes_before_the_hub_has_noted_the_question(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hub that is slow after it has passed the message on."""
    hub_class = samp_library().SAMPHubServer
    call = hub_class._call

    def slow(self: Any, *arguments: Any) -> Any:
        number = call(self, *arguments)
        time.sleep(0.5)
        return number

    monkeypatch.setattr(hub_class, "_call", slow)
    monkeypatch.setattr(send, "PATIENCE", 5)
    program = Program("topcat")
    try:
        assert ss.send(TABLE).to == ("topcat",)
    finally:
        program.client.disconnect()


@pytest.mark.usefixtures("hub")
def test_a_table_arrives_with_units_and_missing_values(tmp_path: Path) -> None:
    program, other = Program("topcat"), Program("Aladin", able=False)
    try:
        ss.write(TABLE, tmp_path / "my stars.parquet")
        sent = ss.send(tmp_path / "my stars.parquet")
        assert (sent.to, sent.refused, sent.rows) == (("topcat",), ("Aladin: no memory",), 3)
        ((params, table),) = program.got
        assert params["name"] == "my stars"
        assert table.equals(TABLE)
        # The file is gone when all have read it.
        assert not Path(unquote(urlparse(params["url"]).path)).exists()
        done = starscale(
            "send", tmp_path / "my stars.parquet", "--to", "TOPCAT", "--name", "x", "--column", "teff"
        )
        assert done.returncode == 0, done.stderr
        assert "3 rows sent to topcat" in done.stdout
        assert program.got[-1][0]["name"] == "x"
        assert program.got[-1][1].equals(TABLE.select("teff"))
        with pytest.raises(ss.StarscaleError, match=r"no program loaded the table. Aladin: no memory"):
            ss.send(TABLE, to="aladin")
        with pytest.raises(ss.InputError, match=r"no program 'ds9' is running; expected one .* topcat, Aladin"):
            ss.send(TABLE, to="ds9")
    finally:
        for one in (program, other):
            one.client.disconnect()


@pytest.mark.usefixtures("hub")
def test_without_a_program_that_takes_tables_the_error_says_so() -> None:
    with pytest.raises(ss.InputError, match="no program that takes tables is running"):
        ss.send(TABLE)
    with pytest.raises(ss.InputError, match="no column 'x'"):
        ss.send(TABLE, columns=["x"])


def test_without_a_hub_the_error_says_what_to_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAMP_HUB", f"std-lockurl:{(tmp_path / 'none').as_uri()}")
    with pytest.raises(ss.StarscaleError, match=r"no SAMP hub is running.*Start TOPCAT or Aladin first"):
        ss.send(TABLE)
