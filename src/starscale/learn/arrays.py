"""Fitted parts as named arrays, checked leaf by leaf when they are loaded.

A fitted part is a frozen dataclass whose fields are arrays, further parts, tuples of these, or settings. Its
arrays go into ``weights.safetensors`` under the path of their fields, such as ``domain.center``; its settings go
into ``bundle.json``. To load a part, build its skeleton from the settings, with :func:`expected` in place of every
array, and fill it with :func:`filled`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, Protocol, TypeVar, runtime_checkable

import jax
import numpy as np
from numpy.typing import DTypeLike, NDArray

from starscale.vocabulary.errors import InputError, Problem, Problems

Arrays = dict[str, NDArray[Any]]
Part = TypeVar("Part")

_STORED_AS = "stored_as"
_NO_FIT = "The settings and the weights do not fit together. Copy or train the model again."


@dataclass(frozen=True)
class Expected:
    """The place of an array in a skeleton.

    Parameters
    ----------
    shape : tuple of int or str
        A name stands for a length that is the same wherever the name occurs.
    dtype : numpy.dtype
    """

    shape: tuple[int | str, ...]
    dtype: np.dtype[Any]


def expected(*shape: int | str, dtype: DTypeLike = np.float64) -> Any:
    """Return the place of an array in a skeleton; see :class:`Expected`."""
    return Expected(shape, np.dtype(dtype))


def stored_as(name: str) -> dict[str, str]:
    """Return the metadata of a field whose arrays are stored under another name than that of the field.

    The empty name stores an array under the name of the part that holds it; ``"tree{}"`` numbers the items of a
    tuple (``tree0``, ``tree1``, ...), which are otherwise stored as ``field.0``, ``field.1``, ...
    """
    return {_STORED_AS: name}


@runtime_checkable
class Checked(Protocol):
    """A part with conditions on the values of its arrays."""

    def check(self, where: str) -> None:
        """Raise InputError when the arrays that were loaded contradict each other."""


def arrays_of(part: Any) -> Arrays:
    """Return all arrays of a fitted part, or of any tree of arrays, by name."""
    arrays: Arrays = {}

    def keep(name: str, leaf: Any) -> Any:
        arrays[name] = np.asarray(leaf)
        return leaf

    _walked(part, "", keep)
    return arrays


def filled(
    skeleton: Part, arrays: Mapping[str, NDArray[Any]], where: str, axes: Mapping[str, int] | None = None
) -> Part:
    """Return a skeleton with arrays in the place of its leaves.

    Parameters
    ----------
    skeleton : fitted part or tree
        Its leaves are :func:`expected` arrays, `jax.ShapeDtypeStruct`, or arrays whose shape and type are meant.
        Leaves of jax become arrays of jax, the others stay arrays of numpy.
    arrays : mapping
        Named arrays, as :func:`arrays_of` returns them.
    where : str
        What the part is called in an error.
    axes : mapping, optional
        Lengths of named axes. A name that is not in it takes the length that is met first.

    Raises
    ------
    InputError
        Names every leaf that is missing, left over, or of another shape or type, all at once.
    """
    problems, lengths, names = Problems(), dict(axes or {}), set()

    def check(name: str, leaf: Any) -> Any:
        names.add(name)
        _check_leaf(problems, f"{where}: {name}", leaf, arrays.get(name), lengths)
        return leaf

    _walked(skeleton, "", check)
    for name in sorted(set(arrays) - names):
        problems.add(f"{where}: {name}", "is not part of this model", "", _NO_FIT)
    problems.raise_if_any()
    part: Part = _walked(skeleton, "", lambda name, leaf: _like(leaf, arrays[name]))
    _check_values(part, where)
    return part


def entry(document: Mapping[str, Any], key: str, where: str) -> Any:
    """Return an entry of a stored document.

    Raises
    ------
    InputError
        When the entry is missing.
    """
    if key not in document:
        raise InputError(Problem(f"{where}: {key}", "is missing from the stored model"))
    return document[key]


def _walked(part: Any, path: str, visit: Callable[[str, Any], Any]) -> Any:
    """Rebuild a part with ``visit(name, leaf)`` in the place of every array; settings stay as they are."""
    if isinstance(part, (np.ndarray, jax.Array, Expected, jax.ShapeDtypeStruct)):
        return visit(path, part)
    if _is_jax_tree(part):
        return jax.tree_util.tree_map_with_path(
            lambda keys, leaf: visit(_joined(path, jax.tree_util.keystr(keys, simple=True, separator=".")), leaf),
            part,
        )
    if _is_part(part):
        found = {
            f.name: _walked(getattr(part, f.name), _joined(path, f.metadata.get(_STORED_AS, f.name)), visit)
            for f in fields(part)
        }
        return replace(part, **found)
    if isinstance(part, tuple):
        return tuple(_walked(item, _numbered(path, i), visit) for i, item in enumerate(part))
    return part


def _is_part(value: Any) -> bool:
    return is_dataclass(value) and not isinstance(value, type)


def _is_jax_tree(value: Any) -> bool:
    """Whether only jax knows the structure: states of optimisers (named tuples), lists."""
    return isinstance(value, list) or hasattr(value, "_fields")


def _joined(path: str, name: str) -> str:
    return f"{path}.{name}" if path and name else path or name


def _numbered(path: str, number: int) -> str:
    return path.format(number) if "{}" in path else f"{path}.{number}"


def _like(leaf: Any, array: NDArray[Any]) -> Any:
    return jax.device_put(array) if isinstance(leaf, (jax.Array, jax.ShapeDtypeStruct)) else array


def _check_leaf(
    problems: Problems, where: str, leaf: Any, array: NDArray[Any] | None, lengths: dict[str, int]
) -> None:
    dtype = np.dtype(leaf.dtype)
    if array is not None and array.ndim == len(leaf.shape):
        for axis, length in zip(leaf.shape, array.shape, strict=True):
            if isinstance(axis, str):
                lengths.setdefault(axis, length)
    shape = tuple(lengths.get(axis, axis) if isinstance(axis, str) else axis for axis in leaf.shape)
    if array is None:
        problems.add(where, "is missing", f"an array of shape {_text(shape)}, type {dtype}", _NO_FIT)
    elif array.shape != shape or array.dtype != dtype:
        found = f"has shape {array.shape}, type {array.dtype}"
        problems.add(where, found, f"shape {_text(shape)}, type {dtype}", _NO_FIT)


def _text(shape: tuple[int | str, ...]) -> str:
    return f"({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''})"


def _check_values(part: Any, where: str) -> None:
    """Call the check of every part that has one, the inner parts first."""
    if isinstance(part, tuple):
        for number, item in enumerate(part):
            _check_values(item, f"{where}.{number}")
    elif _is_part(part):
        for f in fields(part):
            _check_values(getattr(part, f.name), f"{where}.{f.name}")
        if isinstance(part, Checked):
            part.check(where)
