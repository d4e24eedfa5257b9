"""Text tables as other programs write them: separators, comments, units, repeated headers, words for "missing"."""

from __future__ import annotations

import codecs
import gzip
from pathlib import Path
from typing import Any

import pytest

import starscale as ss
from starscale import io
from starscale.vocabulary.errors import InputError

VIZIER = """#
#   VizieR Astronomical Server
#Table\tII_355_gaiadr3:
#Column\tSource\t(I19)\tUnique source identifier\t[ucd=meta.id;meta.main]
#Column\tRA_ICRS\t(F15.11)\tRight ascension\t[ucd=pos.eq.ra;meta.main]
#Column\tCflg\t(A3)\tContamination
Source\tRA_ICRS\tCflg
 \tdeg\t
----------\t----------\t---
4295806720\t44.5\t000
34361129088\t\t010
"""


def made(tmp_path: Path, content: str | bytes, name: str = "t.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def opened(tmp_path: Path, content: str | bytes, name: str = "t.csv") -> tuple[io.Source, dict[str, list[Any]]]:
    source = io.open_table(made(tmp_path, content, name))
    table = source.read()
    assert table.schema == source.schema
    assert table.height == source.n_rows
    assert source.lazy().collect().equals(table)
    return source, table.to_dict(as_series=False)


@pytest.mark.parametrize(
    ("content", "name", "expected"),
    [
        # A name left out at the beginning (pandas), and separators at the end.
        ("\tra\tu\n5\t10.5\t\n3\t11.5\t\n", "t.tsv", {"index": [5, 3], "ra": [10.5, 11.5], "u": [None, None]}),
        ("\tra\tdec\n5\t10.5\t1\n", "t.csv", {"index": [5], "ra": [10.5], "dec": [1]}),
        ("a,b,\n1,2,\n3,4,\n", "t.csv", {"a": [1, 3], "b": [2, 4]}),
        ("a\tb\t\n1\t2\t\n", "t.tsv", {"a": [1], "b": [2]}),
        ("a,b,\n1,2\n3,4\n", "t.csv", {"a": [1, 3], "b": [2, 4]}),
        ("a,b,\n1,2,7\n", "t.csv", {"a": [1], "b": [2], "column_3": [7]}),
        # Separators.
        ("a|b\n1|2\n", "t.csv", {"a": [1], "b": [2]}),
        ("sep=;\na;b\n1;2\n", "t.csv", {"a": [1], "b": [2]}),
        ("a;b, c\n1;x\n", "t.csv", {"a": [1], "b, c": ["x"]}),
        ("a\tb, c\n1\tx, y\n", "t.txt", {"a": [1], "b, c": ["x, y"]}),
        # Comments that look like a header, and headers that look like a comment.
        ("# SELECT id, ra FROM gaia\nid,ra\n1,2.5\n", "t.csv", {"id": [1], "ra": [2.5]}),
        ("# M67, Gaia\nid,ra\n1,2.5\n", "t.csv", {"id": [1], "ra": [2.5]}),
        ("# M67, Gaia\nname,ra\nx,--\ny,2.5\n", "t.csv", {"name": ["x", "y"], "ra": [None, 2.5]}),
        ("# by hand\n#name,class\nVega,A0V\n", "t.csv", {"name": ["Vega"], "class": ["A0V"]}),
        ("#name,ra\nVega,--\nSirius,101.3\n", "t.csv", {"name": ["Vega", "Sirius"], "ra": [None, 101.3]}),
        ("#x y\n#id,ra\n1,2\n", "t.csv", {"id": [1], "ra": [2]}),
        # Quotation marks.
        ('a, "b"\n1, "x, y"\n2, ""\n3,\n', "t.csv", {"a": [1, 2, 3], "b": ["x, y", "", None]}),
        ('"a" , "b"\n"1" , "x"\n', "t.csv", {"a": [1], "b": ["x"]}),
        ('a,b\n1,5" wide\n2,y\n', "t.csv", {"a": [1, 2], "b": ['5" wide', "y"]}),
        ('a,b\n1,"x\n, ""y"""\n', "t.csv", {"a": [1], "b": ['x\n, "y"']}),
        # Blanks, bars and positions divide the fields.
        ("source_id ra\n4295806720 44.5\n7 1.5\n", "t.txt", {"source_id": [4295806720, 7], "ra": [44.5, 1.5]}),
        ('# id  name\n  1   "a b"\n 22  ""\n', "t.ascii", {"id": [1, 22], "name": ["a b", ""]}),
        ("# id ra\n\n1 2.5\n  \n3 4\n", "t.dat", {"id": [1, 3], "ra": [2.5, 4.0]}),
        ("| id |  ra |\n|  1 | 2.5 |\n|  3 |     |\n", "t.txt", {"id": [1, 3], "ra": [2.5, None]}),
        ("+----+----+\n| id | n  |\n+----+----+\n| 1  | ab |\n+----+----+\n", "t.txt", {"id": [1], "n": ["ab"]}),
        (" id | n \n----+---\n 1  | x\n 2  | \n(2 rows)\n", "t.txt", {"id": [1, 2], "n": ["x", None]}),
        ("id  name\n--- -----\n  1 a b\n  2\n", "t.txt", {"id": [1, 2], "name": ["a b", None]}),
    ],
)
def test_layouts(tmp_path: Path, content: str, name: str, expected: dict[str, list[Any]]) -> None:
    assert opened(tmp_path, content, name)[1] == expected


@pytest.mark.parametrize("encoded", ["utf-8-sig", "utf-16", "utf-16-be"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_encodings_and_line_ends(tmp_path: Path, encoded: str, end: str) -> None:
    mark = codecs.BOM_UTF16_BE if encoded == "utf-16-be" else b""
    content = mark + end.join(["id,name", '1,"é, ""x"""', "2,", ""]).encode(encoded)
    expected = {"id": [1, 2], "name": ['é, "x"', None]}
    assert opened(tmp_path, content)[1] == expected
    assert opened(tmp_path, gzip.compress(content), "t.csv.gz")[1] == expected


@pytest.mark.parametrize("separator", ["\t", ";", "|"])
def test_vizier(tmp_path: Path, separator: str) -> None:
    comments, _, table = VIZIER.partition("Source\tRA")
    content = comments + "Source\tRA".replace("\t", separator) + table.replace("\t", separator)
    source, table = opened(tmp_path, content, "asu.tsv")
    assert table == {"Source": [4295806720, 34361129088], "RA_ICRS": [44.5, None], "Cflg": ["000", "010"]}
    about = source.columns["RA_ICRS"]
    assert (about.unit, about.ucd, about.description) == ("deg", "pos.eq.ra;meta.main", "Right ascension")


def test_a_text_column_of_vizier_is_text(tmp_path: Path) -> None:
    assert opened(tmp_path, VIZIER.replace("\t000", "\t1E5").replace("\t010", "\t1.10"))[1]["Cflg"] == [
        "1E5",
        "1.10",
    ]


def test_a_line_of_units(tmp_path: Path) -> None:
    source, table = opened(tmp_path, "name,ra,mag\n,deg,mag\nx,1.5,2\ny,2.5,\n")
    assert table == {"name": ["x", "y"], "ra": [1.5, 2.5], "mag": [2, None]}
    assert [about.unit for about in source.columns.values()] == ["", "deg", "mag"]
    assert "read as units" in source.notes[0]
    # A word that is no unit, or that means "missing", is a value.
    assert opened(tmp_path, "ra,mag\nfaint,mag\n1,2\n")[1]["ra"] == ["faint", "1"]
    assert opened(tmp_path, "ra,mag\nnull,NA\n1,2\n")[1]["ra"] == [None, 1]


@pytest.mark.parametrize(
    ("content", "note"),
    [
        ("a,b\n1,2\na,b\n3,4\n", "1 line of a repeated header left out (the first is line 3)"),
        ("#a,b\n1,2\n#a,b\n3,4\n", "1 line of a repeated header left out (the first is line 3)"),
        ("\ufeffa,b\n1,2\n\ufeffa,b\n3,4\n", "1 line of a repeated header left out (the first is line 3)"),
        ("# x\na,b\n1,2\n# 9,9\n3,4\n# end\n", "2 lines of comment among the rows left out (the first is line 4)"),
    ],
)
def test_lines_that_are_no_rows_are_left_out_and_said(tmp_path: Path, content: str, note: str) -> None:
    source, table = opened(tmp_path, content)
    assert table == {"a": [1, 3], "b": [2, 4]}
    assert source.notes == (note,)


def test_two_tables_of_vizier_in_one_file(tmp_path: Path) -> None:
    assert opened(tmp_path, VIZIER + "\n" + VIZIER)[1]["RA_ICRS"] == [44.5, None, 44.5, None]
    with pytest.raises(InputError, match=r"another table begins"):
        opened(tmp_path, VIZIER + "\n" + VIZIER.replace("RA_ICRS", "RA"))


def test_repeated_names_are_said(tmp_path: Path) -> None:
    (note,) = opened(tmp_path, "a,a\n1,2\n")[0].notes
    assert note == "the column name 'a' is repeated: its columns are called a, a_2"


@pytest.mark.parametrize(
    "content",
    ["4295806720,10.5\n34361129088,11.5\n", "Vega,10.5\nSirius,11.5\n", "# by hand\n1,2\n", "12:30:45,x\n1,2\n"],
)
def test_a_header_that_is_missing(tmp_path: Path, content: str) -> None:
    with pytest.raises(InputError, match="has no header line: its first line contains the number"):
        opened(tmp_path, content)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("dec,ra\n1,2\nra,dec\n3,4\n", "row 2 is a header with the columns in another order"),
        ("a,b\n1,2\n\n3\n", "line 4: has 1 fields; expected 2"),
        ('a,b\n1,"x\n2,y\n', "a quotation mark that is never closed"),
        ('a,b\n1,"x"y\n', "line 2: has a misplaced quotation mark"),
        ("a,b\n1,\xe9\n".encode("latin-1"), "line 2: is not UTF-8 text.*iconv"),
    ],
)
def test_what_is_refused(tmp_path: Path, content: str | bytes, said: str) -> None:
    with pytest.raises(InputError, match=said):
        opened(tmp_path, content)


@pytest.mark.parametrize("quote", ['"', ""])
def test_a_field_of_any_length(tmp_path: Path, quote: str) -> None:
    long = "x" * 200_000
    assert opened(tmp_path, f"a,b\n1,{quote}{long}{quote}\n")[1] == {"a": [1], "b": [long]}
    assert opened(tmp_path, f"a\n{quote}{long}{quote}\n")[1] == {"a": [long]}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["000", "7"], ["000", "7"]),
        (["-00", "-01"], ["-00", "-01"]),
        (["00", "1.5"], ["00", "1.5"]),
        (["007", "null"], ["007", None]),
        (["0", "10"], [0, 10]),
        (["00.5", "01.5"], [0.5, 1.5]),
        (["0.10", "1E5"], [0.1, 1e5]),
        # 2^53 + 1 is no double; in a column of whole numbers it stays one.
        (["9007199254740993", "1e3"], ["9007199254740993", "1e3"]),
        (["-9007199254740993", "0.5"], ["-9007199254740993", "0.5"]),
        (["9223372036854775807", "0.5"], ["9223372036854775807", "0.5"]),
        (["9007199254740994", "0.5"], [9007199254740994.0, 0.5]),
        (["9007199254740993", "3"], [9007199254740993, 3]),
        (["1e30", "0.5"], [1e30, 0.5]),
        (["-", "-"], ["-", "-"]),
        *(([word, "1"], [None, 1]) for word in ("null", "NaN", "nan", "N/A", "--", "---", "\\N", "NULL", "<NA>")),
        *(([word, "x"], [word, "x"]) for word in ("null", "NaN", "NA", "--")),
        *(([word, word], [None, None]) for word in ("null", "NA", "--")),
    ],
)
def test_digits_and_words(tmp_path: Path, values: list[str], expected: list[Any]) -> None:
    assert opened(tmp_path, "k,x\n" + "".join(f"a,{value}\n" for value in values))[1]["x"] == expected


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("number", ["9007199254740993", "-9007199254740993", "18446744073709551615"])
def test_digits_are_kept_whichever_piece_of_the_file_they_are_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: str, last: bool
) -> None:
    monkeypatch.setattr("starscale.io.csv.source.CHUNK_ROWS", 3)
    values = ["0.5", *["2"] * 7, number] if last else [number, *["2"] * 7, "0.5"]
    assert opened(tmp_path, "k,x\n" + "".join(f"a,{value}\n" for value in values))[1]["x"] == values


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("n,t\nnull,x\n1,null\n", ["x", None]),
        ("n,t\nnull,x\n1,NA\n", ["x", "NA"]),
        ("n,t\nFalse,x\nnull,null\n", ["x", None]),
        ("n,t\nNaN,x\n1.5,NaN\n", ["x", None]),
        ('n,t\nNA,x\n1,"NA"\n3,NA\n', ["x", "NA", None]),
        ('n,t\n"NA","x"\n"1","NA"\n', ["x", None]),
        ('n,t\n1,"null"\n2,"null"\n', ["null", "null"]),
    ],
)
def test_a_word_for_missing_numbers_means_the_same_in_texts(
    tmp_path: Path, content: str, expected: list[str | None]
) -> None:
    assert opened(tmp_path, content)[1]["t"] == expected


