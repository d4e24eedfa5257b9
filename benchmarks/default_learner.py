"""What the default promises besides accuracy: missing bands, flags, rare stars, metal-poor stars.

On the independent MOCK sky of ../shared, with the labels of five surveys on one scale, where every figure can be
set against the truth too. Prints what it measures beside the bar that it must reach, and exits with 1 when one is
missed. What the same program has trained before with the same settings is taken from ``build/default_learner``.

    python benchmarks/default_learner.py                              all models, five repeats
    python benchmarks/default_learner.py --repeats 2 --without turchi2024

Figures are those of the value in the catalogue, the median, on the test parts of all repeats together.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl

import starscale as ss
from starscale.io.progress import DisplayedProgress
from starscale.model.evaluate import BINS, mad
from starscale.model.model import Model
from starscale.pipeline.comparing import entries_of
from starscale.pipeline.folder import RunFolder
from starscale.pipeline.learnable import TrainingArrays
from starscale.pipeline.pipeline import RunSteps
from starscale.pipeline.plan import RunPlan
from starscale.pipeline.planning import plan
from starscale.pipeline.prepare_training import TRAINING
from starscale.pipeline.runfile import load_run
from starscale.pipeline.training import train_plan
from starscale.reports.table import ReportTable
from starscale.reports.text import number
from starscale.vocabulary.arrays import FloatArray
from starscale.vocabulary.errors import StarscaleError
from starscale.vocabulary.flags import CatalogueFlag

HERE = Path(__file__).resolve().parent
DATA = HERE.parents[1] / "shared" / "data" / "mock"
OUT = HERE.parent / "build" / "default_learner"
LABELS = ("teff", "logg", "fe_h")
DECIMALS = {"teff": 1, "logg": 3, "fe_h": 3}
METAL_POOR = -2.0
#: What is withheld, and its columns.
WITHHELD = {"v": ("v_psf", "e_v_psf"), "u and v": ("u_psf", "e_u_psf", "v_psf", "e_v_psf")}
DEFAULT, WHOLE, RARE, TREES, PAPER = "default", "all bands only", "rare stars weighted", "xgboost", "turchi2024"
#: Flags of stars that are unlike the training stars, that are two solutions, or whose intervals are the widest.
UNLIKE = CatalogueFlag.OUT_OF_DOMAIN | CatalogueFlag.LABEL_OUT_OF_RANGE | CatalogueFlag.DWARF_OR_GIANT
DOUBTFUL = UNLIKE | CatalogueFlag.UNCERTAIN
#: Bins with fewer stars, over all repeats, are not shown.
FEWEST = 30

Change = Callable[[pl.DataFrame], pl.DataFrame]
missed: list[str] = []


@dataclass(frozen=True)
class Variant:
    """A model: the run that trains it, and what is done to its training table."""

    run: RunPlan
    change: Change


def unchanged(table: pl.DataFrame) -> pl.DataFrame:
    return table


def withheld(band: str) -> Change:
    """Make the function that takes bands from all stars."""

    def change(table: pl.DataFrame) -> pl.DataFrame:
        return table.with_columns(pl.lit(None, table.schema[name]).alias(name) for name in WITHHELD[band])

    return change


def without(band: str) -> str:
    return f"retrained without {band}"


def variants(run: RunPlan) -> dict[str, Variant]:
    """All models, by name."""
    config = run.config

    def own(**changed: object) -> RunPlan:
        model = config.model.model_copy(update=changed)
        return replace(run, config=config.model_copy(update={"model": model}))

    whole = own(most_sets=0, rare_members=0)
    others = {entry.name: Variant(entry.run, unchanged) for entry in entries_of(run, (TREES, PAPER))}
    return {
        DEFAULT: Variant(run, unchanged),
        **{without(band): Variant(whole, withheld(band)) for band in WITHHELD},
        WHOLE: Variant(whole, unchanged),
        RARE: Variant(own(most_sets=0, rare_members=0, rare_power=0.5), unchanged),
        **others,
    }


class Trainings:
    """Models of all repeats, trained or taken from an earlier call, and their test parts."""

    def __init__(self, run: RunPlan, table: pl.DataFrame, checksum: str) -> None:
        self.run, self.table, self.checksum = run, table, checksum
        self.variants = variants(run)
        self.folder = RunFolder.open(OUT / "models", {}, DisplayedProgress())
        self.truth = truth()
        self._loaded: dict[tuple[str, int], Model] = {}

    def model(self, name: str, repeat: int) -> Model:
        """A model, trained when it is first asked for."""
        if (name, repeat) not in self._loaded:
            self._loaded[name, repeat] = self._trained(name, repeat)
        return self._loaded[name, repeat]

    def _trained(self, name: str, repeat: int) -> Model:
        variant = self.variants[name]
        config = variant.run.config
        config = config.model_copy(update={"seed": config.seed + repeat, "repeats": 1, "models": ()})
        file = f"{name.replace(' ', '_')}_{repeat}"

        def work() -> dict[str, object]:
            trained = train_plan(replace(variant.run, config=config), variant.change(self.table))
            trained.save(self.folder.file(file))
            return {}

        settings = [part.model_dump(mode="json") for part in (config, variant.run.feature_set)]
        self.folder.step(
            f"{name}, repeat {repeat}",
            settings=settings,
            reads={TRAINING: self.checksum},
            writes=[file],
            work=work,
        )
        return ss.load(self.folder.file(file))

    def keep(self, names: Iterable[str], repeats: int) -> None:
        """Keep the records of everything that an earlier call has trained."""
        for name in names:
            for repeat in range(repeats):
                self.folder.carry(f"{name}, repeat {repeat}")

    def test(self, repeat: int) -> pl.DataFrame:
        """Stars of the test part, with the truth beside the labels."""
        rows = TrainingArrays.of(self.run, self.table).rows(repeat)["test"]
        return self.table[rows].join(self.truth, on="source_id", how="left", maintain_order="left")

    def predicted(self, name: str, repeat: int, change: Change = unchanged) -> pl.DataFrame:
        """Test part of a repeat with predictions beside it: ``<label>_value``, ends of the interval, `flags`."""
        stars = self.test(repeat)
        found = self.model(name, repeat).predict(change(stars))
        columns = [pl.col(label).alias(f"{label}_value") for label in LABELS]
        ends = [pl.col(f"{label}_{part}") for label in LABELS for part in ("lower", "upper", "error")]
        # Of the labels the errors are dropped: these names are those of the predicted errors from here on.
        known = stars.drop("flags", *(f"{label}_error" for label in LABELS))
        return known.hstack(found.select(*columns, *ends, "flags"))

    def all(self, name: str, repeats: int, change: Change = unchanged) -> pl.DataFrame:
        """The test parts of all repeats below one another."""
        return pl.concat([self.predicted(name, repeat, change) for repeat in range(repeats)])


def truth() -> pl.DataFrame:
    """Read the true labels of the stars."""
    names = {"teff": "teff", "logg": "logg", "feh": "fe_h"}
    stars = pl.read_parquet(DATA / "truth.parquet").filter("in_gaia").unique("source_id", keep="first")
    return stars.select("source_id", *(pl.col(c).cast(pl.Float64).alias(f"{n}_true") for c, n in names.items()))


def judge(name: str, value: float, good: bool, bar: str) -> None:
    """Print a measured value beside its bar, and remember a miss."""
    print(f"  {'ok  ' if good else 'MISS'} {name}: {value:.4g} ({bar})")
    if not good:
        missed.append(name)


def difference(stars: pl.DataFrame, label: str, other: str = "") -> FloatArray:
    """Value less the label (or the column ``<label><other>``) of stars that have both."""
    both = (stars[f"{label}_value"] - stars[f"{label}{other}"]).cast(pl.Float64)
    return np.asarray(both.fill_nan(None).drop_nulls().to_numpy())


def rmse(x: FloatArray) -> float:
    return float(np.sqrt((x**2).mean())) if len(x) else float("nan")


def coverage(stars: pl.DataFrame, label: str) -> float:
    """Share of labels in the 68 % interval."""
    known = stars.filter(pl.col(label).is_not_null() & pl.col(f"{label}_value").is_not_null())
    inside = known.select(pl.col(label).is_between(f"{label}_lower", f"{label}_upper").mean()).item()
    return float(inside)


def ratios(ours: pl.DataFrame, theirs: pl.DataFrame, label: str) -> tuple[float, float]:
    """Ratios of MAD and RMSE of two models on the same stars."""
    a, b = difference(ours, label), difference(theirs, label)
    return mad(a) / mad(b), rmse(a) / rmse(b)


def missing_bands(models: Trainings, repeats: int) -> None:
    """Compare the default with networks that never saw the withheld bands, on stars that have all bands."""
    complete = pl.all_horizontal(pl.col(f"{band}_psf").is_not_null() for band in "uvgriz")

    def of(name: str, change: Change = unchanged) -> pl.DataFrame:
        return models.all(name, repeats, change).filter(complete)

    rows = []
    cases = [("nothing", of(DEFAULT), of(WHOLE))]
    cases += [(band, of(DEFAULT, withheld(band)), of(without(band))) for band in WITHHELD]
    for name, ours, theirs in cases:
        for label in LABELS:
            of_mad, of_rmse = ratios(ours, theirs, label)
            inside = coverage(ours, label)
            figures = [number(mad(difference(stars, label)), DECIMALS[label]) for stars in (ours, theirs)]
            shares = [f"{100 * share:.1f}" for share in (inside, coverage(theirs, label))]
            rows.append([name, label, str(ours.height), *figures, f"{of_mad:.3f}", f"{of_rmse:.3f}", *shares])
            most = 1.01 if name == "nothing" else 1.05
            judge(f"{label}, {name} withheld: MAD ratio", of_mad, of_mad <= most, f"at most {most:g}")
            judge(f"{label}, {name} withheld: RMSE ratio", of_rmse, of_rmse <= most, f"at most {most:g}")
            if name != "nothing":
                good = 0.65 <= inside <= 0.72
                judge(f"{label}, {name} withheld: coverage", inside, good, "0.65 to 0.72")
    headings = ["withheld", "label", "n", "MAD", "MAD retrained", "MAD ratio", "RMSE ratio"]
    print(f"\nMOCK: missing bands\n{ReportTable([*headings, 'in 68 % int.', 'retrained'], rows).text()}\n")


def flagged_failures(models: Trainings, repeats: int) -> None:
    """Count failures among flagged stars and among all."""
    stars = models.all(DEFAULT, repeats)
    flags = stars["flags"].to_numpy()
    doubtful, unlike = ((flags & int(bits)) != 0 for bits in (DOUBTFUL, UNLIKE))
    share = float(doubtful.mean())
    rows = []
    for other, against in (("", "labels"), ("_true", "truth")):
        failed = {kind: np.zeros(stars.height, dtype=bool) for kind in ("5 robust sigma", "5 predicted errors")}
        for label in LABELS:
            pair = stars.select(
                (pl.col(f"{label}_value") - pl.col(f"{label}{other}")).alias("off"), pl.col(f"{label}_error")
            )
            off, error = pair.cast(pl.Float64).fill_null(np.nan).to_numpy().T
            known = off[np.isfinite(off)]
            with np.errstate(invalid="ignore"):
                failed["5 robust sigma"] |= np.abs(off - np.median(known)) > 5 * mad(known)
                failed["5 predicted errors"] |= np.abs(off) > 5 * error
        for kind, bad in failed.items():
            held, less = (float(mask[bad].mean()) if bad.any() else float("nan") for mask in (doubtful, unlike))
            shares = [f"{100 * held:.0f}", f"{100 * share:.1f}", f"{100 * less:.0f}", f"{100 * unlike.mean():.1f}"]
            rows.append([against, kind, str(int(bad.sum())), *shares])
            if kind == "5 robust sigma" and not other:
                judge("share of 5-sigma failures that are flagged", held, held >= 0.5, "0.5 or more")
    judge("share of stars that are flagged", share, share <= 0.1, "at most 0.1")
    headings = ["against", "failure: off by more than", "failures", "flagged %", "of all %"]
    headings += ["without UNCERTAIN %", "of all %"]
    print(f"\nMOCK: failures among {stars.height} test stars\n{ReportTable(headings, rows).text()}\n")


def rare_stars(models: Trainings, repeats: int) -> None:
    """Print every bin of the labels with and without weights for rare stars."""
    plain, weighted = (models.all(name, repeats) for name in (WHOLE, RARE))
    rows = []
    for label in LABELS:
        edges = BINS[label]
        for low, high in [(-np.inf, np.inf), *pairwise(edges)]:
            inside = pl.col(f"{label}_true").is_between(low, high, closed="left")
            a, b = (stars.filter(inside) for stars in (plain, weighted))
            if a.height < FEWEST:
                continue
            name = "all" if np.isinf(low) else f"{low:g} to {high:g}"
            cells = []
            for stars in (a, b):
                off = difference(stars, label, "_true")
                cells += [number(x, DECIMALS[label]) for x in (off.mean(), mad(off), rmse(off))]
            of_mad = mad(difference(b, label, "_true")) / mad(difference(a, label, "_true"))
            rows.append([label, name, str(a.height), *cells, f"{of_mad:.3f}"])
    headings = ["label", "true value", "n", "bias", "MAD", "RMSE", "weighted: bias", "MAD", "RMSE", "MAD ratio"]
    print(f"\nMOCK: rare_power = 0.5, against the TRUTH\n{ReportTable(headings, rows).text()}\n")


def metal_poor(models: Trainings, names: Mapping[str, int]) -> None:
    """Print bias and RMSE of metal-poor stars, against label and truth."""
    rows = []
    for name, repeats in names.items():
        stars = models.all(name, repeats)
        for other, against in (("", "label"), ("_true", "truth")):
            poor = stars.filter(pl.col(f"fe_h{other}") < METAL_POOR)
            for label in LABELS:
                off = difference(poor, label, other)
                figures = [number(x, DECIMALS[label]) for x in (float(off.mean()), rmse(off))]
                rows.append([label, against, name, str(repeats), str(len(off)), *figures])
    rows.sort(key=lambda row: (LABELS.index(row[0]), row[1]))
    headings = ["label", "against", "model", "repeats", "n", "bias", "RMSE"]
    print(f"\nMOCK: metal-poor stars (fe_h below {METAL_POOR:g})\n{ReportTable(headings, rows).text()}\n")


def training_table() -> tuple[RunPlan, pl.DataFrame, str]:
    """Make the training table of the run, or take it from an earlier call."""
    run_file = HERE / "runs" / "learners_shared.toml"
    config, base = load_run(run_file)
    the_plan = plan(config, base)
    steps = RunSteps(the_plan, OUT / "tables", str(run_file), DisplayedProgress())
    steps.training_set()
    steps.folder.save()
    return the_plan, ss.read(steps.folder.file(TRAINING)), steps.folder.checksum(TRAINING)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure everything."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--without", nargs="+", default=[], choices=[TREES, PAPER, RARE], metavar="MODEL")
    options = parser.parse_args(arguments)
    if not DATA.is_dir():
        print(f"{DATA} is not here: nothing can be measured")
        return 1
    models = Trainings(*training_table())
    models.keep(models.variants, 5)
    wanted = {name: options.repeats for name in models.variants if name not in options.without}
    # The paper's network takes the longest: three repeats, as in the other comparison.
    wanted |= {PAPER: min(options.repeats, 3)} if PAPER in wanted else {}
    for repeat in range(options.repeats):
        for name, repeats in wanted.items():
            if repeat < repeats:
                models.model(name, repeat)
    missing_bands(models, options.repeats)
    flagged_failures(models, options.repeats)
    if RARE in wanted:
        rare_stars(models, options.repeats)
    metal_poor(models, {name: wanted[name] for name in (DEFAULT, TREES, PAPER) if name in wanted})
    print(f"{len(missed)} bars missed{': ' * bool(missed)}{', '.join(missed)}")
    return 1 if missed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except StarscaleError as error:
        sys.exit(str(error))
