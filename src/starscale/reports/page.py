"""The report of a run: one HTML page that says what went in, what came out, and how good it is.

The page needs nothing but itself: no network, no scripts. Everything on it was computed by the
steps of the run; here it is put together, and histograms are drawn.
"""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
from jinja2 import Environment, PackageLoader, StrictUndefined
from matplotlib.figure import Figure

from starscale import io
from starscale.features.splits import PARTS
from starscale.model.evaluate import BINS, FIGURES, evaluate
from starscale.reports import plots
from starscale.reports.finished import FinishedRun, mapping
from starscale.reports.homogenize import homogenize_section
from starscale.reports.importance import importance_section
from starscale.reports.match import match_section
from starscale.reports.models import fetched_tables, models_section
from starscale.reports.text import HEADINGS, attrition_rows, figure, figures_rows, missing_rows
from starscale.surveys import load_survey
from starscale.vocabulary.columns import LABELS
from starscale.vocabulary.errors import InputError
from starscale.vocabulary.flags import CatalogueFlag, describe

REPORT_FILE = "report.html"
#: Stars of the catalogue, or pairs, that a picture is drawn from; spread evenly over the table.
SAMPLE = 200_000

_NUMBERS = ("low", "high", "n", *FIGURES, *(f"{name}_spread" for name in FIGURES))
_FIGURES_SCHEMA = {"label": pl.String, "by": pl.String, **dict.fromkeys(_NUMBERS, pl.Float64)}
_COUNTS = {
    "rows": "rows that passed the cuts of the label survey",
    "without_star": "rows without a star in the leading catalogue",
    "without_labels": "rows with no usable label",
    "stars": "stars with a label",
    "repeats": "repeated measurements merged into their star",
}
_NUMBER = re.compile(r"-?|[-+]?[\d.,]+( ± [\d.,-]+)?( %)?")
Context = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ReportTable:
    """Headings and cells; `code` are the columns in typewriter type."""

    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    code: Sequence[int] = ()

    @property
    def numeric(self) -> list[bool]:
        """Which columns hold numbers only."""
        return [all(_NUMBER.fullmatch(row[i]) for row in self.rows) for i in range(len(self.headings))]


def report(folder: str | Path) -> Path:
    """Write the report of a run: one HTML page that needs nothing beside it.

    Parameters
    ----------
    folder : path
        What `run` wrote.

    Returns
    -------
    Path
        ``report.html`` in that folder.

    Raises
    ------
    InputError
        When it is not the folder of a run, or a file of it is damaged.
    """
    run = FinishedRun.load(Path(folder))
    loader = PackageLoader("starscale.reports")
    layout = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    page = layout.get_template(REPORT_FILE).render(
        title=str(run.metrics.get("title") or run.settings.get("title") or "starscale run"),
        mock=run.mock,
        created=str(run.provenance.get("created", "")),
        version=str(mapping(run.provenance.get("versions")).get("starscale", "")),
        summary=_summary(run),
        inputs=_inputs(run),
        cuts=[(name, ReportTable(*attrition_rows(a), code=(1,))) for name, a in run.attritions("clean").items()],
        match=_match(run),
        labels=_labels(run),
        homogenize=homogenize_section(mapping(run.result("homogenize").get("diagnostics")), mock=run.mock),
        accuracy=_accuracy(run),
        models=models_section(run, ReportTable),
        test=_test(run),
        missing=ReportTable(*missing_rows(costs)) if (costs := run.result("train").get("missing_bands")) else None,
        importance=importance_section(run.result("importance"), mock=run.mock),
        comparisons=[_comparison(reference) for reference in run.metrics.get("compare", ())],
        catalogue=_catalogue(run),
        flags=_flags(run),
        record=_record(run),
    )
    io.atomic_text(run.folder / REPORT_FILE, page)
    return run.folder / REPORT_FILE


