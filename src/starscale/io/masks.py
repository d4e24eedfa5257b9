"""Masks that astropy stores as columns of their own: a masked column becomes values and ``NAME.mask``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

_DATA, _MASK = ("data", "value", "unmasked"), "mask"


def masks_of(header: Mapping[str, Any]) -> dict[str, str]:
    """Return the stored column of the mask of every column that has one, from the header that astropy writes."""
    masks: dict[str, str] = {}
    for described in (header.get("meta") or {}).get("__serialized_columns__", {}).values():
        _find_masks(described, masks)
    return masks


def _find_masks(described: Any, masks: dict[str, str]) -> None:
    """Enter the masks of a column that astropy describes; coordinates and times have several parts."""
    if not isinstance(described, Mapping):
        return
    mask = described.get(_MASK)
    if isinstance(mask, Mapping) and "name" in mask:
        masks |= {name: str(mask["name"]) for key in _DATA for name in _leaves(described.get(key))}
    for part in described.values():
        _find_masks(part, masks)


def _leaves(described: Any) -> list[str]:
    """Return the stored columns below a description."""
    if not isinstance(described, Mapping):
        return []
    if "__class__" not in described and "name" in described:
        return [str(described["name"])]
    return [name for part in described.values() for name in _leaves(part)]


def masked(values: pl.Series, mask: pl.Series) -> pl.Series:
    """Return null where the mask is true; a vector is masked element by element, or as a whole."""
    vectors = isinstance(values.dtype, pl.Array) and isinstance(mask.dtype, pl.Array)
    if not len(values):
        return values
    flat, hidden = (item.reshape((-1,)) if vectors else item for item in (values, mask))
    hidden = hidden.fill_null(False)
    if vectors and len(hidden) < len(flat):
        # One mask for the two parts of a complex number.
        hidden = pl.Series(np.repeat(hidden.to_numpy(), len(flat) // len(hidden)))
    kept = pl.select(pl.when(~hidden).then(flat).alias(values.name)).to_series()
    return kept.reshape((len(values), *values.dtype.shape)) if vectors else kept  # type: ignore[attr-defined]
