"""A bundle of a stranger whose checksums are right and whose content is not."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

import starscale as ss
from starscale.registry.packed import FILES
from starscale.vocabulary.bundle import INDEX
from starscale.vocabulary.provenance import fingerprint


def places(node: Any, above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The keys of a document, down to the fourth level."""
    if isinstance(node, dict) and len(above) < 4:
        for key, inner in node.items():
            yield (*above, key)
            yield from places(inner, (*above, key))


@settings(max_examples=30)
@given(data=st.data())
def test_an_index_with_something_else_in_it_is_loaded_or_refused(bundle: Path, data: st.DataObject) -> None:
    index = json.loads((bundle / INDEX).read_text())
    signed = index.pop("sha256")
    # The checksum that a bundle has is that of its content, so what follows is about content alone.
    assert fingerprint(index) == signed
    changed = copy.deepcopy(index)
    *above, key = data.draw(st.sampled_from(sorted(places(index))))
    node = changed
    for name in above:
        node = node[name]
    if data.draw(st.booleans()):
        del node[key]
    else:
        node[key] = data.draw(st.sampled_from([None, "x", [1], {}, -1, 1e300]))
    with TemporaryDirectory() as folder:
        for name in FILES:
            (Path(folder) / name).write_bytes((bundle / name).read_bytes())
        (Path(folder) / INDEX).write_text(json.dumps({**changed, "sha256": fingerprint(changed)}))
        try:
            model = ss.load(folder)
        except ss.InputError:
            return
        assert model.labels
