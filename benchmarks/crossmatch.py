"""How good the cross-match is, beside the nearest neighbour: mock skies with known truth, and real stars.

Run by ``make match-quality``; parts a, c and d need the tables of ``../shared/data``. Prints what it
measures beside the bar that it must reach, and exits with 1 when one is missed.

    python benchmarks/crossmatch.py            all parts
    python benchmarks/crossmatch.py b d        some of them
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import polars as pl

import starscale as ss
from real_data import DATA, bar, missed
from starscale.crossmatch.kernel.inputs import match_columns, side_of
from starscale.crossmatch.kernel.link import link_by_position
from starscale.crossmatch.kernel.quality import expected_quality
from starscale.reports.table import ReportTable
from starscale.surveys import Survey, load_survey
from starscale.vocabulary.settings.match import MatchConfig

EXAMPLES = Path(__file__).resolve().parent.parent / "examples" / "surveys"
MERIT = MatchConfig(pairs="best")
#: An entry that is farther than this (arcsec) from the moved star is not that star.
ELSEWHERE = 10.0
NEAREST = {
    radius: MatchConfig(method="nearest", pairs="best", radius=radius, curate=False) for radius in (1.0, 2.0)
}


def judged(found: pl.DataFrame, truth: pl.DataFrame) -> pl.DataFrame:
    """Stars with a counterpart, and whether they were given theirs, another or none."""
    got = found.select("source_id", pl.col("original_ext_source_id").alias("got"), "match_probability")
    return truth.join(got, on="source_id", how="left").with_columns(
        (pl.col("got") == pl.col("object_id")).fill_null(False).alias("right"),
        (pl.col("got") != pl.col("object_id")).fill_null(False).alias("wrong"),
    )


def shares(table: pl.DataFrame) -> list[str]:
    """Right, wrong and without a pair, per cent."""
    n = max(table.height, 1)
    right, wrong = int(table["right"].sum()), int(table["wrong"].sum())
    return [f"{100 * right / n:.3f}", f"{100 * wrong / n:.3f}", f"{100 * (n - right - wrong) / n:.3f}"]


def part_a() -> None:
    """The shared MOCK sky: crowded and sparse fields, duplicates, galaxies, blends."""
    folder = DATA / "mock"
    truth = pl.read_parquet(folder / "truth.parquet").filter((pl.col("source_id") > 0) & (pl.col("object_id") > 0))
    truth = truth.select("source_id", "object_id", "field")
    tables = folder / "gaia_source.parquet", folder / "skymapper.parquet"
    compare("MOCK (shared): Gaia DR3 with SkyMapper", tables, truth, nearest=2.0, by="field")


def part_b() -> None:
    """The embedded MOCK sky, its SkyMapper positions as they would have been fifteen years earlier."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ss.make_mock(folder, stars=100_000)
        truth = pl.read_parquet(folder / "truth.parquet").filter(pl.col("object_id").is_not_null())
        tables = folder / "gaia_dr3.parquet", folder / "skymapper_dr2.parquet"
        truth = truth.filter(pl.col("source_id").is_not_null()).select("source_id", "object_id")
        for radius in NEAREST:
            compare("MOCK (embedded), epochs as they are", tables, truth, nearest=radius)
        earlier(tables[1], folder)
        for radius in NEAREST:
            compare("MOCK (embedded), epochs 15 years apart", tables, truth, nearest=radius)


def earlier(skymapper: Path, folder: Path, years: float = 15.0) -> None:
    """Move the stars of the SkyMapper table back in time by their proper motions."""
    truth = pl.read_parquet(folder / "truth.parquet", columns=["object_id", "pmra", "pmdec"])
    shift = truth.filter(pl.col("object_id").is_not_null()).unique("object_id")
    table = pl.read_parquet(skymapper).join(shift, on="object_id", how="left", maintain_order="left")
    mas = years / 3.6e6
    table.with_columns(
        pl.col("raj2000") - pl.col("pmra").fill_null(0.0) * mas / pl.col("dej2000").radians().cos(),
        pl.col("dej2000") - pl.col("pmdec").fill_null(0.0) * mas,
        pl.col("mean_epoch") - years * 365.25,
    ).drop("pmra", "pmdec").write_parquet(skymapper)


