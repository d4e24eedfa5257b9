"""The registries: that of the package, that of the user, and one that a command names."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from tempfile import TemporaryDirectory

from starscale import io
from starscale.io.job_folder import FolderLock
from starscale.registry.addresses import bring, local_path, next_to, over_network
from starscale.registry.entries import LARGEST_REGISTRY, RegisteredModel, RegistryFile, as_toml
from starscale.vocabulary.errors import InputError, Problem, Problems, did_you_mean
from starscale.vocabulary.strict import validate

#: Environment variable with the folder of a user's models.
VARIABLE = "STARSCALE_MODELS"
REGISTRY = "registry.toml"
_PACKAGED = Path(str(resources.files(__package__))) / "packaged" / REGISTRY
_HEAD = "# Models that starscale finds by name. Written by `starscale models get` and `add`; may be edited.\n"


@dataclass(frozen=True)
class Located:
    """An entry, the registry that it stands in, and the place of its bundle: a path or an address.

    Attributes
    ----------
    entry : RegisteredModel
    registry : str
        Path or address.
    place : str
        Path or address of the bundle.
    """

    entry: RegisteredModel
    registry: str
    place: str

    @property
    def installed(self) -> Path:
        """Folder of the bundle among the user's models; it exists after :func:`get_model`."""
        return models_folder() / f"{self.entry.name}-{self.entry.sha256[:12]}"

    @property
    def here(self) -> bool:
        """Whether the bundle is on this machine."""
        return not over_network(self.place) or self.installed.is_dir()

    def movable(self) -> RegisteredModel:
        """Return the entry with an address or absolute path, which holds in any registry file."""
        key = "address" if over_network(self.place) or self.entry.address else "path"
        return self.entry.model_copy(update={"address": None, "path": None, key: self.place})


def models_folder() -> Path:
    """Return the folder of a user's models, which may not exist.

    It is ``$STARSCALE_MODELS``; else ``starscale/models`` in ``$XDG_DATA_HOME`` or ``~/.local/share``.
    """
    if own := os.environ.get(VARIABLE):
        return Path(own).expanduser().absolute()
    base = os.environ.get("XDG_DATA_HOME")
    return (Path(base) if base else Path.home() / ".local" / "share") / "starscale" / "models"


def read_registry(place: str | Path) -> list[Located]:
    """Read a registry file.

    Parameters
    ----------
    place : str or Path
        Path or address.

    Raises
    ------
    InputError
        No such file, or not a registry; all problems at once.
    """
    where = str(place)
    with TemporaryDirectory() as folder:
        target = Path(folder) / REGISTRY
        bring(place, target, most=LARGEST_REGISTRY)
        data = target.read_bytes()
    try:
        document = tomllib.loads(data.decode())
    except (ValueError, RecursionError) as error:
        raise InputError(Problem(where, f"is not a registry file: {error}", "TOML with [[models]]")) from None
    entries = validate(RegistryFile, document, where).models
    base = where if over_network(place) else str(local_path(place).absolute())
    return [Located(entry, where, next_to(base, str(entry.address or entry.path))) for entry in entries]


def all_models(registry: str | Path | None = None) -> list[Located]:
    """Return the models of all registries; the first of a name counts.

    Parameters
    ----------
    registry : str or Path, optional
        A registry file to look into before that of the user and that of the package.
    """
    own = models_folder() / REGISTRY
    places = [*([registry] if registry is not None else []), *([own] if own.is_file() else []), _PACKAGED]
    found: dict[str, Located] = {}
    for place in places:
        for model in read_registry(place):
            found.setdefault(model.entry.name, model)
    return list(found.values())


def find_model(name: str, registry: str | Path | None = None) -> Located:
    """Return the model of a name.

    Raises
    ------
    InputError
        There is no model of this name; the message gives the nearest names.
    """
    models = {model.entry.name: model for model in all_models(registry)}
    if name not in models:
        raise InputError(unknown(name, models, f"model {name!r}", "unknown name"))
    return models[name]


def unknown(name: str, names: Iterable[str], where: str, found: str) -> Problem:
    """Return the problem of a name that no registry holds."""
    hint = "`starscale models list` shows them; `starscale models add` takes those of another registry."
    known = sorted(names)
    expected = f"the name of a model ({', '.join(known[:10])}{', ...' if len(known) > 10 else ''})"
    return Problem(where, found, expected, did_you_mean(name, known, hint=hint))


def enter(models: Sequence[Located]) -> list[str]:
    """Enter models into the user's registry, and return the names that are new there.

    Raises
    ------
    InputError
        Another model of the same name stands there, or in the package.
    """
    own = models_folder() / REGISTRY
    with FolderLock(own.parent, own, "Wait for it.", temporary=False):
        new = [model.movable() for model in unentered(models)]
        if new:
            text = own.read_text(encoding="utf-8") if own.is_file() else _HEAD
            io.atomic_text(own, f"{text.rstrip()}\n\n{as_toml(new)}")
    return [entry.name for entry in new]


def unentered(models: Iterable[Located]) -> list[Located]:
    """Return those models that neither the user's registry nor the package holds.

    Raises
    ------
    InputError
        Another model of the same name stands there.
    """
    known = {model.entry.name: model for model in all_models()}
    problems, new = Problems(), []
    for model in models:
        other = known.get(model.entry.name)
        if other is None:
            new.append(model)
        elif other.entry.sha256 != model.entry.sha256:
            found = f"stands in {other.registry} with another checksum"
            fix = f"Change one of the names, or remove the entry from {models_folder() / REGISTRY}."
            problems.add(f"model {model.entry.name!r}", found, "a new name", fix)
    problems.raise_if_any()
    return new
