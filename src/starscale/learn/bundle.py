"""A model on disk: a directory with settings in JSON, weights in safetensors, and a card to read.

Nothing in it is executed on loading, so a bundle from a stranger is safe to open.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from pydantic import Field, model_validator
from safetensors import SafetensorError

from starscale.io import atomic_directory
from starscale.learn.arrays import Arrays
from starscale.learn.predictor import Predictor
from starscale.learn.stored import StoredPart, check_stored
from starscale.version import __version__
from starscale.vocabulary.bundle import CARD, INDEX, STARS, SUMS, WEIGHTS
from starscale.vocabulary.errors import InputError, Problem, Problems
from starscale.vocabulary.provenance import fingerprint
from starscale.vocabulary.strict import validate

FORMAT = "starscale model bundle"
FORMAT_VERSION = 3

_AGAIN = "Copy or train the model again."
#: Largest index that is read, bytes: one with 10,000 features has a tenth of it.
_LARGEST_INDEX = 64 << 20


class StoredFile(StoredPart):
    """A file of a bundle."""

    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    size: int = Field(ge=0)


class StoredIndex(StoredPart):
    """The index of a bundle."""

    files: dict[str, StoredFile]
    model: dict[str, Any]
    document: dict[str, Any]

    @model_validator(mode="after")
    def _complete(self) -> StoredIndex:
        if missing := {WEIGHTS, CARD} - set(self.files):
            raise ValueError(f"files lacks {' and '.join(sorted(missing))}")
        return self


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
    files[INDEX] = (json.dumps(index, indent=1, allow_nan=False) + "\n").encode()
    files[SUMS] = sums_of(files)
    with atomic_directory(path, marker=INDEX) as directory:
        for name, data in files.items():
            (directory / name).write_bytes(data)


def sums_of(files: Mapping[str, bytes]) -> bytes:
    """Return the checksums of files in the form of ``sha256sum``."""
    return "".join(f"{_digest(files[name])}  {name}\n" for name in sorted(files)).encode()


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
    with named(path):
        index = _read_index(path)
        entries = validate(StoredIndex, index, str(path / INDEX)).files
        files = _read_files(path, entries)
        arrays = {name: _unpacked(path / name, data) for name, data in files.items() if name != CARD}
        check_stored(index["model"], arrays[WEIGHTS], f"{path / INDEX}: model")
        predictor = Predictor.from_state(index["model"], arrays[WEIGHTS])
        # Last, because the other checks say more of what is wrong.
        _check_sums(path, files)
        return predictor, index["document"], arrays.get(STARS)


@contextmanager
def named(path: Path) -> Iterator[None]:
    """Put the name of a bundle before every problem that does not state it."""
    try:
        yield
    except InputError as error:
        raise InputError(
            item if str(path) in item.where else replace(item, where=f"{path}: {item.where}")
            for item in error.problems
        ) from None


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
        if where.stat().st_size > _LARGEST_INDEX:
            raise InputError(Problem(str(where), "is too large", f"{_LARGEST_INDEX:,} bytes or less"))
        return json.loads(where.read_text(encoding="utf-8"), parse_constant=_no_number)
    except FileNotFoundError:
        fix = "Give the model's own directory."
        raise InputError(Problem(str(where.parent), f"has no {INDEX}", "a model bundle", fix)) from None
    except (ValueError, RecursionError) as error:
        raise InputError(Problem(str(where), f"is damaged: {error}", "complete JSON", _AGAIN)) from None
    except OSError as error:
        raise InputError(Problem(str(where), f"cannot be read ({error})")) from None


def _check_sums(path: Path, files: Mapping[str, bytes]) -> None:
    """Compare a bundle with the list of its checksums, if it has one."""
    where = path / SUMS
    if not where.is_file():
        return
    try:
        stated, index = where.read_bytes(), (path / INDEX).read_bytes()
    except OSError as error:
        raise InputError(Problem(str(where), f"cannot be read ({error})")) from None
    if stated != sums_of({**files, INDEX: index}):
        raise InputError(
            Problem(str(where), "states other checksums than the files of the bundle have", "", _AGAIN)
        )


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is no number of JSON")


def _read_files(path: Path, entries: Mapping[str, StoredFile]) -> dict[str, bytes]:
    problems, files = Problems(), {}
    for name in (WEIGHTS, CARD, *([STARS] if STARS in entries else [])):
        expected = entries[name]
        try:
            data = (path / name).read_bytes()
        except OSError as error:
            found = "is missing" if isinstance(error, FileNotFoundError) else f"cannot be read ({error})"
            problems.add(str(path / name), found, f"{expected.size} bytes", _AGAIN)
            continue
        if _digest(data) != expected.sha256:
            found = f"was altered: {len(data)} bytes, and its checksum differs"
            problems.add(str(path / name), found, f"{expected.size} bytes as written", _AGAIN)
        files[name] = data
    problems.raise_if_any()
    return files


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _canonical(index: Mapping[str, Any]) -> bytes:
    """Return one spelling for equal content, whatever the layout of the file."""
    return json.dumps(index, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
