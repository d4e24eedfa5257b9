"""Comparing the bytes of an extension with DATASUM and CHECKSUM of its header, while they are read."""

from __future__ import annotations

from pathlib import Path

from starscale.io.fits.cards import HeaderUnit
from starscale.io.fits.sums import ByteSum, same
from starscale.vocabulary.errors import InputError, Problem


class Verification:
    """Sums that a header states. Nothing is verified where it states none, and nothing twice.

    Attributes
    ----------
    copied : bool
        The sums are those of another file: the Table of astropy keeps the keywords of the file that it was read
        from, without their comments, and writes them again. Programs that compute sums write a comment, and so do
        we. Such sums are not verified.
    """

    def __init__(self, path: Path, unit: HeaderUnit) -> None:
        self._path = path
        self._unit = unit
        self._data_sum = _text(unit, "DATASUM")
        checksum = _text(unit, "CHECKSUM")
        # A text of zeros stands there until the sum is known.
        self._checksum = checksum if checksum.strip("0") else ""
        bare = not any(unit.cards.comments[key] for key in ("DATASUM", "CHECKSUM") if key in unit.cards)
        self.copied = bare and not self._header_agrees()
        self._passed = self.copied

    def begin(self) -> ByteSum | None:
        """Return a sum to which all data bytes must be added; None if there is nothing to verify."""
        return None if self._passed or not (self._data_sum or self._checksum) else ByteSum()

    def refuse_header(self) -> None:
        """Refuse a header that does not agree with its own CHECKSUM and DATASUM.

        Raises
        ------
        InputError
            It was changed after they were written.
        """
        if not self._passed and not self._header_agrees():
            raise self._mismatch(f"the header does not agree with its CHECKSUM {self._checksum!r}")

    def _header_agrees(self) -> bool:
        """Whether header and stated sum of the data give the CHECKSUM, as far as both sums are stated."""
        stated = self._checksum and self._data_sum.isdecimal()
        return not stated or same(self._unit.sum + int(self._data_sum), 0)

    def finish(self, data: ByteSum) -> None:
        """Compare the sum of all data bytes with those of the header.

        Raises
        ------
        InputError
            They differ.
        """
        if self._data_sum and not (self._data_sum.isdecimal() and same(int(self._data_sum), data.value)):
            raise self._mismatch(f"DATASUM is {self._data_sum}, the data give {data.value}")
        if self._checksum and not same(self._unit.sum + data.value, 0):
            raise self._mismatch(f"header and data do not agree with CHECKSUM {self._checksum!r}")
        self._passed = True

    def _mismatch(self, found: str) -> InputError:
        fix = (
            "It was damaged, or changed without new sums: make or download it again. To read it as it is, copy it "
            "with 'starscale convert --ignore-checksum', or open it with verify=False"
        )
        where = f"{self._path}#{self._unit.number}"
        return InputError(Problem(where, f"fails its checksum ({found})", "the bytes that were written", fix))


def _text(unit: HeaderUnit, key: str) -> str:
    """Return a sum as text; a blank one is not stated."""
    value = unit.cards.get(key, "")
    return str(value).strip() if isinstance(value, (str, int, float)) else ""
