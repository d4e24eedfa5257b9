"""What the columns of starscale's own tables are called, and what they mean.

Units are strings of the VOUnit/FITS standard, UCDs are UCD1+. Arrays inside the program are bare
numbers in these units; the units travel with every file that is written.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Literal

#: The labels, for settings that must name one; the same as the keys of :data:`LABELS`.
LabelName = Literal["teff", "logg", "fe_h"]
DType = Literal["int64", "int32", "int16", "float64", "float32", "bool", "string"]


@dataclass(frozen=True, slots=True)
class Column:
    """Name, type and meaning of one table column.

    Parameters
    ----------
    name : str
        Column name as it stands in the file.
    dtype : str
        Storage type.
    unit : str
        VOUnit string; empty for a dimensionless or textual column.
    ucd : str
        UCD1+ word(s); empty when none fits.
    description : str
        One sentence, with the null rule where a null has a meaning.
    """

    name: str
    dtype: DType = "float64"
    unit: str = ""
    ucd: str = ""
    description: str = ""


@dataclass(frozen=True, slots=True)
class Label:
    """A stellar parameter that the program predicts.

    `lower` and `upper` bound what a star can physically have; a label outside is an error of its
    catalogue (a value in log units, a sentinel) and not a star. `spread` is the scatter below
    which a set of labels holds no information (a constant column).
    """

    name: str
    symbol: str
    unit: str
    ucd: str
    description: str
    lower: float
    upper: float
    decimals: int


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

SOURCE_ID = Column("source_id", "int64", "", "meta.id;meta.main", "identifier of the leading catalogue")
RA = Column("ra", "float64", "deg", "pos.eq.ra;meta.main", "right ascension (ICRS) at the catalogue's epoch")
DEC = Column("dec", "float64", "deg", "pos.eq.dec;meta.main", "declination (ICRS) at the catalogue's epoch")

#: Keys of a table's metadata: the system of its positions ("ICRS"), and their epoch ("J2016.0") where all
#: rows share one. In a VOTable they are the attributes of COOSYS.
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
            description=f"half of the 68 % interval of {label.name}",
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
    ]


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
        f"{label.description} if the star is a {kind}; null where only one of the two is possible",
    )


def _derivative(label: Label) -> Column:
    return Column(
        f"{label.name}_ebv_slope",
        "float32",
        # The unit of logg is a logarithm, which has no products.
        "K.mag**-1" if label.unit == "K" else "mag**-1",
        f"arith.grad;{label.ucd}",
        f"change of the mean {label.name} per magnitude of E(B-V); null where the model does not use E(B-V)",
    )


def catalogue_columns(labels: Iterable[str] = tuple(LABELS)) -> dict[str, Column]:
    """Columns of a predicted catalogue, in order, for the labels that the model has."""
    columns = [SOURCE_ID, RA, DEC]
    for name in labels:
        columns += _label_columns(LABELS[name])
    names = [LABELS[name] for name in labels]
    columns += [_correlation(a, b) for a, b in combinations(names, 2)]
    columns.append(Column("p_giant", "float32", "", "stat.probability", "probability that logg is below 3.5"))
    columns += [_solution(label, kind) for kind in ("giant", "dwarf") for label in names]
    columns += [_derivative(label) for label in names]
    columns += [
        Column(
            "domain_score",
            "float32",
            "",
            "stat.fit.goodness",
            "distance of the inputs from the training set; 99 % of held-out training stars lie below 1",
        ),
        Column(
            "label_score",
            "float32",
            "",
            "stat.fit.goodness",
            "distance of the predicted labels from those of the training set; 99 % of held-out stars lie below 1",
        ),
        Column("flags", "int32", "", "meta.code", "bit mask of reasons for caution; 0: none (docs: flags)"),
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
            "separation after moving the leading source to the epoch of the external one",
        ),
        Column(
            "number_of_neighbours",
            "int32",
            "",
            "meta.number",
            "good neighbours of the leading source",
        ),
        Column(
            "number_of_mates",
            "int32",
            "",
            "meta.number",
            "other leading sources with the same best neighbour",
        ),
        Column(
            "score",
            "float64",
            "",
            "stat.value",
            "logarithm of the figure of merit; higher is better, compare within one leading source",
        ),
        Column("xm_flag", "int32", "", "meta.code", "bit mask about the pair; 0: nothing to say (docs: flags)"),
        Column(
            "match_probability",
            "float64",
            "",
            "stat.probability",
            "probability that the two are one source; null: matched by separation alone",
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
            "separation over the combined error ellipse (Mahalanobis); null: matched by separation alone",
        ),
        *(PAIR_COLUMNS[name] for name in ("score", "xm_flag", "match_probability")),
        Column("best", "bool", "", "meta.code", "whether this is the best neighbour of the leading source"),
    )
}

UNMATCHED_COLUMNS: dict[str, Column] = {
    column.name: column
    for column in (
        Column("leading_id", "int64", "", "meta.id", "identifier of a leading source that has no pair"),
        Column("reason", "string", "", "meta.code", "why it has none"),
        Column(
            "rival_id",
            "int64",
            "",
            "meta.id.assoc",
            "what it lost its match to: the neighbour, or the other leading source; null: to nothing",
        ),
        replace(PAIR_COLUMNS["angular_distance"], description="separation of its best or nearest candidate"),
    )
}

DUPLICATE_COLUMNS: dict[str, Column] = {
    column.name: column
    for column in (
        Column("original_ext_source_id", "int64", "", "meta.id", "identifier of an entry that repeats another"),
        Column("clean_ext_source_id", "int64", "", "meta.id.main", "the entry that stands for it in the match"),
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
        Column("n_surveys", "int32", "", "meta.number", "surveys that measured the star"),
        Column("surveys", "int32", "", "meta.code", "bit mask of those surveys, in the order of the run file"),
        Column(
            "chi2",
            "float64",
            "",
            "stat.fit.chi2",
            "spread of the measurements about their mean; null: one measurement",
        ),
        Column("flags", "int32", "", "meta.code", "bit mask about the label; 0: nothing to say (docs: flags)"),
    )
}


def _measurement_columns(label: Label) -> list[Column]:
    ucd, error = label.ucd, f"stat.error;{label.ucd}"
    return [
        Column(name, "float32", unit, ucd_, text)
        for name, unit, ucd_, text in (
            (f"{label.name}_raw", label.unit, ucd, f"{label.description} as the survey gives it; null: none"),
            (f"{label.name}_raw_error", label.unit, error, "its error as the survey gives it, or the floor"),
            (f"{label.name}_correction", label.unit, "", "what was subtracted to put it on the common scale"),
            (f"{label.name}_correction_error", label.unit, error, "standard error of the correction"),
            (label.name, label.unit, ucd, f"{label.description} on the common scale"),
            (
                f"{label.name}_error",
                label.unit,
                error,
                "normalised error of this measurement, without that of the correction",
            ),
            (f"{label.name}_weight", "", "stat.weight", "share in the star's merged label; 0: left out"),
        )
    ]


MEASUREMENT_COLUMNS: dict[str, Column] = {
    column.name: column
    for column in (
        SOURCE_ID,
        Column("survey", "string", "", "meta.id", "name of the survey"),
        Column("row", "int32", "", "meta.number", "row of the survey's table, counted from 0"),
        *(column for label in LABELS.values() for column in _measurement_columns(label)),
        Column(
            "flags", "int32", "", "meta.code", "bit mask about the measurement; 0: nothing to say (docs: flags)"
        ),
    )
}
