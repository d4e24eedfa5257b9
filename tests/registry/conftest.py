"""A bundle, a folder for the user's models, and a web server on this machine."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from starscale.registry.packed import pack
from support.model_server import Server
from support.small_model import small_model


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a model; tests must not change it."""
    folder = tmp_path_factory.mktemp("bundle") / "model"
    small_model().save(folder, card="# A small model\n")
    return folder


@pytest.fixture(scope="session")
def packed(bundle: Path) -> bytes:
    return pack(bundle)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the user's models; empty."""
    folder = tmp_path / "home"
    monkeypatch.setenv("STARSCALE_MODELS", str(folder))
    return folder


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield running
        running.shutdown()
        thread.join()
