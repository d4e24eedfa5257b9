"""VOTables as services write them: which table is read, what is said about it, and what is refused."""

from __future__ import annotations

import gzip
import io as std
import struct
from pathlib import Path

import polars as pl
import pytest
from astropy.io import fits

from starscale import io
from starscale.io.votable.source import described_fields
from starscale.vocabulary.errors import InputError
from support.votable_documents import NAMESPACE, cells, column, document, field, save, stream

ID = field("source_id", "long")
TWO_STARS = column("4295806720", "34361129088")
STARS = [4295806720, 34361129088]
OVERFLOW = '<INFO name="QUERY_STATUS" value="OVERFLOW"/>'


def refused(path: Path, text: str | bytes, said: str) -> None:
    with pytest.raises(InputError, match=said) as error:
        io.read(save(path, text))
    assert path.name in str(error.value)


@pytest.mark.parametrize("version", ["1.0", "1.1", "1.2", "1.3", "1.4", "1.5"])
def test_every_version(tmp_path: Path, version: str) -> None:
    path = save(tmp_path / "t.vot", document(ID, TWO_STARS, version=version))
    assert io.read(path)["source_id"].to_list() == STARS


@pytest.mark.parametrize("where", ["before", "after", "in the table", "in the root"])
def test_overflow_is_noted_with_the_row_count(tmp_path: Path, where: str) -> None:
    text = {
        "before": document(ID, TWO_STARS, before=OVERFLOW),
        "after": document(ID, TWO_STARS, before='<INFO name="QUERY_STATUS" value="OK"/>', after=OVERFLOW),
        "in the table": document(ID, TWO_STARS + OVERFLOW),
        "in the root": document(ID, TWO_STARS).replace("</VOTABLE>", f"{OVERFLOW}</VOTABLE>"),
    }[where]
    source = io.open_table(save(tmp_path / "t.vot", text))
    (note,) = source.notes
    assert "after 2 rows (QUERY_STATUS = OVERFLOW)" in note
    assert source.metadata["QUERY_STATUS"] == "OVERFLOW"
    assert source.read()["source_id"].to_list() == STARS


def test_a_warning_of_an_incomplete_result_is_noted(tmp_path: Path) -> None:
    warning = '<INFO name="warning" value="Query result probably incomplete due to the match limit"/>'
    (note,) = io.open_table(save(tmp_path / "t.vot", document(ID, TWO_STARS, before=warning))).notes
    assert "cut the table off after 2 rows (Query result probably incomplete" in note
    other = '<INFO name="warning" value="No center provided"/>'
    assert io.open_table(save(tmp_path / "t.vot", document(ID, TWO_STARS, before=other))).notes == ()


@pytest.mark.parametrize(
    "text",
    [
        document(ID, TWO_STARS, after='<INFO name="QUERY_STATUS" value="ERROR">the disk\n was full</INFO>'),
        document(ID, before='<INFO name="query_status" value="Error">the disk was full</INFO>'),
        f'<VOTABLE {NAMESPACE}><INFO ID="Error" name="Error" value="the disk was full"/></VOTABLE>',
        f'<VOTABLE {NAMESPACE}><PARAM name="Error" datatype="char" value="the disk was full"/></VOTABLE>',
    ],
)
def test_errors_of_services(tmp_path: Path, text: str) -> None:
    refused(tmp_path / "t.vot", text, "is an error message of the archive: the disk was full")


META = f'<RESOURCE type="meta"><TABLE name="about">{field("a", "int")}{column("7")}</TABLE></RESOURCE>'


def test_the_table_of_the_results_is_read(tmp_path: Path) -> None:
    empty = f"<TABLE>{field('none', 'int')}</TABLE>"
    text = document(ID, TWO_STARS, before=empty).replace("<RESOURCE", f"{META}<RESOURCE", 1)
    source = io.open_table(save(tmp_path / "t.vot", text))
    assert source.read()["source_id"].to_list() == STARS
    assert source.notes == (
        "the file has other tables, which are not read: #1 about (1 row); "
        "choose one with FILE#NAME or FILE#NUMBER",
    )


