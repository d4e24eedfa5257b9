"""Labels of several surveys on one scale: known truth on two mock skies, and pairs of real surveys.

Run by ``make homogenize``; the independent mock and the real tables need ``../shared/data``. Prints what it
measures beside the bar that it must reach, and exits with 1 when one is missed.

    python benchmarks/homogenize.py                   embedded, shared and real
    python benchmarks/homogenize.py embedded real     some of them
    python benchmarks/homogenize.py --seeds 8         errors of the corrections on eight embedded skies
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl

import starscale as ss
from starscale.homogenization.kernel.basis import AXES
from starscale.homogenization.kernel.calibration import Calibration
from starscale.homogenization.kernel.diagnostics import robust_slope
from starscale.homogenization.kernel.rows import SurveyRows, gather, merge_repeats
from starscale.homogenization.kernel.scale import core_width
from starscale.homogenization.kernel.whole import Homogenized, homogenize_tables
from starscale.mock.labels import SPECTROGRAPHS
from starscale.reports.homogenize_text import homogenize_tables as text_tables
from starscale.reports.table import ReportTable
from starscale.surveys import Survey, load_survey
from starscale.vocabulary.settings.homogenize import HomogenizeConfig

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
DATA = ROOT.parent / "shared" / "data"
SURVEYS = ROOT / "examples" / "surveys"

#: Systematic difference from the anchor that may remain in a bin of 100 or more common stars: K, dex, dex.
BARS = {"teff": 15.0, "logg": 0.03, "fe_h": 0.02}
EDGES = {
    "teff": np.arange(3500, 8001, 500),
    "logg": np.arange(0, 5.6, 0.5),
    "fe_h": np.arange(-2.5, 0.76, 0.25),
}
MODES = {
    "default (joint)": HomogenizeConfig(leave_out=False),
    "paper mode": HomogenizeConfig(leave_out=False, mode="paper"),
}
missed: list[str] = []


@dataclass(frozen=True)
class Sky:
    """Surveys, and for every survey the truth of its rows: labels, `<label>_sys`, `<label>_sigma`.

    `true` has `source_id` and `<label>_true`, on the scale of the anchor; None: known where the anchor measured.
    """

    name: str
    anchor: str
    parts: list[SurveyRows]
    truth: dict[str, pl.DataFrame]
    true: pl.DataFrame | None = None


def bar(name: str, good: bool) -> str:
    """Remember a miss."""
    if not good:
        missed.append(name)
    return "ok" if good else "MISS"


def embedded(seed: int = 1) -> Sky:
    """The package's own mock sky: no polynomials, 5 % outliers, errors 1.3 to 1.9 too small."""
    with tempfile.TemporaryDirectory() as folder:
        ss.make_mock(folder, stars=100_000, seed=seed)
        known, rows = (ss.read(Path(folder) / f"{name}.parquet") for name in ("truth", "truth_spectro"))
        parts, truth = [], {}
        for name in ("apogee_dr17", "galah_dr3", "gaia_eso_dr3", "rave_dr6", "lamost_dr5"):
            mine = rows.filter(pl.col("survey") == name).sort("row")
            parts.append(_part(Path(folder) / f"{name}.parquet", name, mine["source_id"]))
            sizes = {f"{n}_sigma": f"{n}_sigma" for n in AXES} | {f"{n}_sys": f"{n}_systematic" for n in AXES}
            labels = mine.select("source_id", **{k: pl.col(v) for k, v in sizes.items()})
            truth[name] = labels.join(known.select("source_id", *AXES), on="source_id", how="left")
    shift = SPECTROGRAPHS["apogee_dr17"].scale(*(known[n].to_numpy() for n in AXES))
    true = known.select(
        "source_id", *((pl.col(n) + pl.Series(shift[i])).alias(f"{n}_true") for i, n in enumerate(AXES))
    )
    return Sky("MOCK (embedded)", "apogee_dr17", parts, truth, true)


