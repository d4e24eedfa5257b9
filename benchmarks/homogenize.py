"""Labels of several surveys on one scale: known truth on two mock skies, and pairs of real surveys.

Run by ``make homogenize``; the independent mock and the real tables need ``../shared/data``. Prints what it
measures beside the bar that it must reach, and exits with 1 when one is missed.

    python benchmarks/homogenize.py                   embedded, shared and real
    python benchmarks/homogenize.py embedded real     some of them
    python benchmarks/homogenize.py --seeds 8         eight embedded skies: one says little about a rare miss
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

    Columns: `survey`, `by` (a label), `low`, `stars`, `left`, and `noise`: what the noise of the survey's own
    values in that bin alone does to their mean.
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
                    noise = float(inside[f"{name}_sigma"].mean()) / n**0.5
                    rows.append((survey, by, float(low), n, float(inside["left"].mean()), noise))
    return pl.DataFrame(rows, schema=["survey", "by", "low", "stars", "left", "noise"], orient="row")


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


def seeds(count: int) -> None:
    """Systematics left by the default on embedded skies of several seeds: their mean and their scatter."""
    config = MODES["default (joint)"]
    found = []
    for seed in range(1, count + 1):
        sky = embedded(seed)
        result = homogenize_tables(sky.parts, config.model_copy(update={"anchor": sky.anchor}))
        found += [
            _bins(sky, result, n).with_columns(label=pl.lit(n), seed=pl.lit(seed), bar=pl.lit(BARS[n]))
            for n in AXES
        ]
    # In units of the bar from here on.
    bins = pl.concat(found).with_columns(pl.col("left") / pl.col("bar"), pl.col("noise") / pl.col("bar"))
    kinds = bins.group_by("label", "survey", "by", "low").agg(
        skies=pl.len(),
        stars=pl.col("stars").mean(),
        noise=pl.col("noise").mean(),
        mean=pl.col("left").mean(),
        scatter=pl.col("left").std(),
        rms=(pl.col("left") ** 2).mean().sqrt(),
        worst=pl.col("left").abs().max(),
    )
    print(f"\nMOCK (embedded), {count} seeds: systematic difference from the anchor left in bins, over the bar")
    rows = [_over_seeds(bins.filter(pl.col("label") == n), kinds.filter(pl.col("label") == n), n) for n in AXES]
    headings = ["label", "bins a sky", "over the bar", "skies without", "rms", "bias", "scatter", "worst", ""]
    print(ReportTable(headings, [*rows, _over_seeds(bins, kinds, "all")]).text())
    print("The worst kinds of bin in half of the skies or more")
    often = kinds.filter(pl.col("skies") * 2 >= count).sort("rms", descending=True).head(10)
    headings = ["label", "survey", "bin", "stars", "mean", "scatter", "noise of the bin alone", "worst"]
    print(
        ReportTable(
            headings,
            [
                [r["label"], r["survey"], f"{r['by']} from {r['low']:g}", f"{r['stars']:.0f}"]
                + [f"{r[k]:.2f}" for k in ("mean", "scatter", "noise", "worst")]
                for r in often.iter_rows(named=True)
            ],
        ).text()
    )


def _over_seeds(bins: pl.DataFrame, kinds: pl.DataFrame, name: str) -> list[str]:
    """One row: bins over the bar in a sky on average, and what the rms is made of."""
    several = kinds.filter(pl.col("skies") > 1)
    scatter = float((several["scatter"] ** 2).mean())
    # The mean over few skies scatters too: less what that gives.
    bias = max(float((several["mean"] ** 2 - several["scatter"] ** 2 / several["skies"]).mean()), 0.0)
    over = bins.group_by("seed").agg((pl.col("left").abs() > 1).sum())["left"]
    return [
        name,
        f"{bins.height / len(over):.0f}",
        f"{over.mean():.2f}",
        f"{(over == 0).sum()} of {len(over)}",
        f"{(bins['left'] ** 2).mean() ** 0.5:.3f}",
        f"{bias**0.5:.3f}",
        f"{scatter**0.5:.3f}",
        f"{bins['left'].abs().max():.2f}",
        bar(f"seeds, {name}: bins", over.sum() == 0),
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
