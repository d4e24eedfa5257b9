"""Header units of FITS files: the cards, and the size and sum of the bytes that they describe."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import IO

from astropy.io import fits
from astropy.utils.exceptions import AstropyWarning

from starscale.io.fits.sums import ByteSum
from starscale.vocabulary.errors import InputError, Problem

BLOCK = 2880
_CARD = 80
_MOST_AXES = 999
_BITS = (8, 16, 32, 64, -32, -64)
#: Bytes that no file has; the place after them is still one that a file can be asked for.
_LARGEST = 2**60
#: Longest header that is read: 999 columns with 100 cards each take half of it.
_LONGEST = 16 << 20


@dataclass(frozen=True, slots=True)
class HeaderUnit:
    """A header: its number in the file, its cards, the place and the number of its data bytes, its own sum."""

    number: int
    cards: fits.Header
    data: int
    size: int
    sum: int

    @property
    def name(self) -> str:
        """EXTNAME."""
        return str(self.cards.get("EXTNAME", "")).strip()

    @property
    def kind(self) -> str:
        """XTENSION; PRIMARY for the first header."""
        return str(self.cards.get("XTENSION", "PRIMARY")).strip()

    @property
    def is_table(self) -> bool:
        """Whether the data are the rows of a table; compressed images are stored as tables, but are none."""
        return self.kind in ("BINTABLE", "A3DTABLE", "TABLE") and not self.cards.get("ZIMAGE", False)


def damaged(
    path: Path, reason: str, fix: str = "It was probably cut short: make or download it again."
) -> Problem:
    """Describe a file that ends too early or contradicts itself."""
    return Problem(str(path), f"is a damaged FITS file ({reason})", fix=fix)


def headers(path: Path, file: IO[bytes]) -> Iterator[HeaderUnit]:
    """Yield every header of a file."""
    place = 0
    for number in count():
        file.seek(place)
        first = file.read(BLOCK)
        # Some archives pad the end of a file with zeros.
        if number and not first.strip(b"\0 \r\n"):
            return
        raw = _raw_header(path, file, first, number)
        cards = _cards(path, raw, number)
        whole = ByteSum()
        whole.add(raw)
        unit = HeaderUnit(number, cards, place + len(raw), _data_size(cards), whole.value)
        yield unit
        place = unit.data + unit.size + -unit.size % BLOCK


def _raw_header(path: Path, file: IO[bytes], block: bytes, number: int) -> bytes:
    """Read blocks up to the one with the END card; `block` is the first."""
    end = b"END".ljust(_CARD)
    raw = bytearray()
    while len(block) == BLOCK and len(raw) < _LONGEST:
        raw += block
        if any(block.startswith(end, start) for start in range(0, BLOCK, _CARD)):
            return bytes(raw)
        block = file.read(BLOCK)
    found = f"its first {_LONGEST >> 20} MiB have no END card" if len(raw) >= _LONGEST else "it has no END card"
    raise InputError(damaged(path, f"header {number}: {found}"))


def _cards(path: Path, raw: bytes, number: int) -> fits.Header:
    with warnings.catch_warnings():
        # Cards that break the standard in other ways do not matter here.
        warnings.simplefilter("ignore", AstropyWarning)
        try:
            header = fits.Header.fromstring(raw.decode("ascii", "replace").replace("\ufffd", "?"))
            # Cards are parsed when they are looked at: those that cannot be are found here.
            header.tostring()
            for card in header.cards:
                _ = card.value, card.comment
        except (OSError, EOFError, ValueError, KeyError, IndexError, fits.VerifyError) as error:
            raise InputError(damaged(path, f"header {number}: {error}")) from error
    return header


def _data_size(header: fits.Header) -> int:
    """Return the bytes of data after a header: BITPIX / 8 * GCOUNT * (PCOUNT + NAXIS1 * NAXIS2 * ...)."""
    axes = [whole(header, f"NAXIS{i}", 0) for i in range(1, min(whole(header, "NAXIS", 0), _MOST_AXES) + 1)]
    # Random groups: NAXIS1 = 0 is a mark.
    if header.get("GROUPS", False) is True and axes[:1] == [0]:
        axes = axes[1:]
    pixels = math.prod(axes) if axes else 0
    bits = header.get("BITPIX", 8)
    if bits not in _BITS:
        raise ValueError(f"BITPIX = {bits!r}, expected one of {', '.join(map(str, _BITS))}")
    size: int = abs(bits) // 8 * whole(header, "GCOUNT", 1) * (whole(header, "PCOUNT", 0) + pixels)
    if size > _LARGEST:
        raise ValueError(f"its header states {size:,} bytes of data, more than any file has")
    return size


def whole(header: fits.Header, key: str, default: int | None = None) -> int:
    """Return a number of things from a header.

    Raises
    ------
    KeyError
        The keyword is missing and there is no default.
    ValueError
        It is no such number.
    """
    value = header[key] if default is None else header.get(key, default)
    try:
        number = int(value)
    except (TypeError, ValueError, OverflowError):
        number = -1
    if number < 0:
        raise ValueError(f"{key} = {value!r}, expected a whole number, 0 or larger")
    return number
