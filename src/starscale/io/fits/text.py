r"""Any text as a FITS header value, which may hold printable ASCII only.

Other characters are written as ``\uXXXX`` (UTF-16 units, as in JSON), and so is a backslash that would otherwise
look like the beginning of one. In other programs the text stays readable.
"""

from __future__ import annotations

import re

_UNPRINTABLE = re.compile(r"[^ -~]|\\(?=u[0-9a-fA-F]{4})|[ &]+$")
_ESCAPED = re.compile(r"(?:\\u[0-9a-fA-F]{4})+")


def to_card(text: str) -> str:
    """Return `text` in printable ASCII.

    Trailing blanks, which FITS does not keep, and a trailing ampersand, which would continue the text on the next
    card, are escaped as well.
    """
    return _UNPRINTABLE.sub(lambda match: _units(match[0]), text)


def from_card(text: str) -> str:
    """Undo :func:`to_card`."""
    return _ESCAPED.sub(
        lambda match: bytes.fromhex(match[0].replace("\\u", "")).decode("utf-16-be", "replace"), text
    )


def _units(text: str) -> str:
    code = text.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{code[i : i + 4]}" for i in range(0, len(code), 4))
