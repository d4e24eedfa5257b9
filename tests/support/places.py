"""Where the parts of the checkout are."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src"
EXAMPLES = ROOT / "examples" / "surveys"
SUPPORT = Path(__file__).resolve().parent
