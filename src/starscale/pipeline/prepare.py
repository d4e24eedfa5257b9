"""The steps from input tables to one table of stars, of a run and of an applied model alike.

No photometric catalogue is held in memory. Every step reads the files of the steps before it and writes its own
files, piece by piece.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import polars as pl

from starscale import io
from starscale.crossmatch.api import Matched
from starscale.crossmatch.join import CleanSides, Counterparts, keep_clean_pairs
from starscale.crossmatch.on_disk import Outputs
from starscale.pipeline.engines.engine import LOCAL, Engine
from starscale.pipeline.folder import RunFolder
from starscale.pipeline.plan import TablesPlan, tables_of
from starscale.surveys import Survey
from starscale.surveys.derived import underivable
from starscale.tables.api import described
from starscale.tables.columns.typed import Discarded
from starscale.tables.cuts import Attrition
from starscale.tables.standardise import require
from starscale.tables.stream import columns_of
from starscale.vocabulary.accounting import RowAccount, removed_for
from starscale.vocabulary.errors import InputError, Problem
from starscale.vocabulary.settings.cuts import Cuts


def table_checksums(
    plan: TablesPlan, others: Sequence[Path] = (), sums: io.KnownSums | None = None
) -> dict[str, str]:
    """Return the checksums of the tables of a plan, and of `others`, by their path in the run file.

    Those that `sums` knows are not read for it.
    """
    known = io.KnownSums() if sums is None else sums
    paths = [*(t.path for t in tables_of(plan.config) if t.path is not None), *others]
    return {str(path): known.of(plan.path(path)) for path in dict.fromkeys(paths)}


@dataclass(frozen=True)
class TablePreparation:
    """The steps that apply cuts, match and join; no label is needed.

    Attributes
    ----------
    plan : TablesPlan
    folder : RunFolder
    sums : mapping of str to str
        Checksums of the tables that the run reads, by their path in the run file.
    absent : mapping of str to polars.DataType
        Columns without values that the joined table gets, in place of a survey that is not there.
    engine : Engine
        Cleans, matches and joins.
    """

    plan: TablesPlan
    folder: RunFolder
    sums: Mapping[str, str]
    absent: Mapping[str, pl.DataType] = field(default_factory=dict, kw_only=True)
    engine: Engine = field(default=LOCAL, kw_only=True)

    def pairs(self) -> None:
        """Clean every catalogue, and match each with the leading one."""
        self._clean_lead()
        for number, survey in enumerate(self.plan.photometry):
            self._clean(number, survey)
            self._match(number, survey)

    @property
    def lead_file(self) -> str:
        """Name of the cleaned leading catalogue in the folder."""
        return self._clean_name(self.plan.lead)

    @property
    def matched_file(self) -> str:
        """Name of the table of stars in the folder."""
        return f"matched{self.engine.suffix}"

    def _clean_name(self, survey: Survey) -> str:
        return f"clean_{survey.name}{self.engine.suffix}"

    def _clean_lead(self) -> None:
        table, plan = self.plan.config.catalogue, self.plan
        joined = plan.joined_tables

        def work() -> dict[str, Any]:
            source = plan.path(table.path)
            found = [
                column for path, survey in [(source, plan.lead), *joined] for column in columns_of(path, survey)
            ]
            require_magnitudes(found, plan.lead, str(table.path))
            return self._cut(source, plan.lead, joined, table.cuts)

        paths = [table.path, *(t.path for t in table.join)]
        self.folder.step(
            f"clean {plan.lead.name}",
            settings=[table.model_dump(mode="json"), surveys_as_data(plan.lead, *plan.joins)],
            reads={str(p): self.sums[str(p)] for p in paths},
            writes=[self.lead_file],
            work=work,
        )

    def _clean(self, number: int, survey: Survey) -> None:
        entry = self.plan.config.photometry[number]

        def work() -> dict[str, Any]:
            source = self.plan.path(entry.path)
            require_magnitudes(columns_of(source, survey), survey, str(entry.path))
            return self._cut(source, survey, [], entry.cuts)

        self.folder.step(
            f"clean {survey.name}",
            settings=[entry.model_dump(mode="json"), surveys_as_data(survey)],
            reads={str(entry.path): self.sums[str(entry.path)]},
            writes=[self._clean_name(survey)],
            work=work,
        )

    def _cut(self, source: Path, survey: Survey, joined: list[tuple[Path, Survey]], cuts: Cuts) -> dict[str, Any]:
        name, progress = self._clean_name(survey), self.folder.progress
        provenance = {**self.folder.provenance, "table": name}
        target = self.folder.file(name)
        discarded = Discarded()
        attrition = self.engine.clean(
            source, target, survey, joined, cuts, provenance, progress=progress, discarded=discarded
        )
        account = attrition.account(io.open_table(target).n_rows)
        return {
            "attrition": asdict(attrition),
            "discarded": discarded.document(),
            "account": account.document(),
        }

    def _match(self, number: int, survey: Survey) -> None:
        plan, entry = self.plan, self.plan.config.photometry[number]
        settings = plan.config.match
        files = {
            kind: f"{kind}_{survey.name}.parquet" for kind in ("pairs", "neighbours", "unmatched", "duplicates")
        }
        clean = [self.lead_file, self._clean_name(survey)]

        def work() -> dict[str, Any]:
            outputs = {kind: self.folder.file(name) for kind, name in files.items()}
            clean_first = settings.order == "clean_first"
            found = (
                self._match_clean(survey, outputs) if clean_first else self._match_whole(number, survey, outputs)
            )
            return {
                **asdict(found.statistics),
                "n_kept": found.n_pairs,
                "order": settings.order,
                "pairs": settings.pairs,
                "model": found.model,
                "losses": dict(sorted(found.losses.items(), key=lambda loss: -loss[1])),
                "account": found.account.document(),
            }

        paths = [str(plan.config.catalogue.path), str(entry.path)]
        self.folder.step(
            f"match {survey.name}",
            settings=[settings.model_dump(mode="json"), surveys_as_data(plan.lead, survey)],
            reads={**{path: self.sums[path] for path in paths}, **self.folder.checksums(*clean)},
            writes=list(files.values()),
            work=work,
        )

    def _match_clean(self, survey: Survey, outputs: dict[str, Path]) -> Matched:
        """Match the rows of both catalogues that passed the cuts."""
        paths = [self.folder.file(name) for name in (self.lead_file, self._clean_name(survey))]
        surveys, settings = [self.plan.lead, survey], self.plan.config.match
        return self.engine.match(paths, surveys, settings, Outputs(**outputs), self.folder.provenance)

    def _match_whole(self, number: int, survey: Survey, outputs: dict[str, Path]) -> Matched:
        """Match the whole catalogues, and remove the pairs of rows that did not pass the cuts."""
        plan, config = self.plan, self.plan.config
        paths = [plan.path(config.catalogue.path), plan.path(config.photometry[number].path)]
        lead, external = (self.folder.file(name) for name in (self.lead_file, self._clean_name(survey)))
        with io.work_folder(outputs["pairs"]) as folder:
            whole = {kind: folder / f"{kind}.parquet" for kind in ("pairs", "unmatched")}
            wanted = Outputs(**{**outputs, **whole})
            found = self.engine.match(paths, [plan.lead, survey], config.match, wanted, self.folder.provenance)
            kept, losses = keep_clean_pairs(
                whole,
                CleanSides(lead, plan.lead.id.column, external, survey.id.column),
                found.statistics.mode,
                outputs,
                columns=described(),
                metadata=self.folder.metadata(outputs["pairs"].name),
            )
        leading = lead if found.statistics.mode == "dense" else external
        account = RowAccount(io.open_table(leading).n_rows, kept, losses)
        return replace(found, n_pairs=kept, losses=losses, account=account)

    def _join_account(self, stars: int) -> dict[str, Any]:
        """Return the account of a join in which a star has one counterpart in every catalogue."""
        if self.plan.config.match.pairs == "best":
            return {}
        rows, written = (
            io.open_table(self.folder.file(name)).n_rows for name in (self.lead_file, self.matched_file)
        )
        lost = {"no counterpart in every catalogue": rows - stars}
        return {"account": RowAccount(rows, written, removed_for(*lost.items())).document()}

    def join(self) -> None:
        """Write the stars that have a counterpart in every catalogue, all columns side by side."""
        surveys = self.plan.photometry

        def work() -> dict[str, Any]:
            file = self.folder.file
            stars = self.engine.join(
                file(self.lead_file),
                self.plan.lead,
                [Counterparts(s, file(self._clean_name(s)), file(f"pairs_{s.name}.parquet")) for s in surveys],
                file(self.matched_file),
                columns=described(*self.plan.surveys),
                absent=self.absent,
                metadata=self.folder.metadata(self.matched_file),
            )
            if stars == 0:
                raise InputError(_no_star(self.folder))
            return {"stars": stars, **self._join_account(stars)}

        files = [name for s in surveys for name in (f"pairs_{s.name}.parquet", self._clean_name(s))]
        self.folder.step(
            "join",
            settings=[*surveys_as_data(*self.plan.surveys), *([sorted(self.absent)] if self.absent else [])],
            reads=self.folder.checksums(self.lead_file, *files),
            writes=[self.matched_file],
            work=work,
        )


def surveys_as_data(*surveys: Survey) -> list[Any]:
    """Return surveys as plain data, for the key of a step."""
    return [survey.model_dump(mode="json") for survey in surveys]


def _no_star(folder: RunFolder) -> Problem:
    """Return the error for a table without stars, with the rows that each step left."""
    told = []
    for name, step in folder.record["steps"].items():
        verb, _, survey = name.partition(" ")
        result = step["result"]
        if verb == "clean":
            attrition = Attrition.from_dict(result["attrition"])
            told.append(f"{survey}: {attrition.n_in:,} rows, {attrition.n_out:,} after the cuts")
        elif verb == "match":
            told.append(f"{result['n_kept']:,} pairs with {survey}")
    fix = "Do the tables cover the same sky, and do the cuts leave any rows?"
    return Problem("match", f"no star passed the cuts and the match ({'; '.join(told)})", "one or more", fix)


def require_magnitudes(columns: list[str], survey: Survey, where: str) -> None:
    """Refuse a table that lacks a band of its survey: another survey's column might be used in its place."""
    lacking = underivable(survey.columns, columns)
    needed = [name for band in survey.bands.values() for name in lacking.get(band.magnitude, [band.magnitude])]
    if survey.reddening is not None:
        needed.append(survey.reddening.column)
    purpose = f"a band or E(B-V) of survey {survey.name} (a copy of its survey file may leave it out)"
    require(columns, needed, where, purpose)
