"""All packages that are installed with starscale may be used and passed on by anybody."""

from __future__ import annotations

from importlib.metadata import distribution

import pytest

from support import licences


def test_the_licences_of_all_packages_are_permissive() -> None:
    names = {package.metadata["Name"] for package in licences.installed()}
    assert {"starscale", "numpy", "jax", "polars"} <= names
    assert licences.doubtful() == {}


@pytest.mark.parametrize("text", ["GPL-3.0-only", "LGPLv3", "not stated", "Proprietary"])
def test_another_licence_is_found(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(licences, "installed", lambda: [distribution("numpy")])
    monkeypatch.setattr(licences, "licence_of", lambda package: text)
    assert licences.doubtful() == {"numpy": text}
