"""Larger changes, of structure: sections repeated, removed, exchanged and joined; types, shapes and headers."""

# ruff: noqa: E501  lists of values
from __future__ import annotations

import io as streams
import json
import re
import struct
from collections.abc import Callable
from random import Random
from typing import Any
from xml.etree import ElementTree as ET

from fuzz.changes import ODD, TEXTS, Change, by_document

#: Numbers of a header: sizes, counts, offsets and types.
SIZES = (
    0, -1, 1, 2, 3, 7, 8, 12, 13, 64, 999, 1000, 2**15, 2**31 - 1, 2**31, 2**32, 2**53, 2**62, 2**63 - 1, 2**63,
    2**64, 10**30, -(2**31), -(2**63),
)  # fmt: skip
WORDS = (
    *TEXTS, *map(str, SIZES), "NaN", "+Infinity", "1D400", "1e-400", "0x10", "1_000", "１２", "²", "\u202e", "\ufeff",
    "😀", "e\u0301", "\u2028", "\x1b[31m", "\r", "\t", "'", '"', "''", ",", ";", "|", "&", "/ x", "a.b", "a b", "{x}",
    "%s%n", "$HOME", "~", "C:\\x", "file:///x", "-0", "00", ".", "+", "1/0", "1..2", "--", "inf inf", "\x7f", "\x85",
)  # fmt: skip
FORMATS = (
    "0J", "1J", "J", "K", "E", "D", "L", "B", "C", "M", "X", "9X", "0X", "A", "0A", "16A", "1PJ", "PE(0)", "QD(9)",
    "P", "1PA(99999)", "999999999J", "2147483648D", "-1J", "J J", "I4", "F10.4", "E0.0", "A99999999", "1QX(3)", "S",
)  # fmt: skip
NUMBERS = [struct.pack(f"{order}{kind}", value) for order in "<>" for kind in "fd" for value in (
    float("nan"), float("inf"), float("-inf"), -0.0, 5e-324 if kind == "d" else 1e-45, 3e38,
)]  # fmt: skip
SECTION = 2880


def by_sections(data: bytes, random: Random, size: int = SECTION) -> bytes:
    """Cut at a section, or remove, repeat, exchange, empty or append whole ones."""
    parts = [data[at : at + size] for at in range(0, len(data), size)] or [b""]
    at, other = random.randrange(len(parts)), random.randrange(len(parts))
    change = random.randrange(8)
    if change == 0:
        return b"".join(parts[:at])
    if change == 1:
        return b"".join(parts[: at + 1])[: random.choice((-1, -80, None))] + random.choice((b"", b" ", b"\0"))
    if change == 2:
        del parts[at]
    elif change == 3:
        parts[at:at] = [parts[other]] * random.choice((1, 2, 20))
    elif change == 4:
        parts[at], parts[other] = parts[other], parts[at]
    elif change == 5:
        parts[at] = random.choice((b"\0", b" ", b"\xff", b"0")) * len(parts[at])
    elif change == 6:
        parts += parts
    else:
        parts.append(random.choice((b"\0", b" ", b"\xff")) * random.choice((1, 80, size, 3 * size)))
    return b"".join(parts)


def by_numbers(data: bytes, random: Random) -> bytes:
    """Write NaN, infinite, huge and tiny numbers over bytes."""
    held = bytearray(data)
    for _ in range(random.choice((1, 5, 50))):
        number = random.choice(NUMBERS)
        at = random.randrange(max(len(held) - len(number), 1))
        held[at : at + len(number)] = number
    return bytes(held)


