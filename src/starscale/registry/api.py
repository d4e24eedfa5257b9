"""The verbs `get_model`, `add_models` and `pack_model`."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starscale import io
from starscale.io.progress import progress_of
from starscale.registry.addresses import is_address
from starscale.registry.describing import entry_of
from starscale.registry.entries import LARGEST_BUNDLE, NAME, NOT_STATED, RegisteredModel, as_toml
from starscale.registry.installing import bundle_folder, installed
from starscale.registry.packed import document_of, members, pack, unpack
from starscale.registry.registries import (
    Located,
    enter,
    find_model,
    models_folder,
    read_registry,
    unentered,
)
from starscale.vocabulary.errors import InputError, Problem
from starscale.vocabulary.progress import Progress


@dataclass(frozen=True)
class Packed:
    """A bundle in one file.

    Attributes
    ----------
    path : Path
        The file.
    sha256 : str
        Its SHA-256.
    size : int
        Its size in bytes.
    entry : str
        An entry for a registry file, in TOML; `path` there is the name of the file.
    """

    path: Path
    sha256: str
    size: int
    entry: str


def get_model(model: str, *, registry: str | Path | None = None, progress: Progress | bool | None = None) -> Path:
    """Bring a model onto this machine, check it, and enter it into the user's registry.

    Afterwards it needs no network: its name stands for its bundle in :func:`load`, :func:`predict` and the other
    verbs. What is there already is not downloaded again; after an interruption the download starts anew.

    Parameters
    ----------
    model : str
        Name of the model.
    registry : path or address, optional
        A registry file to look into before that of the user and that of the package.
    progress : Progress or bool, optional
        Receives the progress; True: show it. Default: silent.

    Returns
    -------
    Path
        Folder of the bundle.

    Raises
    ------
    InputError
        No model of this name, a download that failed or is too large, another checksum than the registry says,
        a file that is not a packed bundle. Nothing half-written stays.
    """
    found = find_model(model, registry)
    unentered([found])
    folder = installed(found, progress_of(progress))
    enter([found])
    return folder


def add_models(path: str | Path, *, name: str | None = None) -> list[str]:
    """Add models to the user's registry: those of a registry file, or one bundle.

    Parameters
    ----------
    path : path or address
        A registry file (``.toml``), whose models are entered but not downloaded; or a bundle, as a folder or as
        a packed file on this machine, which is copied to the user's models.
    name : str, optional
        Name of the bundle; default: that of its file or folder. A registry file has names of its own.

    Returns
    -------
    list of str
        The names that are new in the user's registry.

    Raises
    ------
    InputError
        Not a registry file or a bundle, or a name that another model has.
    """
    if str(path).endswith(".toml"):
        if name is not None:
            raise InputError(Problem("name", "is given with a registry file", "a bundle, which needs a name"))
        return enter(read_registry(path))
    if is_address(str(path)):
        fix = "`starscale models get NAME --registry ADDRESS` downloads a bundle."
        raise InputError(Problem(str(path), "is an address", "that of a registry file, .toml", fix))
    bundle = Path(path).expanduser()
    if bundle.is_file() and bundle.stat().st_size > LARGEST_BUNDLE:
        raise InputError(Problem(str(path), "is too large", f"{LARGEST_BUNDLE:,} bytes or less"))
    data = bundle.read_bytes() if bundle.is_file() else pack(bundle)
    called = _checked_name(name or bundle.absolute().name.removesuffix(".tar"))
    sha256 = hashlib.sha256(data).hexdigest()
    folder = models_folder() / f"{called}-{sha256[:12]}"
    entry = _entry(data, called, str(path), path=folder.name, sha256=sha256)
    new = Located(entry, str(path), str(folder))
    unentered([new])
    unpack(data, folder, str(path))
    return enter([new])


def pack_model(
    model: str | Path,
    output: str | Path,
    *,
    licence: str = NOT_STATED,
    label_scale: str | None = None,
    citation: Sequence[str] = (),
) -> Packed:
    """Pack a bundle into one file, which is the same byte for byte whenever it is made.

    The file is an uncompressed tar archive with the bundle, its card and the checksums of both. Nothing in it is
    executed.

    Parameters
    ----------
    model : path or str
        Folder of the bundle, or the name of a model that is on this machine.
    output : path
        File to write, ``.tar``.
    licence : str
        Licence of the model, for its entry in a registry.
    label_scale : str, optional
        On which scale the labels are, for the entry; default: the label surveys of the run file.
    citation : sequence of str
        What a user of the model cites, for the entry.

    Returns
    -------
    Packed

    Raises
    ------
    InputError
        Not a bundle, an altered one, or an output with another suffix.
    """
    target = Path(output).expanduser()
    if target.suffix != ".tar":
        raise InputError(Problem(str(output), f"has the suffix {target.suffix!r}", "a file name with .tar"))
    name = _checked_name(target.stem)
    data = pack(bundle_folder(model))
    sha256 = hashlib.sha256(data).hexdigest()
    given: dict[str, Any] = {"path": target.name, "sha256": sha256, "licence": licence, "label_scale": label_scale}
    given |= {"citation": list(citation)}
    entry = _entry(data, name, str(model), **given)
    with io.atomic(target) as partial:
        partial.write_bytes(data)
    return Packed(target, sha256, len(data), as_toml([entry]))


def _entry(data: bytes, name: str, where: str, **given: Any) -> RegisteredModel:
    """Return the entry of a packed bundle."""
    document = document_of(members(data, where), where)
    return entry_of(document, name, where, size=len(data), **given)


def _checked_name(name: str) -> str:
    if not re.match(NAME, name):
        expected = "up to 64 letters, digits, '_', '-' and '.', and first a letter or digit"
        raise InputError(Problem("name of the model", f"{name!r}", expected))
    return name
