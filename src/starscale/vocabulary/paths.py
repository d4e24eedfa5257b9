"""The error for a path that does not exist."""

from __future__ import annotations

from pathlib import Path

from starscale.vocabulary.errors import InputError, Problem, did_you_mean

_ADDRESSES = ("http:/", "https:/", "s3:/", "ftp:/")


def matching(path: Path) -> list[Path]:
    """Return the files that a pattern such as ``gaia/GaiaSource_*.csv.gz`` names, in the order of their names.

    The list is empty if `path` exists, is no pattern, or matches nothing.
    """
    if not _is_pattern(path) or exists(path):
        return []
    try:
        return sorted(Path(path.anchor).glob(str(path.relative_to(path.anchor))))
    except (OSError, ValueError, IndexError):
        # A pattern that no file name can match.
        return []


def exists(path: Path) -> bool:
    """Whether there is a file or folder; a name that no file can have (too long, with a zero) has none."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def _is_pattern(path: Path) -> bool:
    return any(mark in str(path) for mark in "*?[")


def divided(path: Path) -> tuple[Path, str | None]:
    """Return the file, folder or pattern of a path, and the table that it names: ``stars.fits#2``."""
    if exists(path) or "#" not in path.name:
        return path, None
    file, _, part = path.name.rpartition("#")
    return path.with_name(file) if file else path.parent, part


def present(path: Path) -> bool:
    """Whether there is a file or folder, or, for a pattern, one or more files."""
    path, _ = divided(path)
    return exists(path) or bool(matching(path))


def missing_path(path: Path, expected: str = "a table", *, role: str = "") -> Problem:
    """Return the problem of a path that does not exist, with the most similar names in its folder.

    Parameters
    ----------
    path : Path
    expected : str
        What should be there.
    role : str
        The setting that names the path, if the path alone is not clear.
    """
    if "://" in str(path) or str(path).startswith(_ADDRESSES):
        return Problem(str(path), "is an address, not a file", fix="Download the table first.")
    if _is_pattern(path):
        return Problem(
            str(path), "matches no file", expected, "The pattern needs quotation marks on a command line."
        )
    found = f"no such file or folder{f' ({role})' if role else ''}"
    parent = path.parent
    if not (exists(parent) and parent.is_dir()):
        return Problem(str(path), f"{found}: the folder {str(parent)!r} does not exist", expected)
    names = sorted(item.name for item in parent.iterdir())
    return Problem(str(path), found, expected, did_you_mean(path.name, names))


def must_exist(path: Path, expected: str = "a table", *, role: str = "") -> None:
    """Raise if a path does not exist.

    Raises
    ------
    InputError
        If there is no file or folder at `path`.
    """
    if not present(path):
        raise InputError(missing_path(path, expected, role=role))
