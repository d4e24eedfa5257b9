"""The steps that apply a trained model: those of every run up to the table of stars, then the prediction."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

import polars as pl

from starscale.cluster.extra import engine_module
from starscale.io import open_table
from starscale.model.asked import Asked
from starscale.model.model import Model
from starscale.pipeline.apply_plan import ApplyPlan
from starscale.pipeline.engines.engine import LOCAL, Engine
from starscale.pipeline.folder import RunFolder
from starscale.pipeline.prepare import TablePreparation, table_checksums
from starscale.reports.finished import REPORT_FILE
from starscale.tables.cuts import Attrition, apply_cuts, cut_columns
from starscale.tables.standardise import spelling
from starscale.tables.stream import rows_of
from starscale.vocabulary.bundle import CARD
from starscale.vocabulary.later import Later
from starscale.vocabulary.provenance import METHODS

page = Later("starscale.reports.page")


def predict_step(
    folder: RunFolder,
    model: Callable[[], Model],
    bundle: Path | None,
    table: str,
    catalogue: str,
    *,
    reads: Mapping[str, str],
    asked: Asked,
    engine: Engine = LOCAL,
) -> dict[str, Any]:
    """Predict the table of stars of a run; an interrupted prediction resumes.

    Parameters
    ----------
    folder : RunFolder
    model : callable
        Returns the model; called where there is something to predict.
    bundle : Path or None
        Where it was loaded from.
    table, catalogue : str
        The table of stars and the file to write, from the folder.
    reads : mapping of str to str
        What the prediction depends on besides the table, with checksums.
    asked : Asked
        What the model is asked for.
    engine : Engine
    """

    def work() -> dict[str, Any]:
        stars, output = folder.file(table), folder.file(catalogue)
        found = engine.predict(model(), stars, output, bundle=bundle, progress=folder.progress)
        told = {name: value for name, value in asdict(found).items() if name != "table"}
        return {**told, "account": found.account.document()}

    reads = {**reads, **folder.checksums(table)}
    return folder.step("predict", settings=asked.document() or None, reads=reads, writes=[catalogue], work=work)


def about_applied(plan: ApplyPlan, folder: Path) -> dict[str, Any]:
    """Return what the record of a run says of the model that it applies."""
    model, information = plan.model, plan.model.information
    kind = model.predictor.regressor.kind
    card = plan.bundle / CARD if plan.bundle is not None else None
    return {
        "title": information.get("title"),
        "kind": kind,
        "method": METHODS.get(kind, kind),
        "mock": model.mock,
        "sha256": model.digest(),
        "bundle": None if plan.bundle is None else str(plan.bundle),
        "card": None if card is None or not card.exists() else os.path.relpath(card, folder),
        "clean": plan.clean,
        "asked": model.asked.document(),
        "magnitude": model.magnitude,
        "magnitude_range": list(model.magnitude_range) if model.magnitude else None,
        "label_ranges": {name: list(ends) for name, ends in model.label_ranges.items()},
        "training_stars": information.get("split", {}).get("train"),
        "figures": [row for row in information.get("figures", ()) if row.get("by") == "all"],
        "notes": list(plan.notes),
        "warnings": [*plan.warnings, *information.get("warnings", ())],
    }


class ApplySteps:
    """The steps of an applied model, in order.

    Parameters
    ----------
    plan : ApplyPlan
    folder : RunFolder
        Its record says what is done.
    catalogue : Path
        The file to write.
    engine : Engine
    """

    def __init__(self, plan: ApplyPlan, folder: RunFolder, catalogue: Path, engine: Engine = LOCAL) -> None:
        self.plan, self.folder, self.engine = plan, folder, engine
        self.catalogue = os.path.relpath(catalogue, folder.path)
        self.sums = table_checksums(plan.tables, sums=folder.sums)
        for path, digest in self.sums.items():
            folder.record["inputs"][path] = {"sha256": digest}
        folder.record["applied"] = about_applied(plan, folder.path)
        self._tables = TablePreparation(plan.tables, folder, self.sums, absent=plan.absent, engine=engine)

    def everything(self) -> None:
        """Do all steps and write the report."""
        self._say()
        self.table_of_stars()
        if not self.plan.clean:
            self._cuts()
        model, stars = self.plan.model, self._tables.matched_file
        reads = {"model": model.digest()}
        predict_step(
            self.folder,
            lambda: model,
            self.plan.bundle,
            stars,
            self.catalogue,
            reads=reads,
            asked=model.asked,
            engine=self.engine,
        )
        self.folder.report(REPORT_FILE, lambda folder: page.report(folder))

    def lazily(self) -> Any:
        """Make the table of stars, and return a catalogue of LSDB that is predicted when it is computed."""
        self._say()
        self.table_of_stars()
        self.folder.save()
        bundle, stars = self.folder.file("model"), self.folder.file(self._tables.matched_file)
        return engine_module("model.on_cluster").lazy_catalogue(self.plan.model, bundle, stars)

    def _say(self) -> None:
        for kind, texts in (("note", self.plan.notes), ("warning", self.plan.warnings)):
            for text in texts:
                self.folder.progress.message(f"{kind}: {text}")

    def table_of_stars(self) -> None:
        """Clean, match and join: the steps of every run."""
        self._tables.pairs()
        self._tables.join()

    def _cuts(self) -> None:
        """Count the stars that fail each cut of the model, which sets a flag only."""

        def work() -> dict[str, Any]:
            return {"attrition": asdict(reduce(add, self._failures()))}

        self.folder.step(
            "cuts",
            settings=[cut.model_dump(mode="json") for cut in self.plan.model.cuts],
            reads=self.folder.checksums(self._tables.matched_file),
            writes=[],
            work=work,
        )

    def _failures(self) -> Iterator[Attrition]:
        """Yield the stars that fail the cuts, for one piece of the table of stars after the other."""
        path = self.folder.file(self._tables.matched_file)
        # The table has the names of its own surveys; the cuts have those of the model.
        names, cuts = spelling(open_table(path).schema, self.plan.model.inputs), self.plan.model.cuts
        used = list(dict.fromkeys(column for cut in cuts for column in cut_columns(cut, "bundle")))
        for frame in rows_of(path, [names[column] for column in used] or None):
            renamed = frame.select(pl.col(names[column]).alias(column) for column in used) if used else frame
            yield apply_cuts(renamed, cuts, where=path.name)[1]
