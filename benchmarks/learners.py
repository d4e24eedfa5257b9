"""The default learner beside the others, on the same splits and stars.

Run by ``make learners``; needs the tables of ``../shared/data`` (all but d). Prints what it measures beside the
bar that it must reach, and exits with 1 when one is missed. What was trained before, by the same program with the
same settings, is taken from ``build/learners``, so that it can be continued.

    python benchmarks/learners.py                              all tables, all models
    python benchmarks/learners.py a b                          some tables
    python benchmarks/learners.py a --only model xgboost       some models (model: the default; bars need xgboost,
                                                               turchi2024 and, in b, all)

catboost, tabm, realmlp and xrfm are left out where the extra `tabular` is not installed.

Tables: a  REAL: S-PLUS photometry with SEGUE labels          b        MOCK: ../shared, five homogenized surveys
        c  REAL: SDSS colours with SEGUE [Fe/H]               b-ideal  the same with ideal labels
        d  MOCK: the sky of the package itself
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import polars as pl

import starscale as ss
from starscale.model.scores import compare
from starscale.pipeline.runfile import load_run
from starscale.reports.compare_text import bin_text, compared_table, costs_table, ratios_table
from starscale.vocabulary.comparison_columns import scored_file
from starscale.vocabulary.errors import StarscaleError
from starscale.vocabulary.libraries import missing_library

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
DATA = ROOT.parent / "shared" / "data"
OUT = ROOT / "build" / "learners"
LABELS = ("teff", "logg", "fe_h")
OWN, PAPER, TREES = "model", "turchi2024", "xgboost"
#: Shares of another learner's mean in a mixture with the default's.
SHARES = (0.3, 0.5)
#: Bins with fewer stars, over all repeats, are not judged.
FEWEST = 300

judged: list[str] = []
missed: list[str] = []


class Table:
    """A finished comparison: its folder and its figures."""

    def __init__(self, name: str, only: list[str]) -> None:
        self.folder = OUT / name
        run_file = HERE / "runs" / f"learners_{name}.toml"
        only = only or with_libraries(run_file)
        self.comparison = ss.compare_models(run_file, self.folder, only=only, progress=True)
        self.models = self.comparison.costs["model"].to_list()
        self.labels = self.comparison.labels

    def scored(self, model: str) -> list[pl.DataFrame]:
        """Scored stars of each repeat."""
        table = pl.read_parquet(self.folder / scored_file(model))
        return table.partition_by("repeat", maintain_order=True, include_key=False)

    def ratio(self, other: str, figure: str) -> dict[str, tuple[float, float]]:
        """Ratio of the default's figure to another model's, mean and spread over the repeats that both have."""
        both = {name: self.scored(name) for name in (OWN, other)}
        repeats = min(len(tables) for tables in both.values())
        figures = compare({n: tables[:repeats] for n, tables in both.items()}, self.labels, other)
        rows = figures.filter((pl.col("model") == OWN) & (pl.col("by") == "all")).rows_by_key("label", named=True)
        return {
            label: (row[0][f"{figure}_ratio"], row[0][f"{figure}_ratio_spread"] or np.nan)
            for label, row in rows.items()
        }

    def show(self, title: str) -> None:
        """Print the tables."""
        figures, reference = self.comparison.figures, self.comparison.reference
        print(f"\n{title}\n{costs_table(self.comparison.costs).text()}")
        for by in ("all", "metal-poor", "predicted dwarf or giant"):
            if figures.filter(pl.col("by") == by).is_empty():
                continue
            print(f"\n{title}: {by}\n{compared_table(figures, by).text()}")
            ratios = ratios_table(figures, by)
            if ratios.rows:
                print(f"\nratios to {reference} in the same repeat\n{ratios.text()}")

    def mixed(self) -> None:
        """Print the RMSE of the default's mean mixed with another's, over its own: the gain of stacking both."""
        for other in (name for name in self.models if name != OWN and OWN in self.models):
            for label in self.labels:
                ratios = [
                    mixed_ratio(*both, label) for both in zip(self.scored(OWN), self.scored(other), strict=False)
                ]
                text = ", ".join(
                    f"{weight:.0%} {value:.3f}" for weight, value in zip(SHARES, np.mean(ratios, 0), strict=True)
                )
                print(f"  RMSE of {label} with a share of {other}: {text}")

    def bars(self, other: str, figure: str, limits: tuple[float, ...]) -> None:
        """Judge the ratio to another model."""
        if not {OWN, other} <= set(self.models):
            return
        for (label, (value, spread)), limit in zip(self.ratio(other, figure).items(), limits, strict=True):
            judge(f"{label}: {figure} / that of {other}", value, limit, f" +- {spread:.3f}")

    def best_of_others(self, figure: str, limits: tuple[float, ...]) -> None:
        """Judge the ratio to the best of all other models, label by label."""
        others = [name for name in self.models if name != OWN]
        if not others or OWN not in self.models:
            return
        ratios = {name: self.ratio(name, figure) for name in others}
        for label, limit in zip(self.labels, limits, strict=True):
            best = max(others, key=lambda name: ratios[name][label][0])
            value, spread = ratios[best][label]
            judge(f"{label}: {figure} / the best of others ({best})", value, limit, f" +- {spread:.3f}")

    def coverage(self) -> None:
        """Judge the coverage of the default's intervals, whole and in bins of what a user can see."""
        if OWN not in self.models:
            return
        rows = self.comparison.figures.filter(pl.col("model") == OWN)
        for row in rows.filter(pl.col("by") == "all").iter_rows(named=True):
            for name, nominal, most in (("coverage68", 68.3, 2.5), ("coverage95", 95.4, 1.5)):
                off = abs(100 * row[name] - nominal)
                judge(f"{row['label']}: {name} off {nominal} %", off, most, f" ({100 * row[name]:.1f} %)")
        seen = pl.col("by").str.starts_with("predicted") | pl.col("by").is_in(["magnitude", "E(B-V)"])
        for row in rows.filter(seen & (pl.col("n") * pl.col("repeats") >= FEWEST)).iter_rows(named=True):
            off = abs(100 * row["coverage68"] - 68)
            where = f"{row['by']} {bin_text(row['by'], row['low'], row['high'])}"
            text = f" ({100 * row['coverage68']:.1f} %, {row['n'] * row['repeats']:.0f} stars)"
            judge(f"{row['label']}, {where}: coverage68 off 68 %", off, 6.0, text)


