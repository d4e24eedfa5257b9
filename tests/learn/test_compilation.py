"""The folder of compiled programs is open to its user alone."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from starscale.learn.compilation import private_folder


def test_the_folder_of_programs_is_private(tmp_path: Path) -> None:
    folder = tmp_path / "cache" / "version"
    assert private_folder(folder)
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(0o755)
    assert private_folder(folder)
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_folder_that_is_not_ours_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "own")
    assert not private_folder(tmp_path / "link")
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    assert not private_folder(tmp_path / "open" / "version")
    (tmp_path / "file").touch()
    assert not private_folder(tmp_path / "file" / "version")
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    assert not private_folder(tmp_path / "own")