def shared() -> Sky:
    """The independent mock sky of ``../shared``: quadratic systematics, errors half of what they should be."""
    rows, known = (pl.read_parquet(DATA / "mock" / f"{name}.parquet") for name in ("truth_spectro", "truth"))
    parts, truth = [], {}
    for name in ("apogee", "galah", "gaia_eso", "rave", "lamost"):
        table = ss.read(DATA / "mock" / f"{name}.parquet")
        mine = table.select("row_id").join(rows.filter(pl.col("survey") == name), on="row_id", how="left")
        parts.append(_part(DATA / "mock" / f"{name}.parquet", SURVEYS / f"mock_{name}.toml", mine["star_id"]))
        own = {"teff": "teff", "logg": "logg", "fe_h": "feh"}
        columns = {f"{n}_sigma": pl.col(f"sigma_{c}") for n, c in own.items()}
        columns |= {f"{n}_sys": pl.col(f"sys_{c}") for n, c in own.items()}
        labels = mine.select(pl.col("star_id").alias("source_id"), **columns)
        stars = known.select(source_id="star_id", **{n: pl.col(c) for n, c in own.items()})
        truth[f"mock_{name}"] = labels.join(stars, on="source_id", how="left")
    return Sky("MOCK (shared)", "mock_apogee", parts, truth)


def _part(path: Path, survey: str | Path, star: pl.Series) -> SurveyRows:
    """A table after its cuts; its stars are known."""
    description = load_survey(survey)
    table = ss.read(path, survey=description).with_row_index("_row")
    kept = ss.clean(table, survey=description.model_copy(update={"joins": ()})).table
    links = pl.DataFrame({"source_id": star.gather(kept["_row"]), "row": pl.arange(0, kept.height, eager=True)})
    return SurveyRows(description, kept, links.cast({"row": pl.UInt32}), kept["_row"].cast(pl.Int32), str(path))


def judge(sky: Sky) -> None:
    """Both modes and a plain average, against the truth on the scale of the anchor."""
    print(f"\n{sky.name}: truth on the scale of {sky.anchor}")
    rows, scatter = [], []
    for mode, config in MODES.items():
        result = homogenize_tables(sky.parts, config.model_copy(update={"anchor": sky.anchor}))
        strict = config.mode == "joint"
        for name in AXES:
            rows.append([mode, *_systematics(sky, result, name, strict)])
            scatter.append([mode, *_merged(sky, result, name, strict)])
    for name in AXES:
        rows.append(["no calibration", *_systematics(sky, None, name, False)])
        scatter.append(["plain average", *_plain_average(sky, name)])
    headings = ["mode", "label", "bins", "over bar", "worst bin", "rms of bins", "error / true error", ""]
    print("Systematic difference from the anchor in bins of 100 or more common stars; normalised errors")
    print(ReportTable(headings, sorted(rows, key=lambda r: AXES.index(r[1]))).text())
    print("Merged labels - truth, all stars / stars of several surveys; its slope with the truth for dwarfs")
    headings = [
        "mode",
        "label",
        "stars",
        "median",
        "width",
        "pull width",
        "width, several",
        "pull, several",
        "slope",
        "",
    ]
    print(ReportTable(headings, sorted(scatter, key=lambda r: AXES.index(r[1]))).text())


def _long(sky: Sky, result: Homogenized | None) -> pl.DataFrame:
    """Every measurement with its truth, and the anchor's systematic at that star (null where it has none)."""
    rows = gather(sky.parts)
    table = rows.table.select(
        "source_id", pl.col("survey").cast(pl.Int64), "row", *(pl.col(n).alias(f"{n}_raw") for n in AXES)
    )
    names = dict(enumerate(rows.surveys))
    table = table.with_columns(pl.col("survey").replace_strict(names, return_dtype=pl.String))
    if result is not None:
        own = result.measurements.select(
            "survey", "row", *(f"{n}_correction" for n in AXES), *(f"{n}_error" for n in AXES)
        ).with_columns(pl.col("survey").cast(pl.String))
        table = table.join(own, on=["survey", "row"], how="left")
    known = pl.concat(
        frame.with_row_index("row").with_columns(pl.lit(name).alias("survey"), pl.col("row").cast(pl.Int32))
        for name, frame in sky.truth.items()
    ).drop("source_id")
    table = table.join(known, on=["survey", "row"], how="left")
    anchor = table.filter(pl.col("survey") == sky.anchor).unique("source_id", keep="first")
    return table.join(
        anchor.select("source_id", *(pl.col(f"{n}_sys").alias(f"{n}_anchor") for n in AXES)),
        on="source_id",
        how="left",
    )


