"""Units as people and archives write them, compared with astropy's meaning, through every format and back."""

from __future__ import annotations

import warnings

import pytest
from astropy import units as u
from hypothesis import example, given, settings
from hypothesis import strategies as st

from starscale.io.units import as_cds, as_fits, as_generic, as_vounit, parse_unit, unit_text
from starscale.io.units.printing import _VOUNIT, _printed
from starscale.vocabulary.columns import Column, catalogue_columns
from starscale.vocabulary.unit_notes import restored
from support.often import OFTEN
from support.units import UNITS, same

DEX_G = u.dex(u.cm / u.s**2)
SPELLINGS = {
    u.day: "d day days Day DAYS MJD Time[day]",
    u.year: "yr year years a Time[Julian|Years]",
    u.deg: "deg degree degrees DEG ° Angle[deg] [deg] (deg) deg|(J2000) decimal|degrees deg|(ICRS) "
    "degrees,|decimal",
    u.arcsec / u.yr: "\"/yr ''/yr ″/yr \"|yr-1 arcsec/yr",
    u.mas / (100 * u.yr): "mas/cy mas/century",
    u.arcsec: "arcsec arcsecs as \" '' ″ arcsecond arcseconds arc|sec",
    u.arcmin: "arcmin ' arcminutes",
    u.mas: "mas MAS milliarcsec milliarcseconds Angle[mas]",
    u.uas: "uas µas μas microarcsec",
    u.mas / u.yr: "mas/yr mas.yr-1 mas.yr**-1 mas|yr^-1 mas|yr-1 mas/year mas·yr⁻¹ MAS/YR mas|per|yr "
    "Angular|Velocity[mas/year] (mas/yr) mas|yr$^{-1}$",
    u.km / u.s: "km/s km.s-1 km|s^-1 km|s-1 kms kms-1 km.s**-1 km/sec KM/S (km.s-1) km|s$^{-1}$ "
    "Velocity[km/s] km|s⁻¹",
    u.mag: "mag mags Magnitude[mag] magnitude MAG mag(Vega) Vega|mag [mag]",
    u.ABmag: "mag(AB) AB|mag ABmag mag_AB mag[AB] mag|(AB) AB",
    u.dex: "dex Dex [-] [Sun] log(g) log(cgs) dex(1)",
    DEX_G: "dex(cm/s**2) log(cm.s**-2) [cm/s2] log[cm/s2] log10(cm/s^2) dex(cm|/|s2) log|cm/s2",
    u.dex(u.L_sun): "[Lsun] log(solLum) dex(solLum) log(Lsun)",
    u.M_sun: "Msun solMass M_sun M☉ solar|mass Msol",
    u.R_sun: "Rsun solRad R_sun Length|&|Distance[Solar|Radius]",
    u.percent: "% percent pct",
    u.dimensionless_unscaled: "- -- --- none None unitless dimensionless 1 Dimensionless[see|description]",
    u.ct: "ct count counts cts COUNTS",
    u.ct / u.s: "ct/s counts/s cts/sec count.s-1",
    u.electron / u.s: "electron/s e-/s electrons/s e-|s-1 Flux[e-/s] ELECTRONS/S",
    u.adu: "adu ADU",
    u.DN: "DN dn",
    u.pix: "pix pixel pixels",
    u.Unit("nmgy"): "nmgy nanomaggy nanomaggies nanoMaggie nano-maggies nanomaggies|(AB) AB|nanomaggies",
    u.Unit("nmgy-2"): "1/nanomaggies^2 nanomaggy-2 1/(nmgy)^2 (nanomaggies)^-2 1|/|nanomaggies|^2|(AB)",
    u.nJy: "nJy nanojansky 1e-9|Jy 10-9Jy nJy|AB",
    u.nJy**-2: "nJy-2 1/(nJy)^2 1/nJy^2 (nJy)**(-2) nJy⁻² /(nJy)2",
    u.Unit("3.631 uJy"): "3.631uJy 3.631|uJy 3.631×10^-6|Jy 3.631|10-6Jy 3.631e-6Jy",
    u.Unit("3.631 uJy") ** -2: "1/(3.631uJy)^2 (3.631|uJy)-2",
    (u.km / u.s) ** 2: "(km/s)^2 (km.s-1)2",
    u.uJy: "uJy ujy μJy microJy muJy micro|Jy",
    u.MJy: "MJy",
    u.mJy: "mJy mjy",
    u.dB: "dB",
    u.deg**2: "deg2 deg**2 sq|deg square|degrees deg^2 sqdeg",
    u.Unit("1e-17 erg / (Angstrom s cm2)"): "1e-17|erg/cm2/s/A 10**-17|erg/s/cm**2/Angstrom "
    "10-17erg.s-1.cm-2.Angstrom-1 1e-17|erg|s−1|cm−2|Å−1",
    u.AA: "Angstrom angstrom Angstroms AA Å",
    u.um: "um µm micron microns",
    u.nm: "nm nanometer nanometers",
    u.dex(1 / u.Hz / u.arcsec): "dex(1|/|(Hz|arcsec)) log(Hz-1.arcsec-1)",
    u.kpc: "kpc kiloparsec kiloparsecs KPC",
    u.Mpc: "Mpc megaparsec",
    u.pc: "pc parsec parsecs PC",
    u.hourangle: "hourangle hour|angle",
    u.h: "h hr hour hours",
    u.K / u.mag: "K.mag**-1 K/mag",
}
#: No unit in which numbers are given, or not a unit at all.
UNKNOWN = (
    "furlongs",
    "h:m:s",
    '"d:m:s"',
    "hms",
    "hh:mm:ss",
    "yyyy-mm-dd",
    "PA",
    "ln(m)",
    "mag(mag)",
    "(mag(AB))^2",
    "ivar nanomaggies",
    "flux",
    "(",
    "m**",
    "10**",
)


