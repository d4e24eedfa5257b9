"""The packages that starscale installs, with their licences: all must be permissive.

``python tests/support/licences.py`` prints the list.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

#: Licences that allow any use; the MPL concerns changes of its own files only.
PERMISSIVE = re.compile(
    r"\b(MIT|BSD|Apache|ISC|PSF|Python Software Foundation|HPND|MPL|Mozilla Public|Unlicense|Zlib|0BSD|CC0)\b",
    re.I,
)
#: Others: a library that XGBoost asks for on Linux, used on GPUs only, and free to use and to pass on.
EXCEPTIONS = {"nvidia-nccl-cu12": "LicenseRef-NVIDIA-Proprietary"}
COPYLEFT = re.compile(r"GPL|GNU", re.I)


def licence_of(package: Distribution) -> str:
    """What a package says of its licence, in the order of clearness."""
    about = package.metadata
    classified = [c.rpartition(" :: ")[2] for c in about.get_all("Classifier") or () if c.startswith("License ::")]
    first_line = (about.get("License") or "").strip().splitlines()[:1]
    texts = (about.get("License-Expression"), ", ".join(classified), "".join(first_line))
    return next((text for text in texts if text and text != "OSI Approved"), "not stated")


def installed(name: str = "starscale", extras: tuple[str, ...] = ("baselines",)) -> Iterator[Distribution]:
    """Yield a package and all that it requires here, each once."""
    waiting, seen = [(name, extras)], set[str]()
    while waiting:
        name, chosen = waiting.pop()
        if canonicalize_name(name) in seen:
            continue
        seen.add(canonicalize_name(name))
        try:
            package = distribution(name)
        except PackageNotFoundError:
            continue
        yield package
        for text in package.requires or ():
            required = Requirement(text)
            if required.marker is None or any(required.marker.evaluate({"extra": e}) for e in (*chosen, "")):
                waiting.append((required.name, tuple(required.extras)))


def doubtful() -> dict[str, str]:
    """Return the licences that are not permissive, or not known, by package."""
    found = {canonicalize_name(package.metadata["Name"]): licence_of(package) for package in installed()}
    return {
        name: text
        for name, text in found.items()
        if EXCEPTIONS.get(name) != text and (COPYLEFT.search(text) or not PERMISSIVE.search(text))
    }


def main() -> None:
    """Print the list."""
    for package in sorted(installed(), key=lambda p: p.metadata["Name"].lower()):
        print(f"{package.metadata['Name']:24} {package.version:14} {licence_of(package)}")
    if found := doubtful():
        sys.exit(f"not permissive, or not known: {found}")


if __name__ == "__main__":
    main()