def _bins(sky: Sky, result: Homogenized | None, name: str) -> pl.DataFrame:
    """Mean systematic difference from the anchor that is left in every bin of 100 or more common stars.

    Columns: `survey`, `by` (a label), `low`, `stars`, `left`.
    """
    table = _long(sky, result).filter(
        (pl.col("survey") != sky.anchor)
        & pl.col(f"{name}_anchor").is_not_null()
        & pl.col(f"{name}_raw").is_not_nan()
    )
    table = table.unique(["survey", "source_id"], keep="first", maintain_order=True)
    remaining = table[f"{name}_sys"] - table[f"{name}_anchor"]
    if result is not None:
        # What the function left of the systematic.
        remaining = remaining - _functions(result, name, table)
    rows = []
    for (survey,), own in table.with_columns(left=remaining).group_by("survey", maintain_order=True):
        for by, edges in EDGES.items():
            for low, high in pairwise(edges):
                inside = own.filter(pl.col(by).is_between(low, high, closed="left"))
                n = inside.height
                if n >= 100:
                    rows.append((survey, by, float(low), n, float(inside["left"].mean())))
    return pl.DataFrame(rows, schema=["survey", "by", "low", "stars", "left"], orient="row")


def _systematics(sky: Sky, result: Homogenized | None, name: str, strict: bool) -> list[str]:
    bins = np.abs(_bins(sky, result, name)["left"].to_numpy())
    over = int((bins > BARS[name]).sum())
    ratios, state = "-", ""
    if result is not None:
        long = _long(sky, result).filter(pl.col(f"{name}_error").is_not_null())
        per = long.group_by("survey", maintain_order=True).agg(
            (pl.col(f"{name}_error") / pl.col(f"{name}_sigma")).median().alias("x")
        )["x"]
        ratios = f"{per.min():.2f} to {per.max():.2f}"
        if strict:
            good = over == 0 and per.min() > 0.9 and per.max() < 1.1
            state = bar(f"{sky.name} {name}: bins and errors", good)
    digits = 1 if name == "teff" else 3
    rms = np.sqrt(np.mean(np.square(bins)))
    return [name, str(len(bins)), str(over), f"{max(bins):.{digits}f}", f"{rms:.{digits}f}", ratios, state]


def _functions(result: Homogenized, name: str, table: pl.DataFrame) -> pl.Series:
    """The correction of every row of `table` as the calibration gives it at the star's merged labels."""
    calibration = result.calibration
    at = table.select("source_id").join(result.labels, on="source_id", how="left", maintain_order="left")
    places = at.select(AXES).fill_null(np.nan).to_numpy().astype(float)
    values = np.full((3, len(places), len(calibration.surveys)), np.nan)
    number = table["survey"].replace_strict({s: i for i, s in enumerate(calibration.surveys)}).to_numpy()
    values[:, np.arange(len(places)), number] = table.select(f"{n}_raw" for n in AXES).to_numpy().T
    found = calibration.at(places, values, slopes=False).value
    return pl.Series(found[AXES.index(name), np.arange(len(places)), number])


def _true(sky: Sky) -> pl.DataFrame:
    """Truth on the scale of the anchor: for all stars, or for those that the anchor measured."""
    if sky.true is not None:
        return sky.true
    table = _long(sky, None).filter(pl.col("survey") == sky.anchor).unique("source_id", keep="first")
    return table.select("source_id", *((pl.col(n) + pl.col(f"{n}_sys")).alias(f"{n}_true") for n in AXES))


def _merged(sky: Sky, result: Homogenized, name: str, strict: bool) -> list[str]:
    both = result.labels.join(_true(sky), on="source_id").filter(pl.col(name).is_not_null())
    several = both.filter(pl.col("n_surveys") > 1)
    cells, pulls = [name, f"{both.height:,}"], []
    digits = 1 if name == "teff" else 3
    for k, table in enumerate((both, several)):
        difference = (table[name] - table[f"{name}_true"]).to_numpy()
        pull = core_width(difference / table[f"{name}_error"].to_numpy(), centred=True)
        pulls.append(pull)
        if not k:
            cells.append(f"{np.median(difference):.{digits}f}")
        cells += [f"{core_width(difference):.{digits}f}", f"{pull:.2f}"]
    good = all(0.9 <= p <= 1.1 for p in pulls)
    return [*cells, _shrinkage(both, name), bar(f"{sky.name} {name}: pulls", good) if strict else ""]


