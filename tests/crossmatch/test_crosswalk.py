"""Labels with identifiers of an earlier release of Gaia on a later catalogue: files, chains, splits, bad input."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

import starscale as ss
from starscale.cli.main import app
from starscale.crossmatch import neighbourhood
from starscale.crossmatch.linking import LeadingTable, crosswalk_messages, link, link_by_crosswalk, load_crosswalks
from starscale.crossmatch.neighbourhood import Neighbourhood
from starscale.features.splits import assign_parts
from starscale.homogenization.api import labels_plan, survey_rows
from starscale.pipeline.plan import RunPlan
from starscale.pipeline.planning import plan
from starscale.pipeline.prepare_training import input_checksums
from starscale.pipeline.training_set import label_stars
from starscale.reports.homogenize_text import crosswalk_table
from starscale.surveys import Survey, load_survey
from starscale.tables import stream
from starscale.vocabulary.errors import InputError
from starscale.vocabulary.settings.labels import LabelsConfig
from starscale.vocabulary.settings.match import CrosswalkInput, CrosswalkLimits, MatchConfig
from starscale.vocabulary.settings.run import RunConfig
from starscale.vocabulary.settings.split import SplitConfig
from starscale.vocabulary.strict import validate
from support.fake_tap import FakeTap, serving
from support.renumbered import Renumbered, as_dr2_neighbourhood, as_dr3_neighbourhood, renumber

#: Temperature of a star of the mock, from its first identifier.
TEFF = 4000.0 + pl.col("old") % 2000
DR3, DR2 = "gaia_dr3_neighbourhood", "gaia_dr2_neighbourhood"


def label_survey(name: str, release: str) -> str:
    return f"""
