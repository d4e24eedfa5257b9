"""A first draft of a survey file from the columns of a table: roles are guessed from names, UCDs and units."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache

from starscale.surveys import load_survey, survey_names
from starscale.surveys.names import plain
from starscale.vocabulary.columns import Column

#: Names of roles, in lower case without what is not a letter or digit.
_NAMES = {
    "ra": r"ra|raj2000|raicrs|radeg|ra2000|alphaj2000|ramean|coordra|alphawinj2000|targetra",
    "dec": r"dec|de|dej2000|deicrs|dedeg|dec2000|deltaj2000|decmean|coorddec|deltawinj2000|targetdec|decl",
    "pmra": r"pmra|mura|pmracosdec",
    "pmdec": r"pmdec|pmde|mudec",
    "parallax": r"parallax|plx",
    "teff": r"teff\w*",
    "logg": r"logg\w*",
    "fe_h": r"feh\w*|mh\w*|xfeh",
    "snr": r"snr\w*|sn[gri]?|signaltonoise",
}
#: UCDs of the same roles.
_UCDS = {
    "ra": "pos.eq.ra;meta.main",
    "dec": "pos.eq.dec;meta.main",
    "pmra": "pos.pm;pos.eq.ra",
    "pmdec": "pos.pm;pos.eq.dec",
    "parallax": "pos.parallax.trig",
    "teff": "phys.temperature.effective",
    "logg": "phys.gravity",
    "fe_h": "phys.abund.Fe",
    "snr": "stat.snr",
}
_UNITS = {"ra": "deg", "dec": "deg", "pmra": "mas/yr", "pmdec": "mas/yr", "parallax": "mas", "teff": "K"}
_UNITS |= {"logg": "log(cm.s**-2)", "fe_h": "", "snr": ""}
_ID = r"sourceid|objectid|objid|id|starid|obsid|designation|name|coaddobjectid|targetid|\w*id"
_WANTED = (
    "id",
    "ra",
    "dec",
    "ra_error",
    "dec_error",
    "epoch",
    "pmra",
    "pmdec",
    "teff",
    "logg",
    "fe_h",
    "snr",
    "gaia",
)
_EPOCHS = {"mjd": r"\w*mjd\w*", "jd": r"jd|jdate|juliandate", "jyear": r"refepoch|epoch"}


@dataclass
class _Draft:
    """What was found: roles by name, with the reason, and the bands and labels."""

    columns: Mapping[str, Column]
    roles: dict[str, str] = field(default_factory=dict)
    why: dict[str, str] = field(default_factory=dict)
    bands: dict[str, tuple[str, float]] = field(default_factory=dict)

    def take(self, role: str, column: str, why: str) -> None:
        self.roles[role] = column
        self.why[role] = why

    @property
    def identifier(self) -> str:
        """The column of the identifier; the first column if none was found."""
        return self.roles.get("id", next(iter(self.columns)))

    def free(self) -> Iterator[Column]:
        """Yield the columns without a role."""
        taken = set(self.roles.values()) | {magnitude for magnitude, _ in self.bands.values()}
        return (column for name, column in self.columns.items() if name not in taken)


def draft(columns: Mapping[str, Column], name: str) -> str:
    """Return the text of a survey file for a table.

    Parameters
    ----------
    columns : mapping of str to Column
        As the table describes them, with their types.
    name : str
        Name of the survey.
    """
    found = _Draft(columns)
    _find_gaia(found)
    _find_id(found)
    for role in _NAMES:
        _find_role(found, role)
    _find_epoch(found)
    _find_bands(found)
    return "\n".join([*_head(found, name), *_sections(found), *_columns(found)]) + "\n"


def _plain(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower())


def _is_number(column: Column) -> bool:
    return column.dtype.startswith(("int", "float"))


def _find_gaia(found: _Draft) -> None:
    for column in found.free():
        match = re.search(r"gaia\w*?e?dr(\d)|dr(\d)\w*sourceid", _plain(column.name))
        if match and column.dtype == "int64":
            found.take("gaia", column.name, f"its name says Gaia DR{match[1] or match[2]}")
            found.why["gaia_release"] = f"dr{match[1] or match[2]}"
            return


def _find_id(found: _Draft) -> None:
    suitable = [c for c in found.free() if c.dtype in ("int64", "int32", "string")]
    for column in suitable:
        if "meta.id" in column.ucd and "meta.main" in column.ucd:
            return found.take("id", column.name, "its UCD is that of a main identifier")
    for pattern in _ID.split("|"):
        for column in suitable:
            if re.fullmatch(pattern, _plain(column.name)):
                return found.take("id", column.name, "its name is that of an identifier")
    return None


def _find_role(found: _Draft, role: str) -> None:
    numbers = [c for c in found.free() if _is_number(c)]
    for candidates, why in (
        (_by_ucd(numbers, role), f"its UCD is {_UCDS[role]}"),
        (_by_name(numbers, role), "its name"),
    ):
        if candidates:
            found.take(role, candidates[0].name, why)
            break
    if role in found.roles and (error := _error_of(found, found.roles[role])):
        found.take(f"{role}_error", error, f"its name is that of {found.roles[role]} with a mark of errors")


def _by_ucd(columns: list[Column], role: str) -> list[Column]:
    return [column for column in columns if column.ucd == _UCDS[role]]


def _by_name(columns: list[Column], role: str) -> list[Column]:
    """Return the columns whose name is that of a role, in the order of the patterns."""
    values = [column for column in columns if not _is_error(column)]
    return [c for pattern in _NAMES[role].split("|") for c in values if re.fullmatch(pattern, _plain(c.name))]


def _is_error(column: Column) -> bool:
    return "stat.error" in column.ucd or bool(re.search(r"^e_|err|sig|flag|warn|corr", column.name.lower()))


def _error_of(found: _Draft, name: str) -> str | None:
    """Return the column with the error of another one, by its name."""
    wanted = _plain(name)
    forms = {f"e{wanted}", f"{wanted}err", f"{wanted}error", f"err{wanted}", f"sig{wanted}", f"{wanted}unc"}
    forms |= {wanted.replace("mag", "magerr"), wanted.replace("mag", "sigmag"), wanted.replace("mpro", "sigmpro")}
    forms -= {wanted}
    marked = (c.name for c in found.free() if _is_number(c) and _plain(c.name) in forms)
    return next(marked, None)


def _find_epoch(found: _Draft) -> None:
    for kind, pattern in _EPOCHS.items():
        for column in found.free():
            if _is_number(column) and re.fullmatch(pattern, _plain(column.name)):
                found.take("epoch", column.name, f"its name; {kind} is a guess")
                found.why["epoch_format"] = kind
                return


@cache
def _known_bands() -> tuple[dict[str, tuple[str, float]], dict[str, float]]:
    """Return band and wavelength (nm) of the magnitudes of packaged surveys, and wavelengths of their bands."""
    columns: dict[str, tuple[str, float]] = {}
    letters: dict[str, float] = {}
    for survey in map(load_survey, survey_names()):
        sets = [plain(given) for given in survey.names.values()]
        for key, band in survey.bands.items():
            aliases = survey.columns[band.magnitude].aliases
            for name in (band.magnitude, *aliases, *(given.get(band.magnitude, "") for given in sets)):
                columns.setdefault(name, (key, band.wavelength))
            letters.setdefault(key, band.wavelength)
    return columns, letters


def _find_bands(found: _Draft) -> None:
    given: dict[str, tuple[str, float, str]] = {}
    for column in found.free():
        if column.dtype.startswith("float") and not _is_error(column) and (band := _band_of(column.name)):
            given.setdefault(band[0], (column.name, *band[1:]))
    waves = set()
    for key, (name, wavelength, why) in sorted(given.items(), key=lambda item: item[1][1]):
        if wavelength not in waves:
            waves.add(wavelength)
            found.bands[key] = (name, wavelength)
            found.why[f"band {key}"] = why
    for key, (name, _) in found.bands.items():
        if error := _error_of(found, name):
            found.take(f"error of {key}", error, "its name")


def _band_of(name: str) -> tuple[str, float, str] | None:
    """Return the band of a magnitude, its wavelength, and the reason; None for other columns."""
    columns, letters = _known_bands()
    if name in columns:
        return (*columns[name], "a packaged survey has a magnitude of this name")
    bare = re.sub(r"_?(psf|mag|mean|cor|tot|auto|total|ps)_?", "", name, flags=re.IGNORECASE)
    if bare in letters and bare != name:
        return bare, letters[bare], "the name of the band is that of a packaged survey"
    return None


def _head(found: _Draft, name: str) -> Iterator[str]:
    missing = [role for role in _WANTED if role not in found.roles] + ([] if found.bands else ["bands"])
    yield "# A draft: check every guess, then run `starscale check TABLE --survey THIS_FILE`."
    yield f"# Not found, add what the table has: {', '.join(missing) or 'nothing'}."
    yield "# Never guessed: values that mean missing, cuts, extinction, limits of errors, citation."
    yield f"name = {json.dumps(name)}"
    yield f"title = {json.dumps(f'Draft for {name}')}"
    yield f'kind = "{_kind(found)}"  # a guess from the columns'
    if "snr" in found.roles:
        yield f"snr = {json.dumps(found.roles['snr'])}  # a guess: {found.why['snr']}"
    if found.bands:
        first = next((band for band in ("r", "G", "g") if band in found.bands), next(iter(found.bands)))
        yield f"reference_band = {json.dumps(first)}  # a guess"


def _kind(found: _Draft) -> str:
    if {"pmra", "pmdec"} <= found.roles.keys():
        return "astrometric"
    return "spectroscopic" if "teff" in found.roles and not found.bands else "photometric"


def _sections(found: _Draft) -> Iterator[str]:
    yield "\n[id]"
    why = found.why.get("id", "the first column, since no identifier was found")
    yield f"column = {json.dumps(found.identifier)}  # a guess: {why}"
    yield from _position(found)
    if {"pmra", "pmdec"} <= found.roles.keys():
        yield "\n[motion]"
        for role in ("pmra", "pmdec", "pmra_error", "pmdec_error", "parallax", "parallax_error"):
            yield from _line(found, role, role)
    if found.bands:
        yield "\n# Wavelengths (nm) are those of the bands of packaged surveys with these names."
        yield "[bands]"
    for key, (name, wavelength) in found.bands.items():
        error = found.roles.get(f"error of {key}")
        text = f"magnitude = {json.dumps(name)}, " + (f"error = {json.dumps(error)}, " if error else "")
        yield f"{_key(key)} = {{ {text}wavelength = {wavelength:g} }}  # a guess: {found.why[f'band {key}']}"
    yield from _labels(found)


def _position(found: _Draft) -> Iterator[str]:
    if not {"ra", "dec"} <= found.roles.keys():
        return
    yield "\n[position]"
    for role in ("ra", "dec", "ra_error", "dec_error"):
        yield from _line(found, role, role)
    if "epoch" in found.roles:
        column, kind = json.dumps(found.roles["epoch"]), found.why["epoch_format"]
        why = found.why["epoch"]
        yield f'epoch = {{ column = {column}, format = "{kind}", default = 2000.0 }}  # a guess: {why}'
    else:
        yield "epoch = { default = 2000.0 }  # a guess: no column with an epoch was found"


def _labels(found: _Draft) -> Iterator[str]:
    labels = [label for label in ("teff", "logg", "fe_h") if label in found.roles]
    if labels:
        yield "\n[labels]"
    for label in labels:
        error = found.roles.get(f"{label}_error")
        text = f"value = {json.dumps(found.roles[label])}" + (f", error = {json.dumps(error)}" if error else "")
        yield f"{label} = {{ {text} }}  # a guess: {found.why[label]}"
    if "gaia" in found.roles:
        yield "\n[gaia]"
        yield f"column = {json.dumps(found.roles['gaia'])}  # a guess: {found.why['gaia']}"
        yield f'release = "{found.why["gaia_release"]}"'


def _line(found: _Draft, key: str, role: str) -> Iterator[str]:
    if role in found.roles:
        yield f"{key} = {json.dumps(found.roles[role])}  # a guess: {found.why[role]}"


def _columns(found: _Draft) -> Iterator[str]:
    units = {found.roles[role]: unit for role, unit in _UNITS.items() if role in found.roles}
    units |= {name: "mag" for name, _ in found.bands.values()}
    yield "\n# Units that the table does not state are guesses; UCDs and descriptions are those of the table."
    yield "[columns]"
    used = {found.identifier, *found.roles.values(), *(name for name, _ in found.bands.values())}
    for name, column in found.columns.items():
        if name in used:
            yield f"{_key(name)} = {{ {_described(column, units.get(name, ''))} }}"


def _described(column: Column, unit: str) -> str:
    about = {
        "dtype": column.dtype,
        "unit": column.unit or unit,
        "ucd": column.ucd,
        "description": column.description,
    }
    return ", ".join(f"{key} = {json.dumps(value)}" for key, value in about.items() if value)


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else json.dumps(name)


def survey_name(text: str) -> str:
    """Return a text as the name of a survey: lower case, digits and underscores."""
    name = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")
    return name if re.match(r"[a-z]", name) else f"survey_{name}".strip("_")