def _shrinkage(table: pl.DataFrame, name: str) -> str:
    """Slope of (label - truth) with the truth among dwarfs; -1 would be labels that know nothing of their star."""
    dwarfs = table.filter((pl.col("logg_true") > 3.8) & pl.col(name).is_not_null())
    difference = (dwarfs[name] - dwarfs[f"{name}_true"]).to_numpy()
    return f"{robust_slope(dwarfs[f'{name}_true'].to_numpy(), difference):.3f}"


def _plain_average(sky: Sky, name: str) -> list[str]:
    per = merge_repeats(gather(sky.parts).table)
    mean = per.group_by("source_id").agg(
        pl.col(name).filter(pl.col(name).is_not_nan()).mean(), pl.len().alias("n")
    )
    both = mean.join(_true(sky), on="source_id").filter(pl.col(name).is_not_null())
    digits = 1 if name == "teff" else 3
    cells = [name, f"{both.height:,}"]
    for k, table in enumerate((both, both.filter(pl.col("n") > 1))):
        difference = (table[name] - table[f"{name}_true"]).to_numpy()
        if not k:
            cells.append(f"{np.median(difference):.{digits}f}")
        cells += [f"{core_width(difference):.{digits}f}", "-"]
    return [*cells, _shrinkage(both, name), ""]


def _show(title: str, result: Homogenized) -> None:
    print(f"\n{title}")
    for table in text_tables(result.diagnostics):
        print(f"{table.caption}\n{table.text()}")
    for row in result.diagnostics["pairs"]:
        state = bar(f"{title}, {row['label']}: held-out scatter", row["pull_after"] <= row["pull_before"])
        print(f"  {state} {row['label']}: {row['pull_before']:.2f} -> {row['pull_after']:.2f} errors about 0")


def real() -> None:
    """Real surveys: CKS against a compilation, APOGEE-Payne against SEGUE in M67, benchmark stars as a list."""
    table = DATA / "real" / "cks_and_koi_labels.csv"
    parts = []
    for name in ("cks", "koi"):
        survey = load_survey(SURVEYS / f"{name}.toml")
        rows = ss.read(table, survey=survey)
        links = rows.select(source_id="id_kic").with_row_index("row").select("source_id", "row")
        parts.append(SurveyRows(survey, rows, links, pl.arange(0, rows.height, eager=True), str(table)))
    _show("REAL: CKS and KOI labels", homogenize_tables(parts, HomogenizeConfig()))
    _show("REAL: M67, APOGEE-Payne and SEGUE", ss.homogenize(HERE / "runs" / "m67_labels.toml"))
    benchmark_stars()


def benchmark_stars() -> None:
    """GSP-Phot labels on the scale of every other Gaia benchmark star; the fit never sees the rest."""
    path = DATA / "real" / "gaia_benchmark_stars_v3.fits"
    survey = load_survey(SURVEYS / "gaia_benchmark.toml")
    table = ss.read(path, survey=survey).filter(pl.col("source_id").is_not_null())
    names = {"teff": "teff_gspphot", "logg": "logg_gspphot", "fe_h": "mh_gspphot"}
    floors = {"teff": 100.0, "logg": 0.2, "fe_h": 0.2}
    photometric = survey.model_validate(
        survey.model_dump()
        | {"name": "gsp_phot", "title": "GSP-Phot estimates of Gaia DR3", "cuts": ()}
        | {"labels": {n: {"value": c, "error_floor": floors[n]} for n, c in names.items()}}
        | {
            "columns": {c: spec.model_dump() for c, spec in survey.columns.items()}
            | {c: {} for c in names.values()}
        }
    )
    own = table["source_id"].to_list()
    fitted = pl.Series([k % 2 == 0 for k in range(table.height)])

    def part(description: Survey, rows: pl.DataFrame) -> SurveyRows:
        links = rows.select("source_id").with_row_index("row").select("source_id", "row")
        return SurveyRows(description, rows, links, pl.arange(0, rows.height, eager=True), str(path))

    rest = table.filter(~fitted & ~pl.Series([own.count(x) > 1 for x in own]))
    errors = [pl.col("e_teff").alias("teff_error"), pl.col("e_logg").alias("logg_error")]
    known = rest.select("source_id", *(pl.col(n).cast(pl.Float64) for n in AXES), *errors)
    parts = [part(survey, table.filter(fitted)), part(photometric, table)]
    result = homogenize_tables(parts, HomogenizeConfig(), reference=known)
    _show("REAL: GSP-Phot on the scale of half of the benchmark stars; list: the other half", result)