def compare(
    title: str, tables: tuple[Path, Path], truth: pl.DataFrame, *, nearest: float, by: str | None = None
) -> None:
    """Print right and wrong of the figure of merit beside those of the nearest neighbour."""
    runs = {"figure of merit": MERIT, f'nearest, {nearest:g}"': NEAREST[nearest]}
    found = {
        name: ss.match(*tables, left_survey="gaia_dr3", right_survey="skymapper_dr2", settings=config)
        for name, config in runs.items()
    }
    tried = {name: judged(match.best, truth) for name, match in found.items()}
    without = {name: m.best.join(truth, on="source_id", how="anti").height for name, m in found.items()}
    headings = ["stars", "n", *(f"{what} % ({name})" for name in runs for what in ("right", "wrong", "none"))]
    groups = [(None, "all"), *((value, value) for value in sorted(truth[by].unique()))] if by else [(None, "all")]
    rows = []
    better = 0
    for value, label in groups:
        parts = [t if value is None or by is None else t.filter(pl.col(by) == value) for t in tried.values()]
        rows.append([label, f"{parts[0].height:,}", *(cell for part in parts for cell in shares(part))])
        ours, theirs = parts
        if value is not None:
            better += ours["right"].sum() >= theirs["right"].sum() and ours["wrong"].sum() <= theirs["wrong"].sum()
    print(f"\n{title}\n{ReportTable(headings, rows).text()}")
    print("  pairs of Gaia sources that have no counterpart: " + ", ".join(f"{n} {k}" for k, n in without.items()))
    ours, theirs = tried.values()
    bar(
        f"{title}: right, % more than nearest",
        100 * (ours["right"].mean() - theirs["right"].mean()),
        0,
        at_least=True,
    )
    bar(f"{title}: wrong, % more than nearest", 100 * (ours["wrong"].mean() - theirs["wrong"].mean()), 0)
    if by:
        bar(f"{title}: fields where neither is worse", better, len(groups) - 1, at_least=True)
    if nearest == max(NEAREST):
        promises(title, found["figure of merit"].best, truth)


def promises(title: str, best: pl.DataFrame, truth: pl.DataFrame) -> None:
    """Print what the probabilities promise beside what they keep, on all best pairs."""
    known = best.join(truth, on="source_id", how="left")
    good = (known["original_ext_source_id"] == known["object_id"]).fill_null(False).to_numpy()
    probability = known["match_probability"].to_numpy()
    rows = []
    for row in expected_quality(probability).iter_rows(named=True):
        kept = probability >= row["threshold"]
        rows.append(
            [
                f"{row['threshold']:g}",
                f"{row['n']:,}",
                f"{100 * row['completeness']:.3f}",
                f"{100 * good[kept].sum() / good.sum():.3f}",
                f"{100 * row['contamination']:.3f}",
                f"{100 * (1 - good[kept].mean()):.3f}",
            ]
        )
    headings = [
        "probability at least",
        "pairs",
        "complete %: promised",
        "measured",
        "wrong %: promised",
        "measured",
    ]
    print(f"\n{title}: probabilities\n{ReportTable(headings, rows).text()}")


def part_c() -> None:
    """Labels of the shared MOCK surveys, positions of epoch 2000 only: the sparse match, with repeats."""
    folder = DATA / "mock"
    lead_survey = load_survey("gaia_dr3")
    gaia = ss.read(folder / "gaia_source.parquet", survey=lead_survey, columns=match_columns(lead_survey))
    lead = side_of(gaia, lead_survey, "gaia")
    stars = pl.read_parquet(folder / "truth.parquet").select("source_id", "star_id")
    spectra = pl.read_parquet(folder / "truth_spectro.parquet")
    rows = []
    for name in ("apogee", "galah", "gaia_eso", "rave", "lamost"):
        survey = load_survey(EXAMPLES / f"mock_{name}.toml")
        table = ss.read(folder / f"{name}.parquet", survey=survey)
        config = MatchConfig(mode="sparse", radius=2.0, pairs="best")
        links, match = link_by_position(lead, table, survey, config)
        number = pl.read_parquet(folder / f"{name}.parquet", columns=["row_id"]).with_row_index("row")
        truth = (
            number.join(spectra.filter(pl.col("survey") == name).select("row_id", "star_id"), on="row_id")
            .join(stars, on="star_id")
            .filter(pl.col("source_id") > 0)
            .join(links.rename({"source_id": "got"}), on="row", how="left")
        )
        right = int((truth["got"] == truth["source_id"]).sum())
        wrong = int((truth["got"] != truth["source_id"]).sum())
        rows.append([name, f"{truth.height:,}", f"{match.best.height:,}", f"{right:,}", f"{wrong:,}"])
        bar(f"MOCK (shared) labels of {name}: share right", right / truth.height, 0.999, at_least=True)
    headings = ["MOCK survey", "rows with a Gaia star", "stars", "rows right", "rows wrong"]
    print(f"\nSparse match, positions of epoch 2000\n{ReportTable(headings, rows).text()}")


