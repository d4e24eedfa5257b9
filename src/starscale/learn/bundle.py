"""A model on disk: a directory with settings in JSON, weights in safetensors, and a card to read.

Nothing in it is executed on loading, so a bundle from a stranger is safe to open.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from safetensors import SafetensorError

from starscale.io import atomic_directory
from starscale.learn.arrays import Arrays
from starscale.learn.predictor import Predictor
from starscale.version import __version__
from starscale.vocabulary.errors import InputError, Problem, Problems
from starscale.vocabulary.provenance import fingerprint

FORMAT = "starscale model bundle"
FORMAT_VERSION = 3
INDEX = "bundle.json"
WEIGHTS = "weights.safetensors"
CARD = "MODEL_CARD.md"
#: Hashes of the stars of the training; bundles of earlier builds lack it.
STARS = "training_stars.safetensors"

_AGAIN = "Copy or train the model again."


def save_bundle(
    path: Path,
    predictor: Predictor,
    document: Mapping[str, Any],
    card: str,
    stars: Mapping[str, NDArray[Any]] | None = None,
) -> None:
    """Write a model to a directory, all of it or nothing.

    Parameters
    ----------
    path : Path
        The directory; one that is there is replaced.
    predictor : Predictor
        The model.
    document : mapping
        The caller's own settings and provenance, JSON-able.
    card : str
        Text of the model card (Markdown).
    stars : mapping of str to ndarray, optional
        Hashes of the stars of the training.

    Raises
    ------
    InputError
        When `document` cannot be written as JSON.
    """
    model, weights = _serialised(predictor)
    files = {WEIGHTS: weights, CARD: card.encode()}
    if stars is not None:
        files[STARS] = _packed(stars)
    index: dict[str, Any] = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "written_by": f"starscale {__version__}",
        "files": {name: {"sha256": _digest(data), "size": len(data)} for name, data in files.items()},
        "model": model,
        "document": dict(document),
    }
    try:
        index["sha256"] = _digest(_canonical(index))
    except (TypeError, ValueError) as error:
        raise InputError(
            Problem("document", f"cannot be written as JSON ({error})", "plain, finite values")
        ) from None
    with atomic_directory(path, marker=INDEX) as directory:
        for name, data in files.items():
            (directory / name).write_bytes(data)
        (directory / INDEX).write_text(json.dumps(index, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def digest(
    predictor: Predictor, document: Mapping[str, Any], stars: Mapping[str, NDArray[Any]] | None = None
) -> str:
    """SHA-256 of a model and the caller's document, wherever it came from; see :func:`save_bundle`."""
    model, weights = _serialised(predictor)
    return fingerprint([model, document, _digest(weights), None if stars is None else _digest(_packed(stars))])


def _serialised(predictor: Predictor) -> tuple[dict[str, Any], bytes]:
    """Return settings, and all arrays as the contents of a file."""
    model, arrays = predictor.state()
    return model, _packed(arrays)


def _packed(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    # safetensors writes the memory as it lies: a view with strides would be stored in the wrong order.
    return bytes(safetensors.numpy.save({name: np.ascontiguousarray(array) for name, array in arrays.items()}))


def load_bundle(path: Path) -> tuple[Predictor, dict[str, Any], Arrays | None]:
    """Read a model, the caller's document and the hashes of its stars, after checking that nothing was altered.

    The hashes are None in a bundle of an earlier build.

    Raises
    ------
    InputError
        When this is no bundle, a newer one than this version reads, or an incomplete or altered one.
    """
    with well_formed(path):
        index = _read_index(path)
        files = _read_files(path, index)
        arrays = {name: _unpacked(path / name, data) for name, data in files.items() if name != CARD}
        return Predictor.from_state(index["model"], arrays[WEIGHTS]), index["document"], arrays.get(STARS)


@contextmanager
def well_formed(path: Path) -> Iterator[None]:
    """Refuse an index whose checksum is right and whose content no model has: anyone can write such a bundle."""
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError) as error:
        found = f"is malformed ({type(error).__name__}: {str(error)[:100]})"
        raise InputError(Problem(str(path / INDEX), found, "a bundle written by 'starscale train'")) from None


def _unpacked(where: Path, data: bytes) -> dict[str, Any]:
    try:
        return dict(safetensors.numpy.load(data))
    except SafetensorError as error:
        raise InputError(Problem(str(where), f"is not a safetensors file ({error})", "", _AGAIN)) from None


def _read_index(path: Path) -> dict[str, Any]:
    """Read the index of a bundle; refuse one that is missing, of another version, or altered."""
    where = path / INDEX
    if not path.is_dir():
        found = "is a file" if path.exists() else "no such directory"
        raise InputError(Problem(str(path), found, "the directory of a model", "Give what starscale train wrote."))
    index = _read_json(where)
    if not isinstance(index, dict) or index.get("format") != FORMAT:
        raise InputError(Problem(str(where), "is not the index of a starscale model", f"format = {FORMAT!r}"))
    if (version := index.get("format_version")) != FORMAT_VERSION:
        older = isinstance(version, int) and version < FORMAT_VERSION
        raise InputError(
            Problem(
                str(where),
                f"has format version {version!r}, written by {index.get('written_by', 'an unknown program')}",
                f"{FORMAT_VERSION}, which starscale {__version__} reads",
                "Train the model again." if older else "Update starscale.",
            )
        )
    stored = index.pop("sha256", None)
    if stored != _digest(_canonical(index)):
        raise InputError(
            Problem(str(where), "was altered after it was written (its checksum differs)", "", _AGAIN)
        )
    return index


def _read_json(where: Path) -> Any:
    try:
        return json.loads(where.read_text(encoding="utf-8"))
    except FileNotFoundError:
        fix = "Give the model's own directory."
        raise InputError(Problem(str(where.parent), f"has no {INDEX}", "a model bundle", fix)) from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(Problem(str(where), f"is damaged: {error}", "complete JSON", _AGAIN)) from None
    except OSError as error:
        raise InputError(Problem(str(where), f"cannot be read ({error})")) from None


def _read_files(path: Path, index: Mapping[str, Any]) -> dict[str, bytes]:
    problems, files = Problems(), {}
    for name in (WEIGHTS, CARD, *([STARS] if STARS in index["files"] else [])):
        expected = index["files"][name]
        try:
            data = (path / name).read_bytes()
        except OSError as error:
            found = "is missing" if isinstance(error, FileNotFoundError) else f"cannot be read ({error})"
            problems.add(str(path / name), found, f"{expected['size']} bytes", _AGAIN)
            continue
        if _digest(data) != expected["sha256"]:
            found = f"was altered: {len(data)} bytes, and its checksum differs"
            problems.add(str(path / name), found, f"{expected['size']} bytes as written", _AGAIN)
        files[name] = data
    problems.raise_if_any()
    return files


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _canonical(index: Mapping[str, Any]) -> bytes:
    """Return one spelling for equal content, whatever the layout of the file."""
    return json.dumps(index, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