@pytest.mark.parametrize(("part", "value"), [("one", 1), ("T1", 1), ("1", 1), ("2", 2), ("Two", 2), ("twO", 2)])
def test_a_table_is_chosen(tmp_path: Path, part: str, value: int) -> None:
    other = f'<TABLE name="Two">{field("b", "int")}{stream("BINARY", struct.pack(">i", 2))}</TABLE>'
    text = document(field("b", "int"), column("1"), table='name="one" ID="T1"', after=other)
    path = save(tmp_path / "t.vot", text)
    source = io.open_table(f"{path}#{part}")
    assert source.read()["b"].to_list() == [value]
    assert f"#{3 - value}" in source.notes[0]
    assert "(1 row)" in source.notes[0]
    with pytest.raises(InputError, match=r"no such table; expected one of: 1 one; 2 Two\. Did you mean 'Two'"):
        io.read(f"{path}#twoo")


def test_a_table_with_the_columns_of_another(tmp_path: Path) -> None:
    other = f'<TABLE name="two" ref="T1">{TWO_STARS}</TABLE>'
    text = document(ID, column("1"), table='ID="T1"', after=other)
    assert io.read(f"{save(tmp_path / 't.vot', text)}#two")["source_id"].to_list() == STARS


@pytest.mark.parametrize("prefix", ["vot", "v", "VOTable-1.4"])
def test_namespace_prefixes(tmp_path: Path, prefix: str) -> None:
    for data in (TWO_STARS, stream("BINARY2", struct.pack(">xqxq", *STARS))):
        text = document(ID, data).replace("</", "\0").replace("<", f"<{prefix}:").replace("\0", f"</{prefix}:")
        text = text.replace(f"<{prefix}:?", "<?").replace("xmlns=", f"xmlns:{prefix}=")
        assert io.read(save(tmp_path / "t.vot", text))["source_id"].to_list() == STARS


@pytest.mark.parametrize("encoding", ["UTF-8", "UTF-16", "utf-16-be", "ISO-8859-1", "windows-1252", "us-ascii"])
def test_encodings_of_the_document(tmp_path: Path, encoding: str) -> None:
    word = "AE" if encoding == "us-ascii" else "Æé"
    text = document(field(word, "char", arraysize="*"), column(word, "b" * 3))
    text = text.replace('"1.0"', f'"1.0" encoding="{encoding}"', 1)
    path = save(tmp_path / "t.vot", text.encode(encoding))
    assert io.read(path).to_dict(as_series=False) == {word: [word, "bbb"]}
    save(tmp_path / "t.vot", b"\xef\xbb\xbf" + document(ID, TWO_STARS).encode())
    assert io.read(tmp_path / "t.vot")["source_id"].to_list() == STARS
    refused(tmp_path / "t.vot", text.replace(encoding, "klingon").encode(), "encoding 'klingon'")


def fits_file(*, packed: bool = False) -> bytes:
    columns = [
        fits.Column("source_id", "K", array=STARS),
        fits.Column("n", "J", array=[-1, 5], null=-1),
    ]
    file = std.BytesIO()
    fits.HDUList([fits.PrimaryHDU(), fits.BinTableHDU.from_columns(columns)]).writeto(file)
    return gzip.compress(file.getvalue()) if packed else file.getvalue()


@pytest.mark.parametrize("packed", [False, True])
def test_a_fits_file_inside(tmp_path: Path, *, packed: bool) -> None:
    fields = field("id", "long", ucd="meta.id;meta.main") + field("n", "int", unit="d")
    data = stream("FITS", fits_file(packed=packed), "base64 gzip" if packed else "base64", ' extnum="1"')
    source = io.open_table(save(tmp_path / "t.vot", document(fields, data, table='nrows="2"')))
    assert source.read().to_dict(as_series=False) == {"id": STARS, "n": [None, 5]}
    assert (source.columns["id"].ucd, source.columns["n"].unit) == ("meta.id;meta.main", "d")
    assert source.format == "votable"
    refused(tmp_path / "t.vot", document(fields, data, table='nrows="3"'), "nrows says 3 rows, and there are 2")
    without = io.read(save(tmp_path / "u.vot", document("", data)))
    assert without.to_dict(as_series=False) == {"source_id": STARS, "n": [None, 5]}
    refused(tmp_path / "t.vot", document(ID, data), "describes 1 columns, and the FITS file in it has 2")
    refused(tmp_path / "t.vot", document(fields, stream("FITS", fits_file()[:5770])), r"t\.vot: .*FITS file")


