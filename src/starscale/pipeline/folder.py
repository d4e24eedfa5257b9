"""The folder of a run: a step is skipped if its inputs and its files are unchanged."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from starscale.io import KnownSums, atomic_text, read
from starscale.io.job_folder import FolderLock
from starscale.io.threads import give_back
from starscale.surveys import Survey
from starscale.tables.api import PROVENANCE_KEY, described, write
from starscale.vocabulary.errors import InputError
from starscale.vocabulary.progress import Progress
from starscale.vocabulary.provenance import PROVENANCE_FILE, fingerprint, program
from starscale.vocabulary.run_record import read_record

#: Keys of the record, beside those of the run: checksums of files that were not touched since, and of the report.
_KNOWN, _DRAWN = "known_files", "report_sha256"


@dataclass
class RunFolder:
    """The directory of a run, and the record of the steps that filled it.

    The key of a step is the fingerprint of the program, of the step's settings, and of the checksums of its
    inputs. A step is skipped if the record holds the same key and its files are present and unchanged. A file that
    was not touched since an earlier run (:class:`starscale.io.KnownSums`) is not read for it.
    """

    path: Path
    progress: Progress
    record: dict[str, Any] = field(default_factory=dict)
    _previous: dict[str, Any] = field(default_factory=dict)
    sums: KnownSums = field(default_factory=KnownSums)
    _document: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def open(cls, path: Path, record: Mapping[str, Any], progress: Progress) -> RunFolder:
        """Open the folder; the steps are added to the provenance `record`."""
        try:
            document = read_record(path / PROVENANCE_FILE).model_dump()
            previous = document["steps"]
        except InputError:
            # Without a readable record, every step is done again.
            document, previous = {}, {}
        known = KnownSums(document.pop(_KNOWN, None))
        return cls(path, progress, {**record, "steps": {}}, previous, known, document)

    def file(self, name: str) -> Path:
        """Return the path of a file of the run."""
        return self.path / name

    @property
    def provenance(self) -> dict[str, Any]:
        """The provenance that is written into the files of the run: the record without its steps."""
        return {k: v for k, v in self.record.items() if k != "steps"}

    def metadata(self, name: str) -> dict[str, str]:
        """Return the provenance as the metadata of a table."""
        return {PROVENANCE_KEY: json.dumps({**self.provenance, "table": name}, default=str)}

    def read(self, name: str) -> pl.DataFrame:
        """Read a table of the run into memory."""
        return read(self.file(name))

    def write(self, table: pl.DataFrame, name: str, *surveys: Survey) -> None:
        """Write a table of the run, with its provenance and the surveys' descriptions of its columns."""
        write(table, self.file(name), columns=described(*surveys), provenance={**self.provenance, "table": name})

    def checksums(self, *names: str) -> dict[str, str]:
        """Return the checksums of files of the run, by name."""
        return {name: self.checksum(name) for name in names}

    def checksum(self, name: str) -> str:
        """Return the checksum of a file that an earlier step of this run wrote or found unchanged."""
        for step in self.record["steps"].values():
            if name in step["files"]:
                return str(step["files"][name])
        raise KeyError(name)

    def step(
        self,
        name: str,
        *,
        settings: Any,
        reads: Mapping[str, str],
        writes: Sequence[str],
        work: Callable[[], dict[str, Any]],
    ) -> dict[str, Any]:
        """Do a step, or return its recorded result.

        Parameters
        ----------
        name : str
        settings : plain data
            The part of the configuration that the step depends on.
        reads : mapping of str to str
            Names of the inputs, with checksums.
        writes : sequence of str
            Files or directories of the run that the step writes.
        work : callable
            Does the step and returns plain data to be recorded (counts, tables for the report).

        Returns
        -------
        dict
            The result of `work`, of this run or of an earlier one.
        """
        key = fingerprint({"program": program(), "name": name, "settings": settings, "reads": reads})
        old = self._previous.get(name)
        if old is not None and old["key"] == key and self._unchanged(old["files"], writes):
            self.progress.message(f"{name}: unchanged")
            self.record["steps"][name] = old
            return dict(old["result"])
        # The files of later steps are outdated from here on: the record must not name them.
        self.save()
        started = time.monotonic()
        self.progress.message(f"{name} ...")
        result = json.loads(json.dumps(work(), default=str))
        # What this step needed is not the next one's.
        give_back()
        seconds = time.monotonic() - started
        self.record["steps"][name] = {
            "key": key,
            "reads": dict(reads),
            "files": {file: self.sums.of(self.file(file)) for file in writes},
            "seconds": round(seconds, 2),
            "result": result,
        }
        self.save()
        return dict(result)

    def carry(self, name: str) -> None:
        """Keep the record of a step that this run does not need, so that a later run can find it unchanged."""
        if name in self._previous:
            self.record["steps"].setdefault(name, self._previous[name])

    def _unchanged(self, files: Mapping[str, str], writes: Sequence[str]) -> bool:
        if set(files) != set(writes):
            return False
        paths = {self.file(name): digest for name, digest in files.items()}
        return all(path.exists() and self.sums.of(path) == digest for path, digest in paths.items())

    def report(self, name: str, draw: Callable[[Path], object]) -> None:
        """Write the record, and draw the report of it, unless both are there already.

        Parameters
        ----------
        name : str
            File of the report.
        draw : callable
            Draws it, from the folder.
        """
        before, path = dict(self._document), self.file(name)
        created, drawn = before.pop("created", None), before.pop(_DRAWN, None)
        same = json.loads(json.dumps(self.record, default=str)) == before
        if same and drawn is not None and path.exists() and self.sums.of(path) == drawn:
            self.progress.message("report: unchanged")
            # More files may be known by now.
            self._write({"created": created, **self.record, _DRAWN: drawn})
            return
        self.save()
        self.progress.message("report ...")
        draw(self.path)
        self._write({**self._document, _DRAWN: self.sums.of(path)})

    def left_over(self) -> list[str]:
        """Return the files of an earlier run with other settings that are not part of this run."""
        ours = {file for step in self.record["steps"].values() for file in step["files"]}
        before = {file for step in self._previous.values() for file in step["files"]}
        return sorted(file for file in before - ours if self.file(file).exists())

    def save(self) -> None:
        """Write the record with the current time."""
        self._document = {"created": datetime.now(UTC).isoformat(timespec="seconds"), **self.record}
        self._write(self._document)

    def _write(self, document: Mapping[str, Any]) -> None:
        text = json.dumps({**document, _KNOWN: self.sums.document()}, indent=1, default=str)
        atomic_text(self.file(PROVENANCE_FILE), text + "\n")


def run_lock(output: Path) -> FolderLock:
    """Lock the folder of a run: the records of two processes would overwrite each other.

    Raises
    ------
    InputError
        When another process runs in the folder.
    """
    fix = "Wait until it has finished, or give another folder."
    return FolderLock(output, output, fix, temporary=False)
