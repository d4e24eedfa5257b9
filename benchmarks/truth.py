"""How many true values lie within `*_error_truth`, on MOCK skies with five label surveys on one scale.

    python benchmarks/truth.py                      three embedded skies, and that of ../shared/data where it is
    python benchmarks/truth.py --seeds 21 22        other embedded skies
    python benchmarks/truth.py --quick              one network of 20 epochs in place of the default
    python benchmarks/truth.py --learner knn        another learner
    python benchmarks/truth.py --stars 200000       larger embedded skies

The labels stand on the scale of the anchor, and so does the truth here: of an embedded sky for every star, of the
other one for stars that the anchor measured. Stars that the model was trained or calibrated on are left out, and
those with a flag. Prints per cent of the labels of the test stars within `*_error`, and of the true values within
`*_error_truth`, beside the bar, and exits with 1 when a share misses it. Then of all predicted stars of the
embedded skies, flagged or not, what `p_giant` says and how many are giants.
"""

from __future__ import annotations

import argparse
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl

import starscale as ss
from starscale import io
from starscale.mock.labels import SPECTROGRAPHS
from starscale.reports.table import ReportTable
from starscale.vocabulary.columns import LABELS

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared" / "data" / "mock"
OUT = ROOT / "build" / "truth"
STARS = 60_000
#: Share of true values within the error, per cent.
BAR = (64.0, 73.0)
#: Bins of `p_giant`; the last one holds 1.
PROBABILITIES = (0, 0.01, 0.05, 0.1, 0.3, 0.5, 0.7, 0.9, 0.95, 0.99, 1.01)
GIANT = 3.5
ANCHOR = "apogee_dr17"
SURVEYS = (ANCHOR, "galah_dr3", "gaia_eso_dr3", "rave_dr6", "lamost_dr5")
RUN_FILE = """\
extends = "default"
title = "MOCK: five surveys"
mock = true
seed = 1
repeats = 1
[importance]
apply = false
[catalogue]
survey = "gaia_dr3"
path = "{folder}/{gaia}.parquet"
[[catalogue.join]]
survey = "bailer_jones_edr3"
path = "{folder}/{distances}.parquet"
[[photometry]]
survey = "skymapper_dr2"
path = "{folder}/{skymapper}.parquet"
[homogenize]
leave_out = false
anchor = "{anchor}"
[model]
kind = "{learner}"
"""
QUICK = "members = 1\nepochs = 20\n"
LABEL_ENTRY = '[[labels]]\nsurvey = "{survey}"\npath = "{path}"\n'


def embedded(seed: int, stars: int, learner: str, quick: bool) -> tuple[Path, pl.DataFrame]:
    """Run on a sky of the package; return its folder, and the true labels on the scale of the anchor."""
    folder = OUT / learner / f"embedded_{seed}_{stars}"
    if not (folder / "mock").is_dir():
        ss.make_mock(folder / "mock", stars=stars, seed=seed)
    names = {"gaia": "gaia_dr3", "distances": "bailer_jones_edr3", "skymapper": "skymapper_dr2"}
    labels = {name: folder / "mock" / f"{name}.parquet" for name in SURVEYS}
    given = {"folder": folder / "mock", "anchor": ANCHOR, "learner": learner}
    finished(folder, RUN_FILE.format(**given, **names), labels, quick)
    known = io.read(folder / "mock" / "truth.parquet")
    shift = SPECTROGRAPHS[ANCHOR].scale(*(known[label].to_numpy() for label in LABELS))
    true = {label: known[label] + pl.Series(shift[i]) for i, label in enumerate(LABELS)}
    return folder, pl.DataFrame({"source_id": known["source_id"], **true})


def shared(learner: str, quick: bool) -> tuple[Path, pl.DataFrame]:
    """Run on the independent sky; return its folder, and the true labels of the stars that the anchor measured."""
    folder = OUT / learner / "shared"
    names = {"gaia": "gaia_source", "distances": "distances", "skymapper": "skymapper"}
    described = ROOT / "examples" / "surveys"
    labels = {
        str(described / f"mock_{name}.toml"): SHARED / f"{name}.parquet"
        for name in ("apogee", "galah", "gaia_eso", "rave", "lamost")
    }
    given = {"folder": SHARED, "anchor": "mock_apogee", "learner": learner}
    finished(folder, RUN_FILE.format(**given, **names), labels, quick)
    own = {"teff": "teff", "logg": "logg", "fe_h": "feh"}
    rows = pl.read_parquet(SHARED / "truth_spectro.parquet").filter(pl.col("survey") == "apogee")
    stars = pl.read_parquet(SHARED / "truth.parquet").filter("in_gaia")
    both = rows.unique("star_id", keep="first").join(stars, on="star_id", how="inner")
    true = {label: pl.col(column) + pl.col(f"sys_{column}") for label, column in own.items()}
    return folder, both.select(pl.col("source_id").cast(pl.Int64), **true).unique("source_id", keep="none")


