"""The verb `send`: a table to the programs on this screen (TOPCAT, Aladin, ...), by SAMP."""

from __future__ import annotations

import importlib
import queue
import tempfile
import warnings
import xmlrpc.client
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from starscale import io
from starscale.io.table import Source
from starscale.tables.api import AnyTable, name_of, stated_metadata
from starscale.tables.own import own_columns_of
from starscale.version import __version__
from starscale.vocabulary.errors import InputError, Problem, StarscaleError

MTYPE = "table.load.votable"
#: Seconds that a program has for loading the table.
PATIENCE = 120
_CHUNK = 250_000
#: The client listens on this machine only.
_LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Sent:
    """Result of :func:`send`.

    Attributes
    ----------
    to : tuple of str
        Programs that loaded the table.
    refused : tuple of str
        Programs that did not, with what they said.
    rows : int
    """

    to: tuple[str, ...]
    refused: tuple[str, ...]
    rows: int


def samp_library() -> Any:
    """Return the library that speaks SAMP: pyvo's since 1.9, before that astropy's (deprecated in astropy 8.0)."""
    pyvo = importlib.import_module("pyvo.samp")
    # Before that it names the client alone, without the settings.
    if hasattr(pyvo, "conf"):
        return pyvo
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        # The warning of astropy is of a class of its own.
        warnings.filterwarnings("ignore", message=".*samp was deprecated")
        return importlib.import_module("astropy.samp")


def send(
    table: AnyTable, *, to: str | None = None, name: str | None = None, columns: Sequence[str] | None = None
) -> Sent:
    """Send a table to running programs, such as TOPCAT and Aladin, by SAMP.

    Parameters
    ----------
    table : path or table
        Anything that :func:`read` takes; units, UCDs and descriptions go with it (as a VOTable).
    to : str, optional
        Program that gets it, as it calls itself (``topcat``); default: all that take tables.
    name : str, optional
        Name that it has there; default: that of the file.
    columns : sequence of str, optional
        Columns to send, in order; default: all.

    Returns
    -------
    Sent

    Raises
    ------
    InputError
        No such program is running, or none that takes tables.
    StarscaleError
        No SAMP hub is running, or no program loaded the table.
    """
    title = name or Path(name_of(table, "starscale table")).stem
    source = io.open_table(table, name=name_of(table))
    chosen = source.choose(columns)
    about = {
        "samp.name": "starscale",
        "samp.description.text": "Stellar parameters",
        "starscale.version": __version__,
    }
    samp = samp_library()
    # Otherwise it would look for a page of the internet to find its own name.
    with samp.conf.set_temp("use_internet", False):
        client = samp.SAMPIntegratedClient(metadata=about, addr=_LOOPBACK)
    try:
        client.connect()
    except samp.SAMPHubError as error:
        raise StarscaleError(f"no SAMP hub is running ({error}). Start TOPCAT or Aladin first.") from None
    try:
        programs = _programs(client, to)
        # The programs read the file, and say when they have.
        with tempfile.TemporaryDirectory(prefix="starscale-send-") as folder:
            path = Path(folder) / "table.vot"
            _write(source, chosen, path)
            answers = {
                program: _call(client, number, {"url": path.as_uri(), "name": title, "table-id": title})
                for number, program in programs.items()
            }
    finally:
        client.disconnect()
    refused = tuple(f"{program}: {said}" for program, said in answers.items() if said)
    if len(refused) == len(answers):
        raise StarscaleError(f"no program loaded the table. {'; '.join(refused)}")
    return Sent(tuple(program for program, said in answers.items() if not said), refused, source.n_rows)


def _programs(client: Any, to: str | None) -> dict[str, str]:
    """Return the programs that take tables: what they call themselves, by their number at the hub."""
    found = {
        number: str(client.get_metadata(number).get("samp.name", number))
        for number in client.get_subscribed_clients(MTYPE)
    }
    chosen = {number: name for number, name in found.items() if to is None or name.lower() == to.lower()}
    if not chosen:
        running = ", ".join(found.values()) or "none"
        missing = "no program that takes tables is running" if to is None else f"no program {to!r} is running"
        raise InputError(Problem("SAMP", missing, f"one of those that take tables: {running}", "Start it first."))
    return chosen


def _write(source: Source, columns: Sequence[str], path: Path) -> None:
    """Write the table as a VOTable; columns that say nothing about themselves get the words of starscale's."""
    ours = own_columns_of(list(source.schema))
    about = {}
    for name in columns:
        known = source.columns[name]
        about[name] = ours[name] if name in ours and not (known.unit or known.ucd or known.description) else known
    schema = {name: source.schema[name] for name in columns}
    with io.open_writer(path, pl.Schema(schema), columns=about, metadata=stated_metadata(source)) as writer:
        for frame in source.batches(_CHUNK, columns):
            writer.append(frame)


def _call(client: Any, number: str, parameters: dict[str, str]) -> str:
    """Ask a program to load the table; return what it said against it, empty if it did.

    Not by the call of the hub that waits: the hub of pyvo 1.9.1 (and astropy's) sends the message before it notes
    that somebody waits, so that it drops an answer that comes at once.
    """
    message = {"samp.mtype": MTYPE, "samp.params": parameters}
    answers: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    # The tag comes back with the answer: that of a program that was given up is not taken for another's.
    tag = f"starscale-{number}"
    client.bind_receive_response(tag, lambda _key, _sender, _tag, response: answers.put(response))
    try:
        client.call(number, tag, message)
        answer = answers.get(timeout=PATIENCE)
    except queue.Empty:
        return f"no answer within {PATIENCE} s"
    except (xmlrpc.client.Fault, OSError) as error:
        return str(error)
    if answer["samp.status"] == "samp.ok":
        return ""
    return str(answer.get("samp.error", {}).get("samp.errortxt", answer["samp.status"]))
