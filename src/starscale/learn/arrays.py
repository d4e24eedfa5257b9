"""Trees of arrays as flat, named arrays, checked leaf by leaf on the way back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import DTypeLike, NDArray

from starscale.vocabulary.errors import InputError, Problems

Arrays = dict[str, NDArray[Any]]
Tree = TypeVar("Tree")


def prefixed(prefix: str, arrays: Mapping[str, NDArray[Any]]) -> Arrays:
    """Put ``prefix.`` before every name."""
    return {f"{prefix}.{name}": array for name, array in arrays.items()}


def under(prefix: str, arrays: Mapping[str, NDArray[Any]]) -> Arrays:
    """Return the arrays whose names begin with ``prefix.``, without it."""
    start = f"{prefix}."
    return {name.removeprefix(start): array for name, array in arrays.items() if name.startswith(start)}


def tree_to_arrays(tree: Any) -> Arrays:
    """Flatten a tree of arrays into named numpy arrays; a name is the path of the leaf."""
    return {_name(path): np.asarray(leaf) for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}


def tree_from_arrays(skeleton: Tree, arrays: Mapping[str, NDArray[Any]], where: str) -> Tree:
    """Fill a tree of shapes with arrays.

    Parameters
    ----------
    skeleton : tree
        Leaves with `shape` and `dtype` (arrays, or what `jax.eval_shape` returns).
    arrays : mapping
        Named arrays, as :func:`tree_to_arrays` makes them.
    where : str
        What to call the tree in an error.

    Raises
    ------
    InputError
        Names every leaf that is missing, left over, or of another shape or type.
    """
    leaves, structure = jax.tree_util.tree_flatten_with_path(skeleton)
    expected = {_name(path): (tuple(leaf.shape), np.dtype(leaf.dtype)) for path, leaf in leaves}
    problems = Problems()
    for name, (shape, dtype) in expected.items():
        _check(problems, where, name, arrays, shape, dtype)
    for name in sorted(set(arrays) - set(expected)):
        problems.add(
            f"{where}: {name}", "is not part of this model", "", "The settings and the weights do not fit."
        )
    problems.raise_if_any()
    return jax.tree_util.tree_unflatten(structure, [jnp.asarray(arrays[name]) for name in expected])  # type: ignore[no-any-return]


def take(
    arrays: Mapping[str, NDArray[Any]],
    where: str,
    name: str,
    shape: tuple[int, ...],
    dtype: DTypeLike = np.float64,
) -> NDArray[Any]:
    """Return one array after checking its shape and type.

    Raises
    ------
    InputError
        When it is missing, or its shape or type is not the expected one.
    """
    problems = Problems()
    _check(problems, where, name, arrays, shape, np.dtype(dtype))
    problems.raise_if_any()
    return arrays[name]


def _check(
    problems: Problems,
    where: str,
    name: str,
    arrays: Mapping[str, NDArray[Any]],
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
) -> None:
    array = arrays.get(name)
    if array is None:
        problems.add(f"{where}: {name}", "is missing", f"an array of shape {shape}")
    elif array.shape != shape or array.dtype != dtype:
        problems.add(
            f"{where}: {name}", f"has shape {array.shape}, type {array.dtype}", f"shape {shape}, type {dtype}"
        )


def _name(path: tuple[Any, ...]) -> str:
    return jax.tree_util.keystr(path, simple=True, separator=".")


def entry(document: Mapping[str, Any], key: str, where: str) -> Any:
    """Return an entry of a stored document.

    Raises
    ------
    InputError
        When the entry is missing.
    """
    if key not in document:
        problems = Problems()
        problems.add(f"{where}: {key}", "is missing from the stored model")
        raise InputError(problems.items)
    return document[key]
