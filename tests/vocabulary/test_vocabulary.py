"""What things are called: errors, columns, flags, settings, run files, provenance."""

from __future__ import annotations

import copy
import json
import re
from enum import IntFlag
from pathlib import Path
from typing import Any

import pytest
from astropy import units
from astropy.io.votable.ucd import parse_ucd
from pydantic import ValidationError

from starscale.pipeline.runfile import load_run, preset_names
from starscale.surveys import Survey
from starscale.vocabulary.columns import LABEL_TABLE_COLUMNS, LABELS, PAIR_COLUMNS, Column, catalogue_columns
from starscale.vocabulary.errors import InputError, Problem, Problems, StarscaleError, did_you_mean
from starscale.vocabulary.flags import MEANING, CatalogueFlag, LabelFlag, PairFlag, describe, explain
from starscale.vocabulary.provenance import fingerprint, record, versions
from starscale.vocabulary.settings.match import MatchConfig
from starscale.vocabulary.settings.models import Turchi2024Config
from starscale.vocabulary.settings.run import RunConfig
from starscale.vocabulary.settings.split import SplitConfig
from starscale.vocabulary.strict import Frozen, load_toml, validate

# ---- errors ------------------------------------------------------------------------------------------


def test_the_text_of_a_problem() -> None:
    assert str(Problem("a.csv", "is empty")) == "a.csv: is empty"
    assert str(Problem("a", "b", "c", "d.")) == "a: b; expected c. d."
    assert str(Problem("a", "b", fix="d.")) == "a: b. d."


def test_the_text_of_one_and_of_several_problems() -> None:
    one, two = Problem("a", "b"), Problem("c", "d", "e")
    assert str(InputError(one)) == str(InputError([one])) == "a: b"
    error = InputError(iter([one, two]))
    assert str(error) == "2 problems:\n  1. a: b\n  2. c: d; expected e"
    assert error.problems == (one, two)
    assert isinstance(error, StarscaleError)


def test_problems_are_gathered() -> None:
    problems = Problems()
    problems.raise_if_any()
    problems.add("a", "b")
    problems.add("c", "d", fix="e")
    with pytest.raises(InputError, match=r"^2 problems:\n  1. a: b\n  2. c: d. e$"):
        problems.raise_if_any()
    assert Problems().items == []  # not shared


def test_did_you_mean() -> None:
    names = ["source_id", "ra", "dec", "phot_g_mean_mag"]
    assert did_you_mean("sourc_id", names) == "Did you mean 'source_id'?"
    assert did_you_mean("SOURCE_ID", names) == "Did you mean 'source_id'?"
    assert did_you_mean("phot_g", names) == "Did you mean 'phot_g_mean_mag'?"
    assert did_you_mean("zzz", names) == ""
    assert did_you_mean("zzz", names, hint="Look it up.") == "Look it up."
    assert did_you_mean("x", []) == ""
    assert did_you_mean("rr", ["Rr", "rR"]) in ("Did you mean 'Rr'?", "Did you mean 'rR'?")


# ---- columns -----------------------------------------------------------------------------------------

OWN = {**catalogue_columns(), **PAIR_COLUMNS, **LABEL_TABLE_COLUMNS}


@pytest.mark.parametrize("column", OWN.values(), ids=OWN.keys())
def test_every_column_says_what_it_is(column: Column) -> None:
    inner = re.sub(r"^log\((.*)\)$", r"\1", column.unit)
    units.Unit(inner, format="vounit")
    parse_ucd(column.ucd, check_controlled_vocabulary=True, has_colon=False)
    assert column.ucd
    assert len(column.description) > 10