def test_texts_of_a_survey_are_read_as_they_are_written(tmp_path: Path) -> None:
    rows = "".join(
        f"{i},10.5,41.5,AAA,{flag},10.25,0.125\n" for i, flag in enumerate(("1.1", "1.10", "1E5", "null"), 1)
    )
    path = made(tmp_path, f"tmass_oid,ra,dec,ph_qual,cc_flg,j_m,j_msigcom\n{rows}")
    assert ss.read(path, survey="tmass")["cc_flg"].to_list() == ["1.1", "1.10", "1E5", None]
    cuts = ss.Cuts(without=("point_source",), extra=(ss.ExtraCut(name="cc", keep="cc_flg = '1.10'"),))
    assert ss.clean(path, survey="tmass", cuts=cuts).table["tmass_oid"].to_list() == [2]
    ss.clean(path, survey="tmass", cuts=cuts, output=tmp_path / "out.parquet")
    assert io.read(tmp_path / "out.parquet")["cc_flg"].to_list() == ["1.10"]


def test_numbers_of_a_survey_may_have_leading_zeros(tmp_path: Path) -> None:
    path = made(tmp_path, "tmass_oid,ra,dec,j_m\n0012,10.5,41.5,9\n0013,010,41.5,09\n")
    table = ss.read(path, survey="tmass")
    assert table["tmass_oid"].to_list() == [12, 13]
    assert table["j_m"].to_list() == [9.0, 9.0]


