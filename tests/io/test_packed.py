"""Files that may be packed with gzip are recognised by their content, whatever they are called."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

import starscale as ss
from starscale.io import packed
from starscale.io.packed import DAMAGE, damaged_packing, is_packed, open_packed
from starscale.io.sniff import read_head
from starscale.vocabulary.errors import InputError

LINE = b"1" * 100 + b"\n"
TEXT = b"a,b\n1,2\n" * 1000


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz"])
@pytest.mark.parametrize("packed", [True, False])
def test_a_file_is_read_by_its_content(tmp_path: Path, name: str, packed: bool) -> None:
    path = tmp_path / name
    path.write_bytes(gzip.compress(TEXT) if packed else TEXT)
    assert is_packed(path) == packed
    with open_packed(path) as file:
        assert file.read() == TEXT
    assert read_head(path, 8) == TEXT[:8]


@pytest.mark.parametrize("content", [b"", b"\x1f"])
def test_a_file_too_short_for_a_signature_is_not_packed(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "t"
    path.write_bytes(content)
    assert not is_packed(path)
    with open_packed(path) as file:
        assert file.read() == content


def damage(kind: str) -> bytes:
    whole = gzip.compress(TEXT)
    if kind == "cut short":
        return whole[:-20]
    middle = len(whole) // 2
    return (
        whole[:2] + b"\x07" + whole[3:] if kind == "header" else whole[:middle] + b"\xff" * 8 + whole[middle + 8 :]
    )


@pytest.mark.parametrize("kind", ["cut short", "header", "changed"])
def test_a_damaged_gzip_file_is_an_error_that_names_it(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "t.csv.gz"
    path.write_bytes(damage(kind))
    with pytest.raises(DAMAGE) as error, open_packed(path) as file:
        file.read()
    assert "t.csv.gz: is a damaged gzip file (" in str(damaged_packing(path, error.value))
    with pytest.raises(InputError, match=r"t\.csv\.gz: is a damaged gzip file .* download it again"):
        read_head(path, 10 * len(TEXT))


def test_a_file_that_unpacks_to_far_more_than_a_table_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "t.csv.gz"
    path.write_bytes(gzip.compress(b"a\n" + LINE * 40_000, 9))
    with open_packed(path) as file:
        assert len(file.read()) == 2 + 40_000 * len(LINE)
    monkeypatch.setattr(packed, "LARGEST", 1 << 20)
    ways = (lambda f: f.read(), lambda f: f.read1(1 << 22), lambda f: f.seek(1 << 22), lambda f: list(f))
    for read in ways:
        with open_packed(path) as file, pytest.raises(InputError, match=r"t\.csv\.gz: unpacks to far more.*trust"):
            all(read(file) for _ in range(50))
    monkeypatch.setenv("STARSCALE_UNPACK", "any")
    assert ss.read(path).height == 40_000
