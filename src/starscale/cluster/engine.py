"""The verb `predict` on a cluster: HATS to HATS, by LSDB on Dask."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from starscale import io
from starscale.io.formats import by_suffix
from starscale.io.hats.catalogue import COLLECTION, PROPERTIES
from starscale.tables.api import says_mock
from starscale.vocabulary.errors import InputError, Problem, Problems, did_you_mean

#: Where rows are processed: in this process, or by LSDB on the workers of a Dask cluster.
ENGINES = ("local", "lsdb")


def on_cluster(engine: str, **cluster: Any) -> bool:
    """Whether an engine is that of a cluster.

    Raises
    ------
    InputError
        The engine is unknown, or a cluster is given for the engine "local".
    """
    problems = Problems()
    if engine not in ENGINES:
        problems.add("engine", f"{engine!r}", f"one of {', '.join(ENGINES)}", did_you_mean(engine, ENGINES))
    elif engine == "local":
        for name, value in cluster.items():
            if value is not None:
                problems.add(name, "is for engine 'lsdb' only", fix="Choose the engine 'lsdb', or leave it out.")
    problems.raise_if_any()
    return engine == "lsdb"


def refuse_other_than_hats(output: str | Path) -> None:
    """Refuse an output whose suffix is that of another format than HATS.

    Raises
    ------
    InputError
        With the format.
    """
    known = by_suffix(Path(output).name)
    if known is not None and Path(output).suffix != ".hats":
        fix = "Name a folder, such as catalogue.hats, or use the engine 'local'."
        raise InputError(Problem(str(output), f"is {known.title}", "HATS, which engine 'lsdb' writes", fix))


def is_hats(path: Path) -> bool:
    """Whether a path is the folder of a HATS catalogue or collection."""
    return any((path / name).is_file() for name in (COLLECTION, *PROPERTIES))


def hats_provenance(sky: Any) -> dict[str, Any]:
    """Return the provenance of a catalogue whose rows are read by the workers only."""
    about: dict[str, Any] = {"path": sky.name, "rows": sky.rows, "partitions": len(sky.pixels)}
    footers = Path(sky.name) / "dataset" / "_metadata"
    if footers.is_file():
        # The footers of all partitions, with the sizes and ranges of their columns.
        about["metadata_sha256"] = io.checksum(footers)
    return about


def hats_is_mock(source: Any) -> bool:
    """Whether a catalogue says in its provenance that its stars are simulated."""
    if not isinstance(source, str | Path) or not Path(source).exists():
        return False
    return says_mock(io.open_table(Path(source)).metadata)
