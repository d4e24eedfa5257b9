"""Files that are not what they seem: the error says what was found and what to do."""

from __future__ import annotations

import gzip
from contextlib import suppress
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from astropy.io import fits

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


def with_naxis2(path: Path, rows: int, told: int) -> None:
    """Let the first table of a FITS file say that it has another number of rows than it has."""
    content = path.read_bytes()
    card = f"NAXIS2  = {rows:>20}".encode()
    assert card in content
    path.write_bytes(content.replace(card, f"NAXIS2  = {told:>20}".encode(), 1))


@pytest.mark.parametrize("told", [0, 1, 2000, 2999])
def test_a_fits_table_with_more_rows_than_its_header_says(tmp_path: Path, told: int) -> None:
    path = tmp_path / "t.fits"
    # The file ends with its last row but one block's padding: also one row too few is seen.
    io.write(pl.DataFrame({"id": range(1, 3001), "x": np.ones(3000)}), path)
    with_naxis2(path, 3000, told)
    with pytest.raises(InputError, match=f"NAXIS2 says {told} rows, and more data follow") as error:
        io.open_table(path)
    assert str(path) in str(error.value)
    assert "make it again" in str(error.value)
    packed = tmp_path / "t.fits.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    with pytest.raises(InputError, match=f"NAXIS2 says {told} rows, and more data follow"):
        io.read(packed)


def test_a_fits_table_that_would_reach_into_the_next_extension(tmp_path: Path) -> None:
    tables = [fits.BinTableHDU.from_columns([fits.Column("x", "K", array=np.arange(1, 501))]) for _ in range(2)]
    path = tmp_path / "two.fits"
    fits.HDUList([fits.PrimaryHDU(), *tables]).writeto(path)
    assert io.open_table(path).n_rows == 500
    with_naxis2(path, 500, 900)
    with pytest.raises(InputError, match="NAXIS2 says 900 rows, and more data follow"):
        io.open_table(path)
    with_naxis2(path, 900, 90_000)
    with pytest.raises(InputError, match="NAXIS2 says 90000 rows, the file ends after"):
        io.open_table(path)


@pytest.mark.parametrize("suffix", [".parquet", ".fits", ".fits.gz", ".vot", ".ecsv", ".csv", ".hats"])
@pytest.mark.parametrize("n", [0, 1])
def test_no_row_and_one_row(tmp_path: Path, suffix: str, n: int) -> None:
    table = pl.DataFrame({"id": [7], "ra": [1.5], "dec": [-2.5], "name": ["a"]}).head(n)
    io.write(table, tmp_path / f"t{suffix}")
    source = io.open_table(tmp_path / f"t{suffix}")
    assert source.n_rows == n
    assert source.read(table.columns).rows() == table.rows()
    assert sum(batch.height for batch in source.batches(1000)) == n


def test_a_directory_of_mixed_schemas_names_every_file(tmp_path: Path) -> None:
    TABLE.write_parquet(tmp_path / "1.parquet")
    TABLE.with_columns(pl.col("x").cast(pl.String)).write_parquet(tmp_path / "2.parquet")
    TABLE.rename({"id": "ID"}).write_parquet(tmp_path / "3.parquet")
    TABLE.select("x").write_parquet(tmp_path / "4.parquet")
    # Another order, and a narrower type, are no difference.
    TABLE.select(pl.col("x").cast(pl.Float32), "id").write_parquet(tmp_path / "5.parquet")
    with pytest.raises(InputError, match="3 problems") as error:
        io.open_table(tmp_path)
    for said in ("x is String, not Float64", "lacks id; adds ID", "lacks id;"):
        assert said in str(error.value)
    for number in (2, 3, 4):
        assert str(tmp_path / f"{number}.parquet") in str(error.value)


def test_a_truncated_file_of_a_hats_catalogue_is_named(tmp_path: Path) -> None:
    table = pl.DataFrame({"ra": np.linspace(0, 359, 3000), "dec": np.zeros(3000)})
    io.write(table, tmp_path / "sky.hats")
    file = next((tmp_path / "sky.hats").rglob("Npix=*.parquet"))
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(InputError, match="damaged Parquet file") as error:
        io.open_table(tmp_path / "sky.hats")
    assert str(file) in str(error.value)
