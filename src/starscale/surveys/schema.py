"""Schema of survey files: the description of a catalogue that every step uses.

A survey is a TOML file, packaged here or written by the user. Columns, sentinels, cuts and coefficients of surveys
appear nowhere else in the program.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field, model_validator

from starscale.surveys.archive import Access, Copy, HealpixBits
from starscale.surveys.bands import Band, unit_problems
from starscale.surveys.citations import Reference
from starscale.surveys.derived import Sql, combined, derivation_problems, with_inputs
from starscale.surveys.dust import ColourExtinction, Reddening, ReddeningScale
from starscale.surveys.names import NameSet, check_names
from starscale.surveys.parallax import ParallaxBias
from starscale.surveys.releases import CrosswalkColumns, GaiaIdentifier, GaiaRelease
from starscale.surveys.spectra import Spectrum
from starscale.vocabulary.columns import LABELS, POSITION_EPOCH, POSITION_SYSTEM, Column, DType, LabelName
from starscale.vocabulary.strict import Frozen
from starscale.vocabulary.summary import Figures, Summarised, listed

#: A value that means "missing": a number, or a string such as "null".
Sentinel = float | str
#: Format of a time: Julian year, modified Julian date, Julian date.
TimeFormat = Literal["jyear", "mjd", "jd"]
#: Reference system of the positions of every survey file.
_SYSTEM = "ICRS"


class ColumnSpec(Frozen):
    """One column as the archive delivers it."""

    dtype: DType = "float64"
    unit: str = ""
    ucd: str = ""
    description: str = ""
    #: Other names under which the column is delivered; the case of letters is ignored.
    aliases: tuple[str, ...] = ()
    #: Values of this column that mean "missing", in addition to those of the whole survey.
    sentinels: tuple[Sentinel, ...] = ()
    #: Smallest and largest plausible value, in `unit`; values outside become missing, and are counted.
    lower: float | None = None
    upper: float | None = None
    #: Format of a time, by which implausible ones are recognised; that of the epoch of positions is in its role.
    time: TimeFormat | None = None
    #: Unit of the values in files, whatever the files say; by default that of the file, or else `unit`.
    file_unit: str = ""
    #: SQL expression of other columns, in their standard units, for a table that does not have the column.
    expression: Sql | None = None
    #: SQL predicate: values of rows for which it is not true become missing, and are counted.
    valid: Sql | None = None

    def column(self, name: str) -> Column:
        """Return this description as a :class:`Column` with this name."""
        converted = self.file_unit not in ("", self.unit)
        return Column(name, self.dtype, self.unit, self.ucd, self.description, converted)


class Identifier(Frozen):
    """The identifier of a row in the catalogue, or of a star with several rows."""

    column: str
    #: False if a star can have several rows (spectra, visits).
    unique: bool = True
    #: Smallest and largest identifier that the catalogue can contain (integers only).
    lower: int | None = None
    upper: int | None = None
    #: Position of a HEALPix cell in the identifier, if it contains one.
    healpix: HealpixBits | None = None


class Epoch(Frozen):
    """Epoch of the positions: a column, a default, or both.

    `format` refers to the column; `default` is always a Julian year, used for rows without a value.
    """

    column: str | None = None
    format: TimeFormat = "jyear"
    default: float | None = None
    #: Whether all positions of the catalogue are at the default epoch, which is then stated in file headers.
    common: bool = False

    @model_validator(mode="after")
    def _something(self) -> Epoch:
        if self.column is None and self.default is None:
            raise ValueError("an epoch needs a column, a default year, or both")
        if self.common and self.default is None:
            raise ValueError("a common epoch (common = true) must be given as the default")
        return self


class ErrorEllipse(Frozen):
    """Columns of an error ellipse: its axes and the position angle of the major one (deg, north through east)."""

    major: str
    minor: str
    angle: str


class Position(Frozen):
    """Columns with positions (deg) and their errors; `ra_error` includes cos(dec)."""

    ra: str
    dec: str
    ra_error: str | None = None
    dec_error: str | None = None
    ra_dec_corr: str | None = None
    #: Instead of `ra_error`, `dec_error` and `ra_dec_corr`.
    ellipse: ErrorEllipse | None = None
    #: Limits of the position error, mas: smaller errors are raised to the floor, and rows with errors above the
    #: ceiling are not matched.
    error_floor: float = Field(default=0.0, ge=0)
    error_ceiling: float = Field(default=1000.0, gt=0)
    #: Position error of rows without one, mas.
    error_default: float = Field(default=100.0, gt=0)
    epoch: Epoch | None = None

    @model_validator(mode="after")
    def _one_description_of_errors(self) -> Position:
        if self.ellipse is not None and (self.ra_error or self.dec_error or self.ra_dec_corr):
            raise ValueError("give either an error ellipse or ra_error, dec_error and ra_dec_corr")
        return self


class Duplicates(Frozen):
    """Criterion for two rows of a catalogue to be the same source.

    Two rows closer than `radius` (arcsec) are the same source if they have at least one band in common and agree
    to `tolerance` (mag) in all common bands; for a survey without bands the separation alone decides. Of a group,
    the row with the largest value of `prefer` is kept, then the one with the smallest position error, then the one
    with the lowest identifier.
    """

    radius: float = Field(gt=0, le=10)
    tolerance: float = Field(default=0.2, gt=0)
    prefer: str | None = None


class Motion(Frozen):
    """Columns with proper motions (`pmra` includes cos(dec)) and parallaxes, with errors and correlations."""

    pmra: str
    pmdec: str
    pmra_error: str | None = None
    pmdec_error: str | None = None
    parallax: str | None = None
    parallax_error: str | None = None
    radial_velocity: str | None = None
    ra_pmra_corr: str | None = None
    ra_pmdec_corr: str | None = None
    dec_pmra_corr: str | None = None
    dec_pmdec_corr: str | None = None
    pmra_pmdec_corr: str | None = None


#: UCD words of errors and differences.
_ERROR = {"stat.error", "stat.stdev", "arith.diff"}

#: Plausible magnitudes by kind of survey. Nothing is brighter than the lower limits in an optical or near-infrared
#: band; a sentinel that was dereddened (99.269, -9.73) lies outside.
_MAGNITUDES = {"astrometric": (-3.0, 30.0)}
_OTHER_MAGNITUDES = (-8.0, 40.0)

#: Ratio of true E(B-V) to that of the SFD map (Schlafly & Finkbeiner 2011, ApJ 737, 103).
TRUE_OVER_SFD = 0.86


class Distance(Frozen):
    """Columns with a distance (pc) and its 68 % interval."""

    value: str
    lower: str | None = None
    upper: str | None = None


class Estimate(Frozen):
    """A photometric estimate of a label from the survey itself (GSP-Phot), with its 68 % interval."""

    value: str
    lower: str | None = None
    upper: str | None = None


class LabelColumn(Frozen):
    """A spectroscopic label: columns of value and error, and the error floor."""

    value: str
    error: str | None = None
    #: Lower limit of the error; also used if the error is missing.
    error_floor: float = Field(default=0.0, ge=0)


class Cut(Frozen):
    """A quality cut: rows for which the SQL predicate `keep` is true are kept.

    A comparison with a missing value is neither true nor false, so the row is removed unless the predicate handles
    nulls (``vbroad IS NULL OR vbroad <= 30``). In a table of stars, a cut of labels removes the labels of a row,
    not the star. The quality of a single band is not a cut, but `keep` of the band.
    """

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    keep: str
    #: What is removed; by default the labels for a spectroscopic survey, the star for others.
    of: Literal["star", "labels"] | None = None
    source: str = ""
    description: str = ""


class Survey(Summarised, Frozen):
    """Description of a catalogue."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    title: str
    kind: Literal["astrometric", "photometric", "spectroscopic", "distances", "crosswalk", "spectra"]
    #: TAP service and table of the main archive; `archive`: its limits and dialect; `copies`: other archives.
    service: str = ""
    table: str = ""
    archive: Access = Access()
    copies: tuple[Copy, ...] = ()
    citation: tuple[str, ...] = ()
    #: The same papers as BibTeX: keys of packaged entries, or whole entries.
    bibtex: tuple[Reference, ...] = ()
    notes: str = ""
    sentinels: tuple[Sentinel, ...] = ()
    id: Identifier
    position: Position | None = None
    motion: Motion | None = None
    duplicates: Duplicates | None = None
    #: Leading catalogue of a match with Gaia (Marrese et al. 2019). `dense`: a counterpart in this catalogue is
    #: searched for every Gaia source, and several sources may have the same one; `sparse`: a Gaia source is
    #: searched for every row of this catalogue, one-to-one. By default spectroscopic catalogues are sparse, others
    #: dense.
    match: Literal["dense", "sparse"] | None = None
    #: Tables of the file whose rows belong together (names or numbers), read as one with columns such as
    #: ``RVTAB.TEFF``; or the one that holds the survey. A path that names a table itself goes before.
    tables: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    #: Number of elements of vector columns of which some are named; a table with other vectors is refused.
    vectors: dict[str, Annotated[int, Field(ge=1)]] = Field(default_factory=dict)
    columns: dict[str, ColumnSpec]
    bands: dict[str, Band] = Field(default_factory=dict)
    #: Two bands with a long baseline in wavelength: an additional colour of the default feature set.
    wide_colour: tuple[str, str] | None = None
    #: Band that represents the brightness of the star.
    reference_band: str | None = None
    extinction_scale: ReddeningScale = "sfd"
    #: Extinction of wide bands by the colour of the star, for features that ask for it.
    colour_extinction: ColourExtinction | None = None
    reddening: Reddening | None = None
    distance: Distance | None = None
    parallax_bias: ParallaxBias | None = None
    estimates: dict[LabelName, Estimate] = Field(default_factory=dict)
    #: Spectra as coefficients in array columns; a star has all of them or none.
    spectra: dict[str, Spectrum] = Field(default_factory=dict)
    labels: dict[LabelName, LabelColumn] = Field(default_factory=dict)
    snr: str | None = None
    gaia: GaiaIdentifier | None = None
    #: Set if the table links the identifiers of two releases of Gaia.
    crosswalk: CrosswalkColumns | None = None
    #: Set if the identifier of the survey is a Gaia identifier; those of EDR3 and DR3 are the same.
    gaia_release: GaiaRelease | None = None
    cuts: tuple[Cut, ...] = ()
    #: Columns that only another release has, by the name of its survey: a table with one of them is refused.
    other_releases: dict[str, tuple[Annotated[str, Field(min_length=1)], ...]] = Field(default_factory=dict)
    #: Names of the columns in copies of the catalogue, by the name of the archive; a table uses one of them.
    names: dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")], NameSet] = Field(default_factory=dict)
    #: Names of columns in the tables of the user, which precede all others.
    rename: dict[str, str] = Field(default_factory=dict)
    #: Surveys with further columns for the rows of this one, joined on the identifier.
    joins: tuple[Annotated[str, Field(min_length=1)], ...] = ()

    def _key_figures(self) -> Figures:
        rows: list[tuple[str, object]] = [("identifier", self.id.column)]
        rows += [("columns", listed(self.columns)), ("bands", listed(self.bands)), ("labels", listed(self.labels))]
        rows += [("cuts", listed(cut.name for cut in self.cuts))]
        rows += [("archive", f"{self.table} at {self.service}")] if self.table else []
        return f"Survey {self.name}: {self.title} ({self.kind})", rows

    @model_validator(mode="after")
    def _columns_of_fluxes(self) -> Survey:
        columns = dict(self.columns)
        problems = [*unit_problems(self.bands, {name: spec.unit for name, spec in columns.items()})]
        for key, band in self.bands.items():
            for made in band.computed(key):
                new = ColumnSpec(unit="mag", ucd=made.ucd, description=made.description)
                spec = columns.get(made.name, new if made.expression is not None else None)
                if spec is None:
                    continue  # reported below
                expression = made.expression or spec.expression
                if spec.expression not in (None, expression):
                    problems.append(f"bands.{key}: {made.name!r} is computed, and has an expression of its own")
                valid = combined(spec.valid, made.valid)
                columns[made.name] = spec.model_copy(update={"expression": expression, "valid": valid})
        if problems:
            raise ValueError("; ".join(problems))
        object.__setattr__(self, "columns", columns)
        return self

    @model_validator(mode="after")
    def _described_columns(self) -> Survey:
        if problems := derivation_problems(self.columns):
            raise ValueError("; ".join(problems))
        unknown = sorted({*self.used_columns(), *self._columns_of_bias()} - set(self.columns))
        if unknown:
            raise ValueError(f"columns that are used but not described under [columns]: {', '.join(unknown)}")
        both = sorted({name for names in self.other_releases.values() for name in names} & set(self.columns))
        if both:
            raise ValueError(f"columns of other releases that are described under [columns]: {', '.join(both)}")
        sets: dict[str, NameSet] = {f"names.{key}": given for key, given in self.names.items()}
        check_names({**sets, "rename": dict(self.rename)}, self.columns)
        if unknown := sorted({place.names for place in self.places if place.names} - set(self.names)):
            raise ValueError(f"archives with names that are not described under [names]: {', '.join(unknown)}")
        return self

    @model_validator(mode="after")
    def _named_bands_and_cuts(self) -> Survey:
        law = self.colour_extinction
        named = (*law.colour, *law.coefficients) if law else ()
        for key in (*(self.wide_colour or ()), *((self.reference_band,) if self.reference_band else ()), *named):
            if key not in self.bands:
                raise ValueError(f"band {key!r} is not described under [bands]")
        names = [cut.name for cut in self.cuts]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"cuts with the same name: {', '.join(twice)}")
        return self

    @property
    def places(self) -> tuple[Copy, ...]:
        """All archives with the table, the main one (named "main") first; empty if the survey names no service."""
        main = {"name": "main", "service": self.service, "table": self.table, **self.archive.model_dump()}
        return ((Copy.model_validate(main),) if self.service and self.table else ()) + self.copies

    def used_columns(self) -> list[str]:
        """Return the columns that the roles refer to, and those that they are computed from; not those of cuts."""
        names = [self.id.column, self.snr, *self._columns_of_roles(), *self._columns_of_bands()]
        names += [
            self.duplicates.prefer if self.duplicates else None,
            *((self.reddening.column, self.reddening.error) if self.reddening else ()),
            self.gaia.column if self.gaia else None,
            *(self.crosswalk.columns if self.crosswalk else ()),
            *(column for spectrum in self.spectra.values() for column in spectrum.columns),
        ]
        return with_inputs(self.columns, (name for name in names if name is not None))

    def _columns_of_roles(self) -> list[str | None]:
        """Return the columns of roles whose text fields are all names of columns."""
        ellipse, epoch = (self.position.ellipse, self.position.epoch) if self.position else (None, None)
        roles = (
            self.position,
            ellipse,
            self.motion,
            self.distance,
            *self.estimates.values(),
            *self.labels.values(),
        )
        values = (value for role in roles if role is not None for value in role.model_dump().values())
        return [*(value for value in values if isinstance(value, str)), epoch.column if epoch else None]

    def _columns_of_bias(self) -> tuple[str, ...]:
        return self.parallax_bias.columns if self.parallax_bias else ()

    def _columns_of_bands(self) -> list[str | None]:
        return [name for band in self.bands.values() for name in (band.magnitude, band.error)]

    def limited(self) -> dict[str, ColumnSpec]:
        """Return the columns, those of magnitudes with the plausible range of their band."""
        columns, (low, high) = dict(self.columns), _MAGNITUDES.get(self.kind, _OTHER_MAGNITUDES)
        for band in self.bands.values():
            spec = columns[band.magnitude]
            lower, upper = (
                next(limit for limit in limits if limit is not None)
                for limits in ((spec.lower, band.lower, low), (spec.upper, band.upper, high))
            )
            columns[band.magnitude] = spec.model_copy(update={"lower": lower, "upper": upper})
        return columns

    def plausible(self) -> dict[str, tuple[float, float]]:
        """Return the smallest and largest plausible value, by column; values outside are missing."""
        return {
            name: (-math.inf if spec.lower is None else spec.lower, math.inf if spec.upper is None else spec.upper)
            for name, spec in self.limited().items()
            if spec.lower is not None or spec.upper is not None
        }

    def physical(self) -> dict[str, tuple[float, float]]:
        """Return the limits of the columns with a label or with a plausible range on both sides."""
        named = [(label, spec.value) for label, spec in self.labels.items()]
        named += [
            (label, column)
            for label, spec in self.estimates.items()
            for column in (spec.value, spec.lower, spec.upper)
            if column is not None
        ]
        given = {
            name: (spec.lower, spec.upper)
            for name, spec in self.columns.items()
            if spec.lower is not None and spec.upper is not None
        }
        return {column: (LABELS[label].lower, LABELS[label].upper) for label, column in named} | given

    def errors(self) -> set[str]:
        """Return the columns with errors or differences, which scale with the unit but have no zero point."""
        roles = [label.error for label in self.labels.values()] + [band.error for band in self.bands.values()]
        roles += [self.reddening.error] if self.reddening else []
        said = [name for name, spec in self.columns.items() if _ERROR & set(spec.ucd.split(";"))]
        return {name for name in (*roles, *said) if name is not None}

    def is_of_labels(self, cut: Cut) -> bool:
        """Whether a cut removes the labels of a row only; in a table of spectra it removes the row."""
        has_stars = self.kind != "spectroscopic" or bool(self.bands)
        default = "labels" if self.kind == "spectroscopic" else "star"
        return has_stars and bool(self.labels) and (cut.of or default) == "labels"

    @property
    def position_metadata(self) -> dict[str, str]:
        """Metadata of the positions: their reference system and, if all rows have the same one, their epoch."""
        if self.position is None:
            return {}
        epoch = self.position.epoch
        common = {POSITION_EPOCH: f"J{epoch.default}"} if epoch is not None and epoch.common else {}
        return {POSITION_SYSTEM: _SYSTEM, **common}

    @property
    def match_mode(self) -> Literal["dense", "sparse"]:
        """Default mode of a match with Gaia."""
        return self.match or ("sparse" if self.kind == "spectroscopic" else "dense")

    def described(self) -> dict[str, Column]:
        """Return every described column as a :class:`Column`, by name."""
        return {name: spec.column(name) for name, spec in self.columns.items()}