@pytest.mark.parametrize(
    ("text", "unit"),
    [(word.replace("|", " "), unit) for unit, words in SPELLINGS.items() for word in words.split()],
)
def test_a_spelling_means_its_unit(text: str, unit: u.UnitBase) -> None:
    assert parse_unit(text) == unit
    assert parse_unit(f"  {text} ") == unit


@pytest.mark.parametrize("text", [*UNKNOWN, "x" * 10_000, "(" * 300, "[" * 150, "10**400", "m**2**3", "1e400"])
def test_other_texts_are_no_units(text: str) -> None:
    assert parse_unit(text) is None


# ---- printing ----------------------------------------------------------------------------------------

#: A spelling of the list, an astropy unit as astropy prints it, or something else.
TEXTS = st.one_of(
    UNITS.map(str),
    st.sampled_from([word.replace("|", " ") for words in SPELLINGS.values() for word in words.split()]),
    st.sampled_from(UNKNOWN),
    st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), max_size=12).map(str.strip),
)


def check_printed(text: str) -> None:
    about = Column("x", "float64", text, "", "a column")
    unit = parse_unit(text)
    for printer, notation in ((as_vounit, "vounit"), (as_fits, "fits"), (as_cds, "cds"), (as_generic, "generic")):
        printed = printer(about)
        # Nothing is lost: unit and description together say what the unit was.
        back, said = restored(printed.unit, printed.description)
        assert said == "a column"
        assert same(parse_unit(back), unit), (text, printed)
        if unit is None:
            assert back == text.strip()
        # astropy reads the unit, keeps the text, or has a part of it with a note.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            strict = "silent" if notation == "vounit" else "raise"
            try:
                theirs = u.Unit(
                    "" if printed.unit == "---" else printed.unit, format=notation, parse_strict=strict
                )
            except (ValueError, TypeError):
                continue
        if isinstance(theirs, u.UnrecognizedUnit) or printed.description != about.description:
            continue
        assert same(u.Unit("") if theirs is None else theirs, unit), (text, printed, theirs)


@settings(max_examples=30, deadline=None)
@given(TEXTS)
@example("days")
@example("dex")
@example("degree")
@example("nmgy")
@example("electron/s")
@example("mag(AB)")
def test_every_notation_says_the_same_unit(text: str) -> None:
    check_printed(text)


@pytest.mark.slow
@settings(max_examples=200 * OFTEN, deadline=None)  # astropy takes 50 ms to refuse a unit
@given(TEXTS)
def test_every_notation_says_the_same_unit_many(text: str) -> None:
    check_printed(text)


def check_objects(unit: u.UnitBase) -> None:
    assert same(parse_unit(unit_text(unit)), unit), unit_text(unit)


@settings(max_examples=30, deadline=None)
@given(UNITS)
@example(getattr(u, "attosecond", u.fs))  # astropy 7.0 has none
def test_a_unit_of_astropy_as_text(unit: u.UnitBase) -> None:
    check_objects(unit)


@pytest.mark.slow
@settings(max_examples=1_000 * OFTEN, deadline=None)  # 5 ms each
@given(UNITS)
def test_a_unit_of_astropy_as_text_many(unit: u.UnitBase) -> None:
    check_objects(unit)


@pytest.mark.parametrize("unit", sorted({column.unit for column in catalogue_columns().values()}))
def test_units_of_catalogues_are_vounit_as_they_stand(unit: str) -> None:
    about = Column("x", unit=unit)
    assert as_vounit(about) is about
    assert _printed(about, _VOUNIT) == about