def mixed_ratio(own: pl.DataFrame, other: pl.DataFrame, label: str) -> list[float]:
    """RMSE of the means of one repeat, with each share of the other's, over the RMSE of the first."""
    both = own.join(other, on="source_id", suffix="_other")
    truth, first, second = (both[f"{label}{part}"].to_numpy() for part in ("_label", "_mean", "_mean_other"))
    rmse = [np.sqrt(np.mean(((1 - share) * first + share * second - truth) ** 2)) for share in (0.0, *SHARES)]
    return [float(value / rmse[0]) for value in rmse[1:]]


def with_libraries(run_file: Path) -> list[str]:
    """Return the models of a run file whose libraries are installed; say which are not."""
    config, _ = load_run(run_file)
    missing = {item.name: problem for item in config.models if (problem := missing_library(item.model.kind))}
    for name, problem in missing.items():
        print(f"{run_file.name}: {name} is left out, as it {problem.found}")
    return [OWN, *(item.name for item in config.models if item.name not in missing)]


def judge(name: str, value: float, limit: float, more: str = "") -> None:
    """Print a measured value beside its bar, and remember a miss."""
    judged.append(name)
    good = value <= limit
    print(f"  {'ok  ' if good else 'MISS'} {name}: {value:.4g}{more} (at most {limit:g})")
    if not good:
        missed.append(name)


def part_a(only: list[str]) -> None:
    """Real S-PLUS photometry: against XGBoost with all pairwise colours, and the paper's network."""
    table = Table("splus", only)
    table.show("REAL: S-PLUS with SEGUE labels")
    table.mixed()
    table.bars(TREES, "mad", (1.03, 0.90, 1.01))
    table.bars(TREES, "rmse", (1.03, 1.01, 1.01))
    table.bars(PAPER, "rmse", (1.0, 1.0, 1.0))
    table.best_of_others("mad", (1.0, 1.0, 1.0))
    table.best_of_others("crps", (1.0, 1.0, 1.0))
    table.best_of_others("rmse", (0.99, 0.99, 0.99))
    table.bars(TREES, "mean_half_width", (1.0, 1.0, 1.0))
    table.coverage()


def shared_mock(name: str, title: str, only: list[str]) -> None:
    """The independent mock sky: against the best of all others, and the paper's network."""
    table = Table(name, only)
    table.show(title)
    table.best_of_others("mad", (0.96, 0.96, 0.96))
    table.best_of_others("rmse", (0.98, 0.985, 0.94))
    table.best_of_others("crps", (0.96, 0.96, 0.91))
    table.bars(PAPER, "rmse", (0.85, 0.93, 0.80))
    table.bars(TREES, "mean_half_width", (1.0, 1.0, 1.0))
    table.coverage()
    against_truth(table, title)


def against_truth(table: Table, title: str) -> None:
    """Print the same figures against the truth, metal-poor stars apart."""
    truth = pl.read_parquet(DATA / "mock" / "truth.parquet").filter("in_gaia")
    columns = {"teff_label": "teff", "logg_label": "logg", "fe_h_label": "feh"}
    truth = truth.select("source_id", *(pl.col(c).cast(pl.Float64).alias(n) for n, c in columns.items()))
    truth = truth.unique("source_id", keep="first")
    models = {
        name: [
            stars.drop(*columns)
            .join(truth, on="source_id", how="left", maintain_order="left")
            # The scores were those against the labels.
            .with_columns(pl.lit(np.nan).alias(f"{label}_crps") for label in LABELS)
            for stars in table.scored(name)
        ]
        for name in table.models
    }
    figures = compare(models, LABELS, table.comparison.reference)
    for by in ("all", "metal-poor"):
        print(f"\n{title}, against the TRUTH: {by}\n{compared_table(figures, by).text()}")