name = "{name}"
title = "{name}"
kind = "spectroscopic"
id = {{ column = "name" }}
gaia = {{ column = "gaia", release = "{release}" }}
[labels]
teff = {{ value = "teff", error = "e_teff" }}
logg = {{ value = "logg", error = "e_logg" }}
fe_h = {{ value = "fe_h", error = "e_fe_h" }}
[columns]
name = {{ dtype = "int64" }}
gaia = {{ dtype = "int64" }}
teff = {{ unit = "K" }}
e_teff = {{ unit = "K" }}
logg = {{}}
e_logg = {{}}
fe_h = {{}}
e_fe_h = {{}}
"""


@pytest.fixture(scope="module")
def sky(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Renumbered, Renumbered]:
    """Two crosswalks, DR2 to DR3 and DR3 to DR4, and tables of labels with identifiers of DR2 and of DR3."""
    folder, rng = tmp_path_factory.mktemp("releases"), np.random.default_rng(3)
    dr2 = pl.Series(np.unique(rng.integers(10**17, 6 * 10**18, 5000)))
    first = renumber(dr2, rng)
    second = renumber(first.truth["new"].drop_nulls(), rng)
    as_dr2_neighbourhood(first.neighbours).write_parquet(folder / "dr2.parquet")
    as_dr3_neighbourhood(second.neighbours).write_parquet(folder / "dr3.parquet")
    for name, release, ids in (("old", "dr2", dr2), ("new", "edr3", first.truth["new"].drop_nulls())):
        (folder / f"{name}.toml").write_text(label_survey(name, release))
        table = pl.DataFrame({"name": np.arange(len(ids)), "gaia": ids})
        own = first.truth.select(pl.col("old" if name == "old" else "new").alias("gaia"), teff=TEFF)
        teff = table.join(own, on="gaia", how="left", maintain_order="left")["teff"] + rng.normal(0, 50, len(ids))
        noise = {
            label: pl.Series(rng.normal(value, 0.1, len(ids))) for label, value in (("logg", 4), ("fe_h", -1))
        }
        table = table.with_columns(teff, e_teff=50.0, e_logg=0.1, e_fe_h=0.1, **noise)
        table.write_parquet(folder / f"{name}.parquet")
    return folder, first, second


def walks(folder: Path, *given: tuple[str, str], **limits: float) -> tuple[Neighbourhood, ...]:
    return load_crosswalks(
        [CrosswalkInput(survey=s, path=Path(p), limits=CrosswalkLimits(**limits)) for s, p in given], folder
    )


def labels(folder: Path, name: str) -> tuple[pl.DataFrame, Survey]:
    survey = load_survey(folder / f"{name}.toml")
    return ss.read(folder / f"{name}.parquet", survey=survey), survey


def test_labels_of_dr3_find_their_stars_of_dr4(sky: tuple[Path, Renumbered, Renumbered]) -> None:
    folder, _, second = sky
    table, survey = labels(folder, "new")
    linked = link_by_crosswalk(table, survey, "dr4", walks(folder, (DR3, "dr3.parquet")))
    assert linked is not None
    found = linked.links.with_columns(old=table["gaia"].gather(linked.links["row"]))
    compared = second.truth.drop_nulls().join(found, on="old", how="left")
    assert (compared["source_id"] == compared["new"]).fill_null(False).mean() >= 0.999
    everything = found.join(second.truth, on="old", how="left")
    assert (everything["source_id"] == everything["new"]).all()
    # Nothing is lost without being counted.
    step = linked.crosswalk[0]
    assert (step["from"], step["to"], step["identifiers"]) == ("dr3", "dr4", table.height)
    assert step["kept"] + sum(step["lost"].values()) == table.height
    assert step["kept"] == found.height
    assert 0 < step["improbable"] < 0.01 * step["kept"]
    assert crosswalk_messages({"new": linked.crosswalk}) == [
        f"new: {step['kept']:,} identifiers from dr3 to dr4, {table.height - step['kept']:,} lost"
    ]


@pytest.mark.parametrize("suffix", ["csv", "fits", "vot"])
def test_any_format_and_any_piece(
    sky: tuple[Path, Renumbered, Renumbered], tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, _, second = sky
    whole = as_dr3_neighbourhood(second.neighbours).head(400)
    ids = whole["dr3_source_id"].unique(maintain_order=True)
    whole.write_parquet(tmp_path / "n.parquet")
    expected = walks(tmp_path, (DR3, "n.parquet"))[0].walk(ids)
    ss.write(
        whole, tmp_path / f"n.{suffix}", columns={"angular_distance": ss.Column("angular_distance", unit="mas")}
    )
    monkeypatch.setattr(stream, "CHUNK", 7)
    found = walks(tmp_path, (DR3, f"n.{suffix}"))[0].walk(ids)
    assert found[0].equals(expected[0])
    assert found[1] == expected[1]


def test_a_star_outside_the_labels_can_claim_the_source(tmp_path: Path) -> None:
    """The label's star was dropped; its neighbour has no label, and must not get this one."""
    rows = pl.DataFrame({"old": [1, 2], "new": [20, 20], "distance": [80.0, 1.0], "difference": [0.1, 0.0]})
    as_dr3_neighbourhood(rows).write_parquet(tmp_path / "n.parquet")
    pairs, counts = walks(tmp_path, (DR3, "n.parquet"))[0].walk(pl.Series([1]))
    assert pairs["new"].to_list() == [None]
    assert counts["found"] == 1


def test_back_and_limits(tmp_path: Path) -> None:
    rows = pl.DataFrame({"old": [1, 2], "new": [10, 20], "distance": [1.0, 300.0], "difference": [0.0, 0.8]})
    as_dr3_neighbourhood(rows).write_parquet(tmp_path / "n.parquet")
    strict = walks(tmp_path, (DR3, "n.parquet"))
    wide = walks(tmp_path, (DR3, "n.parquet"), magnitude_difference=1.0)
    back = neighbourhood.route(strict, "dr4", "dr3")
    assert back is not None
    assert back[0].walk(pl.Series([20, 10]))[0]["new"].to_list() == [None, 1]
    assert wide[0].walk(pl.Series([1, 2]))[0]["new"].to_list() == [10, 20]


def test_distances_in_arcsec_are_converted(tmp_path: Path) -> None:
    rows = pl.DataFrame({"old": [1, 2], "new": [10, 20], "distance": [0.001, 0.7], "difference": [0.0, 0.0]})
    columns = {"angular_distance": ss.Column("angular_distance", unit="arcsec")}
    ss.write(as_dr3_neighbourhood(rows), tmp_path / "n.fits", columns=columns)
    assert walks(tmp_path, (DR3, "n.fits"))[0].walk(pl.Series([1, 2]))[0]["new"].to_list() == [10, None]


