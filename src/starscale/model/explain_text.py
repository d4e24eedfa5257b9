"""The sentences of `explain`, except those about flags (:mod:`starscale.vocabulary.flag_advice`)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from starscale.model.inspect import FarInput, Inspection, MissingInput
from starscale.vocabulary.columns import LABELS, Column, Label, catalogue_columns

Row = Mapping[str, Any]
Columns = Mapping[str, Column]

#: Number of the farthest inputs, and of missing inputs, that are named.
_FARTHEST, _NAMED = 3, 8
#: Below this P(giant) a star is called a dwarf, above one minus this a giant.
_SURE = 0.1
#: Columns of a catalogue that have their own sentences, or none.
_SAID = ("source_id", "ra", "dec", "flags", "p_giant", "domain_score", "consistency_score", "odd_measurement")
#: Endings of the columns of a label, in the order of the sentence.
_ENDS = ("", "_error", "_lower", "_upper", "_lower95", "_upper95")


def catalogue_sentences(row: Row, columns: Columns) -> list[str]:
    """Describe a star of a catalogue: values with intervals, P(giant), domain score, further described columns."""
    labels = {name: label for name, label in LABELS.items() if name in row}
    sentences = [
        _place(row),
        *(_interval(row, label, [name + end for end in _ENDS]) for name, label in labels.items()),
        _giant(row, columns),
        _domain(row, columns),
        _consistency(row, columns),
    ]
    said = {*_SAID, *(name + end for name in labels for end in _ENDS)}
    return [s for s in sentences if s] + _others(row, columns, said)


def _giant(row: Row, columns: Columns) -> str:
    giant = _number(row, "p_giant")
    if giant is None:
        return ""
    verdict = "a dwarf" if giant < _SURE else "a giant" if giant > 1 - _SURE else "either"
    return f"P(giant) = {giant:.3f}: {verdict} ({_description('p_giant', columns)})"


def _domain(row: Row, columns: Columns) -> str:
    score = _number(row, "domain_score")
    if score is None:
        return ""
    side = "inside" if score <= 1 else "outside"
    return f"domain_score = {score:.2f}: {side} the training set ({_description('domain_score', columns)})"


def _consistency(row: Row, columns: Columns) -> str:
    score = _number(row, "consistency_score")
    if score is None:
        return ""
    odd = row.get("odd_measurement")
    verdict = f"{odd} disagrees with the other measurements" if odd else "the measurements agree with each other"
    return f"consistency_score = {score:.2f}: {verdict} ({_description('consistency_score', columns)})"


def label_sentences(row: Row, columns: Columns) -> list[str]:
    """Describe a star of a table of labels."""
    sentences = [text for name, label in LABELS.items() if (text := _with_error(row, label, name))]
    bits = int(row.get("surveys") or 0)
    which = " and ".join(str(i + 1) for i in range(bits.bit_length()) if bits >> i & 1)
    n = int(row["n_surveys"] or 0)
    sentences.append(f"measured by {n} survey{'s' * (n != 1)} (number {which} of the [[labels]])")
    if (chi2 := _number(row, "chi2")) is not None:
        sentences.append(f"chi2 = {chi2:.1f} ({_description('chi2', columns)})")
    return sentences


def measurement_sentences(row: Row, _columns: Columns) -> list[str]:
    """Describe a measurement of a star."""
    sentences = [f"survey {row['survey']}, row {row['row']} of its table"]
    for name, label in LABELS.items():
        raw, calibrated = _number(row, f"{name}_raw"), _number(row, name)
        if raw is None or calibrated is None:
            continue
        weight = _number(row, f"{name}_weight")
        share = "" if weight is None else f", weight {100 * weight:.0f} % in the star's label"
        moved = f"{_value(raw, label)} in the survey, {_value(calibrated, label)} on the common scale"
        sentences.append(f"{name}: {moved}{share}")
    return sentences


def pair_sentences(row: Row, columns: Columns) -> list[str]:
    """Describe a pair, or a good neighbour."""
    sentences = []
    if "original_ext_source_id" in row:
        distance = _number(row, "angular_distance")
        apart = "" if distance is None else f", {distance:.3f} arcsec away"
        sentences.append(f"counterpart {row['original_ext_source_id']}{apart}")
    if (probability := _number(row, "match_probability")) is not None:
        sentences.append(f"match_probability = {probability:.4g} ({_description('match_probability', columns)})")
    if "number_of_neighbours" in row and "number_of_mates" in row:
        sentences.append(f"good neighbours: {row['number_of_neighbours']}; mates: {row['number_of_mates']}")
    if row.get("best") is False:
        sentences.append("not the best neighbour of the star")
    return sentences


def inspection_sentences(inspection: Inspection, title: str) -> list[str]:
    """Describe the inputs of a model for a star, and the cuts that the star fails."""
    n = len(inspection.inputs) + len(inspection.missing)
    if inspection.missing:
        sentences = [f"of the {n} inputs of the model {title!r}, {_missing(inspection.missing)}"]
    else:
        sentences = [f"all {n} inputs of the model {title!r} are available"]
    if inspection.inputs:
        sentences.append("inputs farthest from the training stars:")
    for far in inspection.inputs[:_FARTHEST]:
        sentences += _far(far)
    for cut in inspection.failed:
        values = ", ".join(f"{name} = {_plain(value)}" for name, value in cut.values.items())
        sentences.append(f"fails the cut {cut.name!r} ({cut.keep}): {values}")
    if not inspection.failed:
        sentences.append("passes all cuts that can be checked")
    if inspection.unchecked:
        sentences.append(f"cuts not checked, because their columns are missing: {', '.join(inspection.unchecked)}")
    return sentences


def _missing(missing: Sequence[MissingInput]) -> str:
    named = [
        f"{m.name} ({'no ' + ', '.join(m.columns) if m.columns else 'cannot be computed from these values'})"
        for m in missing[:_NAMED]
    ]
    more = f", and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
    return f"{len(missing)} missing: {', '.join(named)}{more}"


def _far(far: FarInput) -> Iterator[str]:
    unit = f" {far.unit}" if far.unit else ""
    yield f"  {far.name} = {far.value:.4g}{unit} (median of the training stars {far.median:.4g}):"
    yield f"    deviation from the median: {far.alone:.2f} times its 99.9 % quantile in the training set"
    yield f"    deviation from what the star's other inputs predict: {far.given_others:.1f} standard deviations"


def _place(row: Row) -> str:
    ra, dec = _number(row, "ra"), _number(row, "dec")
    return "" if ra is None or dec is None else f"at RA {ra:.6f}, Dec {dec:.6f} deg"


def _interval(row: Row, label: Label, ends: Sequence[str]) -> str:
    value, error, low, high, low95, high95 = (_number(row, end) for end in ends)
    if value is None:
        return f"{label.name}: not predicted"
    text = f"{label.name} = {_value(value, label)}"
    if error is not None:
        text += f" +- {error:.{label.decimals}f}"
    for level, a, b in (("68", low, high), ("95", low95, high95)):
        if a is not None and b is not None:
            text += f"; {level} % interval {a:.{label.decimals}f} to {b:.{label.decimals}f}"
    return text


def _with_error(row: Row, label: Label, name: str) -> str:
    value, error = _number(row, name), _number(row, f"{name}_error")
    if value is None:
        return f"{name}: no label" if name in row else ""
    return f"{name} = {_value(value, label)}" + ("" if error is None else f" +- {error:.{label.decimals}f}")


def _value(value: float, label: Label) -> str:
    return f"{value:.{label.decimals}f} {'K' if label.unit == 'K' else 'dex'}"


def _others(row: Row, columns: Columns, said: set[str]) -> list[str]:
    """Describe the remaining columns whose meaning is known."""
    return [
        f"{name} = {_plain(value)}{unit} ({text})"
        for name, value in row.items()
        if name not in said and value is not None and (text := _description(name, columns))
        for unit in [f" {columns[name].unit}" if name in columns and columns[name].unit else ""]
    ]


def _description(name: str, columns: Columns) -> str:
    known = catalogue_columns()
    if name in columns and columns[name].description:
        return columns[name].description
    return known[name].description if name in known else ""


def _plain(value: object) -> str:
    return "missing" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)


def _number(row: Row, name: str) -> float | None:
    value = row.get(name)
    return float(value) if value is not None and math.isfinite(value) else None