@pytest.mark.parametrize("data", ["BINARY", "BINARY2", "FITS"])
@pytest.mark.parametrize(
    "href", ["file:///etc/hostname", "/etc/hostname", "http://localhost:9/x", "ftp://x/y", ""]
)
def test_rows_elsewhere_are_never_fetched(tmp_path: Path, data: str, href: str) -> None:
    place = f'<DATA><{data}><STREAM href="{href}"/></{data}></DATA>'
    refused(tmp_path / "t.vot", document(ID, place), r"has its rows elsewhere .*never opened")
    other = f'<TABLE name="far">{ID}{place}</TABLE>'
    source = io.open_table(save(tmp_path / "t.vot", document(ID, TWO_STARS, after=other)))
    assert "#2 far (rows in another file)" in source.notes[0]


def test_rows_in_a_parquet_file(tmp_path: Path) -> None:
    place = '<DATA><PARQUET type="VOTable-remote-file"><STREAM href="t.parquet"/></PARQUET></DATA>'
    refused(tmp_path / "t.vot", document(ID, place), r"Parquet file, t\.parquet.*Read the Parquet file itself")


def test_document_types_and_entities_are_refused(tmp_path: Path) -> None:
    text = document(field("a", "char", arraysize="*"), column("&x;"))
    for doctype in ('VOTABLE SYSTEM "http://us-vo.org/xml/VOTable.dtd"', 'VOTABLE [<!ENTITY x SYSTEM "t.vot">]'):
        refused(tmp_path / "t.vot", text.replace("<VOTABLE", f"<!DOCTYPE {doctype}><VOTABLE", 1), "DOCTYPE")
    refused(tmp_path / "t.vot", text, "undefined entity")


def test_a_stream_packed_with_gzip(tmp_path: Path) -> None:
    raw = gzip.compress(struct.pack(">qq", *STARS))
    for encoding in ("gzip", "gzip base64"):
        path = save(tmp_path / "t.vot", document(ID, stream("BINARY", raw, encoding)))
        assert io.read(path)["source_id"].to_list() == STARS
    refused(tmp_path / "t.vot", document(ID, stream("BINARY", raw[:-9], "gzip")), "damaged VOTable .*cut short")
    refused(tmp_path / "t.vot", document(ID, stream("BINARY", raw, "dynamic")), "encoding 'dynamic'")


@pytest.mark.parametrize("data", ["BINARY", "BINARY2", "FITS"])
def test_binary_rows_without_a_stream(tmp_path: Path, data: str) -> None:
    refused(tmp_path / "t.vot", document(ID, f"<DATA><{data}/></DATA>"), f"its {data} has no STREAM")


def test_markup_among_the_rows(tmp_path: Path) -> None:
    rows = (
        "<DATA><TABLEDATA><TR><TD><![CDATA[</TR></TABLEDATA>&<]]></TD></TR><!-- <TR></TABLEDATA> --></TABLEDATA>"
    )
    path = save(tmp_path / "t.vot", document(field("a", "char", arraysize="*"), f"{rows}</DATA>"))
    assert io.open_table(path).n_rows == 1
    assert io.read(path)["a"].to_list() == ["</TR></TABLEDATA>&<"]
    plain = stream("BINARY", struct.pack(">qq", *STARS))
    marked = plain.replace('base64">', 'base64"><![CDATA[').replace("</STREAM>", "]]><!-- end --></STREAM>")
    assert io.read(save(tmp_path / "t.vot", document(ID, marked)))["source_id"].to_list() == STARS


def test_repeated_and_missing_names(tmp_path: Path) -> None:
    fields = field("a", "int") + field("a", "int") + '<FIELD ID="c" datatype="int"/>'
    source = io.open_table(save(tmp_path / "t.vot", document(fields, cells(("1", "2", "3")))))
    assert source.read().to_dict(as_series=False) == {"a": [1], "a_2": [2], "c": [3]}
    (note,) = source.notes
    assert "'a' is repeated" in note
    assert "a_2" in note


