"""A bundle in one file, whole and damaged."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import os
import subprocess
import tarfile
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from starscale.features.splits import PARTS
from starscale.model.model import Model
from starscale.model.training_stars import TrainingStars
from starscale.registry.packed import FILES, SUMS, members, pack, unpack
from starscale.vocabulary.bundle import STARS
from starscale.vocabulary.errors import InputError
from support.small_model import small_model, small_stars


def test_the_file_is_the_same_each_time_and_any_tar_program_reads_it(bundle: Path, tmp_path: Path) -> None:
    data = pack(bundle)
    other = tmp_path / "elsewhere"
    other.mkdir(mode=0o700)
    for name in reversed(FILES):
        (other / name).write_bytes((bundle / name).read_bytes())
        os.utime(other / name, (1e9, 1e9))
    assert pack(other) == data
    (tmp_path / "m.tar").write_bytes(data)
    subprocess.run(["tar", "xf", "m.tar"], cwd=tmp_path, check=True)
    subprocess.run(["sha256sum", "--check", "--quiet", SUMS], cwd=tmp_path / "model", check=True)
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        assert {(m.uid, m.gid, m.mtime, m.mode, m.uname) for m in tar} == {(0, 0, 0, 0o644, "")}


@settings(max_examples=8)
@given(card=st.text(st.characters(exclude_categories=["Cs"])), title=st.text(max_size=40))
def test_a_bundle_goes_into_a_file_and_back(card: str, title: str) -> None:
    model = dataclasses.replace(small_model(), information={"title": title})
    with TemporaryDirectory() as folder:
        model.save(Path(folder) / "a", card=card)
        unpack(pack(Path(folder) / "a"), Path(folder) / "b", "b")
        for name in FILES:
            assert (Path(folder) / "a" / name).read_bytes() == (Path(folder) / "b" / name).read_bytes()
        stars = small_stars(20)
        assert Model.load(Path(folder) / "b").predict(stars).equals(model.predict(stars))


@given(data=st.data())
@settings(max_examples=30)
def test_a_damaged_file_is_refused_or_holds_the_same(packed: bytes, data: st.DataObject) -> None:
    """A byte of the padding may change unseen; the registry's checksum is that of the whole file."""
    where = data.draw(st.integers(0, len(packed) - 1))
    length = data.draw(st.sampled_from([0, 1, 1, 512, 5000]))
    damaged = packed[:where] + data.draw(st.binary(max_size=20)) + packed[where + length :]
    with suppress(InputError):
        assert members(damaged, "x.tar") == members(packed, "x.tar")


@given(data=st.binary(max_size=3000))
@settings(max_examples=30)
def test_what_is_no_bundle_is_refused(data: bytes) -> None:
    with pytest.raises(InputError, match=r"^x\.tar: "):
        members(data, "x.tar")


def archive(packed: bytes, name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> bytes:
    """The packed bundle with one more member."""
    header = tarfile.TarInfo(name)
    header.type, header.linkname = kind, link
    end = packed.rstrip(b"\0")
    whole = end + b"\0" * (-len(end) % 512)
    return whole + header.tobuf(tarfile.GNU_FORMAT) + b"\0" * 1024


@pytest.mark.parametrize(
    ("name", "kind", "link", "said"),
    [
        ("/etc/starscale", tarfile.REGTYPE, "", "which no packed bundle does"),
        ("model/../../up", tarfile.REGTYPE, "", "which no packed bundle does"),
        ("model/extra.py", tarfile.REGTYPE, "", "which no packed bundle does"),
        ("model/bundle.json", tarfile.SYMTYPE, "/etc/passwd", "not a regular file"),
        ("model/bundle.json", tarfile.LNKTYPE, "/etc/passwd", "not a regular file"),
        ("model/bundle.json", tarfile.FIFOTYPE, "", "not a regular file"),
        ("model", tarfile.DIRTYPE, "", "not a regular file"),
        ("model/bundle.json", tarfile.REGTYPE, "", "twice"),
    ],
)
def test_a_member_that_does_not_belong_is_refused(
    packed: bytes, tmp_path: Path, name: str, kind: bytes, link: str, said: str
) -> None:
    with pytest.raises(InputError, match=said):
        unpack(archive(packed, name, kind, link), tmp_path / "model", "x.tar")
    assert list(tmp_path.iterdir()) == []


def test_a_file_with_an_altered_bundle_is_refused_and_leaves_the_older_one(bundle: Path, tmp_path: Path) -> None:
    files = {name: (bundle / name).read_bytes() for name in FILES}
    files[FILES[0]] = b"# Another card\n"
    files[SUMS] = "".join(f"{hashlib.sha256(files[n]).hexdigest()}  {n}\n" for n in sorted(files)).encode()
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, content in files.items():
            header = tarfile.TarInfo(f"model/{name}")
            header.size = len(content)
            tar.addfile(header, io.BytesIO(content))
    unpack(pack(bundle), tmp_path / "model", "good.tar")
    with pytest.raises(InputError, match=r"bad.tar: holds no good bundle: MODEL_CARD.md: was altered"):
        unpack(made.getvalue(), tmp_path / "model", "bad.tar")
    assert pack(tmp_path / "model") == pack(bundle)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_pack_keeps_the_list_of_training_stars(tmp_path: Path) -> None:
    ids = small_stars(9)["source_id"]
    stars = TrainingStars.of(ids, {name: np.arange(9) for name in PARTS}, "int64")
    dataclasses.replace(small_model(), stars=stars).save(tmp_path / "model", card="")
    unpack(pack(tmp_path / "model"), tmp_path / "again", "pack")
    assert (tmp_path / "again" / STARS).read_bytes() == (tmp_path / "model" / STARS).read_bytes()