def several(folder: Path, *crosswalks: str) -> dict[str, object]:
    surveys = {DR2: "dr2.parquet", DR3: "dr3.parquet"}
    return {
        "labels": [{"survey": f"{name}.toml", "path": f"{name}.parquet"} for name in ("old", "new")],
        "crosswalk": [{"survey": name, "path": surveys[name]} for name in crosswalks],
    }


def test_the_same_star_under_two_identifiers_is_one_star(sky: tuple[Path, Renumbered, Renumbered]) -> None:
    """Labels of one survey have identifiers of DR2, of the other those of DR3; no star is on two sides."""
    folder, first, _ = sky
    ready = labels_plan(validate(LabelsConfig, several(folder, DR2), "labels"), folder)
    assert ready.release == "dr3"
    read = survey_rows(ready)
    assert set(read.crosswalks) == {"old"}
    step = read.crosswalks["old"][0]
    shown = {row[2]: row[3] for row in crosswalk_table(read.crosswalks).rows}
    assert shown["identifiers"] == "5,000"
    assert shown["with a counterpart"] == f"{step['kept']:,}"
    assert {name: shown[name] for name in step["lost"]} == {name: f"{n:,}" for name, n in step["lost"].items()}
    rows = []
    for part, column in zip(read.parts, ("old", "new"), strict=True):
        own = part.links.with_columns(own=part.table["gaia"].gather(part.links["row"]))
        rows.append(own.join(first.truth.drop_nulls(), left_on="own", right_on=column).select("source_id", "own"))
    one, other = rows
    stars = first.truth.drop_nulls().with_row_index("star")
    one = one.join(stars, left_on="own", right_on="old").select("source_id", "own", "star")
    other = other.join(stars, left_on="own", right_on="new").select("source_id", "own", "star")
    table = pl.concat([one, other])

    def torn(key: str) -> int:
        parts = assign_parts(table[key], SplitConfig(), 1)
        sides = table.with_columns(parts).group_by("star").agg(pl.col("part").n_unique())
        return sides.filter(pl.col("part") > 1).height

    assert torn("source_id") == 0
    # By the identifiers that the surveys deliver, many are.
    assert torn("own") > 300
    assert one.join(other, on="source_id").height > 4500


def test_a_chain_of_two_crosswalks_on_a_catalogue(
    sky: tuple[Path, Renumbered, Renumbered], tmp_path: Path
) -> None:
    folder, first, second = sky
    table, survey = labels(folder, "old")
    lead = LeadingTable(tmp_path / "not read.parquet", load_survey("gaia_dr4"), MatchConfig())
    both = walks(folder, (DR3, "dr3.parquet"), (DR2, "dr2.parquet"))
    linked = link(table, survey, 1.0, lead, "labels", both)
    truth = first.truth.join(second.truth, left_on="new", right_on="old", how="left", suffix="_4").rename(
        {"new_4": "to"}
    )
    found = linked.links.with_columns(old=table["gaia"].gather(linked.links["row"])).join(truth, on="old")
    assert (found["source_id"] == found["to"]).all()
    assert found.height >= 0.998 * truth["to"].drop_nulls().len()
    assert [(step["from"], step["to"]) for step in linked.crosswalk] == [("dr2", "dr3"), ("dr3", "dr4")]


# ---- bad input ---------------------------------------------------------------------------