#: Normalised errors of the corrections: root mean square of (applied - needed) / stated.
HONEST = (0.85, 1.15)
#: Largest share of bins over the bar, over all seeds.
SHARE = 0.01


def corrections(sky: Sky, result: Homogenized) -> pl.DataFrame:
    """What was applied, needed and stated, for every star that a survey and any other have in common.

    Columns: `survey`, `source_id`, true labels, `<label>_applied` (of the star, as in the table of measurements),
    `<label>_needed`, `<label>_off`: the function at the star's true labels less what was needed, in stated errors,
    and `<label>_pull`: what was applied less what was needed, in the errors of the table.
    """
    assert sky.true is not None
    calibration, truth = result.calibration, sky.true
    applied = result.measurements.with_columns(pl.col("survey").cast(pl.String)).select(
        "survey",
        "source_id",
        "row",
        *(pl.col(f"{n}_correction").alias(f"{n}_applied") for n in AXES),
        *(pl.col(f"{n}_correction_error").alias(f"{n}_said") for n in AXES),
    )
    known = pl.concat(
        rows.with_row_index("row").with_columns(pl.lit(name).alias("survey"), pl.col("row").cast(pl.Int32))
        for name, rows in sky.truth.items()
    ).drop("source_id")
    several = result.labels.filter(pl.col("n_surveys") > 1).select("source_id")
    table = (
        applied.filter(pl.col("survey") != sky.anchor)
        .unique(["survey", "source_id"], keep="first", maintain_order=True)
        .join(several, on="source_id")
        .join(known, on=["survey", "row"])
        .join(truth, on="source_id")
    )
    return pl.concat(_needed(calibration, *part) for part in table.group_by("survey", maintain_order=True))


def _needed(calibration: Calibration, key: tuple[object, ...], table: pl.DataFrame) -> pl.DataFrame:
    """Add to the stars of one survey what was needed, and how far off the function is in stated errors."""
    number = calibration.survey_number(str(key[0]))
    places = table.select(f"{n}_true" for n in AXES).to_numpy()
    value = calibration.of_survey(places, number)[0]
    stated = np.sqrt(calibration.variances(places, number, number))
    for i, name in enumerate(AXES):
        # The survey's systematic less the anchor's, which is in the truth on the anchor's scale.
        needed = table[f"{name}_sys"] - (table[f"{name}_true"] - table[name])
        off = (pl.Series(value[i]) - needed) / pl.Series(stated[i])
        there = table[f"{name}_applied"].is_not_null()
        table = table.with_columns(
            needed.alias(f"{name}_needed"),
            pl.select(pl.when(there).then(off)).to_series().alias(f"{name}_off"),
            ((table[f"{name}_applied"] - needed) / table[f"{name}_said"]).alias(f"{name}_pull"),
        )
    return table


def seeds(count: int) -> None:
    """Errors of the corrections of the default on embedded skies of several seeds, against what they state."""
    config = MODES["default (joint)"]
    bins, off = [], []
    for seed in range(1, count + 1):
        sky = embedded(seed)
        stars = corrections(sky, homogenize_tables(sky.parts, config.model_copy(update={"anchor": sky.anchor})))
        kinds = [f"{n}_{kind}" for n in AXES for kind in ("off", "pull")]
        off.append(stars.select("survey", pl.lit(seed).alias("seed"), *kinds))
        bins += [_mean_in_bins(stars, n, seed) for n in AXES]
    found, each = pl.concat(bins), pl.concat(off)
    print(f"\nMOCK (embedded), {count} seeds: corrections of all surveys but the anchor")
    print(
        f"rms of (function - needed) / stated error: bar {HONEST[0]} to {HONEST[1]}; core width of the same with"
    )
    print(
        "the corrections and errors of the table of measurements; bins of 100 stars or more that a survey has in"
    )
    print(
        f"common with any other where the mean of applied - needed is over the bar: bar {100 * SHARE:g} % of all"
    )
    rows = [_over_seeds(found.filter(pl.col("label") == n), each, n) for n in AXES]
    over = float((found["left"].abs() > 1).mean())
    rows.append(["all", "", "", "", "", f"{found.height}", f"{round(over * found.height)}", f"{100 * over:.2f}"])
    rows[-1] += [f"{(found['left'] ** 2).mean() ** 0.5:.2f}", f"{found['left'].abs().max():.2f}"]
    rows[-1] += [bar("seeds: bins", over <= SHARE)]
    headings = ["label", "rms", "least survey", "most", "core, table", "bins", "over", "%", "rms / bar", "worst"]
    print(ReportTable([*headings, ""], rows).text())
    kinds = found.group_by("label", "survey", "by", "low").agg(
        skies=pl.len(),
        stars=pl.col("stars").mean(),
        mean=pl.col("left").mean(),
        rms=(pl.col("left") ** 2).mean().sqrt(),
        worst=pl.col("left").abs().max(),
    )
    print("The worst kinds of bin in half of the skies or more, in units of the bar")
    often = kinds.filter(pl.col("skies") * 2 >= count).sort("rms", descending=True).head(10)
    print(
        ReportTable(
            ["label", "survey", "bin", "stars", "mean", "rms", "worst"],
            [
                [r["label"], r["survey"], f"{r['by']} from {r['low']:g}", f"{r['stars']:.0f}"]
                + [f"{r[k]:.2f}" for k in ("mean", "rms", "worst")]
                for r in often.iter_rows(named=True)
            ],
        ).text()
    )


