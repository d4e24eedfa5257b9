"""Verbs that write, ended at random moments and repeated, write the files of an undisturbed call."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.kills import NETWORKS, VERBS, killed, prepare
from support.often import OFTEN


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kills")
    prepare(folder / "data")
    return folder


@pytest.mark.slow
@pytest.mark.skipif(OFTEN == 1, reason="takes minutes: make often, or make kills")
@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb not in NETWORKS])
def test_a_verb_that_is_killed(root: Path, verb: str) -> None:
    assert killed(verb, 2 * OFTEN, root).faults == ()