def test_the_columns_of_a_catalogue() -> None:
    teff = [
        f"teff{end}"
        for end in ("", "_error", "_lower", "_upper", "_lower95", "_upper95", "_scale_error", "_error_truth")
    ]
    tail = [
        "p_giant",
        "teff_giant",
        "teff_dwarf",
        "teff_ebv_slope",
        "domain_score",
        "label_score",
        "consistency_score",
        "odd_measurement",
        "flags",
        "quality",
        "part",
    ]
    assert list(catalogue_columns(["teff"])) == ["source_id", "ra", "dec", *teff, *tail]
    pairs = ["teff_logg_corr", "teff_fe_h_corr", "logg_fe_h_corr"]
    assert [name for name in catalogue_columns() if name.endswith("corr")] == pairs
    assert len(catalogue_columns()) == 3 + 8 * 3 + 3 + 1 + 3 + 3 * 3 + 7
    wanted = catalogue_columns(["fe_h", "teff"], {"teff": [5000], "fe_h": [0.5, -2.25]})
    names = ["p_fe_h_below_0p5", "p_fe_h_below_m2p25", "p_teff_below_5000"]
    assert [name for name in wanted if "below" in name] == names
    assert wanted["p_teff_below_5000"].description == "probability that teff is below 5000 K; null: unknown"
    assert [name for name in catalogue_columns() if "below" in name] == [f"p_fe_h_below_m{i}" for i in (1, 2, 3)]
    assert catalogue_columns()["logg_ebv_slope"].unit == "mag**-1"
    assert all(name == column.name for name, column in OWN.items())
    assert catalogue_columns()["logg_lower95"].description == "lower end of the 95 % interval of logg"
    assert catalogue_columns()["teff_upper"].ucd == "phys.temperature.effective;stat.max"


def test_labels_have_sane_limits() -> None:
    assert list(LABELS) == ["teff", "logg", "fe_h"]
    for sun in ({"teff": 5772, "logg": 4.44, "fe_h": 0}, {"teff": 3000, "logg": 5, "fe_h": -4}):
        assert all(LABELS[name].lower < value < LABELS[name].upper for name, value in sun.items())
    assert all(not LABELS[name].lower <= -9999 <= LABELS[name].upper for name in LABELS)


# ---- flags -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [CatalogueFlag, PairFlag, LabelFlag])
def test_every_bit_is_one_bit_and_has_a_meaning(kind: type[IntFlag]) -> None:
    rows = describe(kind)
    values = [value for value, _, _ in rows]
    assert values == [2**i for i in range(len(values))]
    assert len(rows) == len(kind.__members__)  # no two names for one bit
    assert all(len(meaning) > 10 for _, _, meaning in rows)
    assert len({meaning for _, _, meaning in rows}) == len(rows)


def test_bits_that_are_published_never_change() -> None:
    assert {f.name: int(f) for f in CatalogueFlag} == {
        "INPUT_MISSING": 1,
        "NOT_PREDICTED": 2,
        "OUT_OF_DOMAIN": 4,
        "LABEL_OUT_OF_RANGE": 8,
        "DWARF_OR_GIANT": 16,
        "CUT_FAILED": 32,
        "BAD_POSITION": 64,
        "OUTSIDE_MAGNITUDES": 128,
        "INPUT_IMPUTED": 256,
        "UNCERTAIN": 512,
        "INCONSISTENT": 1024,
        "INPUT_IMPLAUSIBLE": 2048,
        "LABEL_IMPOSSIBLE": 4096,
    }
    assert {f.name: int(f) for f in PairFlag} == {
        "SEVERAL_NEIGHBOURS": 1,
        "HAS_MATES": 2,
        "NO_PROPER_MOTION": 4,
        "NO_EPOCH": 8,
        "TIE": 16,
        "HIGH_PROPER_MOTION": 32,
        "AMBIGUOUS": 64,
        "EDGE_OF_COVERAGE": 128,
        "BLENDED": 256,
        "ERROR_ASSUMED": 512,
        "ONE_TO_ONE": 1024,
        "DUPLICATES": 2048,
    }
    assert {f.name: int(f) for f in LabelFlag} == {
        "REPEATS_DISAGREE": 1,
        "ERROR_MISSING": 2,
        "SURVEYS_DISAGREE": 4,
        "CORRECTION_CLAMPED": 8,
        "CORRECTION_UNCERTAIN": 16,
        "OUTLIER_LEFT_OUT": 32,
        "LABEL_IMPOSSIBLE": 64,
    }


