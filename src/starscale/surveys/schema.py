"""What a survey file says: the one description of a catalogue that every step reads.

A survey is a TOML file, packaged here or written by the user. Nothing else in the program knows
any survey's columns, sentinels, cuts or coefficients.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from starscale.surveys.archive import Access, Copy, HealpixBits
from starscale.vocabulary.columns import POSITION_EPOCH, POSITION_SYSTEM, Column, DType, LabelName
from starscale.vocabulary.strict import Frozen

#: A value that stands for "missing": a number, or a text such as "null".
Sentinel = float | str
#: Every survey file gives its positions in this system.
_SYSTEM = "ICRS"


class ColumnSpec(Frozen):
    """One column as the archive delivers it."""

    dtype: DType = "float64"
    unit: str = ""
    ucd: str = ""
    description: str = ""
    #: Other spellings under which the same column is delivered; letter case never matters.
    aliases: tuple[str, ...] = ()
    #: Values of this column that mean "missing", besides those of the whole survey.
    sentinels: tuple[Sentinel, ...] = ()

    def column(self, name: str) -> Column:
        """Return this description as a :class:`Column` called `name`."""
        return Column(name, self.dtype, self.unit, self.ucd, self.description)


class Identifier(Frozen):
    """The catalogue's own identifier of a row (or of a star, where rows repeat)."""

    column: str
    #: False where one star has several rows (spectra, visits).
    unique: bool = True
    #: Smallest and largest identifier that the catalogue can contain (integers only).
    lower: int | None = None
    upper: int | None = None
    #: The HEALPix cell that the identifier holds, where it holds one.
    healpix: HealpixBits | None = None


class Epoch(Frozen):
    """When the positions were measured: a column, a default, or both.

    `format` is that of the column; `default` is always a Julian year.
    """

    column: str | None = None
    format: Literal["jyear", "mjd", "jd"] = "jyear"
    default: float | None = None
    #: Whether all positions of the catalogue are at the default epoch, so that a file can say so in its head.
    common: bool = False

    @model_validator(mode="after")
    def _something(self) -> Epoch:
        if self.column is None and self.default is None:
            raise ValueError("an epoch needs a column, a default year, or both")
        if self.common and self.default is None:
            raise ValueError("an epoch that all rows share is given as the default")
        return self


class ErrorEllipse(Frozen):
    """Columns with the axes of an error ellipse and the position angle of the longer one, deg, north over east."""

    major: str
    minor: str
    angle: str


class Position(Frozen):
    """Columns with positions (degrees) and their errors; `ra_error` is the one along the great circle."""

    ra: str
    dec: str
    ra_error: str | None = None
    dec_error: str | None = None
    ra_dec_corr: str | None = None
    #: Instead of `ra_error`, `dec_error` and `ra_dec_corr`.
    ellipse: ErrorEllipse | None = None
    #: Smallest and largest believable position error, mas; a row with a larger one is not matched.
    error_floor: float = Field(default=0.0, ge=0)
    error_ceiling: float = Field(default=1000.0, gt=0)
    #: Stands in where a row has no error of its own, mas.
    error_default: float = Field(default=100.0, gt=0)
    epoch: Epoch | None = None

    @model_validator(mode="after")
    def _one_description_of_errors(self) -> Position:
        if self.ellipse is not None and (self.ra_error or self.dec_error or self.ra_dec_corr):
            raise ValueError("give either an error ellipse or ra_error, dec_error and ra_dec_corr")
        return self