def test_exact_copies_do_no_harm_and_are_counted(tmp_path: Path) -> None:
    rows = pl.DataFrame({"old": [1, 1, 2], "new": [10, 10, 20], "distance": [1.0, 1.0, 2.0], "difference": 0.0})
    as_dr3_neighbourhood(rows).write_parquet(tmp_path / "n.parquet")
    pairs, counts = walks(tmp_path, (DR3, "n.parquet"))[0].walk(pl.Series([1, 2]))
    assert pairs["new"].to_list() == [10, 20]
    assert counts["repeated_rows"] == 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda t: pl.concat([t, t.with_columns(angular_distance=pl.lit(7.0, pl.Float32))]),
            "2 pairs occur with diff",
        ),
        (
            lambda t: t.drop("angular_distance", "magnitude_difference"),
            "distance': is missing.*\n.*difference': is mis",
        ),
        (lambda t: t.with_columns(-pl.col("angular_distance")), "2 of 2 distances are negative"),
        (lambda t: t.with_columns(pl.col("dr3_source_id") + 5), "holds none of the 2 identifiers"),
        (lambda t: t.with_columns(pl.col("source_id").cast(pl.Float64) * 1e17), "floating-point"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, change: object, words: str) -> None:
    rows = pl.DataFrame({"old": [1, 2], "new": [10, 20], "distance": [1.0, 2.0], "difference": 0.0})
    change(as_dr3_neighbourhood(rows)).write_parquet(tmp_path / "n.parquet")  # type: ignore[operator]
    with pytest.raises(InputError, match=words):
        walks(tmp_path, (DR3, "n.parquet"))[0].walk(pl.Series([1, 2]))


def test_rows_without_a_distance_or_a_magnitude(tmp_path: Path) -> None:
    rows = pl.DataFrame(
        {
            "old": [1, 2, 3],
            "new": [10, 20, 30],
            "distance": [float("nan"), 2.0, 9.0],
            "difference": [0.0, None, 0.0],
        }
    )
    as_dr3_neighbourhood(rows).write_parquet(tmp_path / "n.parquet")
    pairs, _ = walks(tmp_path, (DR3, "n.parquet"))[0].walk(pl.Series([1, 2, 3]))
    assert pairs["new"].to_list() == [None, 20, 30]
    assert pairs["reason"][0] == "no distance in the crosswalk"


def test_a_table_with_few_of_the_identifiers_is_a_warning(sky: tuple[Path, Renumbered, Renumbered]) -> None:
    folder, first, _ = sky
    survey = load_survey(folder / "new.toml")
    shared = pl.DataFrame({"gaia": first.truth["old"]})
    linked = link_by_crosswalk(shared, survey, "dr4", walks(folder, (DR3, "dr3.parquet")))
    assert linked is not None
    said = crosswalk_messages({"new": linked.crosswalk})
    assert len(said) == 2
    assert said[1].startswith("warning: ")
    assert f"has {linked.crosswalk[0]['found']:,} of the 5,000 identifiers of new (dr3)" in said[1]


def test_rows_without_identifiers_are_no_error(sky: tuple[Path, Renumbered, Renumbered]) -> None:
    folder = sky[0]
    table = pl.DataFrame({"gaia": [None, 0, -1]}, schema={"gaia": pl.Int64})
    survey = load_survey(folder / "new.toml")
    linked = link_by_crosswalk(table, survey, "dr4", walks(folder, (DR3, "dr3.parquet")))
    assert linked is not None
    assert linked.links.height == 0


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ((), "identifiers of different releases: dr2, dr3.*crosswalk"),
        (
            (DR3,),
            "different releases(.|\n)*links dr3 and dr4, which joins no label|links dr3 and dr4(.|\n)*different",
        ),
        ((DR2, DR2), "two tables link dr2 and dr3"),
    ],
)
def test_settings_that_cannot_work(
    sky: tuple[Path, Renumbered, Renumbered], given: tuple[str, ...], words: str
) -> None:
    folder = sky[0]
    with pytest.raises(InputError, match=words):
        labels_plan(validate(LabelsConfig, several(folder, *given), "labels"), folder)


def test_a_crosswalk_needs_a_table_and_a_survey_of_its_kind(tmp_path: Path) -> None:
    for entry in ({"survey": DR3}, {"survey": DR3, "path": "a", "fetch": True}):
        with pytest.raises(InputError, match="either `path`"):
            validate(CrosswalkInput, entry, "run file")
    entries = [CrosswalkInput(survey="gaia_dr3", path=Path("no")), CrosswalkInput(survey=DR3, path=Path("no.vot"))]
    with pytest.raises(InputError, match=r"has no section \[crosswalk\](.|\n)*no\.vot"):
        load_crosswalks(entries, tmp_path)