def _summary(run: FinishedRun) -> Context:
    """From the rows of the tables to the stars of the catalogue."""
    cleaned, predicted = run.attritions("clean"), run.result("predict")
    split = mapping(run.metrics.get("split") or run.result("train").get("split"))
    lead = next(iter(cleaned.values()), None)
    joined, labelled = run.result("join").get("stars"), run.result("training set").get("stars")
    flow: list[tuple[str, Any]] = []
    for survey, attrition in cleaned.items():
        flow += [(f"{survey}: rows read", attrition.n_in), (f"{survey}: left by the cuts", attrition.n_out)]
    flow += [
        ("stars left by all cuts and matches", joined),
        ("of these with spectroscopic labels", labelled),
        *((f"of these in the {'training' if part == 'train' else part} part", split.get(part)) for part in PARTS),
        ("rows of the catalogue", predicted.get("rows")),
        ("of these predicted", predicted.get("predicted")),
    ]
    facts = [("stars in", lead.n_in if lead else None), ("after cuts and match", joined)]
    facts += [("with spectroscopic labels", labelled), ("predicted", predicted.get("predicted"))]
    return {
        "facts": [(what, _count(value)) for what, value in facts if value is not None],
        "flow": ReportTable(
            ["what", "count"], [[what, _count(value)] for what, value in flow if value is not None]
        ),
        "model": mapping(run.settings.get("model")).get("kind", ""),
    }


def _inputs(run: FinishedRun) -> Context:
    """The tables that the run read, and their surveys."""
    inputs = mapping(run.provenance.get("inputs"))
    sums = {path: str(mapping(entry).get("sha256") or "-") for path, entry in inputs.items()}
    attritions = {"labels": run.attritions("labels")}
    attritions["leading"] = attritions["photometry"] = run.attritions("clean")
    files, surveys = [], {}
    for role, survey, path in _named_tables(run.settings):
        name = survey
        if role != "compare":
            name, title, citation = _described(survey)
            surveys[name] = [name, title, citation]
        known = attritions.get(role, {}).get(name)
        rows = _count(known.n_in if known else None)
        files.append([role, name, path or "(in the leading table)", rows, sums.get(path, "-")])
    named = {row[2] for row in files}
    files += [["", "", path, "-", digest] for path, digest in sums.items() if path not in named]
    headings, fetched, queries = fetched_tables(run)
    return {
        "fetched": {"table": ReportTable(headings, fetched, code=(1, 2)), "queries": queries},
        "files": ReportTable(["role", "survey", "file", "rows", "SHA-256"], files, code=(2, 4)),
        "surveys": ReportTable(["survey", "title", "to cite"], list(surveys.values())),
    }


