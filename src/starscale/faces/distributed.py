"""The verb `predict` on a cluster: HATS to HATS, by LSDB on Dask."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from starscale import io
from starscale.faces.progress import Bar
from starscale.faces.tables import PROVENANCE_KEY, described, refuse_same, says_mock
from starscale.io.formats import by_suffix
from starscale.surveys import Survey
from starscale.use.distributed.extra import engine_module
from starscale.use.match_files import OnDisk, Outputs
from starscale.use.model import Model
from starscale.use.predict import PredictionCounts
from starscale.vocabulary.config import MatchConfig
from starscale.vocabulary.errors import InputError, Problem, Problems, did_you_mean
from starscale.vocabulary.provenance import record

#: Where the rows are worked on: in this process, or by LSDB on the workers of a Dask cluster.
ENGINES = ("local", "lsdb")


def on_cluster(engine: str, **cluster: Any) -> bool:
    """Whether an engine is that of a cluster.

    Raises
    ------
    InputError
        For an engine that is not there, or a cluster for an engine that needs none.
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


def predict_on_cluster(
    model: Model | str | Path, source: Any, target: str | Path, *, chunk: int, **cluster: Any
) -> PredictionCounts:
    """Predict a HATS catalogue (path, URL, or one that LSDB has opened) into another one.

    Parameters
    ----------
    model : Model or path
    source, target : path
    chunk : int
        Rows at a time.
    **cluster
        See :class:`starscale.use.distributed.cluster.Where`.

    Raises
    ------
    StarscaleError
        LSDB is not installed, bad input, a partition that fails; no half-written catalogue is left.
    """
    where = engine_module("cluster").Where(**cluster)
    catalogue = engine_module("catalogue")
    path = Path(target).expanduser()
    known = by_suffix(path.name)
    if known is not None and path.suffix != ".hats":
        fix = "Name a folder, such as catalogue.hats, or use the engine 'local'."
        raise InputError(Problem(str(target), f"is {known.title}", "HATS, which engine 'lsdb' writes", fix))
    refuse_same(path, source)
    bundle = model if isinstance(model, Model) else Model.load(model)
    sky = catalogue.open_sky(source)
    settings = {"engine": "lsdb", "chunk": chunk}
    inputs = {"stars": _about(sky)}
    provenance = record(command="predict", mock=bundle.mock, settings=settings, inputs=inputs)
    provenance["versions"] |= catalogue.library_versions()
    provenance["model"] = {"title": bundle.information.get("title")}
    if not isinstance(model, Model):
        provenance["model"] |= {"path": str(model), "sha256": io.checksum(Path(model))}
    with Bar("predicting", sky.rows) as bar:
        counts: PredictionCounts = engine_module("predict").predict_sky(
            bundle,
            None if isinstance(model, Model) else Path(model),
            sky,
            path,
            where,
            metadata={PROVENANCE_KEY: json.dumps(provenance)},
            chunk=chunk,
            report=bar.advance,
        )
    return counts


def match_on_cluster(
    left: Any, right: Any, outputs: Outputs, surveys: Sequence[Survey], settings: MatchConfig, **cluster: Any
) -> OnDisk:
    """Match two HATS catalogues (paths, URLs, or ones that LSDB has opened) as :func:`match_files` does.

    Parameters
    ----------
    left, right : path, URL, or lsdb.catalog.Catalog
    outputs : Outputs
    surveys : sequence of Survey
        Of both.
    settings : MatchConfig
    **cluster
        See :class:`starscale.use.distributed.cluster.Where`.

    Raises
    ------
    StarscaleError
        LSDB is not installed, bad input, a partition that fails; no half-written file is left.
    """
    where = engine_module("cluster").Where(**cluster)
    catalogue = engine_module("catalogue")
    skies = [catalogue.open_sky(source) for source in (left, right)]
    provenance = record(
        command="match",
        mock=any(map(_is_mock, (left, right))),
        settings={"left": surveys[0].name, "right": surveys[1].name, **settings.model_dump(), "engine": "lsdb"},
        inputs={sky.name: _about(sky) for sky in skies},
    )
    provenance["versions"] |= catalogue.library_versions()
    rows = [sky.rows for sky in skies]
    with Bar("match", None if None in rows else sum(rows)) as bar:

        def tell(doing: str, done: int) -> None:
            if doing.startswith("reading"):
                bar.advance(done, doing)

        found: OnDisk = engine_module("match").match_skies(
            *skies,
            outputs,
            where,
            left_survey=surveys[0],
            right_survey=surveys[1],
            config=settings,
            columns=described(),
            metadata={PROVENANCE_KEY: json.dumps(provenance, default=str)},
            report=tell,
        )
    return found


def _about(sky: Any) -> dict[str, Any]:
    """What provenance says of a catalogue; its rows are read by the workers only."""
    about: dict[str, Any] = {"path": sky.name, "rows": sky.rows, "partitions": len(sky.pixels)}
    footers = Path(sky.name) / "dataset" / "_metadata"
    if footers.is_file():
        # The footers of all partitions, with the sizes and ranges of their columns.
        about["metadata_sha256"] = io.checksum(footers)
    return about


def _is_mock(source: Any) -> bool:
    """Whether a catalogue says in its provenance that its stars are simulated."""
    if not isinstance(source, str | Path) or not Path(source).exists():
        return False
    return says_mock(io.open_table(Path(source)).metadata)