def part_b(only: list[str]) -> None:
    """Labels of five surveys, put on one scale by the program itself."""
    shared_mock("shared", "MOCK (../shared), five homogenized surveys", only)


def part_b_ideal(only: list[str]) -> None:
    """Labels of the five surveys less their true systematics."""
    ideal_labels(OUT / "ideal_labels.parquet")
    shared_mock("ideal", "MOCK (../shared), ideal labels", only)


def ideal_labels(path: Path) -> None:
    """Write one label a star: the inverse-variance mean of its measurements less their true systematics."""
    rows, stars = (pl.read_parquet(DATA / "mock" / f"{name}.parquet") for name in ("truth_spectro", "truth"))
    measured = []
    for name in ("apogee", "galah", "gaia_eso", "rave", "lamost"):
        survey = ss.load_survey(ROOT / "examples" / "surveys" / f"mock_{name}.toml")
        table = pl.read_parquet(DATA / "mock" / f"{name}.parquet").filter(pl.col("flag") == 0)
        values = {label: pl.col(survey.labels[label].value).cast(pl.Float64) for label in LABELS}
        table = table.select("row_id", survey=pl.lit(name), **values)
        measured.append(table.with_columns(pl.when(pl.col(n) > -9000).then(n).alias(n) for n in LABELS))
    table = pl.concat(measured).join(rows, on=["survey", "row_id"])
    for label in LABELS:
        column = label.replace("_", "")
        table = table.with_columns(
            (pl.col(label) - pl.col(f"sys_{column}")).alias(label),
            pl.when(pl.col(label).is_not_null()).then(pl.col(f"sigma_{column}") ** -2.0).alias(f"{label}_weight"),
        )
    merged = table.group_by("star_id").agg(
        expression
        for label in LABELS
        for expression in (
            ((pl.col(label) * pl.col(f"{label}_weight")).sum() / pl.col(f"{label}_weight").sum()).alias(label),
            (pl.col(f"{label}_weight").sum() ** -0.5).alias(f"{label}_error"),
        )
    )
    known = stars.filter("in_gaia").select("star_id", "source_id").unique("source_id", keep="first")
    merged = merged.join(known, on="star_id").drop("star_id").sort("source_id")
    ss.write(merged.with_columns(pl.col(pl.Float64).fill_nan(None)), path)


def sdss_table() -> None:
    """Write the table of part c."""
    rows = ss.read(DATA / "real" / "sdss_colours_feh.csv")
    colours = ["ug", "gr", "ri", "iz"]
    # Rows with the same photometry are one star: they must not stand on two sides of a split.
    stars = rows.group_by(colours, maintain_order=True).agg(pl.col("feh").mean())
    ss.write(
        stars.with_row_index("star").with_columns(pl.col("star").cast(pl.Int64)), OUT / "sdss_colours.parquet"
    )


def part_c(only: list[str]) -> None:
    """Real SDSS colours: [Fe/H] alone."""
    sdss_table()
    table = Table("sdss", only)
    table.show("REAL: SDSS colours with SEGUE [Fe/H]")
    table.bars(TREES, "mae", (1.0,))
    table.best_of_others("mad", (1.0,))
    table.best_of_others("crps", (1.0,))
    table.best_of_others("rmse", (0.99,))


def part_d(only: list[str]) -> None:
    """The mock sky of the package itself; no bars."""
    if not (OUT / "mock" / "truth.parquet").exists():
        # A new one has a new date, and all models would be trained again.
        ss.make_mock(OUT / "mock", stars=100_000, seed=1)
    Table("embedded", only).show("MOCK (embedded), labels as LAMOST's")


PARTS = {"a": part_a, "b": part_b, "b-ideal": part_b_ideal, "c": part_c, "d": part_d}


def main() -> int:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("tables", nargs="*", metavar="TABLE", help=f"of {', '.join(PARTS)}; default: all")
    parser.add_argument("--only", nargs="+", default=[], metavar="MODEL", help="models; default: all")
    asked = parser.parse_args()
    if unknown := [name for name in asked.tables if name not in PARTS]:
        parser.error(f"no table {', '.join(unknown)}; there are {', '.join(PARTS)}")
    for name in asked.tables or PARTS:
        if name != "d" and not DATA.is_dir():
            print(f"{DATA} is not here: {name} cannot be measured")
            return 1
        PARTS[name](asked.only)
    print(f"\n{len(judged)} bars judged, {len(missed)} missed{': ' * bool(missed)}{', '.join(missed)}")
    return 1 if missed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except StarscaleError as error:
        sys.exit(str(error))