def test_meanings_of_one_mask_do_not_leak_into_another() -> None:
    """IntFlags of different kinds compare equal: a dictionary keyed by them must still tell them apart."""
    assert set(MEANING) == {CatalogueFlag, PairFlag, LabelFlag}
    for kind, word in ((CatalogueFlag, "missing"), (PairFlag, "neighbour"), (LabelFlag, "repeated")):
        assert list(MEANING[kind]) == list(kind)
        assert word in describe(kind)[0][2]
        assert [word in text for text in explain(1, kind)] == [True]


def test_explaining_a_mask() -> None:
    assert explain(0) == []
    inputs, domain = explain(5)
    assert "missing" in inputs
    assert "training set" in domain
    assert "equally good" in explain(16, PairFlag)[0]


# ---- strict settings ---------------------------------------------------------------------------------

RUN: dict[str, Any] = {
    "catalogue": {"survey": "gaia_dr3", "path": "gaia.parquet"},
    "labels": [{"survey": "apogee_dr17", "path": "apogee.fits"}],
}


def complaints(**change: Any) -> list[str]:
    with pytest.raises(InputError) as caught:
        validate(RunConfig, {**copy.deepcopy(RUN), **change}, "run.toml")
    return [str(problem) for problem in caught.value.problems]


def test_a_minimal_run() -> None:
    config = validate(RunConfig, RUN, "run.toml")
    assert config.target == ("teff", "logg", "fe_h")
    assert config.model.kind == "mixture"
    with pytest.raises(ValidationError, match="frozen"):
        config.seed = 3  # type: ignore[misc]


def test_an_unknown_key() -> None:
    (text,) = complaints(mach={})
    assert text.startswith("run.toml: mach: unknown key; expected one of ablation, catalogue, ")
    assert text.endswith("Did you mean 'match'?")
    (text,) = complaints(match={"raduis": 1})
    assert (
        text == "run.toml: match.raduis: unknown key; expected one of curate, errors, gamma, least_probability, "
        "method, mode, order, pairs, proper_motion, radius, unknown_motion. "
        "Did you mean 'radius'?"
    )
    (text,) = complaints(
        labels=[{**RUN["labels"][0], "cuts": {"extra": [{"name": "a", "keep": "b", "kep": "c"}]}}]
    )
    assert text.startswith("run.toml: labels.0.cuts.extra.0.kep: unknown key; expected one of keep, name")


def test_an_unknown_key_of_a_union_names_the_keys_of_that_kind_alone() -> None:
    """A key of another kind of model is not on offer."""
    (text,) = complaints(model={"kind": "mixture", "dropout": 0.1})
    assert "model.mixture.dropout: unknown key" in text
    assert "dropout" not in text.split("expected")[1]
    (text,) = complaints(model={"kind": "turchi2024", "dropuot": 0.1})
    assert "Did you mean 'dropout'?" in text
    assert "components" not in text


def test_the_kind_of_a_union() -> None:
    kinds = (
        "catboost, knn, mean, mixture, random_forest, realmlp, ridge, svr, tabicl, tabm, turchi2024, xgboost, xrfm"
    )
    assert complaints(model={"width": 3}) == [f"run.toml: model: kind is missing; expected one of {kinds}"]
    (text,) = complaints(model={"kind": "mixtur"})
    assert text == (
        f"run.toml: model: kind = 'mixtur' is unknown; expected one of {kinds}. Did you mean 'mixture'?"
    )


def test_a_missing_key() -> None:
    (text,) = complaints(catalogue={"path": "gaia.parquet"})
    assert text == "run.toml: catalogue.survey: is missing; expected a value. Add survey = ... to the file."
    (text,) = complaints(catalogue={"survey": "gaia_dr3"})
    assert text.startswith(
        "run.toml: catalogue: either `path` (a table on disk) or `fetch` (a table to download) must be given"
    )