def test_null_in_the_texts_of_the_bulk_files_of_gaia(tmp_path: Path) -> None:
    rows = "4295806720,1.5,2.5,null,NOT_AVAILABLE\n34361129088,1.5,2.5,MARCS,null\n"
    path = made(tmp_path, f"source_id,ra,dec,libname_gspphot,phot_variable_flag\n{rows}")
    # No number is missing, so that only the survey says what the word means.
    assert ss.read(path)["libname_gspphot"].to_list() == ["null", "MARCS"]
    table = ss.read(path, survey="gaia_dr3")
    assert table["libname_gspphot"].to_list() == [None, "MARCS"]
    assert table["phot_variable_flag"].to_list() == ["NOT_AVAILABLE", None]


@pytest.mark.parametrize("line", ["long,double,string", "Int64,float32,VARCHAR"])
def test_a_line_of_types_is_no_row(tmp_path: Path, line: str) -> None:
    _, columns = opened(tmp_path, f"objID,ra,flag\n{line}\n7,1.5,000\n8,2.5,010\n")
    assert columns == {"objID": [7, 8], "ra": [1.5, 2.5], "flag": ["000", "010"]}


@pytest.mark.parametrize("line", ["N\tN\tS", "8N\t10N\t5S"])
def test_the_types_of_rdb_are_neither_row_nor_units(tmp_path: Path, line: str) -> None:
    source, columns = opened(tmp_path, f"# rdb\nid\tra\tname\n{line}\n7\t1.5\tx\n8\t\t\n", "t.tsv")
    assert columns == {"id": [7, 8], "ra": [1.5, None], "name": ["x", None]}
    assert not any(column.unit for column in source.columns.values())


def test_texts_that_look_like_types_are_rows(tmp_path: Path) -> None:
    assert opened(tmp_path, "side\tkind\nN\tS\nM\tN\n", "t.tsv")[1] == {"side": ["N", "M"], "kind": ["S", "N"]}


@pytest.mark.parametrize("line", ["- deg deg", "--- deg deg"])
def test_a_comment_of_units_below_that_of_the_names(tmp_path: Path, line: str) -> None:
    source, columns = opened(tmp_path, f"# of today\n# id ra dec\n# {line}\n7 1.5 -2.5\n8 2.5 3.5\n", "t.txt")
    assert columns == {"id": [7, 8], "ra": [1.5, 2.5], "dec": [-2.5, 3.5]}
    assert {name: source.columns[name].unit for name in ("id", "ra", "dec")} == {
        "id": "",
        "ra": "deg",
        "dec": "deg",
    }


def test_a_comment_of_dashes_below_that_of_the_names(tmp_path: Path) -> None:
    assert opened(tmp_path, "# id ra\n# -- ---\n7 1.5\n", "t.txt")[1] == {"id": [7], "ra": [1.5]}
