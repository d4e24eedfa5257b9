"""Read a run file (TOML) and the files that it extends; paths are relative to the run file."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from starscale.vocabulary.errors import InputError, Problem, did_you_mean
from starscale.vocabulary.settings.fetch import KINDS
from starscale.vocabulary.settings.run import ApplyConfig, RunConfig
from starscale.vocabulary.strict import load_toml, validate

_FOLDER = resources.files("starscale.pipeline.presets")


def preset_names() -> list[str]:
    """Return the names of the packaged run files."""
    return sorted(item.name.removesuffix(".toml") for item in _FOLDER.iterdir() if item.name.endswith(".toml"))


def load_run(path: str | Path) -> tuple[RunConfig, Path]:
    """Read and check a run file that trains a model.

    Returns
    -------
    config : RunConfig
    base : Path
        The folder that relative paths start from.

    Raises
    ------
    InputError
        All mistakes of the file.
    """
    config, base = load_any_run(path)
    if isinstance(config, ApplyConfig):
        fix = "'starscale run' applies the model; a training needs [[labels]] and no `bundle`."
        raise InputError(Problem(f"{path}: model.bundle", "names a trained model", "a run that trains one", fix))
    return config, base


def load_any_run(path: str | Path) -> tuple[RunConfig | ApplyConfig, Path]:
    """Read and check a run file, which trains a model, or applies a trained one (``[model] bundle``)."""
    path = Path(path)
    data = _with_parents(path, ())
    if _has_bundle(data.get("model")):
        return validate(ApplyConfig, _without_training(data, load_toml(path)), str(path)), path.parent
    return validate(RunConfig, data, str(path)), path.parent


def _has_bundle(model: Any) -> bool:
    return isinstance(model, Mapping) and "bundle" in model


def _without_training(data: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what an extended file says of a training; the same in the file itself stays, and is an error."""
    kept = {key: value for key, value in data.items() if key in ApplyConfig.model_fields or key in own}
    if "cuts" not in own.get("catalogue", ()):
        kept["catalogue"] = _without_cuts(kept.get("catalogue", {}))
    if "photometry" not in own:
        kept["photometry"] = [_without_cuts(table) for table in kept.get("photometry", ())]
    return kept


def _without_cuts(table: Any) -> Any:
    return {k: v for k, v in table.items() if k != "cuts"} if isinstance(table, Mapping) else table


def _with_parents(file: Path, chain: tuple[Path, ...]) -> dict[str, Any]:
    """Parse a run file and merge it with the file that it extends."""
    if file.resolve() in chain:
        raise InputError(Problem(str(chain[0]), f"extends itself: {' -> '.join(p.name for p in (*chain, file))}"))
    chain = (*chain, file.resolve())
    data = load_toml(file)
    parent = data.get("extends")
    if not isinstance(parent, str):
        return data
    if parent.endswith(".toml"):
        inherited = _rebase(_with_parents(file.parent / parent, chain), Path(parent).parent)
    elif parent in preset_names():
        with resources.as_file(_FOLDER / f"{parent}.toml") as preset:
            inherited = load_toml(preset)
    else:
        names = preset_names()
        raise InputError(
            Problem(
                f"{file}: extends",
                f"unknown name {parent!r}",
                f"one of {', '.join(names)}, or a path that ends in .toml",
                did_you_mean(parent, names),
            )
        )
    return _merge(inherited, data)


def _rebase(data: Any, folder: Path) -> Any:
    """Make the relative paths of an extended file relative to the file that extends it."""
    if isinstance(data, list):
        return [_rebase(item, folder) for item in data]
    if not isinstance(data, dict):
        return data
    return {
        key: str(folder / value) if _is_path(key, value) else _rebase(value, folder) for key, value in data.items()
    }


def _is_path(key: str, value: Any) -> bool:
    """Return whether a value is the path of a file."""
    if not isinstance(value, str):
        return False
    if key == "bundle":
        # The name of a model is no path.
        return "/" in value
    return key in ("path", "ids", "positions") or (key in ("survey", "set") and value.endswith(".toml"))


def _merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Merge tables key by key; other values of `above` replace those of `below`.

    Another kind of model, or a trained one, replaces the whole table, because settings of one kind do not apply to
    another.
    """
    if any(key in above for key in KINDS):
        # A region replaces that of the extended file, of whatever kind.
        below = {key: value for key, value in below.items() if key not in KINDS}
    result = dict(below)
    for key, value in above.items():
        old = result.get(key)
        if isinstance(old, Mapping) and isinstance(value, Mapping) and _same_kind(old, value):
            result[key] = _merge(old, value)
        else:
            result[key] = value
    return result


def _same_kind(old: Mapping[str, Any], value: Mapping[str, Any]) -> bool:
    """Return whether a table adds to an inherited one: it is no model of another kind, and no trained one."""
    return value.get("kind") in (None, old.get("kind")) and (_has_bundle(old) or not _has_bundle(value))