def finished(folder: Path, text: str, labels: dict[str, Path], quick: bool) -> None:
    """Make the run, unless it is there."""
    entries = "".join(LABEL_ENTRY.format(survey=survey, path=path) for survey, path in labels.items())
    io.atomic_text(folder / "run.toml", text + (QUICK if quick else "") + entries)
    ss.run(folder / "run.toml", output=folder / "run", progress=True)


def unseen_of(folder: Path, true: pl.DataFrame) -> pl.DataFrame:
    """Return the predicted stars that the model was not fitted to, with labels and true values where known."""
    model = ss.load(folder / "run" / "model")
    training = io.read(folder / "run" / "training.parquet", columns=["source_id", "part", *LABELS])
    predicted = model.predict(io.read(folder / "run" / "matched.parquet")).drop("part")
    labels = training.rename({label: f"{label}_label" for label in LABELS})
    stars = predicted.join(labels, on="source_id", how="left")
    stars = stars.filter(~pl.col("part").is_in(["train", "validation"]).fill_null(False))
    return stars.join(true.rename({label: f"{label}_true" for label in LABELS}), on="source_id", how="left")


def held(stars: pl.DataFrame) -> list[list[str]]:
    """Return a row for every label: stars, shares of labels and of true values within the errors, the errors."""
    unseen, rows = stars.filter(pl.col("flags") == 0), []
    for label, about in LABELS.items():
        n, of_labels, _ = within(unseen, label, f"{label}_label", f"{label}_error")
        _, broad, error = within(unseen, label, f"{label}_true", f"{label}_error")
        known, narrow, of_truth = within(unseen, label, f"{label}_true", f"{label}_error_truth")
        sizes = [f"{size:.{about.decimals}f}" for size in (error, of_truth)]
        good = "ok" if BAR[0] <= narrow <= BAR[1] else "MISS"
        shares = [f"{share:.1f}" for share in (broad, narrow)]
        rows.append([label, f"{n:,}", f"{of_labels:.1f}", f"{known:,}", *shares, *sizes, good])
    return rows


def within(stars: pl.DataFrame, value: str, of: str, error: str) -> tuple[int, float, float]:
    """Return how many stars have all three, the per cent of them within the error, and its median."""
    own, known, size = stars.select(pl.col(value, of, error).cast(pl.Float64)).drop_nulls().to_numpy().T
    return len(own), 100 * float(np.mean(np.abs(own - known) < size)), float(np.median(size))


def giants(stars: pl.DataFrame) -> list[list[str]]:
    """Return a row for every bin of `p_giant`: stars, its mean, and the shares of giants by label and in truth."""
    rows = []
    for low, high in pairwise(PROBABILITIES):
        inside = stars.filter(
            pl.col("p_giant").is_between(low, high, closed="left"), pl.col("logg_true").is_not_null()
        )
        labelled = inside.filter(pl.col("logg_label").is_not_null())
        shares = []
        for part, logg in ((inside, "logg_true"), (labelled, "logg_label")):
            mean, share = part.select(pl.col("p_giant").mean(), (pl.col(logg) < GIANT).mean()).row(0)
            shares += [
                f"{len(part):,}",
                *(f"{100 * value:.1f}" if value is not None else "" for value in (mean, share)),
            ]
        rows.append([f"{low:g} to {min(high, 1):g}", *shares])
    return rows


def main() -> int:
    """Measure all skies and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[11, 12, 13])
    parser.add_argument("--stars", type=int, default=STARS, help=f"of an embedded sky; default: {STARS:,}")
    parser.add_argument("--quick", action="store_true", help="a smaller network")
    parser.add_argument("--learner", default="mixture", help="kind of the model; default: mixture")
    options = parser.parse_args()
    kind = options.learner, options.quick
    if options.quick and options.learner != "mixture":
        parser.error("--quick is a smaller mixture")
    skies = {f"embedded, {seed}": unseen_of(*embedded(seed, options.stars, *kind)) for seed in options.seeds}
    all_giants = giants(pl.concat(skies.values()))
    if SHARED.is_dir():
        skies["shared"] = unseen_of(*shared(*kind))
    else:
        print(f"{SHARED} is not here and left out")
    head = [
        "sky",
        "label",
        "test stars",
        "labels within error, %",
        "stars",
        "true values within error, %",
        "within error_truth, %",
        "median error",
        "error_truth",
        "",
    ]
    print(f"MOCK: shares within the errors of stars without a flag; bar {BAR[0]:g} to {BAR[1]:g} % of true values")
    rows = [[sky, *row] for sky, stars in skies.items() for row in held(stars)]
    print(ReportTable(head, rows).text())
    head = ["p_giant", "stars", "mean, %", "giants, %", "with label", "mean, %", "giants by label, %"]
    print(f"\nMOCK: giants (logg below {GIANT:g}) among stars of embedded skies")
    print(ReportTable(head, all_giants).text())
    return int(any(row[-1] == "MISS" for row in rows))


if __name__ == "__main__":
    sys.exit(main())