def test_the_rows_of_the_labels_are_fetched(sky: tuple[Path, Renumbered, Renumbered], tmp_path: Path) -> None:
    folder, _, second = sky
    archive = as_dr3_neighbourhood(second.neighbours)
    text = (Path(ss.__file__).parent / "surveys" / f"{DR3}.toml").read_text()
    table, survey = labels(folder, "new")
    table = table.head(300)
    on_disk = link_by_crosswalk(table, survey, "dr4", walks(folder, (DR3, "dr3.parquet")))
    tap = FakeTap({"gaiadr4.dr3_neighbourhood": archive})
    tap.form = "binary2"
    with serving(tap):
        (tmp_path / "mine.toml").write_text(text.replace("https://gea.esac.esa.int/tap-server/tap", tap.url))
        fetched = load_crosswalks([CrosswalkInput(survey="mine.toml", fetch=True)], tmp_path)
        found = link_by_crosswalk(table, survey, "dr4", fetched)
        assert found is not None
        assert on_disk is not None
        assert found.links.equals(on_disk.links)
        assert found.crosswalk[0]["lost"] == on_disk.crosswalk[0]["lost"]
        assert found.crosswalk[0]["table"] == f"{tap.url}: gaiadr4.dr3_neighbourhood"
        with pytest.raises(InputError, match="no row of gaia_dr3_neighbourhood"):
            fetched[0].walk(pl.Series([5]))
    assert not list(tmp_path.glob("*.parquet"))


def test_homogenize_takes_a_crosswalk_as_an_argument(
    sky: tuple[Path, Renumbered, Renumbered], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, first, _ = sky
    (folder / "labels.toml").write_text(
        "".join(f'[[labels]]\nsurvey = "{name}.toml"\npath = "{name}.parquet"\n' for name in ("new", "old"))
        + "[homogenize]\nleave_out = false\n"
    )
    with pytest.raises(InputError, match="different releases"):
        ss.homogenize(folder / "labels.toml")
    given = [ss.CrosswalkInput(survey=DR2, path=Path("dr2.parquet"))]
    done = ss.homogenize(folder / "labels.toml", crosswalk=given)
    lost = sum(done.diagnostics["crosswalks"]["old"][0]["lost"].values())
    assert done.counts["old"]["without_star"] == lost
    both = done.labels.filter(pl.col("n_surveys") == 2).join(first.truth, left_on="source_id", right_on="new")
    assert both.height > 4500
    # Had the labels gone to wrong stars, the temperatures would be random.
    assert (both["teff"] - both.select(TEFF).to_series()).abs().max() < 400
    monkeypatch.chdir(folder)
    out = tmp_path / "labels.parquet"
    arguments = ["homogenize", "labels.toml", "-o", str(out), "--crosswalk", f"{DR2}=dr2.parquet"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert "Labels that went through a crosswalk between releases of Gaia" in result.output
    assert f"{done.diagnostics['crosswalks']['old'][0]['kept']:,}" in result.output
    assert ss.read(out)["source_id"].equals(done.labels["source_id"])


def run_plan(folder: Path, lead: str, *crosswalks: str) -> RunPlan:
    config = {
        "mock": True,
        "catalogue": {"survey": lead, "path": "new.parquet"},
        "labels": [{"survey": "old.toml", "path": "old.parquet"}],
        "crosswalk": several(folder, *crosswalks)["crosswalk"],
        "target": ["teff"],
    }
    return plan(validate(RunConfig, config, "run"), folder)


def test_a_run_uses_its_crosswalks(sky: tuple[Path, Renumbered, Renumbered]) -> None:
    folder, first, _ = sky
    ready = run_plan(folder, "gaia_dr3", DR2)
    assert "dr2.parquet" in input_checksums(ready)
    found = label_stars(ready, folder / "not read.parquet")
    step = found.crosswalks["old"][0]
    assert found.counts["without_star"] == sum(step["lost"].values()) > 0
    assert found.labels.height == step["kept"]
    true = found.labels.join(first.truth, left_on="source_id", right_on="new")
    assert (true["teff"] - true.select(TEFF).to_series()).abs().max() < 400
    # One that joins the labels to no star of the catalogue is a mistake.
    with pytest.raises(InputError, match="links dr3 and dr4, which joins no label survey to the stars"):
        run_plan(folder, "gaia_dr3", DR2, DR3)
