"""The README as a package index shows it: links that lead nowhere there become absolute, or plain text."""

from __future__ import annotations

import re
from pathlib import Path

from hatchling.metadata.plugin.interface import MetadataHookInterface

#: A link whose target is a file of the repository.
_RELATIVE = re.compile(r"\[(?P<text>[^\]]+)\]\((?P<target>(?![a-z]+:|#)[^)]+)\)")


def readme(text: str, repository: str = "") -> str:
    """Return the text with links into the repository at its address, or without them as long as it has none."""
    if repository:
        return _RELATIVE.sub(lambda link: f"[{link['text']}]({repository}/blob/main/{link['target']})", text)
    return _RELATIVE.sub(lambda link: link["text"], text)


class CustomMetadataHook(MetadataHookInterface):
    """Gives hatchling the README of the built package."""

    def update(self, metadata: dict) -> None:
        """Set the description of the package."""
        text = Path(self.root, "README.md").read_text(encoding="utf-8")
        repository = metadata.get("urls", {}).get("Repository", "")
        metadata["readme"] = {"content-type": "text/markdown", "text": readme(text, repository)}