@pytest.mark.parametrize(
    ("change", "where", "found"),
    [
        ({"seed": -1}, "seed", "-1"),
        ({"seed": "many"}, "seed", "'many'"),
        ({"target": ["teff", "mass"]}, "target.1", "'mass'"),
        ({"match": {"pairs": "all"}}, "match.pairs", "'all'"),
        ({"model": {"kind": "mixture", "width": "wide"}}, "model.mixture.width", "'wide'"),
        ({"labels": []}, "labels", "[]"),
    ],
)
def test_a_wrong_value(change: dict[str, Any], where: str, found: str) -> None:
    (text,) = complaints(**change)
    assert text.startswith(f"run.toml: {where}: ")
    assert f"(found {found})" in text


def test_rules_between_keys() -> None:
    (text,) = complaints(split={"train": 0.8, "validation": 0.1, "test": 0.2})
    assert "train + validation + test must be 1" in text
    assert "Value error" not in text
    (text,) = complaints(target=["teff", "teff"])
    assert "each once" in text
    (text,) = complaints(labels=[*RUN["labels"], {"survey": "other"}])
    assert "each needs a `path` or a `fetch`" in text
    with pytest.raises(ValidationError, match="cannot both be 0"):
        Turchi2024Config(epochs_mae=0, epochs_smape=0)
    with pytest.raises(ValidationError, match="widths"):
        Turchi2024Config(widths=(80, 0))


def test_all_problems_of_a_file_at_once() -> None:
    assert len(complaints(mach={}, seed=-1, match={"radius": 0}, catalogue={})) == 4


def test_keys_inside_a_dictionary_of_settings() -> None:
    survey = {
        "name": "x",
        "title": "X",
        "kind": "photometric",
        "id": {"column": "id"},
        "columns": {"id": {"dtpye": "int64"}},
        "bands": {"kind": {"magnitude": "id", "wavelength": 5, "colour": 1}},
    }
    with pytest.raises(InputError) as caught:
        validate(Survey, survey, "x.toml")
    found = [str(problem) for problem in caught.value.problems]
    assert "columns.id.dtpye: unknown key; expected one of aliases, description, dtype" in found[0]
    assert "Did you mean 'dtype'?" in found[0]
    assert "bands.kind.colour: unknown key; expected one of error, extinction, flux, " in found[1]


def test_frozen_settings_are_strict() -> None:
    class Small(Frozen):
        a: int = 1

    with pytest.raises(ValidationError):
        Small(b=2)  # type: ignore[call-arg]
    assert MatchConfig().search_radius == 5.0
    assert MatchConfig(method="nearest").search_radius == 1.0
    assert MatchConfig(method="nearest", radius=2).search_radius == 2.0
    assert SplitConfig().train == 0.8


def test_toml_files(tmp_path: Path) -> None:
    bad = tmp_path / "bad.toml"
    bad.write_text("a = 1\nb = = 2\n")
    with pytest.raises(InputError, match=r"bad.toml: is not valid TOML: .*line 2"):
        load_toml(bad)
    with pytest.raises(
        InputError, match=r"bda.toml: no such file or folder; expected a TOML file. Did you mean 'bad.toml'\?"
    ):
        load_toml(tmp_path / "bda.toml")
    with pytest.raises(InputError, match="no such file"):
        load_toml(tmp_path / "nowhere" / "bad.toml")
    with pytest.raises(InputError, match="cannot be read"):
        load_toml(tmp_path)
    bad.write_bytes(b"a = '\xff'")
    with pytest.raises(InputError, match="cannot be read"):
        load_toml(bad)


# ---- run files ---------------------------------------------------------------------------------------

INPUTS = """
[catalogue]
survey = "gaia_dr3"
path = "gaia.parquet"
[[labels]]
survey = "apogee_dr17"
path = "apogee.fits"
"""


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.mark.parametrize("preset", preset_names())
def test_packaged_runs_are_valid_once_the_inputs_are_named(tmp_path: Path, preset: str) -> None:
    config, base = load_run(write(tmp_path, "run.toml", f'extends = "{preset}"\n{INPUTS}'))
    assert base == tmp_path
    assert config.extends == preset
    assert config.repeats > 1
    assert config.title != RunConfig.model_fields["title"].default


