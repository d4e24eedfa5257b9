"""A table is the same table in every library: values, types, missing values and units."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from polars.testing import assert_frame_equal

from starscale import io
from starscale.io.units import same_unit
from support.kinds_of_tables import KINDS, Stated, tables


def agrees(table: Stated, kind: str) -> None:
    make, keeps_units = KINDS[kind]
    source = io.open_table(make(table))
    assert_frame_equal(source.read(), table.frame)
    for name, unit in table.units.items():
        assert same_unit(source.columns[name].unit, unit if keeps_units else ""), name


@pytest.mark.parametrize("kind", KINDS)
@given(table=tables())
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_every_kind_gives_the_table_it_was_made_from(kind: str, table: Stated) -> None:
    agrees(table, kind)