def joined(data: bytes, other: bytes, random: Random) -> bytes:
    """The beginning of a file and the end of another, or both."""
    if random.random() < 0.3:
        return data + random.choice((b"", b"\n", b"\0" * SECTION)) + other
    block = random.choice((1, 80, SECTION))
    a, b = (random.randrange(len(d) // block + 1) * block for d in (data, other))
    return data[:a] + other[b:]


def _headers(data: bytes) -> list[tuple[int, int]]:
    """Return where the headers of a FITS file begin and end."""
    found = []
    for match in re.finditer(rb"(SIMPLE|XTENSION)[ =]", data):
        start = match.start()
        end = start
        while data[end : end + 80].rstrip() != b"END" and end < len(data):
            end += 80
        if start % SECTION == 0 and end < len(data):
            found.append((start, end + 80 + (-(end + 80) % SECTION)))
    return found


def by_header(data: bytes, random: Random) -> bytes:
    """Change the cards of a FITS header as a list, which is filled up to whole sections again."""
    headers = _headers(data)
    if not headers:
        return by_sections(data, random)
    start, end = random.choice(headers)
    cards = [data[at : at + 80] for at in range(start, end, 80)]
    cards = [card for card in cards if card.strip() and card.rstrip() != b"END"]
    for _ in range(random.choice((1, 1, 2, 4))):
        cards = _cards(cards, random) or cards
    ending = [] if random.random() < 0.03 else [b"END".ljust(80)]
    text = b"".join([*cards, *ending])
    return data[:start] + text.ljust(len(text) + -len(text) % SECTION) + data[end:]


def _cards(cards: list[bytes], random: Random) -> list[bytes]:
    at, other = random.randrange(len(cards)), random.randrange(len(cards))
    keyword = cards[at][:8]
    change = random.randrange(9)
    if change == 0:
        return cards[:at] + cards[at + 1 :]
    if change == 1:
        return cards[:other] + [cards[at]] * random.choice((1, 2, 500)) + cards[other:]
    if change == 2:
        cards[at], cards[other] = cards[other], cards[at]
    elif change == 3:
        sized = [
            i for i, card in enumerate(cards) if re.match(rb"(NAXIS|PCOUNT|GCOUNT|TFIELDS|THEAP|BITPIX)", card)
        ]
        for i in random.sample(sized, min(len(sized), random.choice((1, 1, 2, 3)))):
            cards[i] = _card(cards[i][:8], str(random.choice(SIZES)).rjust(20))
    elif change == 4:
        typed = [i for i, card in enumerate(cards) if re.match(rb"(TFORM|TDIM|TBCOL|TNULL|TZERO|TSCAL)", card)]
        for i in (
            typed[:: random.choice((1, 3))]
            if random.random() < 0.3
            else typed[at % len(typed) :][:1]
            if typed
            else []
        ):
            cards[i] = _card(cards[i][:8], f"'{random.choice((*FORMATS, *WORDS))}'")
    elif change == 5:
        cards[at] = _card(keyword, random.choice(WORDS))
    elif change == 6:
        cards[at] = cards[at][:30] + "é😀\u202e".encode()[: random.choice((1, 2, 7))].ljust(50, b"\xff")
    elif change == 7:
        cards[at : at + 1] = [_card(keyword, "'a&'"), *[b"CONTINUE  'b&'".ljust(80)] * random.choice((1, 2, 300))]
    else:
        name = random.choice(
            (b"TDIM1", b"TNULL2", b"TSCAL1", b"TZERO1", b"THEAP", b"TTYPE2", b"TUNIT1", b"TTYPE99999")
        )
        cards.insert(
            at, _card(name[:8].ljust(8), random.choice((f"'{random.choice(WORDS)}'", str(random.choice(SIZES)))))
        )
    return cards


def _card(keyword: bytes, value: str) -> bytes:
    return (keyword.ljust(8) + b"= " + value.encode()).ljust(80)[:80]


def by_elements(data: bytes, random: Random) -> bytes:
    """Change an XML document as a tree: elements moved, repeated, nested, renamed; attributes and texts."""
    try:
        root = ET.fromstring(data)
    except (ET.ParseError, ValueError, LookupError):
        return data
    for _ in range(random.choice((1, 1, 2, 4))):
        _elements(root, random)
    encoding = random.choice(("utf-8", "us-ascii", "utf-16", "latin-1"))
    try:
        return ET.tostring(root, encoding=encoding, xml_declaration=True)
    except RecursionError:
        # Deep elements that were repeated within each other.
        return data


def _elements(root: ET.Element, random: Random) -> None:
    every = list(root.iter())
    fields = [
        e for e in every if e.tag.endswith(("FIELD", "PARAM", "VALUES", "TABLE", "STREAM", "VOTABLE"))
    ] or every
    parent, one, other = (random.choice(every) for _ in range(3))
    change = random.randrange(8)
    if change <= 2:
        field = random.choice(fields)
        name = random.choice(
            (
                *field.attrib,
                "datatype",
                "arraysize",
                "width",
                "precision",
                "nrows",
                "ref",
                "null",
                "ID",
                "xtype",
                "unit",
                "ucd",
            )
        )
        field.set(
            name, _legal(random.choice((*WORDS, "*", "3*", "2x*", "0", "bit", "unicodeChar", "float", "x" * 3000)))
        )
    elif change == 3 and len(parent):
        parent.remove(random.choice(list(parent)))
    elif change == 4 and parent is not one and parent not in one.iter():
        parent.extend([one] * random.choice((1, 2, 300)))
    elif change == 5:
        one.tag = other.tag
    elif change == 6:
        for element in [e for e in every if e.tag == one.tag][:: random.choice((1, 2, 5))]:
            element.text = _legal(random.choice(WORDS))
    else:
        inner = parent
        for _ in range(random.choice((2, 30, 300))):
            inner = ET.SubElement(inner, one.tag, dict(one.attrib))


def _legal(text: str) -> str:
    return re.sub(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "", text)


def by_cells(data: bytes, random: Random) -> bytes:
    """Change a text table: a column, its names, delimiters, line ends, coding, repeated rows and headers."""
    change = random.randrange(12)
    lines = data.split(b"\n")
    at = random.randrange(len(lines))
    if change == 0:
        old, new = random.choice(b',;| \t:"'), random.choice((b",", b";", b"|", b" ", b"\t", b"\0", b'"', b"\xff"))
        return data.replace(bytes([old]), new)
    if change == 1:
        ends = (b"\r", b"\r\n", b"\n\n", b"\x0b", b"\x0c", "\u2028".encode(), "\x85".encode(), b"\0\n")
        return data.replace(b"\n", random.choice(ends))
    if change == 2:
        text = data.decode("utf-8", "replace")
        return text.encode(
            random.choice(("utf-16", "utf-32", "utf-16-be", "utf-8-sig", "utf-7", "cp037", "latin-1")), "replace"
        )
    if change == 3:
        return b"\n".join(lines[:at] + lines[: at + 1] * random.choice((1, 2, 30)) + lines[at:])
    if change == 4:
        return b"\n".join([*lines[:at], lines[at] * random.choice((10, 3000)), *lines[at:]])
    if change == 5:
        return b"\n".join(
            [*lines[:at], random.choice((b'"', b"'", b'a,"b', b"#", b"%", b"\\", b"\0")), *lines[at:]]
        )
    if change == 6:
        return b"\n".join(lines[: at + 1])
    if change == 7:
        return b"\n".join(lines + [lines[-2 if len(lines) > 1 else -1]] * random.choice((100, 3000)))
    word = random.choice(WORDS).encode()
    if change == 8:
        return b"\n".join(_put(line, at, word) for line in lines)
    if change == 9:
        number = re.compile(rb"\b%d\b" % random.randrange(13))
        return number.sub(lambda _: word, data)
    if change == 10:
        names = re.findall(rb"[A-Za-z_]\w*", data) or [b"x"]
        return data.replace(random.choice(names), random.choice((random.choice(names), word)))
    place = random.randrange(len(lines[at]) + 1)
    return b"\n".join([*lines[:at], lines[at][:place] + word + lines[at][place:], *lines[at + 1 :]])


def _put(line: bytes, place: int, word: bytes) -> bytes:
    """Another word in a field of a line."""
    spans = [match.span() for match in re.finditer(rb"[^,;|\s]+", line)]
    start, end = spans[place % len(spans)] if spans else (0, 0)
    return line[:start] + word + line[end:]


def by_ranges(data: bytes, random: Random) -> bytes:
    """Change byte ranges and formats of a description byte by byte."""
    rows = list(re.finditer(rb"^ *(\d*)-? *(\d+) +([AIFE][\d.]+)", data, re.MULTILINE))
    if not rows or random.random() < 0.5:
        return by_cells(data, random)
    row = random.choice(rows)
    a, b = (random.choice((*SIZES, 1, 2, 3, 4)) for _ in range(2))
    form = random.choice((*FORMATS, "A4", "I4", "F6.2", "E99.99", "F1.9", "I0", "A0", "I999999", "A1.1", "X3", ""))
    line = f"{a:4d}-{b:3d}  {form:5s}" if random.random() < 0.8 else f"{b:8d}  {form}"
    return data[: row.start()] + line.encode() + data[row.end() :]


#: Deep, repeated, long and wrongly typed parts of a document.
WIDE: tuple[Any, ...] = (
    *ODD,
    *SIZES,
    *WORDS,
    [[]],
    [[1, "x"], None],
    {"a": {"b": {}}},
    list(range(3000)),
    ["x"] * 50,
    [{}] * 9,
)


def _nested(depth: int, leaf: Any) -> Any:
    for _ in range(depth):
        leaf = [leaf] if depth % 2 else {"x": leaf}
    return leaf


def _read(read: Callable[[str], Any], data: bytes) -> Any:
    try:
        return read(data.decode())
    except ValueError:
        return None


def of_document(read: Callable[[str], Any], write: Callable[[Any], str], syntax: tuple[str, ...]) -> Change:
    """Change any field to any type, nested deeply; or the text, with pieces of its syntax."""

    def change(data: bytes, random: Random) -> bytes:
        if random.random() < 0.65 and (document := _read(read, data)) is not None:
            wide = (*random.sample(WIDE, 12), _nested(random.choice((3, 99, 150)), 1))
            return write(by_document(document, random, wide)).encode("utf-8", "surrogatepass")
        text = data.decode("utf-8", "replace")
        at = random.choice([0, len(text), *[m.start() for m in re.finditer(r"[\n=:,\[\]{}\"]", text)]])
        text = text[:at] + random.choice(syntax) + text[at:]
        return text.encode(random.choice(("utf-8",) * 6 + ("utf-16", "utf-8-sig", "latin-1")), "replace")

    return change


TOML_SYNTAX = (
    "\n[" + ".".join("a" * 400) + "]\n", "\n[x]\n[x]\n", "\n[[x]]\ny=1\n[[x]]\n", "\nx = " + "[" * 400 + "]" * 400 + "\n",
    "\nx = " + "9" * 5000 + "\n", "\nx = nan\n", "\nx = -inf\n", "\nx = 1979-05-27T07:32:00Z\n", "\nx = 25:61:00\n",
    "\nx = 0xFFFFFFFFFFFFFFFFFFFF\n", '\nx = """\n', "\nx = '''\\", '\n"" = 1\n', "\na.b = 1\na = 2\n", "\x00", "\ufeff", "#",
    "\nx = {a=1,", '\nx = "\\uD800"\n', "\nx = 1e999999\n", "[" * 30_000,
)  # fmt: skip
JSON_SYNTAX = (
    '"x": 1, "x": 2,', "NaN", "-Infinity", "1e999999", "9" * 5000, '"\\ud800"', '"\\u0000"', "[" * 30_000, "{" * 30_000,
    '{"a":' * 3000, "\ufeff", "\x00", "//", "/*", "'", "True", "0x1", "01", "1.", ",", "]", "}", ":", '"', "\\",
)  # fmt: skip
of_json_widely = of_document(json.loads, lambda d: json.dumps(d, ensure_ascii=False), JSON_SYNTAX)


def by_shapes(data: bytes, random: Random) -> bytes:
    """Change arrays of a safetensors file to another shape, type or set of names, all consistent in itself."""
    import numpy as np
    from safetensors.numpy import load, save

    arrays = load(data)
    for _ in range(random.choice((1, 1, 2))):
        name = random.choice(sorted(arrays))
        array, change = arrays[name], random.randrange(9)
        if change == 0:
            arrays[name] = array.T
        elif change == 1:
            arrays[name] = np.resize(
                array, random.choice(((0,), (1,), (), (3, 0), (2, 2), (1000,), (1,) * 20, (7, 5, 3)))
            )
        elif change == 2:
            arrays[name] = array.astype(
                random.choice((np.float16, np.float32, np.float64, np.int8, np.int64, np.uint64, bool))
            )
        elif change == 3:
            arrays[name] = np.concatenate([array, array]) if array.ndim else array[None]
        elif change == 4:
            arrays[name] = np.full_like(
                array,
                random.choice((0, 1, 100))
                if array.dtype.kind in "iub"
                else random.choice((0.0, -1.0, 1e30, float("nan"), float("inf"))),
            )
        elif change == 5 and len(arrays) > 1:
            del arrays[name]
        elif change == 6:
            arrays[random.choice(("x", "../x", "é", "", "a" * 300))] = array
        elif change == 7:
            arrays[name] = arrays[random.choice(sorted(arrays))]
        else:
            arrays[name] = array[..., :-1] if array.ndim else array
    return bytes(save({name: np.ascontiguousarray(a) if a.ndim else a.copy() for name, a in arrays.items()}))


def odd_parquet(data: bytes, random: Random) -> bytes:
    """A valid Parquet file with unusual types, names and metadata, instead of the file."""
    import pyarrow as pa
    from pyarrow import parquet

    n = random.choice((0, 1, 3))
    types = (
        pa.null(), pa.bool_(), pa.int8(), pa.uint64(), pa.float16(), pa.decimal128(38, 10), pa.decimal256(60, 5),
        pa.timestamp("ns", "UTC"), pa.timestamp("us", "x/y"), pa.date32(), pa.time64("ns"), pa.duration("us"), pa.binary(),
        pa.binary(3), pa.large_string(), pa.list_(pa.list_(pa.int8())), pa.list_(pa.float32(), 0), pa.list_(pa.float64(), 2),
        pa.struct([("a", pa.int8()), ("b", pa.struct([("c", pa.string())]))]), pa.map_(pa.string(), pa.int8()),
        pa.dictionary(pa.int8(), pa.string()), pa.list_(pa.struct([("a", pa.null())])), pa.month_day_nano_interval(),
    )  # fmt: skip
    names = (
        "a",
        "a",
        "A",
        "",
        " ",
        "a.b",
        "é",
        "😀",
        "x" * 5000,
        "source_id",
        "ra",
        "\n",
        "../x",
        "nan",
        "__index_level_0__",
    )
    keys = (
        "ARROW:schema",
        "pandas",
        "starscale.provenance",
        "starscale.columns",
        "IVOA.VOTable-Parquet.content",
        "x",
    )
    columns, chosen = [], []
    for _ in range(random.choice((0, 1, 3, 8))):
        kind = random.choice(types)
        columns.append(pa.nulls(n, kind) if kind != pa.float16() else pa.array([None] * n, kind))
        chosen.append(pa.field(random.choice(names), kind))
    metadata = {
        random.choice(keys): random.choice(("", "{}", "[]", "null", "x", "1", '{"columns": 1}', "\xff", "[" * 900))
    }
    schema = pa.schema(chosen, metadata=metadata if random.random() < 0.7 else None)
    stream = streams.BytesIO()
    try:
        parquet.write_table(
            pa.Table.from_arrays(columns, schema=schema), stream, store_schema=random.random() < 0.7
        )
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowKeyError, pa.ArrowTypeError):
        return data
    return stream.getvalue()
