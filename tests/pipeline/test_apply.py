"""A trained model applied to catalogues that are not matched yet."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

import starscale as ss
from starscale import io
from starscale.model.needs import can_go_without, cost_without, needed_columns
from starscale.model.recognise import recognise
from starscale.reports.closing import Outcome, closing
from starscale.vocabulary.flags import CatalogueFlag
from support.command import command
from support.recorded_progress import RecordedProgress
from support.small_model import small_model

NAMES = ("gaia_dr3", "bailer_jones_edr3", "skymapper_dr2")
CUT_FAILED = int(CatalogueFlag.CUT_FAILED)


@pytest.fixture(scope="session")
def tables(sky: Path) -> list[Path]:
    return [sky / "mock" / f"{name}.parquet" for name in NAMES]


@pytest.fixture(scope="session")
def cleaned(finished: Path, tables: list[Path], tmp_path_factory: pytest.TempPathFactory) -> ss.Applied:
    """The bundle of the small run, applied to the tables of this run with its cuts; nothing may change it."""
    return ss.apply(
        finished / "model", tables, tmp_path_factory.mktemp("applied") / "catalogue.parquet", clean=True
    )


@pytest.fixture(scope="session")
def flagged(finished: Path, tables: list[Path]) -> ss.Applied:
    return ss.apply(finished / "model", tables)


def refused(finished: Path, given: list[object]) -> str:
    with pytest.raises(ss.InputError) as caught:
        ss.apply(finished / "model", given)
    return str(caught.value)


def changed(tmp_path: Path, table: Path, change: Callable[[pl.DataFrame], pl.DataFrame]) -> Path:
    target = tmp_path / table.name
    io.write(change(io.read(table)), target)
    return target


def test_the_catalogue_is_that_of_the_run_bit_for_bit(finished: Path, cleaned: ss.Applied) -> None:
    expected = io.read(finished / "catalogue.parquet")
    assert cleaned.output is not None
    assert io.read(cleaned.output).equals(expected, null_equal=True)
    assert (cleaned.rows, cleaned.mock, cleaned.table) == (expected.height, True, None)
    run = json.loads((finished / "provenance.json").read_text())["steps"]
    assert (
        cleaned.attrition["gaia_dr3"].n_out
        == run["clean gaia_dr3"]["result"]["attrition"]["rows"][-1]["remaining"]
    )
    assert cleaned.pairs["skymapper_dr2"] == run["match skymapper_dr2"]["result"]["n_kept"]
    assert cleaned.report is not None
    assert cleaned.report.exists()


def test_without_clean_every_star_stays_and_cuts_are_flags(finished: Path, flagged: ss.Applied) -> None:
    """The same as `predict` on the tables matched and joined by hand."""
    expected = io.read(finished / "catalogue.parquet")
    table = flagged.table
    assert table is not None
    both = table.join(expected.select("source_id"), on="source_id", maintain_order="right")
    assert_frame_equal(both, expected, check_exact=True)
    others = table.join(expected.select("source_id"), on="source_id", how="anti")
    assert others.height > 1000
    # A star of a lost pair fails a cut itself, or its counterpart does.
    assert others.filter(pl.col("flags") & CUT_FAILED == 0).height == 0
    assert flagged.flags["CUT_FAILED"] == others.height
    assert (flagged.output, flagged.folder, flagged.report) == (None, None, None)
    assert repr(flagged) == f"Applied({flagged.predicted:,} of {table.height:,} stars predicted, MOCK, in memory)"


def test_finished_steps_are_not_repeated(
    finished: Path, tables: list[Path], cleaned: ss.Applied, tmp_path: Path
) -> None:
    assert cleaned.folder is not None
    folder = tmp_path / "run"
    shutil.copytree(cleaned.folder, folder)
    (folder / "matched.parquet").unlink()
    said: list[str] = []
    output = tmp_path / "catalogue.parquet"
    ss.apply(finished / "model", tables, output, clean=True, folder=folder, progress=RecordedProgress(said))
    assert [text for text in said if text.endswith(("unchanged", "..."))] == [
        "clean gaia_dr3: unchanged",
        "clean skymapper_dr2: unchanged",
        "match skymapper_dr2: unchanged",
        "join ...",
        "predict ...",
        "report ...",
    ]
    assert cleaned.output is not None
    assert io.read(output).equals(io.read(cleaned.output))


def test_tables_in_memory_and_columns_with_other_names(
    finished: Path, tables: list[Path], cleaned: ss.Applied
) -> None:
    gaia, distances, skymapper = map(io.read, tables)
    given = [(gaia.rename({"ra": "RA_deg"}), "gaia_dr3"), distances, skymapper.rename({"u_psf": "u"})]
    rename = {"gaia_dr3": {"ra": "RA_deg"}, "skymapper_dr2": {"u_psf": "u"}}
    found = ss.apply(finished / "model", given, clean=True, rename=rename)
    assert cleaned.output is not None
    assert_frame_equal(found.table, io.read(cleaned.output), check_exact=True)


def test_a_run_file_with_a_bundle(finished: Path, sky: Path, cleaned: ss.Applied, tmp_path: Path) -> None:
    run_file = sky / "apply.toml"
    run_file.write_text('extends = "run.toml"\n[model]\nbundle = "run/model"\nclean = true\n')
    said = ss.check(run_file)
    assert any("applies the model" in text for text in said)
    result = ss.run(run_file, tmp_path / "run")
    assert cleaned.output is not None
    assert io.read(result.catalogue).equals(io.read(cleaned.output))
    assert result.report.exists()
    with pytest.raises(ss.InputError, match="names a trained model"):
        ss.train(run_file)
    run_file.write_text(
        'extends = "run.toml"\n[model]\nbundle = "run/model"\n[match]\nradius = 2.0\n[catalogue]\ncuts = {}\n'
    )
    with pytest.raises(ss.InputError) as caught:
        ss.check(run_file)
    assert "match: unknown key" in str(caught.value)
    assert "catalogue.cuts: unknown key" in str(caught.value)


def test_another_prior_and_other_thresholds(
    finished: Path, tables: list[Path], sky: Path, cleaned: ss.Applied, tmp_path: Path
) -> None:
    found = ss.apply(finished / "model", tables, clean=True, prior="flat", below={"fe_h": [-1.5]})
    expected = ss.predict(finished / "model", finished / "matched.parquet", prior="flat", below={"fe_h": [-1.5]})
    assert found.table is not None
    assert found.table.equals(expected.table)
    run_file = sky / "apply_prior.toml"
    said = '[predict]\nprior = "flat"\nbelow = { fe_h = [-1.5] }\n'
    run_file.write_text('extends = "run.toml"\n[model]\nbundle = "run/model"\nclean = true\n' + said)
    result = ss.run(run_file, tmp_path / "run")
    assert io.read(result.catalogue).equals(found.table)
    assert "under a flat prior" in result.report.read_text()
    # A model without a density is refused before the first step.
    small_model().save(sky / "no_density", card="")
    run_file.write_text('extends = "run.toml"\n[model]\nbundle = "no_density"\n[predict]\nprior = "flat"\n')
    with pytest.raises(ss.InputError, match="prior: needs the density of the training labels"):
        ss.run(run_file, tmp_path / "refused")
    assert not (tmp_path / "refused").exists()
    with pytest.raises(ss.InputError, match="below: fe_h"):
        ss.apply(finished / "model", tables, below={"fe_h": [-80]})


def test_slopes_are_a_choice(
    finished: Path, tables: list[Path], sky: Path, cleaned: ss.Applied, tmp_path: Path
) -> None:
    found = ss.apply(finished / "model", tables, clean=True, slopes=False).table
    assert found is not None
    assert found.equals(ss.predict(finished / "model", finished / "matched.parquet", slopes=False).table)
    slopes, usual = pl.selectors.ends_with("_ebv_slope"), io.read(Path(str(cleaned.output)))
    assert found.select(slopes).null_count().row(0) == (found.height,) * 3
    assert usual.select(slopes).null_count().row(0) < (found.height,) * 3
    assert found.drop(slopes).equals(usual.drop(slopes))
    run_file = sky / "apply_no_slopes.toml"
    said = "[predict]\nslopes = false\n"
    run_file.write_text('extends = "run.toml"\n[model]\nbundle = "run/model"\nclean = true\n' + said)
    assert io.read(ss.run(run_file, tmp_path / "run").catalogue).equals(found)
    given = [word for table in tables for word in ("--table", table)]
    out = tmp_path / "out.parquet"
    done = command("apply", finished / "model", *given, "-o", out, "--clean", "--no-slopes")
    assert done.returncode == 0, done.stderr
    assert io.read(out).equals(found)
    assert "columns agree" in "\n".join(ss.check(out, verify=True))
    # The same folder with slopes: they are predicted, and nothing else is done again.
    progress: list[str] = []
    ss.apply(finished / "model", tables, out, clean=True, progress=RecordedProgress(progress))
    assert io.read(out).equals(usual)
    assert [line for line in progress if line.endswith(" ...")] == ["predict ...", "report ..."]


def test_a_survey_that_is_not_given(finished: Path, tables: list[Path]) -> None:
    """Its measurements are missing, and a warning says what that costs."""
    found = ss.apply(finished / "model", [tables[0], tables[2]])
    (warning,) = found.warnings
    assert warning.startswith(
        "no table of bailer_jones_edr3 is given: without distance, the MAD on test stars is teff "
    )
    costs = ss.load(finished / "model").information["missing_bands"]
    teff = next(row for row in costs if row["missing"] == "distance" and row["label"] == "teff")
    assert f"teff {teff['mad_without']:.1f} K instead of {teff['mad_with']:.1f}" in warning
    assert found.flags["INPUT_MISSING"] == found.rows
    assert 0 < found.predicted <= found.rows
    text = refused(finished, [tables[0]])
    assert "no table of bailer_jones_edr3 and skymapper_dr2" in text
    assert "no star could be predicted" in text


def test_tables_of_another_survey_or_release_are_refused(
    finished: Path, tables: list[Path], sky: Path, tmp_path: Path
) -> None:
    other = changed(tmp_path, tables[0], lambda t: t.with_columns(teff_val=pl.lit(5000.0)))
    assert "has columns of gaia_dr2 (teff_val)" in refused(finished, [other, *tables[1:]])
    assert "has columns of gaia_dr2 (teff_val)" in refused(finished, [(other, "gaia_dr3"), *tables[1:]])
    older = changed(tmp_path, tables[0], lambda t: t.with_columns(ref_epoch=pl.lit(2015.5)))
    assert "epoch 2015.5 (column 'ref_epoch'), as gaia_dr2 has" in refused(finished, [older, *tables[1:]])
    text = refused(
        finished, [(tables[0], "gaia_dr2"), tmp_path / "none.parquet", sky / "mock" / "galah_dr3.parquet"]
    )
    assert "survey 'gaia_dr2': is another release than gaia_dr3" in text
    assert "none.parquet: no such file" in text
    assert "galah_dr3.parquet: has the columns of no survey of the model" in text
    assert "is a table of gaia_dr3, as" in refused(finished, [*tables, tables[0]])
    assert "no table of the leading catalogue" in refused(finished, tables[1:])


def test_provenance_tells_the_survey_of_a_table(finished: Path, tables: list[Path], tmp_path: Path) -> None:
    made = tmp_path / "made.parquet"
    ss.write(tables[0], made, provenance={"command": "fetch", "fetch": {"survey": "gaia_dr2"}})
    assert "was made as a table of gaia_dr2" in refused(finished, [made, *tables[1:]])
    assert "was made as a table of gaia_dr2" in refused(finished, [(made, "gaia_dr3"), *tables[1:]])


def test_a_missing_column_says_which_input_needs_it_and_what_it_costs(
    finished: Path, tables: list[Path], tmp_path: Path
) -> None:
    lacking = changed(tmp_path, tables[2], lambda t: t.drop("u_psf", "v_psf"))
    text = refused(finished, [*tables[:2], lacking])
    assert text.startswith("2 problems")
    assert "column 'u_psf': is missing, but needed for the input 'skymapper_dr2.u-v'" in text
    assert "without skymapper_dr2.v, the MAD on test stars is teff" in text


def test_a_column_of_the_lead_with_the_name_of_another_survey(
    finished: Path, tables: list[Path], tmp_path: Path
) -> None:
    """Joined, the column of the survey would get another name, and the model would read the wrong one."""
    lead = changed(tmp_path, tables[0], lambda t: t.with_columns(u_psf=pl.lit(15.0)))
    assert "column 'u_psf': has the name of a column that the model takes from skymapper_dr2" in refused(
        finished, [lead, *tables[1:]]
    )


def test_no_star_is_left(finished: Path, tables: list[Path], tmp_path: Path) -> None:
    far = changed(tmp_path, tables[2], lambda t: t.with_columns(pl.col("raj2000") * 0.5))
    text = refused(finished, [*tables[:2], far])
    assert "no star passed the cuts and the match (gaia_dr3: 8,016 rows" in text


def test_a_bundle_without_a_recipe(finished: Path, tables: list[Path]) -> None:
    joined = replace(ss.load(finished / "model"), recipe=None)
    with pytest.raises(ss.InputError, match="starscale predict"):
        ss.apply(joined, tables)


def test_the_recipe_is_read_back_as_it_was(finished: Path, tmp_path: Path) -> None:
    model = ss.load(finished / "model")
    model.save(tmp_path / "model", card="")
    assert ss.load(tmp_path / "model").recipe == model.recipe
    assert model.recipe is not None
    assert [table.survey for table in model.recipe.tables] == [ss.load_survey(name) for name in NAMES]
    assert list(model.recipe.by_name) == list(NAMES)


def test_needs_of_a_model(finished: Path) -> None:
    model = ss.load(finished / "model")
    assert model.recipe is not None
    needed = needed_columns(model, model.recipe)
    assert needed["skymapper_dr2"]["u_psf"] == "u_psf"
    assert "r_med_geo" in needed["bailer_jones_edr3"]
    bands = [name for name in needed["skymapper_dr2"].values() if name.endswith("_psf")]
    assert cost_without(model, bands) == "without all bands of skymapper_dr2, stars are not predicted"
    assert cost_without(model, ["u_psf"]).startswith("without skymapper_dr2.u, the MAD on test stars is teff ")
    assert cost_without(model, ["no_such_column"]) == ""
    assert can_go_without(model, ["u_psf"])
    assert not can_go_without(model, [name for own in needed.values() for name in own.values()])


def test_a_table_that_may_be_of_two_surveys(tables: list[Path]) -> None:
    survey = ss.load_survey("gaia_dr3")
    twin = survey.model_copy(update={"name": "twin"})
    with pytest.raises(ss.InputError, match="may be a table of gaia_dr3 or twin"):
        recognise(io.open_table(tables[0]), [survey, twin], {"gaia_dr3": ["ra"], "twin": ["ra"]}, "gaia")


def test_the_report_says_how_unlike_the_training_stars_they_are(cleaned: ss.Applied) -> None:
    assert cleaned.report is not None
    page = cleaned.report.read_text()
    assert "Unlike the training stars?" in page
    assert "MODEL_CARD.md" in page
    share = f"{100 * cleaned.flags['OUT_OF_DOMAIN'] / cleaned.rows:.1f} %"
    assert share in page


def test_five_lines_say_what_came_out(finished: Path, tables: list[Path], cleaned: ss.Applied) -> None:
    assert cleaned.folder is not None
    lines = closing(Outcome.of_run(cleaned.folder)).splitlines()
    assert [line.split(":")[0] for line in lines] == ["rows in", "removed", "rows out", "flagged", "files"]
    cuts = {f"{survey}.{row.name}": row.in_sequence for survey, a in cleaned.attrition.items() for row in a.rows}
    lost = cleaned.attrition["gaia_dr3"].n_out - cleaned.rows
    first, n = max({**cuts, "no counterpart": lost}.items(), key=lambda item: item[1])
    assert lines[1].startswith(f"removed:   {first} {n:,}, ")
    most = max(cleaned.flags, key=lambda name: cleaned.flags[name])
    assert lines[3].startswith(f"flagged:   {most} {cleaned.flags[most]:,} (")
    assert str(cleaned.report) in lines[4]
    # A run and the model that it trained, applied to the same tables, remove and predict the same.
    assert closing(Outcome.of_run(finished)).splitlines()[:4] == lines[:4]
    found = ss.Predicted(3, 2, {"NOT_PREDICTED": 1, "UNCERTAIN": 0})
    assert closing(Outcome.of_prediction(found, "stars.csv", "out.fits", mock=False)).splitlines() == [
        "rows in:   stars.csv 3",
        "removed:   none",
        "rows out:  3; 2 of 3 stars predicted",
        "flagged:   NOT_PREDICTED 1 (33 %)",
        "files:     catalogue out.fits",
    ]


def test_the_command(finished: Path, tables: list[Path], tmp_path: Path) -> None:
    given = [word for table in tables for word in ("--table", table)]
    done = command("apply", finished / "model", *given, "--survey", "gaia_dr3", "-o", tmp_path / "out.csv")
    assert done.returncode == 2
    assert "--survey: 1 for 3 tables" in done.stderr
    done = command("apply", finished / "model", *given, "--rename", "ra=RA", "-o", tmp_path / "out.csv")
    assert "SURVEY.NEW=OLD" in done.stderr
    surveys = [word for name in NAMES for word in ("--survey", name)]
    done = command("apply", finished / "model", *given, *surveys, "-o", tmp_path / "out.csv")
    assert done.returncode == 0, done.stderr
    assert "stars predicted (MOCK" in done.stdout
    assert (tmp_path / "out.csv.run" / "report.html").exists()