class Duplicates(Frozen):
    """When two rows of a catalogue are one source.

    Two rows closer than `radius` (arcsec) are one where every band that both have agrees to
    `tolerance` mag, and they share one band at least; without bands nearness is enough. Of a group
    the row with the largest `prefer` stays, then the one with the smaller position error, then the
    one with the lower identifier.
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


class Band(Frozen):
    """One photometric band; the order in the file is the order in wavelength."""

    magnitude: str
    error: str | None = None
    #: R(b) = A(b) / E(B-V), per the E(B-V) scale that `extinction_scale` of the survey names.
    extinction: float | None = None
    #: Effective wavelength, nm: orders the bands of different surveys.
    wavelength: float = Field(gt=0)


#: True E(B-V) over that of the SFD map (Schlafly & Finkbeiner 2011, ApJ 737, 103): what ties the two scales.
TRUE_OVER_SFD = 0.86


class Reddening(Frozen):
    """Column with E(B-V) along the line of sight, and the scale it is on."""

    column: str
    scale: Literal["sfd", "true"] = "sfd"


class Distance(Frozen):
    """Columns with a distance (pc) and its 68 % interval."""

    value: str
    lower: str | None = None
    upper: str | None = None


class Estimate(Frozen):
    """A photometric estimate of a label that the survey itself offers (GSP-Phot), with its 68 % interval."""

    value: str
    lower: str | None = None
    upper: str | None = None


class LabelColumn(Frozen):
    """A spectroscopic label: value, error, and what to use where the error is missing."""

    value: str
    error: str | None = None
    #: Smallest believable error; stands in where the error is missing.
    error_floor: float = Field(default=0.0, ge=0)


class GaiaIdentifier(Frozen):
    """Column with the Gaia identifier that the survey itself delivers."""

    column: str
    release: Literal["dr2", "edr3", "dr3"]

    @property
    def identifiers(self) -> Literal["dr2", "dr3"]:
        """The release whose identifiers these are: EDR3 and DR3 share theirs."""
        return "dr2" if self.release == "dr2" else "dr3"


class Cut(Frozen):
    """A row is kept when `keep`, an SQL predicate, is true.

    A missing value makes a comparison neither true nor false, so the row is removed, unless the
    predicate itself says otherwise (``vbroad IS NULL OR vbroad <= 30``).
    """

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    keep: str
    source: str = ""
    description: str = ""


class Survey(Frozen):
    """A catalogue, as data."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    title: str
    kind: Literal["astrometric", "photometric", "spectroscopic", "distances"]
    #: Where the archive keeps it: TAP service and table; `archive`: how it is asked; `copies`: where else it is.
    service: str = ""
    table: str = ""
    archive: Access = Access()
    copies: tuple[Copy, ...] = ()
    citation: tuple[str, ...] = ()
    notes: str = ""
    sentinels: tuple[Sentinel, ...] = ()
    id: Identifier
    position: Position | None = None
    motion: Motion | None = None
    duplicates: Duplicates | None = None
    #: Which side leads a match with Gaia: `dense` where every Gaia star looks for its counterpart here and
    #: several may share one, `sparse` where every row here looks for its star, one-to-one. By default
    #: spectroscopic catalogues are sparse and all others dense (Marrese et al. 2019).
    match: Literal["dense", "sparse"] | None = None
    columns: dict[str, ColumnSpec]
    bands: dict[str, Band] = Field(default_factory=dict)
    #: A long baseline in wavelength, as two band names: one more colour of the default feature set.
    wide_colour: tuple[str, str] | None = None
    #: The band whose magnitude stands for the brightness of the star.
    reference_band: str | None = None
    extinction_scale: Literal["sfd", "true"] = "sfd"
    reddening: Reddening | None = None
    distance: Distance | None = None
    estimates: dict[LabelName, Estimate] = Field(default_factory=dict)
    labels: dict[LabelName, LabelColumn] = Field(default_factory=dict)
    snr: str | None = None
    gaia: GaiaIdentifier | None = None
    #: Set where the survey's own identifier is that of Gaia; EDR3 and DR3 share identifiers.
    gaia_release: Literal["dr2", "dr3"] | None = None
    cuts: tuple[Cut, ...] = ()
    #: Surveys whose tables extend the rows of this one, joined on the identifier.
    joins: tuple[Annotated[str, Field(min_length=1)], ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> Survey:
        used = self.used_columns()
        unknown = sorted(set(used) - set(self.columns))
        if unknown:
            raise ValueError(f"columns that are used but not described under [columns]: {', '.join(unknown)}")
        for key in (self.wide_colour or ()) + ((self.reference_band,) if self.reference_band else ()):
            if key not in self.bands:
                raise ValueError(f"band {key!r} is not described under [bands]")
        names = [cut.name for cut in self.cuts]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"cuts with the same name: {', '.join(twice)}")
        return self

    @property
    def places(self) -> tuple[Copy, ...]:
        """Every archive that holds the table, the main one (called "main") first; none for a survey of files."""
        main = {"name": "main", "service": self.service, "table": self.table, **self.archive.model_dump()}
        return ((Copy.model_validate(main),) if self.service and self.table else ()) + self.copies

    def used_columns(self) -> list[str]:
        """Names of the columns that some role of the survey points to (cuts aside), without repetition."""
        position = self.position
        roles = (position, position.ellipse if position else None, self.motion, self.distance)
        names: list[str | None] = [self.id.column, self.snr]
        for role in (*roles, *self.estimates.values(), *self.labels.values()):
            if role is not None:
                names += [value for value in role.model_dump().values() if isinstance(value, str)]
        names.append(position.epoch.column if position and position.epoch else None)
        for band in self.bands.values():
            names += [band.magnitude, band.error]
        names += [getattr(self.duplicates, "prefer", None)]
        names += [getattr(role, "column", None) for role in (self.reddening, self.gaia)]
        return list(dict.fromkeys(name for name in names if name is not None))

    @property
    def position_metadata(self) -> dict[str, str]:
        """What the head of a file says of the positions: their system, and their epoch where all share one."""
        if self.position is None:
            return {}
        epoch = self.position.epoch
        common = {POSITION_EPOCH: f"J{epoch.default}"} if epoch is not None and epoch.common else {}
        return {POSITION_SYSTEM: _SYSTEM, **common}

    @property
    def match_mode(self) -> Literal["dense", "sparse"]:
        """How the catalogue is matched with Gaia when nothing else is asked for."""
        return self.match or ("sparse" if self.kind == "spectroscopic" else "dense")

    def described(self) -> dict[str, Column]:
        """Every column of the file as a :class:`Column`, by name."""
        return {name: spec.column(name) for name, spec in self.columns.items()}