def _named_tables(settings: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Role, survey (or name) and path of every table that a run file names."""
    lead = mapping(settings.get("catalogue"))
    tables = [*([("leading", lead)] if lead else []), *(("joined", table) for table in lead.get("join", ()))]
    tables += [(key, table) for key in ("photometry", "labels", "compare") for table in settings.get(key, ())]
    for role, table in tables:
        yield role, str(table.get("survey") or table.get("name") or ""), str(table.get("path") or "")


def _described(survey: str) -> tuple[str, str, str]:
    """Name, title and citation of a survey; the name alone where its file is no longer there."""
    try:
        known = load_survey(survey)
    except InputError:
        return Path(survey).name.removesuffix(".toml"), "", ""
    return known.name, known.title, "; ".join(known.citation)


def _match(run: FinishedRun) -> Context:
    """Counts, losses and promises of every match."""
    section = match_section(
        run, _count, partial(_draw, run), lambda path, columns: _spread_sample(path, columns)[0]
    )
    surveys = section.pop("headings")
    tables = {name: ReportTable(["what", *surveys], section.pop(name)) for name in ("counts", "model", "losses")}
    quality = ReportTable(
        ["survey", "probability at least", "best pairs", "true pairs kept %", "wrong among them %"],
        section.pop("quality"),
    )
    return {**section, **{name: t if t.rows else None for name, t in (*tables.items(), ("quality", quality))}}


def _labels(run: FinishedRun) -> Context:
    """How the labels came about."""
    found = {survey: mapping(result.get("counts")) for survey, result in run.results("labels").items()}
    rows = {s: [[_COUNTS.get(name, name), _count(n)] for name, n in counts.items()] for s, counts in found.items()}
    return {
        "counts": [(survey, ReportTable(["what", "count"], cells)) for survey, cells in rows.items() if cells],
        "cuts": [
            (name, ReportTable(*attrition_rows(a), code=(1,))) for name, a in run.attritions("labels").items()
        ],
    }


def _accuracy(run: FinishedRun) -> Context:
    """Figures of merit on the test parts of all trainings."""
    table = _figures(run.metrics.get("test"))
    return {
        "size": _count(mapping(run.metrics.get("split")).get("test")),
        "repeats": int(run.metrics.get("repeats") or 1),
        "errors": None if table.is_empty() else _error_table(table),
        "bins": _binned(table, "spectroscopic"),
    }


def _binned(table: pl.DataFrame, whose: str) -> list[tuple[str, ReportTable]]:
    """A table for each quantity that the figures of merit are binned by."""
    quantities = [by for by in table["by"].unique(maintain_order=True) if by != "all"]
    return [(f"{whose} {by}" if by in LABELS else by, _error_table(table, by)) for by in quantities]


def _error_table(table: pl.DataFrame, by: str = "all") -> ReportTable:
    """The table of errors, with the median predicted error beside the measured ones."""
    headings, rows = figures_rows(table, by)
    named = table.filter(pl.col("by") == by).iter_rows(named=True)
    errors = [figure(row, "error", LABELS[row["label"]].decimals) for row in named]
    at = headings.index(HEADINGS["rmse"]) + 1
    rows = [[*row[:at], error, *row[at:]] for row, error in zip(rows, errors, strict=True)]
    headings = [*headings[:at], "predicted error", *headings[at:]]
    return ReportTable(headings, [[cell.replace("+-", "±") for cell in row] for row in rows])


def _test(run: FinishedRun) -> Context | None:
    """Pictures of the test part of the first training."""
    test, labels = run.test, run.labels
    if test.is_empty() or not labels:
        return None
    bright = "magnitude" in test.columns
    shares = _coverage(test, labels)
    return {
        "stars": _count(test.height),
        "bright": bright,
        "one_to_one": _draw(run, plots.one_to_one(test, labels)),
        "distribution": _draw(run, plots.error_distribution(test, labels)),
        "trends": _draw(run, plots.residual_trends(test, labels, [*labels, *(("magnitude",) if bright else ())])),
        "coverage": _draw(run, plots.coverage(shares, labels)),
        "pulls": _draw(run, plots.pulls(test, labels)),
        "shares": _coverage_table(shares),
    }


def _coverage(test: pl.DataFrame, labels: Sequence[str]) -> pl.DataFrame:
    """Figures of merit of the test part by predicted value and by magnitude, for :func:`plots.coverage`."""
    truth = test.select(pl.col(f"{name}_label").alias(name) for name in labels)
    found = []
    for name in labels:
        # `evaluate` bins by one more column than the true labels: here it is what a user sees.
        seen = [("predicted", test[name], BINS[name])]
        if "magnitude" in test.columns:
            seen.append(("magnitude", test["magnitude"], BINS["magnitude"]))
        for by, values, edges in seen:
            bins = evaluate(test, truth, [name], magnitude=values, bins={"magnitude": edges})
            found.append(bins.filter(pl.col("by") == "magnitude").with_columns(pl.lit(by).alias("by")))
    return pl.concat(found)


def _coverage_table(shares: pl.DataFrame) -> ReportTable:
    rows = []
    for row in shares.iter_rows(named=True):
        cells = []
        for share in (row["coverage68"], row["coverage95"]):
            error = plots.binomial_error(share, row["n"])
            cells.append("-" if math.isnan(share) else f"{100 * share:.1f} ± {100 * error:.1f}")
        rows.append([row["label"], row["by"], f"{row['low']:g} to {row['high']:g}", f"{row['n']:,}", *cells])
    return ReportTable(["label", "by", "bin", "n", HEADINGS["coverage68"], HEADINGS["coverage95"]], rows)


def _comparison(reference: Mapping[str, Any]) -> Context:
    """Figures of merit against one external catalogue."""
    table = _figures(reference.get("figures"))
    return {
        "name": str(reference.get("name", "")),
        "stars": _count(reference.get("stars")),
        "errors": _error_table(table) if reference.get("stars") and not table.is_empty() else None,
        "bins": _binned(table, "the reference's"),
    }


def _catalogue(run: FinishedRun) -> Context | None:
    """Pictures of the catalogue."""
    stars, weight = _spread_sample(run.folder / "catalogue.parquet", ("ra", "dec", *LABELS))
    if stars.is_empty():
        return None
    labels = [name for name in LABELS if name in stars.columns]
    ra, dec = plots.numbers(stars, "ra"), plots.numbers(stars, "dec")
    return {
        "stars": _count(stars.height),
        "weight": weight,
        "coloured": "fe_h" in labels,
        "kiel": _draw(run, plots.kiel(stars)) if {"teff", "logg"} <= set(labels) else "",
        "distributions": _draw(run, plots.label_distributions(stars, run.test, labels)) if labels else "",
        "sky": _draw(run, plots.sky(ra, dec, weight=weight)) if {"ra", "dec"} <= set(stars.columns) else "",
    }


def _flags(run: FinishedRun) -> ReportTable | None:
    predicted = run.result("predict")
    counts, rows = mapping(predicted.get("flags")), int(predicted.get("rows") or 0)
    known = {name: (str(bit), meaning) for bit, name, meaning in describe(CatalogueFlag)}
    cells = [
        [name, *known.get(name, ("-", "")), _count(n), f"{100 * n / rows:.2f} %" if rows else "-"]
        for name, n in counts.items()
    ]
    return ReportTable(["flag", "bit", "meaning", "stars", "share"], cells, code=(0,)) if cells else None


def _record(run: FinishedRun) -> Context:
    """What made the run, with what, from what."""
    record = run.provenance
    steps = []
    for name, step in run.steps.items():
        files = [f"{file} {str(digest)[:12]}" for file, digest in mapping(step.get("files")).items()]
        steps.append(
            [name, f"{float(step.get('seconds') or 0):,.1f}", ", ".join(files), str(step.get("key"))[:12]]
        )
    versions = [[name, str(version)] for name, version in mapping(record.get("versions")).items()]
    card = run.folder / "model" / "MODEL_CARD.md"
    return {
        "command": str(record.get("command", "")),
        "citation": str(record.get("citation", "")),
        "steps": ReportTable(["step", "seconds", "files", "key"], steps, code=(2, 3)),
        "versions": ReportTable(["package", "version"], versions),
        "settings_sha256": str(record.get("settings_sha256", "-")),
        "settings": json.dumps(run.settings, indent=2, ensure_ascii=False),
        "card": card.read_text(encoding="utf-8", errors="replace") if card.is_file() else "",
    }


def _spread_sample(path: Path, columns: Sequence[str]) -> tuple[pl.DataFrame, int]:
    """About :data:`SAMPLE` rows, evenly over a table of any size, and how many rows each stands for.

    Columns that are not there are left out; a table that is not there has no rows.
    """
    source = io.open_table(path) if path.exists() else None
    wanted = [name for name in columns if source is not None and name in source.schema]
    if source is None or not wanted or not source.n_rows:
        return pl.DataFrame(), 1
    step = -(-source.n_rows // SAMPLE)
    # Batches of a multiple of the step: the rows taken are the same however the file is cut.
    batches = source.batches(step * max(1, SAMPLE // step), wanted)
    return pl.concat(batch.gather_every(step) for batch in batches), step


def _figures(rows: Any) -> pl.DataFrame:
    """Rows of figures of merit, as they stand in a record, as a table."""
    table = pl.DataFrame(list(rows or ()), schema=_FIGURES_SCHEMA, strict=False)
    return table.filter(pl.col("label").is_in(list(LABELS)))


def _count(value: Any) -> str:
    """A number of a record in print; a dash where it is missing."""
    if isinstance(value, float):
        return f"{value:.3g}" if math.isfinite(value) else "-"
    return f"{value:,}" if isinstance(value, int) else "-"


def _draw(run: FinishedRun, figure: Figure) -> str:
    """A figure as the page takes it in: PNG in base64."""
    return base64.b64encode(plots.png(figure, mock=run.mock)).decode("ascii")
