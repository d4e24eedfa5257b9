"""Train the packaged model `segue_colours`: python make.py TABLE FOLDER

TABLE is the CSV file of colours and [Fe/H] that README.md beside this file names; FOLDER receives the tables, the
model and its packed form. The same table gives the same model on the same machine.
"""

from __future__ import annotations

import shutil
import sys
import tomllib
from dataclasses import replace
from pathlib import Path

import polars as pl

import starscale as ss

HERE = Path(__file__).resolve().parent
COLOURS = {"ug": "u_g", "gr": "g_r", "ri": "r_i", "iz": "i_z"}
CITATION = (
    "Yanny et al. 2009, AJ 137, 4377 (SEGUE)",
    "Lee et al. 2008, AJ 136, 2022 (pipeline)",
    "Abdurro'uf et al. 2022, ApJS 259, 35 (SDSS DR17)",
    "github.com/RikGhosh487/Metallicity-Approximator, CC-BY-4.0 (table)",
)
#: Changes of the colours, mag: by 0.1 mag of E(B-V), and by the step of u from SDSS to AB.
CHANGES = {
    "E(B-V) larger by 0.1": {"u_g": 0.0936, "g_r": 0.1018, "r_i": 0.0587, "i_z": 0.0435},
    "u - g smaller by 0.04": {"u_g": -0.04},
}


def stars_of(table: str | Path) -> pl.DataFrame:
    """One row for each star, in the columns of the survey sdss_model, with its mean [Fe/H].

    Rows whose colours are equal to the last digit are spectra of one star: in two rows it could be in two parts of
    the split. The table has no errors of [Fe/H]; the floor of the survey file stands in for them.
    """
    rows = ss.read(table).rename(COLOURS)
    stars = rows.group_by(list(COLOURS.values()), maintain_order=True).agg(fe_h=pl.col("feh").mean())
    floor = ss.load_survey("segue").labels["fe_h"].error_floor
    return stars.with_columns(
        pl.int_range(1, pl.len() + 1).alias("objid"), mode=1, type=6, fe_h_error=pl.lit(floor)
    )


def prepare(table: str | Path, work: Path) -> ss.Cleaned:
    """Write the run file and the table of stars to a folder, and apply the cuts of the run file."""
    work.mkdir(parents=True, exist_ok=True)
    for name in ("run.toml", "colours.toml"):
        shutil.copy(HERE / name, work)
    ss.write(stars_of(table), work / "stars.parquet")
    cuts = ss.Cuts(**tomllib.loads((work / "run.toml").read_text())["catalogue"]["cuts"])
    return ss.clean(work / "stars.parquet", survey="sdss_model", cuts=cuts)


def main(table: str, folder: str) -> None:
    """Train, complete the card, pack the model, and print what is to be known of it."""
    work = Path(folder)
    cleaned = prepare(table, work)
    trained = ss.train(work / "run.toml", table=cleaned.table, output=work / "trained", progress=True)
    card = (work / "trained" / "MODEL_CARD.md").read_text() + "\n" + (HERE / "CARD.md").read_text()
    # The numbers of the rows are no identifiers of SDSS, so the list of training stars would tell nobody anything.
    replace(trained.model, stars=None).save(work / "segue_colours", card=card)
    packed = ss.pack_model(
        work / "segue_colours",
        work / "segue_colours.tar",
        licence="CC-BY-4.0",
        label_scale="SEGUE Stellar Parameter Pipeline (SDSS DR17)",
        citation=CITATION,
    )
    # In the package the bundle is a folder, whose checksum is that of the packed file.
    (work / "registry.toml").write_text(packed.entry.replace("segue_colours.tar", "segue_colours"))
    print(cleaned.attrition.frame())
    before = trained.model.predict(cleaned.table)["fe_h"]
    for name, change in CHANGES.items():
        changed = cleaned.table.with_columns(pl.col(column) + step for column, step in change.items())
        print(f"{name}: [Fe/H] changes by {(trained.model.predict(changed)['fe_h'] - before).median():.2f} dex")
    print(packed.entry, end="")


if __name__ == "__main__":
    main(*sys.argv[1:])