@pytest.mark.parametrize(
    "data",
    [
        "",
        "<DATA/>",
        "<DATA><TABLEDATA/></DATA>",
        "<DATA><TABLEDATA>\n</TABLEDATA></DATA>",
        '<DATA><BINARY><STREAM encoding="base64"/></BINARY></DATA>',
        stream("BINARY2", b""),
    ],
)
def test_tables_without_rows(tmp_path: Path, data: str) -> None:
    source = io.open_table(save(tmp_path / "t.vot", document(ID, data, table='nrows="0"')))
    assert (source.n_rows, source.read().schema) == (0, pl.Schema({"source_id": pl.Int64()}))
    refused(tmp_path / "t.vot", document(ID, data, table='nrows="2"'), "nrows says 2 rows, and there are 0")


@pytest.mark.parametrize("data", [TWO_STARS, stream("BINARY", struct.pack(">qq", *STARS))])
@pytest.mark.parametrize("stated", [1, 3])
def test_stated_rows_are_compared(tmp_path: Path, data: str, stated: int) -> None:
    refused(tmp_path / "t.vot", document(ID, data, table=f'nrows="{stated}"'), "damaged .*and there are 2")


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("<TR><TD>1</TD></TR>", "row 1 has not the 2 cells"),
        ("<TR><TD>1</TD><TD>2</TD></TR><TR><TD>1</TD><TD>2</TD><TD>3</TD></TR>", "row 2 has not the 2 cells"),
        ("<TR><TD>1</TD><TD>2</TD><TD>1</TD><TD>2</TD></TR>", "row 1 has not the 2 cells"),
        ("<TD>1</TD><TD>2</TD>", "row 0 has not the 2 cells"),
        ("<TR/><TR><TD>1</TD><TD>2</TD></TR>", "row 1 has not the 2 cells"),
        ("<TR><TD>1</TD>2<TD>3</TD></TR>", "text is between its cells: '2'"),
        ("<TR><TD>1</TD><TX>2</TX></TR>", "element TX is between its cells"),
        ("<TR><TD>1</TD><TD>2</TD>", "mismatched tag"),
        ('<TR><TD>1</TD><TD encoding="base64">AAAAAg==</TD></TR>', "encoding base64 cannot be read"),
    ],
)
def test_damaged_rows(tmp_path: Path, rows: str, said: str) -> None:
    fields = field("a", "int") + field("b", "int")
    refused(tmp_path / "t.vot", document(fields, f"<DATA><TABLEDATA>{rows}</TABLEDATA></DATA>"), said)


def test_fields_that_vo_table_does_not_have(tmp_path: Path) -> None:
    fields = field("a", "quaternion") + field("b", "int", arraysize="*x3")
    with pytest.raises(InputError) as error:
        io.read(save(tmp_path / "t.vot", document(fields, cells(("1", "2")))))
    assert [problem.where.rpartition("column ")[2] for problem in error.value.problems] == ["'a'", "'b'"]
    refused(tmp_path / "t.vot", document("", column("1")), "table without columns")


@pytest.mark.parametrize(
    ("system", "frame", "epoch"),
    [
        ('system="ICRS" epoch="J2016.0"', "ICRS", 2016.0),
        ('system="ICRS" epoch="1991.25"', "ICRS", 1991.25),
        ('system="eq_FK4" equinox="B1950.0"', "FK4", None),
        ('system="eq_FK4" equinox="B1950.0" epoch="B1950"', "FK4", 1949.99979),
        ('system="eq_FK5" equinox="J2000" epoch="J2000.000"', "FK5", 2000.0),
        ('system="eq_FK5" equinox="J1975"', "FK5 J1975", None),
        ('equinox="B1875.0"', "FK4 B1875", None),
        ('equinox="2000."', "FK5", None),
        ('system="galactic"', "GALACTIC", None),
        ('system="ecl_FK5"', "ecl_FK5", None),
        ('system="UNKNOWN"', "", None),
        ('epoch="J2000"', "", 2000.0),
    ],
)
def test_frame_and_epoch_of_the_positions(tmp_path: Path, system: str, frame: str, epoch: float | None) -> None:
    fields = field("ra", "double", unit="deg", ref="s") + field("dec", "double", unit="deg", ref="s")
    text = document(fields, cells(("1", "2")), before=f'<COOSYS ID="s" {system}/>')
    source = io.open_table(save(tmp_path / "t.vot", text))
    assert (source.frame, source.epoch) == (frame, epoch if epoch is None else pytest.approx(epoch, abs=1e-5))
    io.write(source.read(), tmp_path / "u.vot", columns=source.columns, metadata=source.metadata)
    again = io.open_table(tmp_path / "u.vot")
    assert again.frame == frame
    if frame:
        assert again.epoch == source.epoch


