"""The folder of a run: steps whose inputs did not change are not done again."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from starscale.io import atomic_text, checksum, read
from starscale.surveys import Survey
from starscale.tables.api import PROVENANCE_KEY, described, write
from starscale.vocabulary.provenance import PROVENANCE_FILE, fingerprint, program

Say = Callable[[str], None]


@dataclass
class RunFolder:
    """A run's directory and the record of the steps that filled it.

    A step has a key: the hash of the program itself, the step's settings, and the checksums of what
    it reads. It is skipped when the record holds the same key and its files are there, unchanged.
    """

    path: Path
    say: Say
    record: dict[str, Any] = field(default_factory=dict)
    _previous: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def open(cls, path: Path, record: Mapping[str, Any], say: Say) -> RunFolder:
        """Open or create the folder; `record` is the provenance that the steps are added to."""
        try:
            previous = json.loads((path / PROVENANCE_FILE).read_text(encoding="utf-8")).get("steps", {})
        except (OSError, ValueError, AttributeError):
            # No record, or one that cannot be read: every step is done again.
            previous = {}
        return cls(path, say, {**record, "steps": {}}, previous)

    def file(self, name: str) -> Path:
        """A file of the run."""
        return self.path / name

    @property
    def provenance(self) -> dict[str, Any]:
        """What a file of the run says of itself: the record without its steps."""
        return {k: v for k, v in self.record.items() if k != "steps"}

    def metadata(self, name: str) -> dict[str, str]:
        """The same as texts for a table."""
        return {PROVENANCE_KEY: json.dumps({**self.provenance, "table": name}, default=str)}

    def read(self, name: str) -> pl.DataFrame:
        """A table of the run, in memory."""
        return read(self.file(name))

    def write(self, table: pl.DataFrame, name: str, *surveys: Survey) -> None:
        """Write a table of the run, with its provenance and what the surveys say of its columns."""
        write(table, self.file(name), columns=described(*surveys), provenance={**self.provenance, "table": name})

    def checksums(self, *names: str) -> dict[str, str]:
        """Files of the run with their checksums."""
        return {name: self.checksum(name) for name in names}

    def checksum(self, name: str) -> str:
        """Checksum of a file that an earlier step of this run wrote or confirmed."""
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
        """Do a step, or take its result from the record.

        Parameters
        ----------
        name : str
        settings : plain data
            Everything of the configuration that the step depends on.
        reads : mapping of str to str
            What it reads, with checksums.
        writes : sequence of str
            Files (or directories) of the run that it writes.
        work : callable
            Does it and returns plain data to remember (counts, tables for the report).

        Returns
        -------
        dict
            What `work` returned, now or then.
        """
        key = fingerprint({"program": program(), "name": name, "settings": settings, "reads": reads})
        old = self._previous.get(name)
        if old is not None and old["key"] == key and self._unchanged(old["files"], writes):
            self.say(f"{name}: unchanged")
            self.record["steps"][name] = old
            return dict(old["result"])
        # From here on what later steps left in the folder is out of date: the record must not name it.
        self.save()
        started = time.monotonic()
        self.say(f"{name} ...")
        result = json.loads(json.dumps(work(), default=str))
        seconds = time.monotonic() - started
        self.record["steps"][name] = {
            "key": key,
            "reads": dict(reads),
            "files": {file: checksum(self.file(file)) for file in writes},
            "seconds": round(seconds, 2),
            "result": result,
        }
        self.save()
        return dict(result)

    def carry(self, name: str) -> None:
        """Keep the record of an earlier step that this run has no use for: a later one may find it unchanged."""
        if name in self._previous:
            self.record["steps"].setdefault(name, self._previous[name])

    def _unchanged(self, files: Mapping[str, str], writes: Sequence[str]) -> bool:
        return set(files) == set(writes) and all(
            self.file(file).exists() and checksum(self.file(file)) == digest for file, digest in files.items()
        )

    def left_over(self) -> list[str]:
        """Files that an earlier run with other settings left here and this one did not write."""
        ours = {file for step in self.record["steps"].values() for file in step["files"]}
        before = {file for step in self._previous.values() for file in step["files"]}
        return sorted(file for file in before - ours if self.file(file).exists())

    def save(self) -> None:
        """Write the record, with the time."""
        document = {"created": datetime.now(UTC).isoformat(timespec="seconds"), **self.record}
        atomic_text(self.file(PROVENANCE_FILE), json.dumps(document, indent=1, default=str) + "\n")
