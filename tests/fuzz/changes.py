"""Small changes of bytes, lines, markup, headers and documents, drawn from a generator of random numbers."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Any

Change = Callable[[bytes, Random], bytes]

#: Values that programs forget: other types, ends of ranges, things that no text should hold.
ODD: tuple[Any, ...] = (
    None, True, "", "x", [], {}, [1], {"x": 1}, 0, -1, 1, 2, 255, 2**31, 2**63, 10**7, 10**40, 0.5, -1e300, 1e300,
    float("nan"), float("inf"), "\0", "../x", "/", "é\u202e", "a" * 5000, "1" * 400, "nan", "(" * 2000,
)  # fmt: skip
TEXTS = (
    "", "0", "-1", "1", "7", "999", "1000000", "2147483648", "9223372036854775808", "1" * 30, "1e308", "1e999",
    "nan", "-inf", "*", "?", "x", "../..", "/", "é", "\0", "T", "None", "[]", "{}", "a" * 300, "1*", "2x3*", "1J",
    "9999999999",
)  # fmt: skip

KEYWORDS = (
    "", "END", "TNULL1", "TSCAL1", "TDIM1", "TZERO2", "NAXIS3", "CONTINUE", "THEAP", "PCOUNT", "XT_NCOL",
    "TFIELDS", "EPOCH", "DATASUM", "HIERARCH", "TDISP1",
)  # fmt: skip
PIECES = ("&x;", "&#0;", "&#xFFFFFF;", "<![CDATA[", "<!--", "]]>", "<?x?>")


def by_bytes(data: bytes, random: Random) -> bytes:
    """Change some bytes: another value, a flipped bit, a piece removed, repeated, moved or overwritten."""
    held = bytearray(data)
    for _ in range(random.choice((1, 1, 1, 2, 4, 16))):
        at = random.randrange(len(held) + 1)
        size = random.choice((1, 1, 1, 2, 4, 8, 40))
        piece = held[at : at + size]
        change = random.randrange(7)
        if change == 0:
            held[at : at + size] = random.randbytes(len(piece))
        elif change == 1 and piece:
            held[at] ^= 1 << random.randrange(8)
        elif change == 2:
            del held[at : at + size]
        elif change == 3:
            held[at:at] = piece * random.choice((1, 2, 100))
        elif change == 4:
            held[at : at + size] = bytes(len(piece)) if random.random() < 0.5 else b"\xff" * len(piece)
        elif change == 5:
            source = random.randrange(len(held) + 1)
            held[at : at + size] = held[source : source + size]
        else:
            held[at:at] = random.choice(TEXTS).encode()
    return bytes(held)


def cut(data: bytes, random: Random) -> bytes:
    """Cut the end off, or the beginning."""
    at = random.randrange(len(data) + 1)
    return data[:at] if random.random() < 0.9 else data[at:]


def by_lines(data: bytes, random: Random) -> bytes:
    """Remove, repeat, exchange or change lines."""
    lines = data.splitlines(keepends=True) or [b""]
    for _ in range(random.choice((1, 1, 2, 5))):
        at, other = random.randrange(len(lines)), random.randrange(len(lines))
        change = random.randrange(5)
        if change == 0 and len(lines) > 1:
            del lines[at]
        elif change == 1:
            lines.insert(at, lines[other] * random.choice((1, 1, 50)))
        elif change == 2:
            lines[at], lines[other] = lines[other], lines[at]
        elif change == 3:
            lines[at] = lines[at].rstrip(b"\n") + lines[other]
        else:
            lines[at] = by_words(lines[at], random)
    return b"".join(lines)


def by_words(data: bytes, random: Random) -> bytes:
    """Put another number or text in the place of a word."""
    words = [match.span() for match in re.finditer(rb"[\w.+-]+", data)]
    if not words:
        return by_bytes(data, random)
    start, end = random.choice(words)
    return data[:start] + random.choice(TEXTS).encode() + data[end:]


def by_cards(data: bytes, random: Random) -> bytes:
    """Change cards of a FITS header: value, keyword, place, number."""
    held = bytearray(data)
    cards = [at for at in range(0, len(held) - 79, 80) if re.match(rb"[A-Z0-9_-]{2,8} *[= ]", held[at : at + 9])]
    if not cards:
        return by_bytes(data, random)
    for _ in range(random.choice((1, 1, 2, 3))):
        at = random.choice(cards)
        change = random.randrange(6)
        if change <= 2:
            text = random.choice(TEXTS)
            quoted = random.random() < 0.4
            value = f"'{text}'" if quoted else text.rjust(20)
            held[at : at + 80] = (bytes(held[at : at + 8]) + b"= " + value.encode())[:80].ljust(80)
        elif change == 3:
            other = random.choice(cards)
            held[at : at + 80], held[other : other + 80] = held[other : other + 80], held[at : at + 80]
        elif change == 4:
            held[at : at + 8] = random.choice(KEYWORDS).encode().ljust(8)
        else:
            place = at + random.randrange(80)
            held[place] = random.randrange(256)
    return bytes(held)


def by_markup(data: bytes, random: Random) -> bytes:
    """Change attributes and elements of XML: values, names, nesting, order, encoding, entities."""
    text = data.decode("utf-8", "surrogateescape")
    tags = [match.span() for match in re.finditer(r"<[^<>]+>", text)] or [(0, len(text))]
    attributes = [match.span(2) for match in re.finditer(r"\b([\w:.-]{1,40})=\"([^\"]*)\"", text)] or [(0, 0)]
    change = random.randrange(9)
    start, end = random.choice(tags)
    if change <= 2:
        start, end = random.choice(attributes)
        text = text[:start] + random.choice(TEXTS) + text[end:]
    elif change == 3:
        text = text[:start] + text[end:]
    elif change == 4:
        text = text[:start] + text[start:end] * random.choice((2, 3, 2000)) + text[end:]
    elif change == 5:
        other, last = random.choice(tags)
        text = text[:start] + text[other:last] + text[end:]
    elif change == 6:
        name = random.choice(("utf-16", "utf-7", "latin-1", "x-none", "utf-32", "cp037", "idna", ""))
        text = re.sub(r"<\?xml[^>]*\?>", "", text)
        text = f'<?xml version="1.0" encoding="{name}"?>{text}'
    elif change == 7:
        name = random.choice(("VOTABLE", "RESOURCE", "GROUP", "TABLE", "DATA", "FIELD", "x", "PARAM", "TR", "TD"))
        text = text[:end] + f"<{name}>" * random.choice((1, 50, 5000)) + text[end:]
    else:
        text = text[:start] + random.choice(PIECES) + text[start:]
    return text.encode("utf-8", "surrogateescape")


def by_document(document: Any, random: Random, odd: Sequence[Any] = ODD) -> Any:
    """Return a document (lists, dictionaries, values) with one to three changes somewhere in it."""
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        # Half of the changes are near the top, where there are few places.
        places = [place for place in _places(document) if random.random() < 0.5 or len(place) < 4]
        place = random.choice(places or [()])
        document = _changed(document, place, random, odd)
    return document


def _places(node: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    items: Any = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, inner in items:
        yield (*above, key)
        yield from _places(inner, (*above, key))


def _changed(node: Any, place: tuple[Any, ...], random: Random, odd: Sequence[Any]) -> Any:
    """Return a node with a change at a place: replaced, removed, repeated, renamed or changed a little."""
    if not place:
        return random.choice(odd)
    key, *rest = place
    copy = dict(node) if isinstance(node, dict) else list(node)
    if rest:
        copy[key] = _changed(copy[key], tuple(rest), random, odd)
        return copy
    change, old = random.randrange(6), copy[key]
    if change == 0:
        del copy[key]
    elif change == 1:
        if isinstance(copy, dict):
            copy[random.choice(("x", "", *copy))] = copy.pop(key)
        else:
            copy.insert(key, old)
    elif change == 2 and isinstance(old, (int, float)):
        copy[key] = random.choice((old + 1, -old, old * 10**7, old * 1.5, str(old), bool(old)))
    elif change == 2 and isinstance(old, str):
        copy[key] = by_bytes(old.encode(), random).decode("utf-8", "replace")
    elif change == 3:
        copy[key] = [old] if random.random() < 0.5 else {"x": old}
    else:
        copy[key] = random.choice(odd)
    return copy


def of_json(data: bytes, random: Random) -> bytes:
    """Change a JSON document by its structure."""
    return json.dumps(by_document(json.loads(data), random)).encode()


def mixed(*changes: Change) -> Change:
    """Return a change that is one of several, or two after each other."""

    def change(data: bytes, random: Random) -> bytes:
        data = random.choice(changes)(data, random)
        return random.choice(changes)(data, random) if random.random() < 0.2 and _fits(data) else data

    return change


def _fits(data: bytes) -> bool:
    return 0 < len(data) < 300_000