def test_the_system_is_that_of_the_main_position(tmp_path: Path) -> None:
    systems = '<COOSYS ID="g" system="galactic"/><COOSYS ID="o" system="eq_FK4"/>'
    systems += '<COOSYS ID="s" system="ICRS" epoch="J2016"/>'
    fields = [
        field("l", "double", unit="deg", ref="g"),
        field("old", "double", unit="deg", ref="o", ucd="pos.eq.ra"),
        field("ra", "double", ID="ra_id", unit="deg", ucd="pos.eq.ra;meta.main"),
        field("dec", "double", unit="deg", ref="s", ucd="pos.eq.dec;meta.main"),
    ]
    rows = cells(("1", "2", "3", "4"))
    source = io.open_table(save(tmp_path / "t.vot", document("".join(fields), rows, before=systems)))
    assert (source.frame, source.epoch) == ("ICRS", 2016.0)
    source = io.open_table(
        save(tmp_path / "t.vot", document("".join(fields[:3]), cells(("1", "2", "3")), before=systems))
    )
    assert source.frame == "FK4"
    group = '<GROUP ref="s"><FIELDref ref="ra_id"/></GROUP>'
    text = document("".join(fields[:3]) + group, cells(("1", "2", "3")), before=systems)
    assert io.open_table(save(tmp_path / "t.vot", text)).frame == "ICRS"


@pytest.mark.parametrize("reference", ['ID="C"', ""])
def test_the_only_system_of_a_document_needs_no_reference(tmp_path: Path, reference: str) -> None:
    system = f'<DEFINITIONS><COOSYS {reference} system="eq_FK5" epoch="2000."/></DEFINITIONS>'
    text = document(field("RA", "double"), column("1")).replace("<RESOURCE", f"{system}<RESOURCE", 1)
    source = io.open_table(save(tmp_path / "t.vot", text))
    assert (source.frame, source.epoch) == ("FK5", 2000.0)


@pytest.mark.parametrize(("origin", "noted"), [("2455197.5", 1), ("MJD-origin", 0), ("2400000.5", 0), ("0", 0)])
def test_an_origin_of_times_is_noted(tmp_path: Path, origin: str, noted: int) -> None:
    system = f'<TIMESYS ID="t" timescale="TCB" refposition="BARYCENTER" timeorigin="{origin}"/>'
    text = document(field("time", "double", unit="d", ref="t"), column("1700.5"), before=system, version="1.5")
    source = io.open_table(save(tmp_path / "t.vot", text))
    assert [note for note in source.notes if "'time' count from JD 2455197.5" in note] == list(source.notes)
    assert len(source.notes) == noted
    assert source.frame == ""


@pytest.mark.parametrize(
    "unit", ["days", "dex", "Angle[deg]", "mag(AB)", "log(cm.s**-2)", "'electron'.s**-1", "m/s"]
)
def test_units_are_passed_on_as_they_are_written(tmp_path: Path, unit: str) -> None:
    source = io.open_table(save(tmp_path / "t.vot", document(field("x", "double", unit=unit), column("1"))))
    assert source.columns["x"].unit == unit


def test_a_description_of_parquet_opens_nothing(tmp_path: Path) -> None:
    place = '<DATA><BINARY><STREAM href="file:///etc/hostname"/></BINARY></DATA>'
    assert described_fields(document(field("x", "double", unit="mag", ucd="a.b"), place)) == {
        "x": {"unit": "mag", "ucd": "a.b", "description": ""}
    }
    assert described_fields("<VOTABLE>") == {}
