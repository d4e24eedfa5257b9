"""The text of queries: a pure function of survey files and a selection."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from starscale.archives.build import build, find_sources, listed_ids, listed_positions
from starscale.archives.tap.names import identifier, number_literal, text_literal
from starscale.archives.tap.predicate import ColumnReference, NotInAdqlError, translate
from starscale.surveys import load_survey, survey_names
from starscale.surveys.archive import Access, Copy
from starscale.tables.sql import row_expression
from starscale.vocabulary.errors import InputError
from starscale.vocabulary.settings.cuts import Cuts, ExtraCut
from starscale.vocabulary.settings.fetch import Selection
from starscale.vocabulary.settings.run import FetchSettings
from starscale.vocabulary.strict import validate

CONE = Selection(cone=(132.8, 11.8, 0.5))
SERVED = [name for name in survey_names() if load_survey(name).places]
COLUMNS = {
    "a": ColumnReference("t.a", "real"),
    "n": ColumnReference("t.n", "whole"),
    "ok": ColumnReference("t.ok", "truth"),
    "kind": ColumnReference("t.kind", "text"),
}


def query(survey: str, selection: Selection = CONE, **settings: object) -> str:
    chosen = FetchSettings(**settings)  # type: ignore[arg-type]
    return build(find_sources(survey, chosen), selection, chosen, None, None).request.rows_query()


def adql(text: str, access: Access = Access()) -> str:  # noqa: B008
    return translate(text, COLUMNS, access, "cut")


def test_gaia_with_distances_in_a_cone() -> None:
    text = query("gaia_dr3", columns=("ra", "teff_gspphot", "r_med_geo"), cuts=Cuts())
    assert text == (
        "SELECT t.source_id,\n       t.ra,\n       t.teff_gspphot,\n       t_d1.r_med_geo\n"
        "FROM gaiadr3.gaia_source AS t\n"
        "LEFT OUTER JOIN external.gaiaedr3_distance AS t_d1 ON t.source_id = t_d1.source_id\n"
        "WHERE 1 = CONTAINS(POINT('ICRS', t.ra, t.dec), CIRCLE('ICRS', 132.8, 11.8, 0.5))\n"
        "  AND (t.phot_bp_mean_mag IS NOT NULL AND t.phot_rp_mean_mag IS NOT NULL)\n"
        "  AND (t.ipd_frac_multi_peak <= 10)\n"
        "  AND (t.ipd_frac_odd_win <= 10)\n"
        "  AND (t.ruwe <= 1.4)\n"
        "  AND (t.non_single_star = 0)\n"
        "  AND (t.phot_variable_flag != 'VARIABLE')\n"
        "  AND (t.in_qso_candidates = 'false')\n"
        "  AND (t.in_galaxy_candidates = 'false')\n"
        "  AND (t_d1.r_med_geo IS NOT NULL)\n"
        "  AND (t.vbroad IS NULL OR t.vbroad <= 30)\n"
        "  AND (t.teff_gspphot IS NULL OR t.teff_gspphot <= 7500)\n"
        "  AND (t.phot_g_mean_mag <= 18)\n"
        "  AND (t.parallax_error <= 0.1)\n"
        "  AND (t.astrometric_sigma5d_max <= 0.1)"
    )


def test_skymapper_from_its_own_archive_and_from_the_copy() -> None:
    own = query("skymapper_dr2", columns=("u_psf",), cuts=Cuts(without=("not_faint",)))
    assert "FROM dr2.master AS t\n" in own
    assert own.endswith("AND (t.class_star > 0.8)\n  AND (t.flags = 0)\n  AND (t.flags_psf = 0)")
    assert "FROM external.skymapperdr2_master AS t\n" in query("skymapper_dr2", at="gaia")


def test_the_whole_join_in_one_query() -> None:
    text = query("gaia_dr3", match=("skymapper_dr2",), columns=("u_psf", "angular_distance"), cuts=Cuts())
    assert (
        "JOIN gaiadr3.skymapperdr2_best_neighbour AS t_n1 ON t.source_id = t_n1.source_id\n"
        "JOIN external.skymapperdr2_master AS t_s1 ON t_n1.original_ext_source_id = t_s1.object_id\n"
    ) in text
    assert text.startswith("SELECT t.source_id,\n       t_s1.u_psf,\n       t_n1.angular_distance\n")
    assert "(t_s1.class_star > 0.8)" in text
    assert "(t.ruwe <= 1.4)" in text


def test_2mass_is_matched_through_the_table_of_its_names() -> None:
    text = query("gaia_dr3", match=("tmass",), columns=("j_m", "angular_distance"), cuts=Cuts())
    assert (
        "JOIN gaiadr3.tmass_psc_xsc_best_neighbour AS t_n1 ON t.source_id = t_n1.source_id\n"
        "JOIN gaiadr3.tmass_psc_xsc_join AS t_n1_b "
        "ON t_n1.clean_tmass_psc_xsc_oid = t_n1_b.clean_tmass_psc_xsc_oid\n"
        "JOIN gaiadr1.tmass_original_valid AS t_s1 ON t_n1_b.original_psc_source_id = t_s1.designation\n"
    ) in text


def test_columns_that_two_surveys_share_get_the_name_of_theirs() -> None:
    text = query("gaia_dr3", match=("sdss_dr13",))
    assert "t_s1.ra AS ra_sdss_dr13" in text
    assert "t.ra,\n" in text


def test_rave_is_joined_from_its_tables() -> None:
    text = query("rave_dr6")
    assert "LEFT OUTER JOIN ravedr6.dr6_obsdata AS t_j1 ON t.rave_obs_id = t_j1.rave_obs_id" in text
    assert "POINT('ICRS', t_j1.ra_input, t_j1.dec_input)" in text
    assert "t.teff_cal_madera" in text


@pytest.mark.parametrize("name", SERVED)
def test_every_survey_makes_a_query_with_its_cuts(name: str) -> None:
    survey = load_survey(name)
    for place in survey.places:
        settings = FetchSettings(at=place.name, cuts=Cuts())
        selection = CONE if survey.position else Selection(whole=True)
        planned = build(find_sources(name, settings), selection, settings, None, None)
        text = planned.request.rows_query()
        assert f"FROM {place.table} AS t" in text
        assert len(planned.request.cuts) + len(planned.local) == len(survey.cuts)
        # What an archive cannot say are bits, and nothing else.
        assert all("&" in cut.keep for _, cut in planned.local)
        for column in planned.request.relation.columns().values():
            assert column in text


def test_the_surveys_that_have_a_service() -> None:
    assert {"gaia_dr3", "bailer_jones_edr3", "skymapper_dr2", "sdss_dr13", "tmass", "panstarrs1"} <= set(SERVED)
    with pytest.raises(
        InputError, match=r"survey galah_dr2: names no TAP service.*apogee_dr17 \(datalab.noirlab.edu\)"
    ):
        find_sources("galah_dr2", FetchSettings())


@pytest.mark.parametrize(
    ("selection", "condition"),
    [
        (Selection(box=(10, 20, -5, 5)), "t.ra BETWEEN 10.0 AND 20.0\n  AND t.dec BETWEEN -5.0 AND 5.0"),
        (Selection(box=(350, 10, -5, 5)), "(t.ra >= 350.0 OR t.ra <= 10.0)\n  AND t.dec BETWEEN -5.0 AND 5.0"),
        (Selection(cell=(0, 11)), f"t.source_id >= {11 << 59}\n  AND t.source_id < {12 << 59}"),
        (Selection(cell=(12, 7)), f"t.source_id >= {7 << 35}\n  AND t.source_id < {8 << 35}"),
        (Selection(ids=Path("x")), "t.source_id IN (SELECT u.star_id FROM TAP_UPLOAD.stars AS u)"),
        (
            Selection(positions=Path("x"), radius=3.6),
            "t.source_id IN (SELECT x.source_id\n  FROM gaiadr3.gaia_source AS x\n  JOIN TAP_UPLOAD.stars AS u "
            "ON 1 = CONTAINS(POINT('ICRS', x.ra, x.dec), CIRCLE('ICRS', u.star_ra, u.star_dec, 0.001)))",
        ),
    ],
)
def test_selections(selection: Selection, condition: str) -> None:
    text = query("gaia_dr3", selection, columns=("ra",), join=False)
    assert text.partition("\nWHERE ")[2] == condition
    assert "WHERE" not in query("gaia_dr3", Selection(whole=True), join=False)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "exactly one of cone, box, cell, ids, positions, whole must be given, not none"),
        ({"cone": (1, 2, 3), "whole": True}, "not cone and whole"),
        ({"cone": (370, 0, 1)}, "less than or equal to 360"),
        ({"cone": (10, -91, 1)}, "greater than or equal to -90"),
        ({"cone": (10, 0, 0)}, "greater than 0"),
        ({"cone": (float("nan"), 0, 1)}, "finite"),
        ({"box": (0, 10, 5, -5)}, "from a lower to a higher declination"),
        ({"cell": (3, 768)}, "cell 768 does not exist at order 3"),
    ],
)
def test_selections_that_mean_nothing(given: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        validate(Selection, given, "fetch")


def test_what_a_survey_cannot_be_asked() -> None:
    with pytest.raises(InputError, match="contain no HEALPix cell"):
        query("tmass", Selection(cell=(3, 5)))
    with pytest.raises(InputError, match="order 12 at most"):
        query("gaia_dr3", Selection(cell=(13, 5)))
    with pytest.raises(InputError, match="has no positions to select by"):
        query("bailer_jones_edr3")
    with pytest.raises(InputError, match=r"no archive 'gaja'.*Did you mean 'gaia'"):
        query("skymapper_dr2", at="gaja")
    with pytest.raises(InputError, match="has no match of it with gaia_dr3"):
        query("gaia_dr3", match=("galah_dr3",))
    with pytest.raises(
        InputError, match=r"survey skymapper_dr2: gaia has no table of its best neighbours in Gaia"
    ):
        query("gaia_dr2", match=("skymapper_dr2",))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a <= 1.4", "t.a <= 1.4"),
        ("a<>1", "t.a != 1"),
        ("NOT ok", "t.ok = 'false'"),
        ("ok AND NOT (ok)", "t.ok = 'true' AND (t.ok) = 'false'"),
        ("not (a < 1 or n = 2)", "NOT (t.a < 1 OR t.n = 2)"),
        ("ok = FALSE", "t.ok = 'false'"),
        ("kind LIKE 'STAR%' OR kind NOT IN ('A', 'it''s')", "t.kind LIKE 'STAR%' OR t.kind NOT IN ('A', 'it''s')"),
        ("a BETWEEN -1 AND 1e3 AND n IS NOT NULL", "t.a BETWEEN -1 AND 1e3 AND t.n IS NOT NULL"),
        ("n / 2 > 1", "1.0 * t.n / 2 > 1"),
        ("a / 2 > 1", "t.a / 2 > 1"),
        ("- -a < 0", "-(-t.a) < 0"),
        ("ln(a) + log10(abs(a)) > 0", "LOG(t.a) + LOG10(ABS(t.a)) > 0"),
        ("ok IS NOT TRUE", "(t.ok IS NULL OR t.ok = 'false')"),
        ("NOT ok IS FALSE", "NOT (t.ok IS NOT NULL AND t.ok = 'false')"),
        ("a <\n 1\n\tAND n = 2", "t.a < 1 AND t.n = 2"),
        ('"a" < 1', "t.a < 1"),
    ],
)
def test_predicates(text: str, expected: str) -> None:
    assert adql(text) == expected


def test_predicates_in_other_dialects() -> None:
    assert adql("NOT ok", Access(booleans="number")) == "t.ok = 0"
    assert adql("ok", Access(booleans="word")) == "t.ok = TRUE"
    assert adql("(n & 8) = 0", Access(bitwise="operator")) == "(t.n & 8) = 0"
    assert adql("(n & 8) = 0", Access(bitwise="function")) == "(BITWISE_AND(t.n, 8)) = 0"
    with pytest.raises(NotInAdqlError):
        adql("(n & 8) = 0")
    with pytest.raises(InputError, match="bits without parentheses"):
        adql("n & 8 = 0", Access(bitwise="operator"))


@pytest.mark.parametrize(
    "text",
    [
        "1 = 1; DROP TABLE gaiadr3.gaia_source",
        "a < 1) OR (1 = 1",
        "a < 1 -- and so on",
        "a < 1 /* and */",
        "a IN (SELECT source_id FROM tap_schema.tables)",
        "EXISTS (SELECT 1 FROM x)",
        "a < 1 UNION SELECT password FROM users",
        "pg_sleep(10) > 0",
        "sum(a) > 1",
        "a < 'x'",
        "kind < 3",
        "kind LIKE 3",
        "a",
        "a < ",
        "a < 1 b",
        "other.a < 1",
        "missing < 1",
        "a = 1 = 1",
        "NOT",
        "",
        "(" * 60 + "a" + ")" * 60 + " < 1",
        "a < 'it''s; DROP TABLE x",
        'a < 1 AND "x; DROP" = 2',
        "CASE WHEN a < 1 THEN 1 END = 1",
        "a < 1\x00",
        "5 < a < 9",
        "GREATEST(a, n) > 1",
        "a IS NOT DISTINCT FROM 1",
        "kind ILIKE 'a%'",
        "n % 2 = 1",
        "kind || 'x' = 'ax'",
        "a = NULL",
        '"max"(a) > 1',
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        adql(text)


@given(st.text(alphabet="anok '\"()<>=&-;/*,.1AND OR NOT IN LIKE", max_size=40))
def test_what_gets_through_is_balanced_and_harmless(text: str) -> None:
    try:
        result = adql(text, Access(bitwise="operator"))
    except InputError:
        return
    outside = "".join(result.split("'")[::2])
    assert result.count("'") % 2 == 0
    assert not any(mark in outside for mark in (";", "--", "/*", '"'))
    depth = 0
    for character in outside:
        depth += (character == "(") - (character == ")")
        assert depth >= 0
    assert depth == 0


TABLE = pl.DataFrame(
    {
        "a": [0.5, -1.5, None, 3.0, 1e3],
        "n": [1, 2, 3, None, 8],
        "ok": [True, False, None, True, False],
        "kind": ["STAR", "A", None, "it's", "STARS"],
    }
)


@pytest.mark.parametrize(
    "text",
    [
        "NOT ok",
        "n / 2 > 1",
        "a BETWEEN -2 AND 1",
        "kind LIKE 'STAR%' OR kind = 'it''s'",
        "- -a > 0",
        "NOT (a > 0 OR ok)",
        "abs(a) > 1 AND n IS NOT NULL",
        "kind NOT IN ('A', 'B')",
    ],
)
def test_the_translation_means_the_same(text: str) -> None:
    """Both texts on one table, by an SQL engine that divides whole numbers as databases do."""
    import sqlite3

    base = sqlite3.connect(":memory:")
    try:
        base.execute("CREATE TABLE t (a REAL, n INTEGER, ok TEXT, kind TEXT)")
        rows = TABLE.with_columns(pl.col("ok").cast(pl.String)).rows()
        base.executemany("INSERT INTO t VALUES (?, ?, ?, ?)", rows)
        base.execute("PRAGMA case_sensitive_like = ON")
        found = [row[0] - 1 for row in base.execute(f"SELECT rowid FROM t WHERE {adql(text)} ORDER BY rowid")]
    finally:
        base.close()
    kept = row_expression(text, where="cut").value(TABLE.schema, TABLE.columns).expr
    here = TABLE.with_row_index().filter(kept)["index"].to_list()
    assert found == here
    assert 0 < len(here) < TABLE.height


def test_names() -> None:
    assert identifier("parallax", "x") == "parallax"
    assert identifier("dec", "x") == "dec"
    assert identifier("year", "x") == '"year"'
    for word in ("catalog", "offset", "latitude", "external", "Timezone_Hour"):
        assert identifier(word, "x") == f'"{word}"'
    assert identifier("[Fe/H]", "x") == '"[Fe/H]"'
    for name in ('a"b', "a;b", "a'b", "", "a\nb"):
        with pytest.raises(InputError, match="no name that can be sent"):
            identifier(name, "x")
    assert text_literal("it's") == "'it''s'"
    assert number_literal(2**60 + 1) == "1152921504606846977"
    assert float(number_literal(0.1 + 0.2)) == 0.1 + 0.2


@pytest.mark.parametrize(
    "table", ["a.b; DROP TABLE c", "a.b AS c", "a.b.c.d", 'a."b""c"', "a. b", "", "(SELECT 1)"]
)
def test_tables_that_are_none_are_refused_in_the_survey_file(table: str) -> None:
    with pytest.raises(InputError, match="table"):
        validate(Copy, {"name": "x", "service": "https://a.b/tap", "table": table}, "survey")
    assert validate(Copy, {"name": "x", "service": "https://a.b/tap", "table": '"III/286/catalog"'}, "s").table


def test_a_cut_that_is_no_condition_names_itself() -> None:
    wrong = Cuts(apply=False, extra=(ExtraCut(name="bad", keep="ruwee < 1"), ExtraCut(name="evil", keep="1=1; x")))
    with pytest.raises(InputError) as caught:
        query("gaia_dr3", cuts=wrong)
    assert len(caught.value.problems) == 2
    assert "cut 'bad'" in str(caught.value)
    assert "Did you mean 'ruwe'" in str(caught.value)


def test_lists() -> None:
    gaia = load_survey("gaia_dr3")
    assert listed_ids([5, 6, 5], gaia)["star_id"].to_list() == [5, 6]
    assert listed_ids(pl.DataFrame({"SOURCE_ID": ["7", "8"]}), gaia)["star_id"].to_list() == [7, 8]
    with pytest.raises(InputError, match="last digits are lost"):
        listed_ids(pl.DataFrame({"source_id": [3.949039e18, 3.9e18]}), gaia)
    with pytest.raises(InputError, match="has no column 'source_id'"):
        listed_ids(pl.DataFrame({"a": [1], "b": [2]}), gaia)
    with pytest.raises(InputError, match="holds no identifier"):
        listed_ids(pl.DataFrame({"source_id": pl.Series([], dtype=pl.Int64)}), gaia)
    assert listed_positions(pl.DataFrame({"RA": [1], "Dec": [2]})).height == 1
    with pytest.raises(InputError, match="1 of 2 positions are missing or not on the sphere"):
        listed_positions(pl.DataFrame({"ra": [1, 2], "dec": [2, 95]}))
    with pytest.raises(InputError, match="has no column 'dec'"):
        listed_positions(pl.DataFrame({"ra": [1], "decl": [2]}))
