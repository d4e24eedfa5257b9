"""The provenance of a result: versions, inputs with checksums, settings, seed, counts.

The record is plain data (JSON), written next to the results and into every file.
"""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping
from functools import lru_cache
from importlib import resources
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from starscale.version import __version__

#: Packages whose version can change a result.
_PACKAGES = ("astropy", "jax", "numpy", "optax", "polars", "pyarrow", "scipy")


CITATION = (
    "Turchi, A., Pancino, E., Rossi, F., et al. 2024, "
    "The Survey of Surveys: machine learning for stellar parametrization"
)


#: Methods by the kind of a model, as a publication names them.
METHODS = {
    "mixture": "mixture density network (Bishop 1994), the default model of starscale",
    "turchi2024": CITATION,
    "mean": "mean of the training labels, a reference that uses no input",
    "ridge": "ridge regression (Hoerl & Kennard 1970)",
    "knn": "weighted mean of the nearest neighbours (Fix & Hodges 1951)",
    "random_forest": "random forest (Breiman 2001)",
    "svr": "support vector regression (Drucker et al. 1997)",
    "xgboost": "gradient-boosted trees (XGBoost; Chen & Guestrin 2016)",
    "catboost": "gradient-boosted symmetric trees (CatBoost; Prokhorenkova et al. 2018)",
    "tabm": "networks that share weights (TabM; Gorishniy, Kotelnikov & Babenko 2025)",
    "realmlp": "perceptron with tuned defaults (RealMLP; Holzmueller, Grinsztajn & Steinwart 2024)",
    "xrfm": "kernel machines that learn features (xRFM; Beaglehole et al. 2025)",
    "tabicl": "transformer that learns in context (TabICL; Qu et al. 2025)",
}


def versions() -> dict[str, str]:
    """Return the versions of starscale, Python and the packages that can affect a result."""
    return {"starscale": __version__, "python": platform.python_version(), **dict(_installed())}


@lru_cache
def _installed() -> tuple[tuple[str, str], ...]:
    found = []
    for package in _PACKAGES:
        try:
            found.append((package, version(package)))
        except PackageNotFoundError:
            continue
    return tuple(found)


@lru_cache
def processor() -> str:
    """Return the name of the processor, on which last digits depend; empty where the system does not tell."""
    try:
        # Where Linux tells; `platform` asks no system for more than its family.
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


@lru_cache
def program() -> str:
    """Return the SHA-256 of the program's files, which changes with every version and every edit of a checkout."""
    root = resources.files("starscale")
    digest = hashlib.sha256()
    with resources.as_file(root) as folder:
        for path in sorted(p for p in folder.rglob("*") if p.suffix in (".py", ".toml")):
            digest.update(path.relative_to(folder).as_posix().encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


def fingerprint(document: Any) -> str:
    """Return the SHA-256 of plain data, independent of the order of keys."""
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), default=str, allow_nan=True)
    return hashlib.sha256(text.encode()).hexdigest()


def record(
    *, command: str, mock: bool, settings: Mapping[str, Any] | None = None, inputs: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Start a provenance record.

    It contains no times, so that the same computation gives byte-identical files; the record of a run
    (`provenance.json`) contains them.

    Parameters
    ----------
    command : str
        Name of the verb that made the result.
    mock : bool
        Whether the data are simulated.
    settings : mapping, optional
        Settings of the verb.
    inputs : mapping, optional
        Input files with checksums and row counts.

    Returns
    -------
    dict
    """
    return {
        "command": command,
        "mock": mock,
        "versions": versions(),
        "processor": processor(),
        "settings": dict(settings or {}),
        "settings_sha256": fingerprint(settings or {}),
        "inputs": dict(inputs or {}),
        "citation": CITATION,
    }


PROVENANCE_FILE = "provenance.json"
