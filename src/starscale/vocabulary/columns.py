"""Names, types, units and descriptions of the columns of starscale's tables.

Units are strings of the VOUnit/FITS standard, UCDs are UCD1+. Arrays inside the program are plain numbers in these
units; every file that is written states the units.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Literal

#: Names of the labels, for settings; the same as the keys of :data:`LABELS`.
LabelName = Literal["teff", "logg", "fe_h"]
DType = Literal["int64", "int32", "int16", "float64", "float32", "bool", "string"]


@dataclass(frozen=True, slots=True)
class Column:
    """Name, type and description of one table column.

    Parameters
    ----------
    name : str
        Column name in the file.
    dtype : str
        Storage type.
    unit : str
        Unit as a file writes it, in any notation (:func:`starscale.io.units.parse_unit`); VOUnit in the tables of
        starscale; empty for a dimensionless or textual column.
    ucd : str
        UCD1+ word(s); empty if none fits.
    description : str
        One sentence, including the meaning of a null if it has one.
    converted : bool
        Whether the values are in `unit` although the survey file says that files hold another one (`file_unit`):
        they were converted when the table was standardised. Its description says so in files.
    """

    name: str
    dtype: DType = "float64"
    unit: str = ""
    ucd: str = ""
    description: str = ""
    converted: bool = False


@dataclass(frozen=True, slots=True)
class Label:
    """A stellar parameter that the program predicts.

    `lower` and `upper` are physical limits: a label outside is an error of its catalogue (a value in logarithmic
    units, an undeclared sentinel). `decimals` is the number of decimals in tables for reading.
    """

    name: str
    symbol: str
    unit: str
    ucd: str
    description: str
    lower: float
    upper: float
    decimals: int

    @property
    def scale(self) -> str:
        """Unit that values must have: dex where they are relative to the Sun."""
        return self.unit or "dex"


LABELS: dict[str, Label] = {
    label.name: label
    for label in (
        Label("teff", "T_eff", "K", "phys.temperature.effective", "effective temperature", 1000.0, 100000.0, 1),
        Label(
            "logg",
            "log g",
            "log(cm.s**-2)",
            "phys.gravity",
            "decimal logarithm of the surface gravity",
            -2.0,
            7.0,
            3,
        ),
        Label(
            "fe_h",
            "[Fe/H]",
            "",
            "phys.abund.Fe",
            "iron abundance relative to the Sun, in dex",
            -8.0,
            2.0,
            3,
        ),
    )
}

#: Thresholds of labels for which a catalogue gives the probability to be below, unless others are wanted.
BELOW: dict[str, tuple[float, ...]] = {"fe_h": (-1.0, -2.0, -3.0)}
#: Names of the columns of these probabilities.
_BELOW = re.compile(rf"p_(?P<label>{'|'.join(LABELS)})_below_(?P<value>m?[0-9]+(p[0-9]+)?(em?[0-9]+)?)")

SOURCE_ID = Column("source_id", "int64", "", "meta.id;meta.main", "identifier in the leading catalogue")
RA = Column("ra", "float64", "deg", "pos.eq.ra;meta.main", "right ascension (ICRS) at the catalogue's epoch")
DEC = Column("dec", "float64", "deg", "pos.eq.dec;meta.main", "declination (ICRS) at the catalogue's epoch")

#: Keys of the metadata of a table: the system of its positions ("ICRS") and, if all rows have the same one, their
#: epoch ("J2016.0"). A VOTable stores them as attributes of COOSYS.
POSITION_SYSTEM = "position_system"
POSITION_EPOCH = "position_epoch"


def _label_columns(label: Label) -> list[Column]:
    base = Column(
        label.name, "float32", label.unit, label.ucd, f"predicted {label.description}; null: not predicted"
    )
    return [
        base,
        replace(
            base,
            name=f"{label.name}_error",
            ucd=f"stat.error;{label.ucd}",
            description=f"half the width of the 68 % interval of {label.name}",
        ),
        *(
            replace(
                base,
                name=f"{label.name}_{end}{suffix}",
                ucd=f"{label.ucd};stat.{'min' if end == 'lower' else 'max'}",
                description=f"{end} end of the {level} % interval of {label.name}",
            )
            for level, suffix in (("68", ""), ("95", "95"))
            for end in ("lower", "upper")
        ),
        _scale_error(label, "float32"),
        replace(
            base,
            name=f"{label.name}_error_truth",
            ucd=f"stat.error;{label.ucd}",
            description=f"error of {label.name} against the true value: {label.name}_error without the typical "
            "error of the labels; null: unknown",
        ),
    ]


def _scale_error(label: Label, dtype: DType) -> Column:
    return Column(
        f"{label.name}_scale_error",
        dtype,
        label.unit,
        f"stat.error.sys;{label.ucd}",
        f"expected difference of the scale of another label survey in {label.name}, not part of "
        f"{label.name}_error; null: unknown",
    )


def _correlation(a: Label, b: Label) -> Column:
    return Column(
        f"{a.name}_{b.name}_corr",
        "float32",
        "",
        "stat.correlation",
        f"correlation of the errors of {a.name} and {b.name}",
    )


def _solution(label: Label, kind: str) -> Column:
    return Column(
        f"{label.name}_{kind}",
        "float32",
        label.unit,
        label.ucd,
        f"{label.description} if the star is a {kind}; null: only one of giant and dwarf is possible",
    )


def _derivative(label: Label) -> Column:
    return Column(
        f"{label.name}_ebv_slope",
        "float32",
        # The unit of logg is a logarithm, which cannot be part of a compound unit.
        "K.mag**-1" if label.unit == "K" else "mag**-1",
        f"arith.grad;{label.ucd}",
        f"change of the mean {label.name} per magnitude of E(B-V); "
        "null: the model does not use E(B-V), or slopes were not asked for",
    )


def below_column(label: Label, threshold: float) -> Column:
    """Return the column of the probability that a label is below a threshold: `p_fe_h_below_m2p5` for -2.5."""
    text, unit = f"{threshold:.10g}", " K" if label.unit == "K" else ""
    return Column(
        f"p_{label.name}_below_{text.replace('-', 'm').replace('.', 'p')}",
        "float32",
        "",
        "stat.probability",
        f"probability that {label.name} is below {text}{unit}; null: unknown",
    )


def below_columns(columns: Iterable[str]) -> list[tuple[str, float, str]]:
    """Return label, threshold and name of the columns of :func:`below_column` among others."""
    found = (_BELOW.fullmatch(name) for name in columns)
    return [
        (match["label"], float(match["value"].replace("m", "-").replace("p", ".")), match[0])
        for match in found
        if match
    ]


def catalogue_columns(
    labels: Iterable[str] = tuple(LABELS), below: Mapping[str, Sequence[float]] = BELOW
) -> dict[str, Column]:
    """Return the columns of a predicted catalogue, in order, for the labels of the model and thresholds."""
    labels, columns = tuple(labels), [SOURCE_ID, RA, DEC]
    for name in labels:
        columns += _label_columns(LABELS[name])
    names = [LABELS[name] for name in labels]
    columns += [_correlation(a, b) for a, b in combinations(names, 2)]
    columns.append(Column("p_giant", "float32", "", "stat.probability", "probability that logg is below 3.5"))
    columns += [below_column(label, value) for label in names for value in below.get(label.name, ())]
    columns += [_solution(label, kind) for kind in ("giant", "dwarf") for label in names]
    columns += [_derivative(label) for label in names]
    columns += [
        Column(
            "domain_score",
            "float32",
            "",
            "stat.fit.goodness",
            "distance of the inputs from the training set; below 1 for 99 % of the held-out training stars",
        ),
        Column(
            "label_score",
            "float32",
            "",
            "stat.fit.goodness",
            "distance of the predicted labels from the training labels; below 1 for 99 % of the held-out stars",
        ),
        Column(
            "consistency_score",
            "float32",
            "",
            "stat.fit.goodness",
            "largest deviation of a measurement from what the others predict; below 1 for 99 % of the held-out "
            "stars; null: unknown",
        ),
        Column(
            "odd_measurement",
            "string",
            "",
            "meta.id.part",
            "the measurement that deviates most, where consistency_score is above 1; null: none",
        ),
        Column("flags", "int32", "", "meta.code", "bit mask of warnings; 0: none (docs: flags)"),
        Column(
            "quality",
            "string",
            "",
            "meta.code.qual",
            "good, usable, doubtful or bad: the worst level of the flags (docs: quality)",
        ),
        Column(
            "part",
            "string",
            "",
            "meta.code.class",
            "part of the model's training that the star belongs to: train, validation or test; null: none of them",
        ),
    ]
    return {column.name: column for column in columns}


PAIR_COLUMNS: dict[str, Column] = {
    column.name: column
    for column in (
        SOURCE_ID,
        Column("original_ext_source_id", "int64", "", "meta.id.cross", "identifier in the external catalogue"),
        Column(
            "angular_distance",
            "float64",
            "arcsec",
            "pos.angDistance",
            "separation after propagating the leading source to the epoch of the external source",
        ),
        Column(
            "number_of_neighbours",
            "int32",
            "",
            "meta.number",
            "number of good neighbours of the leading source",
        ),
        Column(
            "number_of_mates",
            "int32",
            "",
            "meta.number",
            "number of other leading sources with the same best neighbour",
        ),
        Column(
            "score",
            "float64",
            "",
            "stat.value",
            "logarithm of the figure of merit; higher is better; comparable for one leading source only",
        ),
        Column("xm_flag", "int32", "", "meta.code", "bit mask of properties of the pair; 0: none (docs: flags)"),
        Column(
            "match_probability",
            "float64",
            "",
            "stat.probability",
            "probability that the two are the same source; null: matched by separation alone",
        ),
    )
}

NEIGHBOUR_COLUMNS: dict[str, Column] = {
    column.name: column
    for column in (
        *(PAIR_COLUMNS[name] for name in ("source_id", "original_ext_source_id", "angular_distance")),
        Column(
            "normalised_distance",
            "float64",
            "",
            "stat.value",
            "separation over the combined error ellipse (Mahalanobis distance); null: matched by separation alone",
        ),
        *(PAIR_COLUMNS[name] for name in ("score", "xm_flag", "match_probability")),
        Column("best", "bool", "", "meta.code", "whether this is the best neighbour of the leading source"),
    )
}

UNMATCHED_COLUMNS: dict[str, Column] = {
    column.name: column
    for column in (
        Column("leading_id", "int64", "", "meta.id", "identifier of a leading source without a pair"),
        Column("reason", "string", "", "meta.code", "reason why it has no pair"),
        Column(
            "rival_id",
            "int64",
            "",
            "meta.id.assoc",
            "identifier of the neighbour, or of the other leading source, that prevented the pair; null: none",
        ),
        replace(PAIR_COLUMNS["angular_distance"], description="separation from its best or nearest candidate"),
    )
}

DUPLICATE_COLUMNS: dict[str, Column] = {
    column.name: column
    for column in (
        Column("original_ext_source_id", "int64", "", "meta.id", "identifier of an entry that duplicates another"),
        Column(
            "clean_ext_source_id",
            "int64",
            "",
            "meta.id.main",
            "identifier of the entry that represents it in the match",
        ),
    )
}

LABEL_TABLE_COLUMNS: dict[str, Column] = {
    column.name: column
    for column in (
        SOURCE_ID,
        *(
            Column(
                name + suffix,
                "float64",
                label.unit,
                ("stat.error;" if suffix else "") + label.ucd,
                f"{'error of the ' if suffix else ''}spectroscopic {label.description}",
            )
            for name, label in LABELS.items()
            for suffix in ("", "_error")
        ),
        *(_scale_error(label, "float64") for label in LABELS.values()),
        Column("n_surveys", "int32", "", "meta.number", "number of surveys that measured the star"),
        Column("surveys", "int32", "", "meta.code", "bit mask of those surveys, in the order of the run file"),
        Column(
            "chi2",
            "float64",
            "",
            "stat.fit.chi2",
            "chi-square of the measurements about their weighted mean; null: one measurement",
        ),
        Column("flags", "int32", "", "meta.code", "bit mask of properties of the label; 0: none (docs: flags)"),
    )
}


def _measurement_columns(label: Label) -> list[Column]:
    ucd, error = label.ucd, f"stat.error;{label.ucd}"
    return [
        Column(name, "float32", unit, ucd_, text)
        for name, unit, ucd_, text in (
            (
                f"{label.name}_raw",
                label.unit,
                ucd,
                f"{label.description} from the survey, uncorrected; null: not measured",
            ),
            (
                f"{label.name}_raw_error",
                label.unit,
                error,
                f"error of {label.name}_raw from the survey, or its error floor",
            ),
            (f"{label.name}_correction", label.unit, "", f"correction that was subtracted from {label.name}_raw"),
            (
                f"{label.name}_correction_error",
                label.unit,
                error,
                "standard error of the correction at the labels of the star",
            ),
            (label.name, label.unit, ucd, f"{label.description} on the common scale"),
            (
                f"{label.name}_error",
                label.unit,
                error,
                "normalised error of the measurement, without the error of the correction",
            ),
            (f"{label.name}_weight", "", "stat.weight", "weight in the merged label of the star; 0: rejected"),
        )
    ]


MEASUREMENT_COLUMNS: dict[str, Column] = {
    column.name: column
    for column in (
        SOURCE_ID,
        Column("survey", "string", "", "meta.id", "name of the survey"),
        Column("row", "int32", "", "meta.number", "row number in the table of the survey, counted from 0"),
        *(column for label in LABELS.values() for column in _measurement_columns(label)),
        Column(
            "flags", "int32", "", "meta.code", "bit mask of properties of the measurement; 0: none (docs: flags)"
        ),
    )
}
