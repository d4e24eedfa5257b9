"""The folder of a model's bundle, by name: brought from its place, checked, and kept."""

from __future__ import annotations

import hashlib
import re
import tarfile
from pathlib import Path

from starscale import io
from starscale.registry.addresses import bring, local_path, over_network
from starscale.registry.entries import LARGEST_BUNDLE, NAME
from starscale.registry.packed import pack, unpack
from starscale.registry.registries import Located, all_models, unknown
from starscale.vocabulary.errors import InputError, Problem
from starscale.vocabulary.progress import SILENT, Progress


def installed(model: Located, progress: Progress = SILENT) -> Path:
    """Return the folder of a bundle; it is downloaded, or unpacked, unless that was done before.

    Parameters
    ----------
    model : Located
    progress : Progress

    Raises
    ------
    InputError
        The bundle is not there, is damaged, or has another checksum than its entry; nothing half-written stays.
    """
    if model.installed.is_dir():
        return model.installed
    if not over_network(model.place) and local_path(model.place).is_dir():
        folder = local_path(model.place)
        if (found := hashlib.sha256(pack(folder)).hexdigest()) != model.entry.sha256:
            expected = f"{model.entry.sha256}, as {model.registry} says"
            raise InputError(Problem(str(folder), f"has, packed, the SHA-256 {found}", expected))
        return folder
    with io.work_folder(model.installed) as work:
        target = work / "bundle.tar"
        most = model.entry.size or LARGEST_BUNDLE
        bring(model.place, target, most=most, sha256=model.entry.sha256, progress=progress)
        unpack(target.read_bytes(), model.installed, model.place)
    return model.installed


def bundle_folder(model: str | Path) -> Path:
    """Return the folder of a bundle that is given by its path or, where no such path exists, by a name.

    Nothing is downloaded.

    Raises
    ------
    InputError
        No such folder and no such name; or a model that was not downloaded yet.
    """
    path = Path(model).expanduser()
    if path.is_file() and tarfile.is_tarfile(path):
        fix = f"`starscale models add {path}` keeps it under a name."
        raise InputError(Problem(str(path), "is a packed model", "its name, or the directory of a model", fix))
    name = str(model)
    if path.exists() or not re.match(NAME, name):
        return path
    known = {found.entry.name: found for found in all_models()}
    if name not in known:
        raise InputError(unknown(name, known, name, "no such directory, and no model of this name"))
    found = known[name]
    if not found.here:
        fix = f"Run `starscale models get {name}`."
        raise InputError(Problem(f"model {name!r}", "is not on this machine yet", "a downloaded model", fix))
    return installed(found)
