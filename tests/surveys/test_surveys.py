"""The survey files: they load, every unit and UCD is one, and the numbers are those of the literature."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from astropy import units
from astropy.io.votable.ucd import parse_ucd
from pydantic import ValidationError

from starscale.surveys import Survey, load_survey, survey_names
from starscale.surveys.schema import Epoch
from starscale.vocabulary.errors import InputError
from support.places import ROOT

EXAMPLES = ROOT / "examples" / "surveys"
DOCS = ROOT / "docs" / "surveys.md"
PACKAGE = ROOT / "src" / "starscale" / "surveys"
PACKAGED = survey_names()
ALL = [*PACKAGED, *sorted(str(path) for path in EXAMPLES.glob("*.toml"))]


def short(name: str) -> str:
    return Path(name).stem


@pytest.fixture(params=ALL, ids=short)
def survey(request: pytest.FixtureRequest) -> Survey:
    return load_survey(request.param)


def test_the_promised_surveys_are_packaged() -> None:
    assert set(PACKAGED) == {
        *("gaia_dr2", "gaia_dr3", "gaia_dr4", "gaia_dr3_xp", "gaia_dr3_calibration", "bailer_jones_edr3"),
        "gaia_dr2_calibration",
        *("gaia_dr2_neighbourhood", "gaia_dr3_neighbourhood"),
        *(
            "allwise",
            "andrae2023",
            "catwise2020",
            "delve_dr3",
            "des_y6",
            "panstarrs1",
            "rubin_dp1",
            "sdss_dr13",
            "sdss_model",
        ),
        *("desi_dr1_mws", "desi_dr1_mws_sp", "euclid_q1", "jplus_dr3", "legacy_survey"),
        *("skymapper_dr2", "skymapper_dr4", "splus_dr4", "tmass", "vhs_dr5"),
        *(
            "apogee_dr16",
            "apogee_dr17",
            "gaia_eso_dr3",
            "gaia_eso_dr5",
            "galah_dr2",
            "galah_dr3",
            "galah_dr4",
            "lamost_dr10",
            "lamost_dr10_mrs",
            "lamost_dr5",
            "rave_dr6",
            "rave_dr6_summary",
            "sdss_dr19_aspcap",
            "sdss_dr20_aspcap",
            "segue",
        ),
    }
    assert {short(name) for name in ALL} > {"splus_segue", "mock_lamost"}


@pytest.mark.parametrize("name", ALL, ids=short)
def test_the_name_is_that_of_the_file(name: str) -> None:
    assert load_survey(name).name == short(name)


# ---- descriptions --------------------------------------------------------------------


def parses_as_unit(text: str) -> bool:
    """True for a VOUnit string; for ``log(...)``, which astropy does not read, what stands inside is parsed."""
    inner = text.removeprefix("log(").removesuffix(")") if text.startswith("log(") else text
    # Per cent is in VOUnit 1.1, but astropy knows it in the CDS format alone.
    try:
        if "mgy" in inner:
            # Maggies are units of astropy, but not of VOUnit.
            with units.add_enabled_units(units.photometric.mgy):
                units.Unit(inner)
            return True
        units.Unit(inner, format="cds" if inner == "%" else "vounit")
    except ValueError:
        return False
    return True


@pytest.mark.parametrize(
    ("text", "good"), [("", True), ("km/s", True), ("log(cm.s**-2)", True), ("furlongs", False), ("log(x", False)]
)
def test_the_unit_check_can_fail(text: str, good: bool) -> None:
    assert parses_as_unit(text) is good


def test_every_unit_is_a_unit(survey: Survey) -> None:
    assert [name for name, spec in survey.columns.items() if not parses_as_unit(spec.unit)] == []


def test_every_ucd_is_in_the_vocabulary(survey: Survey) -> None:
    for name, spec in survey.columns.items():
        assert spec.ucd, name
        parse_ucd(spec.ucd, check_controlled_vocabulary=True)


def test_every_column_says_what_it_is(survey: Survey) -> None:
    assert [name for name, spec in survey.columns.items() if not spec.description] == []


def test_no_two_columns_answer_to_the_same_name(survey: Survey) -> None:
    spellings = [text.lower() for name, spec in survey.columns.items() for text in {name.lower(), *spec.aliases}]
    assert sorted(spellings) == sorted(set(spellings))


def test_roles_have_the_units_that_the_program_expects(survey: Survey) -> None:
    """Degrees, and for errors and motions a unit that converts to mas, mas/yr, K, mag."""

    def convertible(column: str | None, target: str) -> bool:
        return column is None or units.Unit(survey.columns[column].unit).is_equivalent(target)

    if survey.position:
        assert survey.columns[survey.position.ra].unit == survey.columns[survey.position.dec].unit == "deg"
        assert convertible(survey.position.ra_error, "mas")
        assert convertible(survey.position.dec_error, "mas")
        assert 0 < survey.position.error_floor < survey.position.error_ceiling or survey.kind == "astrometric"
    if survey.motion:
        assert all(
            convertible(getattr(survey.motion, name), "mas/yr")
            for name in ("pmra", "pmdec", "pmra_error", "pmdec_error")
        )
    for band in survey.bands.values():
        assert convertible(band.magnitude, "mag")
        assert convertible(band.error, "mag")
    for label, unit in (("teff", "K"), ("logg", "log(cm.s**-2)"), ("fe_h", "")):
        if label in survey.labels:
            assert survey.columns[survey.labels[label].value].unit == unit


def test_an_epoch_is_known_even_where_a_row_has_none(survey: Survey) -> None:
    if survey.position:
        assert survey.position.epoch is not None
        assert survey.position.epoch.default is not None
        assert 1990 < survey.position.epoch.default < 2030


def test_a_sentinel_of_all_columns_is_no_value_of_any(survey: Survey) -> None:
    """99 is a right ascension, a flag, and the number of an object; below -90 there is no declination."""
    if survey.name != "splus_segue":  # the example, on a stripe of the sky without such positions
        assert [s for s in survey.sentinels if not isinstance(s, str) and s > -90] == []


def test_sources_are_named(survey: Survey) -> None:
    assert survey.citation or survey.name.startswith("mock_")
    assert [cut.name for cut in survey.cuts if not (cut.source and cut.description)] == []


#: Labels that their tables give without an error; a floor stands in, and the notes of the survey say so.
WITHOUT_ERRORS = {
    ("gaia_benchmark", "fe_h"),
    *(("desi_dr1_mws_sp", name) for name in ("teff", "logg", "fe_h")),
    *(("m67_apogee_payne", name) for name in ("teff", "logg", "fe_h")),
}


@pytest.mark.parametrize("name", [name for name in ALL if load_survey(name).labels], ids=short)
def test_labels_have_errors(name: str) -> None:
    survey = load_survey(name)
    assert set(survey.labels) == {"teff", "logg", "fe_h"}
    for label, column in survey.labels.items():
        assert column.error_floor > 0, label
        assert column.error or (survey.name, label) in WITHOUT_ERRORS
    assert survey.kind == "spectroscopic" or survey.name == "splus_segue"


# ---- bands and extinction ------------------------------------------------------------


def test_bands_are_in_wavelength_order(survey: Survey) -> None:
    wavelengths = [band.wavelength for band in survey.bands.values()]
    assert wavelengths == sorted(set(wavelengths))


@pytest.mark.parametrize(
    "name",
    [name for name in ALL if load_survey(name).kind == "photometric" and not load_survey(name).estimates],
    ids=short,
)
def test_a_photometric_survey_names_its_bands(name: str) -> None:
    survey = load_survey(name)
    assert len(survey.bands) >= 2
    assert survey.reference_band
    assert all(band.error for band in survey.bands.values())


@pytest.mark.parametrize(
    ("name", "scale", "coefficients"),
    [
        ("skymapper_dr2", "sfd", {"u": 4.294, "v": 4.026, "g": 2.986, "r": 2.288, "i": 1.588, "z": 1.206}),
        ("sdss_model", "sfd", {"u": 4.239, "g": 3.303, "r": 2.285, "i": 1.698, "z": 1.263}),
        ("sdss_dr13", "sfd", {"u": 4.239, "g": 3.303, "r": 2.285, "i": 1.698, "z": 1.263}),
        ("panstarrs1", "sfd", {"g": 3.172, "r": 2.271, "i": 1.682, "z": 1.322, "y": 1.087}),
        ("tmass", "sfd", {"J": 0.723, "H": 0.460, "Ks": 0.310}),
        ("gaia_dr2", "true", {"BP": 3.374, "G": 2.740, "RP": 2.035}),
        ("gaia_dr3", "true", {"BP": 3.374, "G": 2.740, "RP": 2.035}),
    ],
)
def test_extinction_coefficients(name: str, scale: str, coefficients: dict[str, float]) -> None:
    survey = load_survey(name)
    assert survey.extinction_scale == scale
    assert {band: spec.extinction for band, spec in survey.bands.items()} == coefficients
    assert list(survey.bands) == list(coefficients)


def test_extinction_falls_with_wavelength(survey: Survey) -> None:
    values = [band.extinction for band in survey.bands.values() if band.extinction is not None]
    assert values == sorted(values, reverse=True)


# ---- loading -------------------------------------------------------------------------


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"skymapper.*Did you mean 'skymapper_dr4' or 'skymapper_dr2'"):
        load_survey("skymapper_dr")


def test_a_missing_file_suggests_its_neighbour() -> None:
    with pytest.raises(InputError, match=r"splus_segue\.toml"):
        load_survey(EXAMPLES / "splus_segu.toml")


def test_a_relative_path_starts_from_the_base() -> None:
    assert load_survey("splus_segue.toml", base=EXAMPLES).name == "splus_segue"


def write(folder: Path, text: str) -> Path:
    path = folder / "mine.toml"
    path.write_text(text)
    return path


MINE = """
name = "mine"
title = "Mine"
kind = "photometric"
reference_band = "g"
[id]
column = "id"
[bands]
g = { magnitude = "gmag", wavelength = 480 }
[columns]
id = { dtype = "int64" }
gmag = { unit = "mag" }
"""


def test_a_minimal_survey_loads(tmp_path: Path) -> None:
    survey = load_survey(write(tmp_path, MINE))
    assert survey.used_columns() == ["id", "gmag"]
    assert survey.described()["gmag"].unit == "mag"
    assert load_survey(survey) is survey


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (("gmag = { unit", "g_mag = { unit"), "used but not described.*gmag"),
        (('reference_band = "g"', 'reference_band = "r"'), "band 'r' is not described"),
        (('kind = "photometric"', 'kind = "photometry"'), "kind"),
        (
            ("[id]", '[[cuts]]\nname = "a"\nkeep = "TRUE"\n[[cuts]]\nname = "a"\nkeep = "TRUE"\n[id]'),
            "same name: a",
        ),
        (("[bands]", "[band]"), "Did you mean 'bands'"),
        (("wavelength = 480", "wavelength = 0"), "greater than 0"),
        (('title = "Mine"', ""), "title"),
        (("[bands]", '[position]\nra = "id"\ndec = "id"\nepoch = {}\n[bands]'), "epoch needs a column"),
        (('name = "mine"', 'name = "mine'), "not valid TOML"),
        (("[id]", 'gaia_release = "dr9"\n[id]'), "unknown release; expected one of dr1, dr2, dr3, edr3, dr4"),
        (
            (
                "[id]",
                '[crosswalk]\nolder = { column = "id", release = "edr3" }\n'
                'newer = { column = "id", release = "dr3" }\n'
                'distance = "gmag"\nmagnitude_difference = "gmag"\n[id]',
            ),
            "both identifiers are of dr3",
        ),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, change: tuple[str, str], complaint: str) -> None:
    assert change[0] in MINE
    with pytest.raises(InputError, match=complaint):
        load_survey(write(tmp_path, MINE.replace(*change)))


# ---- the documentation ------------------------------------------------------------------


def test_the_page_quotes_the_example_as_it_is() -> None:
    page, example = DOCS.read_text(), (EXAMPLES / "splus_segue.toml").read_text()
    blocks = re.findall(r"(<!-- no quotation -->\n<!-- not run -->\n)?```toml\n(.*?)```", page, flags=re.DOTALL)
    quoted = [text for marked, text in blocks if not marked]
    assert len(quoted) > 5
    # One block shows how a run file names the survey file, and two are quoted from packaged surveys.
    example += (PACKAGE / "skymapper_dr2.toml").read_text() + (PACKAGE / "vhs_dr5.toml").read_text()
    assert [text for text in quoted if text not in example and not text.startswith("[catalogue]")] == []


def test_the_page_lists_every_packaged_survey() -> None:
    assert sorted(re.findall(r"^\| `(\w+)` \|", DOCS.read_text(), flags=re.MULTILINE)) == PACKAGED


def test_the_head_of_a_file_tells_an_epoch_only_where_all_positions_share_it() -> None:
    assert load_survey("gaia_dr3").position_metadata == {"position_system": "ICRS", "position_epoch": "J2016.0"}
    assert load_survey("skymapper_dr2").position_metadata == {"position_system": "ICRS"}
    assert load_survey("bailer_jones_edr3").position_metadata == {}
    with pytest.raises(ValidationError, match="given as the default"):
        Epoch(column="epoch", common=True)
