"""The sentences of `explain`. What a bit means, and what to do about it, is said by the vocabulary alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from starscale.model.inspect import Inspection
from starscale.vocabulary.columns import LABELS, Column, Label, catalogue_columns

Row = Mapping[str, Any]


Columns = Mapping[str, Column]


#: Inputs that are named as the farthest, and missing ones that are named at all.
_FARTHEST, _NAMED = 3, 8


_SURE = 0.1


def catalogue_sentences(row: Row, columns: Columns) -> list[str]:
    """A star of a catalogue: values with intervals, dwarf or giant, domain, whatever else stands there."""
    said = {"source_id", "ra", "dec", "flags", "p_giant", "domain_score"}
    sentences = [_place(row)]
    for name, label in LABELS.items():
        if name in row:
            ends = [f"{name}{end}" for end in ("", "_error", "_lower", "_upper", "_lower95", "_upper95")]
            said |= set(ends)
            sentences.append(_interval(row, label, ends))
    if (giant := _number(row, "p_giant")) is not None:
        verdict = "a dwarf" if giant < _SURE else "a giant" if giant > 1 - _SURE else "either"
        sentences.append(f"P(giant) = {giant:.3f}: {verdict} ({_description('p_giant', columns)})")
    if (score := _number(row, "domain_score")) is not None:
        side = "inside" if score <= 1 else "outside"
        text = f"domain_score = {score:.2f}: {side} the training set ({_description('domain_score', columns)})"
        sentences.append(text)
    return [s for s in sentences if s] + _others(row, columns, said)


def label_sentences(row: Row, columns: Columns) -> list[str]:
    """A star of a table of labels."""
    sentences = [text for name, label in LABELS.items() if (text := _with_error(row, label, name))]
    bits = int(row.get("surveys") or 0)
    which = " and ".join(str(i + 1) for i in range(bits.bit_length()) if bits >> i & 1)
    n = int(row["n_surveys"] or 0)
    sentences.append(f"measured by {n} survey{'s' * (n != 1)} (number {which} of the [[labels]])")
    if (chi2 := _number(row, "chi2")) is not None:
        sentences.append(f"chi2 = {chi2:.1f} ({_description('chi2', columns)})")
    return sentences


def measurement_sentences(row: Row, _columns: Columns) -> list[str]:
    """A measurement of a star."""
    sentences = [f"survey {row['survey']}, row {row['row']} of its table"]
    for name, label in LABELS.items():
        raw, calibrated = _number(row, f"{name}_raw"), _number(row, name)
        if raw is None or calibrated is None:
            continue
        weight = _number(row, f"{name}_weight")
        share = "" if weight is None else f", share {100 * weight:.0f} % of the star's label"
        moved = f"{_value(raw, label)} as the survey gives it, {_value(calibrated, label)} on the common scale"
        sentences.append(f"{name}: {moved}{share}")
    return sentences


def pair_sentences(row: Row, columns: Columns) -> list[str]:
    """A pair, or one of all good neighbours."""
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
    """A star as a model sees it."""
    n = len(inspection.inputs) + len(inspection.missing)
    if inspection.missing:
        named = [
            f"{m.name} ({'no ' + ', '.join(m.columns) if m.columns else 'cannot be computed from these values'})"
            for m in inspection.missing[:_NAMED]
        ]
        more = f", and {len(inspection.missing) - _NAMED} more" if len(inspection.missing) > _NAMED else ""
        lost = f"{len(inspection.missing)} missing: {', '.join(named)}{more}"
        sentences = [f"of the {n} inputs of the model {title!r}, {lost}"]
    else:
        sentences = [f"all {n} inputs of the model {title!r} are there"]
    if inspection.inputs:
        sentences.append("inputs farthest from the training stars:")
    for far in inspection.inputs[:_FARTHEST]:
        unit = f" {far.unit}" if far.unit else ""
        by_itself, given = f"{far.alone:.2f} times as far out", f"{far.given_others:.1f} standard deviations"
        sentences += [
            f"  {far.name} = {far.value:.4g}{unit} (median of the training stars {far.median:.4g}):",
            f"    {by_itself} as 99.9 % of them; {given} from",
            "    what the star's other inputs let expect",
        ]
    for cut in inspection.failed:
        values = ", ".join(f"{name} = {_plain(value)}" for name, value in cut.values.items())
        sentences.append(f"fails the cut {cut.name!r} ({cut.keep}): {values}")
    if not inspection.failed:
        sentences.append("fails no cut that can be checked")
    if inspection.unchecked:
        sentences.append(f"cuts not checked, for lack of their columns: {', '.join(inspection.unchecked)}")
    return sentences


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
    """Columns that nothing was said about yet, as far as it is known what they mean."""
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
