"""The verb `predict` on a cluster: HATS to HATS, by LSDB on Dask."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from starscale import io
from starscale.faces.progress import Bar
from starscale.faces.tables import PROVENANCE_KEY, refuse_same
from starscale.io.formats import by_suffix
from starscale.use.distributed.extra import engine_module
from starscale.use.model import Model
from starscale.use.predict import PredictionCounts
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
    given: dict[str, Any] = {"path": sky.name, "rows": sky.rows, "partitions": len(sky.pixels)}
    footers = Path(sky.name) / "dataset" / "_metadata"
    if footers.is_file():
        # The footers of all partitions: the rows themselves are read by the workers only.
        given["metadata_sha256"] = io.checksum(footers)
    provenance = record(command="predict", mock=bundle.mock, settings=settings, inputs={"stars": given})
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
