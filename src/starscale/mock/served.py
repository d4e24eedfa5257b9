"""The tables of a mock sky as archives serve them: under the archives' names of tables and columns."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from starscale.mock.archive import archive_table
from starscale.surveys import load_survey
from starscale.surveys.names import plain

#: Tables of the mock sky that archives serve in another form: by the survey of that form, the table of the mock
#: and its columns, by the columns of the form; columns that are not named have no values.
_OTHER_FORMS: dict[str, tuple[str, dict[str, str]]] = {
    "gaia_eso_dr5": (
        "gaia_eso_dr3",
        {
            "object": "CNAME",
            "ges_fld": "GES_FLD",
            "ges_type": "GES_TYPE",
            "ra": "RA",
            "dec": "DECLINATION",
            "teff": "TEFF",
            "e_teff": "E_TEFF",
            "logg": "LOGG",
            "e_logg": "E_LOGG",
            "feh": "FEH",
            "e_feh": "E_FEH",
        },
    ),
    "rave_dr6_summary": (
        "rave_dr6",
        {
            "teff_bdasp": "teff_cal_madera",
            "teff_error_bdasp": "teff_error_madera",
            "logg_bdasp": "logg_cal_madera",
            "logg_error_bdasp": "logg_error_madera",
            **{
                name: name
                for name in (
                    "rave_obs_id",
                    "ra_input",
                    "dec_input",
                    "snr_med_sparv",
                    "hrv_sparv",
                    "hrv_error_sparv",
                    "m_h_cal_madera",
                    "m_h_error_madera",
                    "fe_h_gauguin",
                    "fe_h_error_gauguin",
                )
            },
        },
    ),
}
#: Surveys whose tables are served, each in its main archive.
SERVED = (
    "gaia_dr3",
    "bailer_jones_edr3",
    "skymapper_dr2",
    "apogee_dr17",
    "galah_dr3",
    "lamost_dr5",
    *_OTHER_FORMS,
)


def in_form(tables: Mapping[str, pl.DataFrame], survey: str) -> pl.DataFrame:
    """Return the table of a survey, made from that of another release where the mock sky has only that one.

    Parameters
    ----------
    tables : mapping of str to polars.DataFrame
        Tables of a mock sky, by survey.
    survey : str
        One of :data:`SERVED`.
    """
    if survey not in _OTHER_FORMS:
        return tables[survey]
    other, names = _OTHER_FORMS[survey]
    given = {name: tables[other][column] for name, column in names.items()}
    empty = {name: [None] * tables[other].height for name in load_survey(survey).columns if name not in given}
    return archive_table(survey, {**given, **empty})


def served(tables: Mapping[str, pl.DataFrame], at: Mapping[str, str] | None = None) -> dict[str, pl.DataFrame]:
    """Return what archives serve: by the name of a table, the table with the names of its columns there.

    Parameters
    ----------
    tables : mapping of str to polars.DataFrame
        Tables of a mock sky, by survey.
    at : mapping of str to str, optional
        Name of the archive, by survey; default: the main one.
    """
    found = {}
    for name in SERVED:
        survey = load_survey(name)
        place = next(p for p in survey.places if p.name == (at or {}).get(name, "main"))
        there = plain(survey.names[place.names]) if place.names is not None else {}
        table = in_form(tables, name)
        found[place.table] = table.rename({c: n for c, n in there.items() if c in table.columns})
    return found
