"""The bytes in a STREAM: base64 within the document, packed with gzip or not."""

from __future__ import annotations

import binascii
import re
import zlib
from collections.abc import Iterator
from itertools import chain
from xml.parsers import expat

from starscale.io.packed import is_bomb
from starscale.io.votable.document import DamagedError, TableElement, VotableDocument

_BLANKS = b" \t\r\n"
#: zlib: 32 KiB window, header of gzip.
_GZIP = 31
_MOST = 4 << 20


def stream_bytes(document: VotableDocument, table: TableElement) -> Iterator[bytes]:
    """Yield the bytes that the STREAM of a table encodes.

    Raises
    ------
    DamagedError
        The text is not base64, or the packed bytes are damaged.
    """
    blocks = _unpacked_base64(_characters(document.blocks(table), document.encoding))
    if "gzip" in encodings(table):
        return _gunzipped(blocks)
    return blocks


def stream_size(document: VotableDocument, table: TableElement) -> int:
    """Return the number of these bytes; base64 is counted, not decoded."""
    if "gzip" in encodings(table):
        return sum(len(block) for block in stream_bytes(document, table))
    signs = 0
    last = b""
    for block in _characters(document.blocks(table), document.encoding):
        plain = block.translate(None, _BLANKS)
        signs += len(plain)
        last = (last + plain)[-2:]
    return signs // 4 * 3 - last.count(b"=")


def encodings(table: TableElement) -> list[str]:
    """Return the words of the encoding of a STREAM; `base64` where it states none, since XML holds no bytes."""
    return re.findall(r"\w+", table.stream.get("encoding", "").lower()) or ["base64"]


def _characters(blocks: Iterator[bytes], encoding: str) -> Iterator[bytes]:
    """Yield blocks of text; from the first block with markup (CDATA, comments) on, as a parser sees them."""
    for block in blocks:
        if b"<" not in block and b"&" not in block:
            yield block
            continue
        said: list[str] = []
        parser = expat.ParserCreate(encoding)
        parser.CharacterDataHandler = said.append
        parser.Parse(b"<STREAM>", False)
        for piece in chain([block], blocks):
            parser.Parse(piece, False)
            yield "".join(said).encode()
            said.clear()
        parser.Parse(b"</STREAM>", True)
        yield "".join(said).encode()


def _unpacked_base64(blocks: Iterator[bytes]) -> Iterator[bytes]:
    held = b""
    for block in blocks:
        held += block.translate(None, _BLANKS)
        whole = len(held) - len(held) % 4
        if whole:
            yield binascii.a2b_base64(held[:whole], strict_mode=True)
        held = held[whole:]
    if held:
        raise DamagedError("its base64 text is cut short")


def _gunzipped(blocks: Iterator[bytes]) -> Iterator[bytes]:
    unpacker = zlib.decompressobj(_GZIP)
    packed = unpacked = 0
    for block in blocks:
        rest = block
        packed += len(block)
        while rest:
            if unpacker.eof:
                unpacker = zlib.decompressobj(_GZIP)
            piece = unpacker.decompress(rest, _MOST)
            unpacked += len(piece)
            if is_bomb(unpacked, packed):
                raise DamagedError("its gzip data unpack to far more than a table does")
            yield piece
            rest = unpacker.unconsumed_tail or unpacker.unused_data
    if not unpacker.eof:
        raise DamagedError("its gzip data are cut short")