def test_the_papers_run(tmp_path: Path) -> None:
    config, _ = load_run(write(tmp_path, "run.toml", f'extends = "turchi2024"\n{INPUTS}'))
    assert config.model == Turchi2024Config()
    assert config.features.set == "turchi2024"
    assert config.match.order == "clean_first"
    assert config.match.pairs == "strict"
    assert (config.split.train, config.split.validation, config.split.test) == (0.8, 0.1, 0.1)


def test_what_the_file_says_wins_table_by_table(tmp_path: Path) -> None:
    write(tmp_path, "base.toml", f'seed = 3\nrepeats = 2\n[match]\nradius = 2.0\norder = "clean_first"\n{INPUTS}')
    write(tmp_path, "middle.toml", 'extends = "base.toml"\nseed = 4\n')
    config, _ = load_run(write(tmp_path, "run.toml", 'extends = "middle.toml"\n[match]\nradius = 3.0\n'))
    assert (config.seed, config.repeats, config.match.radius, config.match.order) == (4, 2, 3.0, "clean_first")


def test_another_kind_of_model_replaces_the_whole_table(tmp_path: Path) -> None:
    run = write(tmp_path, "run.toml", f'extends = "turchi2024"\n{INPUTS}\n[model]\nkind = "mixture"\nwidth = 32\n')
    assert load_run(run)[0].model.kind == "mixture"
    run = write(tmp_path, "run.toml", f'extends = "turchi2024"\n{INPUTS}\n[model]\ndropout = 0.2\n')
    assert load_run(run)[0].model == Turchi2024Config(dropout=0.2)


def test_run_files_that_extend_each_other(tmp_path: Path) -> None:
    write(tmp_path, "a.toml", 'extends = "b.toml"\n')
    write(tmp_path, "b.toml", 'extends = "a.toml"\n')
    with pytest.raises(InputError, match="extends itself"):
        load_run(tmp_path / "a.toml")
    with pytest.raises(InputError, match="extends itself"):
        load_run(write(tmp_path, "c.toml", 'extends = "c.toml"\n'))


def test_an_unknown_preset(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"unknown name 'turchi'; expected one of default, turchi2024, or a path"):
        load_run(write(tmp_path, "run.toml", f'extends = "turchi"\n{INPUTS}'))
    with pytest.raises(InputError, match="no such file"):
        load_run(write(tmp_path, "run.toml", 'extends = "missing.toml"\n'))
    with pytest.raises(InputError, match="extends"):
        load_run(write(tmp_path, "run.toml", f"extends = 3\n{INPUTS}"))


# ---- provenance --------------------------------------------------------------------------------------


def test_a_fingerprint_does_not_depend_on_the_order_of_keys() -> None:
    one = {"a": 1, "b": {"c": [1, 2], "d": None}}
    other = {"b": {"d": None, "c": [1, 2]}, "a": 1}
    assert fingerprint(one) == fingerprint(other)
    assert len(fingerprint(one)) == 64
    different = [{"a": 2}, {"a": 1.5}, {"b": 1}, {"a": [1, 2]}, {"a": [2, 1]}, {"a": "1"}, {}]
    assert len({fingerprint(d) for d in different}) == len(different)
    assert fingerprint({"a": Path("x")}) == fingerprint({"a": "x"})
    # Pinned: a rerun with a later version must find its own steps again.
    assert fingerprint({"a": 1}) == "015abd7f5cc57a2dd94b7590f04ad8084273905ee33ec5cebeae62276a97f862"


def test_a_record_is_plain_data() -> None:
    document = record(command="clean", mock=True, settings={"seed": 3}, inputs={"a.fits": {"rows": 5}})
    assert json.loads(json.dumps(document)) == document
    assert document["mock"] is True
    assert document["settings_sha256"] == fingerprint({"seed": 3})
    # No time in it: the same work gives the same record.
    assert document == record(command="clean", mock=True, settings={"seed": 3}, inputs={"a.fits": {"rows": 5}})
    assert {"starscale", "python", "numpy", "polars"} <= set(document["versions"])
    assert document["versions"] == versions()
    assert "Turchi" in document["citation"]
