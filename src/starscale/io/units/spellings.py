"""Words that files use for units, with the names that astropy gives to the same units."""

from __future__ import annotations

#: A whole text that states no unit; the case of letters is ignored.
NOT_STATED = frozenset(
    (
        "",
        "-",
        "--",
        "---",
        "...",
        "none",
        "null",
        "nan",
        "n/a",
        "na",
        "undefined",
        "unknown",
        "no unit",
        "no units",
    )
)
#: A whole text that states that there is no unit.
DIMENSIONLESS = frozenset(("1", "1.0", "unitless", "dimensionless", "number", "adim", "ratio", "fraction"))

#: Marks of texts such as 12:34:56.7, which are not numbers in a unit.
SEXAGESIMAL = frozenset(
    f"{first}{separator}{separator.join(others)}"
    for first, others in (("h", "ms"), ("d", "ms"), ("hh", ("mm", "ss")), ("dd", ("mm", "ss")))
    for separator in ("", ":", " ")
)

#: A whole text; the case of letters counts.
WHOLE = {
    '"': "arcsec",
    "''": "arcsec",
    "'": "arcmin",
    "AB": "mag(AB)",
    "ST": "mag(ST)",
    "sun": "",
    "Sun": "",
    "solar": "",
    "Solar": "",
}

#: Several words, or letters and signs that astropy would read apart: a regular expression, and its replacement.
PHRASES = (
    (r"\bsolar[ _]?mass(es)?\b", "solMass"),
    (r"\bsolar[ _]?radi(us|i)\b", "solRad"),
    (r"\bsolar[ _]?luminosit(y|ies)\b", "solLum"),
    (r"\bjulian[ _]?years?\b", "yr"),
    (r"\bjulian[ _]?(days?|dates?)\b", "d"),
    (r"\blight[ -]?years?\b", "lyr"),
    (r"\bhour[ _-]?angles?\b", "hourangle"),
    (r"\b(?:(milli|micro)[ -]?)?arc[ -]?(seconds?|secs?)\b", r"\1arcsec"),
    (r"\barc[ -]?(minutes?|mins?)\b", "arcmin"),
    (r"\bsq(uare|\.)?[ _]?(deg|arcmin|arcsec)(rees?)?\b", r"\2**2"),
    (r"\bdeg(rees?)?[ _]?(c\b|celsius\b)", "deg_C"),
    (r"\bkm\.?s(ec)?\s*(\*\*)?\s*(-1|\(-1\))(?!\d)", "km/s"),
    (r"(?<![a-z0-9])e-(?!\d)", " electron "),
    (r"(?<=[a-z0-9)]) per (?=[a-z0-9(])", "/"),
    (r"\b(nano|micro|milli)[ -](?=jansk|jy\b|magg)", r"\1"),
    # A number times a power of ten.
    (r"(?<![\w.])(\d+(?:\.\d+)?)\s*[*x]?\s*\b10(?:\*\*)?\(?([+-]\d{1,2})\)?", r"\1e\2"),
)

#: Units by a word in any case of letters.
WORDS = {
    word: unit
    for unit, words in {
        "deg": "deg degs degree degrees",
        "rad": "rad rads radian radians",
        "arcmin": "arcmin arcmins amin",
        "arcsec": "arcsec arcsecs asec",
        "mas": "mas milliarcsec",
        "uas": "uas microarcsec muas",
        "hourangle": "hourangle",
        "s": "sec secs second seconds",
        "min": "min minute minutes mins",
        "h": "hr hrs hour hours",
        "d": "day days jd mjd hjd bjd",
        "yr": "yr yrs year years jyear jyr",
        # A hundred years: cy is a cycle for astropy.
        "hyr": "cy century centuries",
        "K": "kelvin kelvins",
        "deg_C": "degc deg_c celsius",
        "mag": "mag mags magnitude magnitudes vegamag vega_mag mag_vega",
        "mmag": "mmag mmags millimag millimags",
        "dex": "dex",
        "mag(AB)": "abmag abmags ab_mag mag_ab",
        "mag(ST)": "stmag stmags st_mag mag_st",
        "Angstrom": "angstrom angstroms ang aa",
        "um": "micron microns micrometer micrometers",
        "nm": "nm",
        "cm": "cm",
        "km": "km",
        "pc": "pc parsec parsecs",
        "kpc": "kpc kiloparsec kiloparsecs",
        "AU": "au",
        "lyr": "ly lyr lyrs",
        "km*s-1": "kms kmps",
        "solMass": "solmass msun m_sun msol m_sol",
        "solRad": "solrad rsun r_sun rsol r_sol",
        "solLum": "sollum lsun l_sun lsol l_sol",
        "earthMass": "earthmass geomass mearth m_earth",
        "earthRad": "earthrad georad rearth r_earth",
        "jupiterMass": "jupitermass jovmass mjup m_jup",
        "jupiterRad": "jupiterrad jovrad rjup r_jup",
        "ct": "ct cts count counts",
        "pix": "pix pixel pixels px",
        "ph": "ph photon photons phot",
        "electron": "electron electrons elec",
        "adu": "adu adus",
        "DN": "dn",
        "1e-6": "ppm",
        "%": "% percent percents pct percentage",
        "nmgy": "nmgy nanomaggy nanomaggie nanomaggies nanomaggys nmaggy nmaggies",
        "mgy": "mgy maggy maggie maggies maggys",
        "Jy": "jy jansky janskys janskies",
        "mJy": "millijansky millijanskys",
        "uJy": "ujy mujy microjansky microjanskys",
        "nJy": "njy nanojansky nanojanskys",
        "dB": "db decibel decibels",
        "Hz": "hz",
        "erg": "erg ergs",
        "eV": "ev",
        "deg**2": "sqdeg deg2",
    }.items()
    for word in words.split()
}

#: Names whose case of letters counts, and which astropy reads as something that no table means (attosecond).
EXACT = {"as": "arcsec", "mjy": "mJy", "e": "electron"}

#: Names that astropy reads as units that no table means (a position angle in petaampere).
NO_NAMES = frozenset(("PA", "das", "ys", "dad", "pH", "Ph"))