def _mean_in_bins(stars: pl.DataFrame, name: str, seed: int) -> pl.DataFrame:
    """Mean of applied less needed, over the bar, of every survey in every bin of 100 stars of each true label."""
    rows = []
    known = stars.filter(pl.col(f"{name}_applied").is_not_null())
    left = (pl.col(f"{name}_applied") - pl.col(f"{name}_needed")).mean() / BARS[name]
    for by, edges in EDGES.items():
        bins = known.with_columns(bin=pl.Series(np.searchsorted(edges, known[by].to_numpy(), side="right") - 1))
        found = bins.group_by("survey", "bin").agg(stars=pl.len(), left=left).filter(pl.col("stars") >= 100)
        rows += [
            (name, seed, r["survey"], by, float(edges[max(r["bin"], 0)]), r["stars"], r["left"])
            for r in found.sort("survey", "bin").iter_rows(named=True)
        ]
    return pl.DataFrame(rows, schema=["label", "seed", "survey", "by", "low", "stars", "left"], orient="row")


def _over_seeds(bins: pl.DataFrame, off: pl.DataFrame, name: str) -> list[str]:
    """One row of the table of seeds."""
    square = (pl.col(f"{name}_off") ** 2).mean().sqrt()
    whole = float(off.select(square).item())
    per = off.group_by("survey").agg(square)[f"{name}_off"]
    over = int((bins["left"].abs() > 1).sum())
    return [
        name,
        f"{whole:.2f}",
        *(f"{value:.2f}" for value in (per.min(), per.max())),
        f"{core_width(off[f'{name}_pull'].drop_nulls().to_numpy(), centred=True):.2f}",
        f"{bins.height}",
        f"{over}",
        f"{100 * over / bins.height:.2f}",
        f"{(bins['left'] ** 2).mean() ** 0.5:.2f}",
        f"{bins['left'].abs().max():.2f}",
        bar(f"seeds, {name}: errors of corrections", HONEST[0] <= whole <= HONEST[1]),
    ]


PARTS: dict[str, Callable[[], None]] = {
    "embedded": lambda: judge(embedded()),
    "shared": lambda: judge(shared()),
    "real": real,
}


def main() -> int:
    """Run the parts that were asked for."""
    parser = argparse.ArgumentParser(description="Labels on one scale against known truth and on real surveys.")
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(PARTS)}; all by default")
    parser.add_argument(
        "--seeds", type=int, default=0, help="so many embedded skies (alone: instead of the parts)"
    )
    asked = parser.parse_args()
    if unknown := set(asked.parts) - set(PARTS):
        parser.error(f"no part {', '.join(sorted(unknown))}")
    for name in asked.parts or ([] if asked.seeds else PARTS):
        if name != "embedded" and not DATA.is_dir():
            print(f"{DATA} is not here: {name} cannot be measured")
            return 1
        PARTS[name]()
    if asked.seeds:
        seeds(asked.seeds)
    print(f"\n{'all bars reached' if not missed else 'MISSED: ' + ', '.join(missed)}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
