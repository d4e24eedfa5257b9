"""Files that are not what they seem: the error says what was found and what to do."""

from __future__ import annotations

import gzip
from contextlib import suppress
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from starscale import io
from starscale.vocabulary.errors import InputError

TABLE = pl.DataFrame({"id": [1, 2, 3], "x": [0.5, None, 1.5]})
HTML = b"<!DOCTYPE html>\n<html><body>503 Service Unavailable</body></html>"
ERROR = b"""<?xml version="1.0"?><VOTABLE version="1.4" xmlns="http://www.ivoa.net/xml/VOTable/v1.3">
<RESOURCE type="results"><INFO name="QUERY_STATUS" value="ERROR">Unknown column
teffx</INFO></RESOURCE></VOTABLE>"""


@pytest.mark.parametrize("suffix", [".parquet", ".fits", ".vot", ".xml", ".ecsv", ".csv", ".dat"])
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (HTML, "is an HTML page"),
        (b'{"error": "no"}', "is a JSON document"),
        (b"\x89HDF\r\n\x1a\n\0", "is an HDF5 file"),
        (b"PK\x03\x04....", "is a ZIP archive"),
        (b"\x80\x04\x95pickled", "never opened"),
        (b"\0\1\2\3\4\5\6\7", "damaged or something else|unknown kind"),
        (b"<?xml version='1.0'?><svg></svg>", "XML document without a VOTABLE"),
    ],
)
def test_what_is_no_table(tmp_path: Path, suffix: str, content: bytes, said: str) -> None:
    path = tmp_path / f"t{suffix}"
    path.write_bytes(content)
    with pytest.raises(InputError, match=said) as error:
        io.read(path)
    assert str(path) in str(error.value)


@pytest.mark.parametrize("suffix", [".parquet", ".fits", ".vot", ".ecsv", ".csv"])
@pytest.mark.parametrize("named", [".parquet", ".fits", ".vot", ".ecsv", ".csv"])
def test_a_wrong_suffix_says_the_right_one(tmp_path: Path, suffix: str, named: str) -> None:
    io.write(TABLE, tmp_path / f"t{suffix}")
    path = (tmp_path / f"t{suffix}").rename(tmp_path / f"u{named}")
    if named == suffix or (suffix, named) == (".ecsv", ".csv"):
        assert io.read(path).to_dict(as_series=False) == TABLE.to_dict(as_series=False)
        return
    with pytest.raises(InputError) as error:
        io.read(path)
    if suffix == ".csv":
        assert "is plain text" in str(error.value)
        assert "'id,x'" in str(error.value)
    else:
        assert f"Rename it to end in {suffix}" in str(error.value)


@pytest.mark.parametrize("suffix", [".parquet", ".fits", ".vot", ".ecsv", ".csv"])
def test_an_unknown_suffix_is_judged_by_content(tmp_path: Path, suffix: str) -> None:
    io.write(TABLE, tmp_path / f"t{suffix}")
    path = (tmp_path / f"t{suffix}").rename(tmp_path / "table.dat")
    assert io.read(path).to_dict(as_series=False) == TABLE.to_dict(as_series=False)


def test_text_that_is_no_table(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("Dear diary\n")
    with pytest.raises(InputError, match="text without columns"):
        io.read(tmp_path / "notes.txt")


@pytest.mark.parametrize("suffix", [".parquet", ".fits", ".fits.gz", ".vot", ".vot.gz", ".ecsv"])
@pytest.mark.parametrize("keep", [0.3, 0.6, 0.95])
def test_truncated_files_are_never_read_as_if_whole(tmp_path: Path, suffix: str, keep: float) -> None:
    table = pl.DataFrame({"id": range(3000), "x": np.random.default_rng(1).random(3000)})
    path = tmp_path / f"t{suffix.removesuffix('.gz') if suffix == '.vot.gz' else suffix}"
    io.write(table, path)
    content = path.read_bytes()
    if suffix == ".vot.gz":
        content = gzip.compress(content)
        path = tmp_path / "t.vot.gz"
    # The last record of a FITS file is followed by padding, which may be missing without harm.
    path.write_bytes(content[: int(len(content) * keep)])
    if suffix == ".ecsv":
        # A line is cut in the middle, or lines are missing: only the former can be seen.
        path.write_bytes(path.read_bytes().rpartition(b"\n")[0] + b"\n12")
    with pytest.raises(InputError, match="damaged"):
        io.read(path)


@pytest.mark.parametrize("suffix", [".parquet", ".fits", ".vot", ".ecsv", ".csv"])
def test_random_damage_is_an_input_error_or_a_table(tmp_path: Path, suffix: str) -> None:
    table = pl.DataFrame({"id": range(40), "x": [i / 7 for i in range(40)], "s": [f"star {i}" for i in range(40)]})
    path = tmp_path / f"t{suffix}"
    io.write(table, path, metadata={"k": "v"})
    good = path.read_bytes()
    random = np.random.default_rng(0)
    for _ in range(40):
        bad = bytearray(good)
        for place in random.integers(0, len(bad), 3):
            bad[place] = random.integers(0, 256)
        path.write_bytes(bytes(bad))
        # Whatever else were raised would fail the test.
        with suppress(InputError):
            io.read(path)


def test_the_error_message_of_an_archive_is_passed_on(tmp_path: Path) -> None:
    (tmp_path / "t.vot").write_bytes(ERROR)
    with pytest.raises(InputError, match="error message of the archive: Unknown column teffx"):
        io.read(tmp_path / "t.vot")
    (tmp_path / "t.vot").write_bytes(ERROR.replace(b'"ERROR"', b'"OK"'))
    with pytest.raises(InputError, match="without a table"):
        io.read(tmp_path / "t.vot")


def test_missing_files(tmp_path: Path) -> None:
    (tmp_path / "gaia.parquet").write_bytes(b"")
    with pytest.raises(InputError, match=r"Did you mean 'gaia\.parquet'"):
        io.read(tmp_path / "gaia.parqet")
    with pytest.raises(InputError, match="does not exist"):
        io.read(tmp_path / "nowhere" / "gaia.parquet")
    with pytest.raises(InputError, match=r"Did you mean 'gaia\.parquet'"):
        io.read(tmp_path / "gaia.parque#2")
    with pytest.raises(InputError, match="is an address"):
        io.read("https://example.org/gaia.parquet")


@pytest.mark.parametrize("suffix", [".parquet", ".vot", ".ecsv", ".csv"])
def test_only_fits_has_extensions(tmp_path: Path, suffix: str) -> None:
    io.write(TABLE, tmp_path / f"t{suffix}")
    with pytest.raises(InputError, match="Leave out '#2'"):
        io.read(tmp_path / f"t{suffix}#2")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("t.hdf5", "suffix '.hdf5'"),
        ("t", "no suffix"),
        ("t.parqet", "Did you mean '.parquet'"),
        ("t.csv.gz", r"\.csv\.gz"),
    ],
)
def test_what_cannot_be_written(tmp_path: Path, name: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        io.write(TABLE, tmp_path / name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", [".parquet", ".fits", ".vot", ".ecsv", ".csv"])
def test_missing_columns_of_a_file_are_all_named(tmp_path: Path, suffix: str) -> None:
    io.write(TABLE, tmp_path / f"t{suffix}")
    with pytest.raises(InputError, match="2 problems") as error:
        io.read(tmp_path / f"t{suffix}", columns=["idd", "x", "teff"])
    assert "Did you mean 'id'" in str(error.value)
    assert str(tmp_path) in str(error.value)
    assert io.read(tmp_path / f"t{suffix}", columns=["x", "id"]).columns == ["x", "id"]