def part_d() -> None:
    """REAL benchmark stars with their 2MASS and AllWISE entries: proper motions of arcseconds a year."""
    table = ss.read(DATA / "real" / "gaia_benchmark_stars_v3.fits")
    gaia = table.filter(pl.col("ra_gaiadr3").is_not_null())
    renamed = {f"{name}_gaiadr3": name for name in ("ra", "dec", "ra_error", "dec_error")}
    gaia = gaia.drop(*renamed.values(), strict=False).rename(renamed)
    sources: dict[str, tuple[pl.DataFrame, Survey]] = {
        "2MASS": (
            table.filter(pl.col("tmass_oid") > 0).rename({"ph_qual_tmass": "ph_qual"}).drop("source_id"),
            load_survey("tmass"),
        ),
        "AllWISE": (
            table.filter(pl.col("ra_allwise").is_not_null())
            .drop("ra", "dec", "source_id")
            .rename({"ra_allwise": "ra", "dec_allwise": "dec", "designation_allwise": "designation"})
            .rename({"ra_error": "sigra", "dec_error": "sigdec"}),
            load_survey("allwise"),
        ),
    }
    rows = []
    for name, (external, survey) in sources.items():
        key = survey.id.column
        known = gaia.select("source_id", "hip").join(external.select("hip", key), on="hip")
        # Of a wide double the table may name the entry of the other star: not a counterpart at all.
        wide = NEAREST[1.0].model_copy(update={"radius": ELSEWHERE})
        there = ss.match(gaia, external, left_survey="gaia_dr3", right_survey=survey, settings=wide).neighbours
        there = there.rename({"original_ext_source_id": key}).select("source_id", key)
        elsewhere = known.join(there, on=["source_id", key], how="anti")["hip"].to_list()
        names = ", ".join(elsewhere) or "none"
        print(f'  {name}: entries farther than {ELSEWHERE:g}" from their star, left out: {names}')
        known = known.join(there, on=["source_id", key], how="semi")
        found = {}
        for label, config in {
            "figure of merit": MERIT,
            'nearest 1", moved': NEAREST[1.0],
            'nearest 1", not moved': NEAREST[1.0].model_copy(update={"proper_motion": False}),
            'nearest 5", not moved': NEAREST[1.0].model_copy(update={"proper_motion": False, "radius": 5.0}),
        }.items():
            best = ss.match(gaia, external, left_survey="gaia_dr3", right_survey=survey, settings=config).best
            both = known.join(best, on="source_id", how="left")
            found[label] = int((both["original_ext_source_id"] == both[key]).fill_null(False).sum())
            lost = both.filter(pl.col("original_ext_source_id").is_null())["hip"].to_list()
            if label == "figure of merit":
                print(f"  {name}: lost by the figure of merit: {', '.join(lost) or 'none'}")
        rows.append([f"REAL: {name}", f"{known.height}", *(str(n) for n in found.values())])
        bar(
            f"REAL benchmark stars, {name}: share found",
            found["figure of merit"] / known.height,
            1.0,
            at_least=True,
        )
    print(f"\n{ReportTable(['benchmark stars with', 'pairs known', *found], rows).text()}")


PARTS = {"a": part_a, "b": part_b, "c": part_c, "d": part_d}


def main() -> int:
    """Run the parts that were asked for."""
    for name in sys.argv[1:] or PARTS:
        if name != "b" and not DATA.is_dir():
            print(f"{DATA} is not here: part {name} cannot be measured")
            continue
        PARTS[name]()
    print(f"\n{'all bars reached' if not missed else 'MISSED: ' + ', '.join(missed)}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
