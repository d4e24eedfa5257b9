"""Sums of bytes as FITS 4.0 has them: 32-bit words, big-endian, added in ones' complement (section 4.4.2.7).

DATASUM is the sum of the data. CHECKSUM is a text in the header that makes the sum of header and data zero.
"""

from __future__ import annotations

import numpy as np

#: Zero of ones' complement: sums are equal when they differ by a multiple of it.
ONES = 0xFFFFFFFF
_PUNCTUATION = b":;<=>?@[\\]^_`"


class ByteSum:
    """Adds up bytes that come in blocks of any size."""

    def __init__(self) -> None:
        self._total = 0
        self._rest = b""

    def add(self, block: bytes) -> None:
        """Add the bytes that follow those added before."""
        view = memoryview(block)
        if self._rest:
            missing = 4 - len(self._rest)
            self._rest += bytes(view[:missing])
            view = view[missing:]
            if len(self._rest) < 4:
                return
            self._total += int.from_bytes(self._rest, "big")
        words = len(view) // 4
        self._total += int(np.frombuffer(view, ">u4", words).sum(dtype=np.uint64))
        self._rest = bytes(view[4 * words :])

    @property
    def value(self) -> int:
        """Sum of the bytes, filled with zeros to a whole number of words."""
        total = self._total + int.from_bytes(self._rest.ljust(4, b"\0"), "big")
        while total > ONES:
            total = (total & ONES) + (total >> 32)
        return total


def same(one: int, other: int) -> bool:
    """Whether two sums are equal in ones' complement."""
    return (one - other) % ONES == 0


def encoded(total: int) -> str:
    """Return the CHECKSUM that makes the sum `total` of an HDU, with CHECKSUM = '0' * 16, zero (appendix J).

    Each byte of the complement is divided among four characters, all from ``0`` up; pairs of characters step away
    from punctuation in opposite directions, which leaves their sum.
    """
    text = bytearray(16)
    for place, byte in enumerate((ONES - total % ONES).to_bytes(4, "big")):
        four = [byte // 4 + (byte % 4 if part == 0 else 0) + ord("0") for part in range(4)]
        for pair in (0, 2):
            while any(sign in _PUNCTUATION for sign in four[pair : pair + 2]):
                four[pair] += 1
                four[pair + 1] -= 1
        for part, sign in enumerate(four):
            # The value of a card begins after its quote, in column 12: one place to the right of a word.
            text[(4 * part + place + 1) % 16] = sign
    return text.decode("ascii")
