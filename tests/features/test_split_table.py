"""No kind of split puts a star into two parts, and a split that does is refused."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from starscale.features.cluster_names import name_clusters
from starscale.features.leaks import refuse_leaks
from starscale.features.split_table import refuse_useless, split_table
from starscale.features.splits import PARTS, assign_parts
from starscale.surveys import Survey, load_survey
from starscale.tables.healpix import cells
from starscale.tables.positions import positions
from starscale.vocabulary.errors import InputError
from starscale.vocabulary.settings.split import SplitClusters, SplitConfig

LEAD = load_survey("gaia_dr3")
SECOND = 1 / 3600
HALVES = {"train": 0.4, "validation": 0.3, "test": 0.3}
MODES: dict[str, SplitConfig] = {
    "star": SplitConfig(**HALVES),
    "cell": SplitConfig(by="cell", cell_order=9, **HALVES),
    "cluster": SplitConfig(by="cluster", clusters=SplitClusters(), **HALVES),
    "held-out cluster": SplitConfig(by="cluster", clusters=SplitClusters(), hold_out=("c1",), **HALVES),
    "survey": SplitConfig(by="survey", hold_out=("b",), **HALVES),
}


def crowd(seed: int, centre: tuple[float, float], n: int = 80) -> pl.DataFrame:
    """Stars around a point, many within a few arcsec; some identifiers and some positions repeat."""
    rng = np.random.default_rng(seed)
    ra0, dec0 = np.radians(centre)
    vectors = np.array([np.cos(dec0) * np.cos(ra0), np.cos(dec0) * np.sin(ra0), np.sin(dec0)])
    vectors = vectors + rng.normal(0, 1e-3, (n, 3)) * rng.choice([1.0, 0.03, 0.003], (n, 1))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    again = rng.integers(0, n, n // 4)
    vectors[again] = vectors[rng.integers(0, n, n // 4)]
    ids = rng.choice(np.arange(1, 10 * n), n, replace=False)
    ids[rng.integers(0, n, n // 4)] = ids[rng.integers(0, n, n // 4)]
    return pl.DataFrame(
        {
            "source_id": ids,
            "ra": np.degrees(np.arctan2(vectors[:, 1], vectors[:, 0])) % 360,
            "dec": np.degrees(np.arcsin(np.clip(vectors[:, 2], -1, 1))),
            "surveys": rng.choice([1, 2, 3], n, p=[0.8, 0.1, 0.1]),
            "cluster": [["c1", "c2", "c3", "", None][i] for i in rng.integers(0, 5, n)],
        },
        schema_overrides={"surveys": pl.Int32},
    )


def split(table: pl.DataFrame, config: SplitConfig, seed: int = 1, lead: Survey = LEAD) -> np.ndarray:
    return split_table(table, lead, config, seed, label_surveys=("a", "b")).to_numpy()


def separations(table: pl.DataFrame) -> np.ndarray:
    """All angles between rows, arcsec, by the haversine formula: independent of the program's vectors."""
    ra, dec = np.radians(table["ra"].to_numpy()), np.radians(table["dec"].to_numpy())
    half = np.sin((dec[:, None] - dec) / 2) ** 2
    half += np.cos(dec[:, None]) * np.cos(dec) * np.sin((ra[:, None] - ra) / 2) ** 2
    return np.degrees(2 * np.arcsin(np.sqrt(np.clip(half, 0, 1)))) * 3600


CENTRES = st.sampled_from([(0.0, 0.0), (359.9999, 10.0), (123.0, 90.0), (7.0, -90.0), (200.0, 60.0), (45.0, 41.8)])


@pytest.mark.parametrize("mode", MODES)
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**31), centre=CENTRES)
def test_no_star_stands_on_two_sides(mode: str, seed: int, centre: tuple[float, float]) -> None:
    table = crowd(seed, centre)
    part = split(table, MODES[mode])
    same = part[:, None] == part
    ids = table["source_id"].to_numpy()
    assert same[ids[:, None] == ids].all()
    assert same[separations(table) < 0.9999].all()


@pytest.mark.parametrize("mode", MODES)
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**31), centre=CENTRES)
def test_the_order_of_rows_changes_nothing(mode: str, seed: int, centre: tuple[float, float]) -> None:
    table = crowd(seed, centre)
    order = np.random.default_rng(seed).permutation(table.height)
    assert (split(table[order], MODES[mode]) == split(table, MODES[mode])[order]).all()


def lonely(n: int, seed: int = 0) -> pl.DataFrame:
    """Stars far from one another, all over the sky."""
    rng = np.random.default_rng(seed)
    dec = np.degrees(np.arcsin(rng.uniform(-1, 1, n)))
    return pl.DataFrame({"source_id": np.arange(1, n + 1) * 4096, "ra": rng.uniform(0, 360, n), "dec": dec})


def test_lonely_stars_are_split_as_without_groups_and_in_any_company() -> None:
    """The default splits of stars without a near neighbour are those that were published before groups."""
    table = lonely(3000)
    config = SplitConfig()
    alone = assign_parts(table["source_id"], config, 4).to_numpy()
    assert (split(table, config, 4) == alone).all()
    assert (split(table[500:900], config, 4) == alone[500:900]).all()
    assert (split(table.drop("ra"), config, 4) == alone).all()


def test_a_pair_goes_where_one_of_its_stars_would_go() -> None:
    table = lonely(3000)
    near = table.with_columns(pl.col("source_id") + 7, pl.col("dec") + 0.3 * SECOND)
    both = pl.concat([table, near])
    part = split(both, SplitConfig()).reshape(2, -1)
    alone = assign_parts(both["source_id"], SplitConfig(), 1).to_numpy().reshape(2, -1)
    assert (part[0] == part[1]).all()
    assert ((part[0] == alone[0]) | (part[0] == alone[1])).all()
    # Neither of them always.
    assert 0.4 < (part[0] == alone[0])[alone[0] != alone[1]].mean() < 0.6


def test_stars_are_compared_at_one_epoch() -> None:
    """Two rows of a fast star, thirty years apart, are one star; two stars that only passed each other are not."""
    document = LEAD.model_dump()
    document["position"] |= {"epoch": {"column": "ref_epoch", "format": "jyear", "default": None}}
    lead = Survey.model_validate(document)
    moved = {"ref_epoch": [1986.0, 2016.0], "pmra": [0.0, 0.0], "pmdec": [1000.0, 1000.0]}
    for seed in range(20):
        apart = {"source_id": [10 + seed, 500 + seed], "ra": [5.0, 5.0], "dec": [0.0, 30 * SECOND]}
        part = split(pl.DataFrame({**apart, **moved}), SplitConfig(**HALVES), seed, lead)
        assert part[0] == part[1]
    passed = pl.DataFrame({**apart, **moved, "dec": [0.0, 0.0]})
    found = {tuple(split(passed, SplitConfig(**HALVES), seed, lead)) for seed in range(20)}
    assert any(a != b for a, b in found)


# ---- blocks ------------------------------------------------------------------------------------------


def test_cells_stay_whole_and_shares_are_as_asked() -> None:
    table = lonely(20_000)
    config = SplitConfig(by="cell", cell_order=5, **HALVES)
    part = split(table, config)
    cell = cells(table["ra"].to_numpy(), table["dec"].to_numpy(), 5)
    number, first = np.unique(cell, return_index=True)
    assert (part == part[first][np.searchsorted(number, cell)]).all()
    for name, share in HALVES.items():
        error = np.sqrt(share * (1 - share) / len(number))
        assert (part[first] == name).mean() == pytest.approx(share, abs=4 * error)
    # Not by star, and by another order otherwise.
    assert (part != split(table, SplitConfig(**HALVES))).any()
    assert (part != split(table, SplitConfig(by="cell", cell_order=4, **HALVES))).any()


def test_a_cell_has_its_part_in_any_company() -> None:
    table = lonely(4000)
    config = SplitConfig(by="cell", cell_order=3, **HALVES)
    assert (split(table[100:700], config) == split(table, config)[100:700]).all()


def test_a_pair_across_the_border_of_cells_stays_together_and_the_cells_do_not() -> None:
    """At (0, 0) cells of every order meet."""
    ra = np.r_[np.linspace(0.5, 3, 200), np.linspace(357, 359.5, 200)]
    table = pl.DataFrame({"source_id": np.arange(1, 401), "ra": ra, "dec": np.full(400, 1e-7)})
    pair = pl.DataFrame({"source_id": [1001, 1002], "ra": [0.1 * SECOND, 360 - 0.1 * SECOND], "dec": [1e-7, 1e-7]})
    table = pl.concat([table, pair])
    cell = cells(table["ra"].to_numpy(), table["dec"].to_numpy(), 3)
    assert cell[-1] != cell[-2]
    seen = set()
    for seed in range(30):
        part = split(table, SplitConfig(by="cell", cell_order=3, **HALVES), seed)
        assert part[-1] == part[-2]
        assert part[-1] in (part[cell == cell[-1]][0], part[cell == cell[-2]][0])
        seen.add(len({part[cell == cell[-1]][0], part[cell == cell[-2]][0]}))
    assert seen == {1, 2}


def test_clusters_stay_whole_and_the_field_is_split_by_star() -> None:
    table = lonely(6000).with_columns(
        pl.Series("cluster", [f"c{i % 150}" if i < 3000 else None for i in range(6000)])
    )
    config = SplitConfig(by="cluster", clusters=SplitClusters(), **HALVES)
    part = split(table, config)
    members = part[:3000].reshape(-1, 150)
    assert (members == members[0]).all()
    assert set(members[0]) == set(PARTS)
    for name, share in HALVES.items():
        assert (members[0] == name).mean() == pytest.approx(share, abs=4 * np.sqrt(share * (1 - share) / 150))
    assert (part[3000:] == assign_parts(table["source_id"], config, 1).to_numpy()[3000:]).all()
    # The part of a cluster does not depend on which of its stars are in the table.
    assert (split(table[::7], config) == part[::7]).all()


def test_held_out_clusters_are_the_test_part() -> None:
    table = lonely(2000).with_columns(pl.Series("cluster", ["near", "far", None, ""] * 500))
    config = SplitConfig(by="cluster", clusters=SplitClusters(), hold_out=("far",))
    part = split(table, config)
    assert ((part == "test") == np.tile([False, True, False, False], 500)).all()
    field = part[np.tile([False, False, True, True], 500)]
    assert (field == "train").mean() == pytest.approx(8 / 9, abs=4 * np.sqrt(8 / 81 / 1000))
    refuse_useless(table, pl.Series(part), config)
    wrong = SplitConfig(by="cluster", clusters=SplitClusters(), hold_out=("far", "nera"))
    with pytest.raises(InputError, match=r"no star .* belongs to a cluster 'nera'.*Did you mean 'near'"):
        refuse_useless(table, pl.Series(split(table, wrong)), wrong)


def test_held_out_surveys_are_the_test_part_whoever_else_saw_the_star() -> None:
    table = lonely(3000).with_columns(pl.Series("surveys", [1, 2, 3] * 1000, dtype=pl.Int32))
    config = SplitConfig(by="survey", hold_out=("b",), train=0.6, validation=0.2, test=0.2)
    part = split(table, config)
    assert ((part == "test") == (table["surveys"].to_numpy() & 2 > 0)).all()
    assert (part[::3] == "train").mean() == pytest.approx(0.75, abs=4 * np.sqrt(0.75 * 0.25 / 1000))
    # A close neighbour of a star of the test survey is in the same part.
    near = table.with_columns(pl.col("source_id") + 7, pl.col("dec") + 0.3 * SECOND, pl.lit(1).alias("surveys"))
    both = pl.concat([table, near.cast({"surveys": pl.Int32})])
    assert ((split(both, config).reshape(2, -1) == "test") == (part == "test")).all()


# ---- clusters from a table -----------------------------------------------------------------------------


def test_circles_hold_the_stars_that_astropy_finds_inside() -> None:
    from astropy import units as u
    from astropy.coordinates import SkyCoord

    table = lonely(4000)
    rng = np.random.default_rng(3)
    circles = pl.DataFrame(
        {
            "name": ["a", "b", "pole", "zero"],
            "RA_ICRS": [100.0, 104.0, 33.0, 359.9],
            "DE_ICRS": [-30.0, -30.0, 89.5, 2.0],
            "r50": [5.0, 5.0, 8.0, 6.0],
        }
    )
    config = SplitClusters(path="x", column="name", ra="RA_ICRS", dec="DE_ICRS", radius="r50")
    order = rng.permutation(4)
    named = name_clusters(table, LEAD, circles[order], config, "clusters.csv")["split_cluster"]
    stars = SkyCoord(table["ra"].to_numpy() * u.deg, table["dec"].to_numpy() * u.deg)
    centres = SkyCoord(circles["RA_ICRS"].to_numpy() * u.deg, circles["DE_ICRS"].to_numpy() * u.deg)
    relative = np.stack([stars.separation(c).deg / r for c, r in zip(centres, circles["r50"], strict=True)])
    nearest = np.where(relative.min(axis=0) < 1, relative.argmin(axis=0), -1)
    expected = [circles["name"][int(i)] if i >= 0 else None for i in nearest]
    assert named.to_list() == expected
    assert set(expected) == {"a", "b", "pole", "zero", None}


def test_members_from_a_list() -> None:
    table = lonely(10)
    members = pl.DataFrame({"id": table["source_id"][:4], "cl": ["a", "a", "b", None]})
    config = SplitClusters(path="x", column="cl", source_id="id")
    named = name_clusters(table, LEAD, members, config, "members.csv")["split_cluster"]
    assert named.to_list() == ["a", "a", "b", *[None] * 7]
    twice = pl.concat([members, pl.DataFrame({"id": [4096], "cl": ["b"]})])
    with pytest.raises(InputError, match=r"1 stars are members of several clusters \(first: 4096 of a and b\)"):
        name_clusters(table, LEAD, twice, config, "members.csv")
    with pytest.raises(InputError, match=r"'id': is of type String; expected identifiers of type Int64"):
        name_clusters(table, LEAD, members.cast({"id": pl.String}), config, "members.csv")
    with pytest.raises(InputError, match="none of the 10 labelled stars"):
        name_clusters(table, LEAD, members.with_columns(pl.col("id") + 1), config, "members.csv")


def test_bad_circles() -> None:
    table = lonely(10)
    circles = pl.DataFrame({"cluster": ["a", "b"], "ra": [1.0, 2.0], "dec": [0.0, 95.0], "radius": [1.0, 1.0]})
    with pytest.raises(InputError, match="1 of 2 rows have no valid centre"):
        name_clusters(table, LEAD, circles, SplitClusters(path="x"), "c.csv")
    with pytest.raises(InputError, match=r"column 'radius': is of type String; expected degrees"):
        name_clusters(table, LEAD, circles.cast({"radius": pl.String}), SplitClusters(path="x"), "c.csv")
    with pytest.raises(InputError, match=r"c.csv: column 'rad'.*split by cluster.*Did you mean .*'radius'"):
        name_clusters(table, LEAD, circles, SplitClusters(path="x", radius="rad"), "c.csv")


# ---- leaks -------------------------------------------------------------------------------------------


def own(part: list[str | None], **columns: list[float]) -> pl.DataFrame:
    n = len(part)
    base = {"source_id": list(range(1, n + 1)), "ra": [10.0 * i for i in range(n)], "dec": [0.0] * n}
    return pl.DataFrame({**base, **columns, "mine": part})


COLUMN = SplitConfig(by="column", column="mine")


def test_a_split_of_ones_own_is_taken_as_it_is() -> None:
    part = ["test", "train", "validation", "train"]
    assert split(own(part), COLUMN, 1).tolist() == split(own(part), COLUMN, 2).tolist() == part
    refuse_useless(own(part), pl.Series(part), COLUMN)
    with pytest.raises(InputError, match="leaves no stars for validation"):
        refuse_useless(own(["test", "train"]), pl.Series(["test", "train"]), COLUMN)
    with pytest.raises(InputError, match=r"'mine': 2 of 4 values are not the name of a part \('tets', None\)"):
        split(own(["tets", "train", None, "test"]), COLUMN)
    with pytest.raises(InputError, match=r"column 'mine': is missing, but needed for a split by column"):
        split(own(part).drop("mine"), COLUMN)


def test_the_guard_refuses_an_identifier_in_two_parts() -> None:
    table = own(["train", "test", "train", "validation", "train"], source_id=[1, 1, 2, 2, 3])
    with pytest.raises(InputError) as caught:
        split(table, COLUMN)
    text = str(caught.value)
    assert "2 of 3 identifiers are in several parts of the split, in 4 rows" in text
    assert "1 in train and test; 2 in train and validation" in text
    assert "the same part in the column 'mine'" in text


def test_the_guard_refuses_near_neighbours_in_two_parts() -> None:
    """Over right ascension 0 as well; a pair in one part and a pair at 1.1 arcsec are not a leak."""
    ra = [0.1 * SECOND, 360 - 0.3 * SECOND, 50.0, 50.0, 90.0, 90.0]
    dec = [0.0, 0.0, 0.0, 0.5 * SECOND, 0.0, 1.1 * SECOND]
    table = own(["train", "test", "train", "train", "train", "validation"], ra=ra, dec=dec)
    with pytest.raises(InputError) as caught:
        split(table, COLUMN)
    text = str(caught.value)
    assert "1 pairs of rows closer than 1 arcsec are in different parts" in text
    assert "(1 in train and 2 in test, 0.40 arcsec)" in text
    fixed = table.with_columns(pl.Series("mine", ["test", *table["mine"][1:]]))
    assert split(fixed, COLUMN).tolist()[:2] == ["test", "test"]


def test_the_guard_holds_when_groups_are_turned_off() -> None:
    table = lonely(300)
    near = table.with_columns(pl.col("source_id") + 7, pl.col("dec") + 0.3 * SECOND)
    both = pl.concat([table, near])
    with pytest.raises(InputError, match=r"pairs of rows closer .*\.\.\.\).*Set split.group_radius to 1 or more"):
        split(both, SplitConfig(group_radius=0))
    assert len(split(table, SplitConfig(group_radius=0))) == 300


def test_all_leaks_are_told_at_once_and_text_identifiers_work() -> None:
    table = own(["train", "test", "train", "test"], ra=[0.0, 10.0, 20.0, 20.0]).with_columns(
        pl.Series("source_id", ["a", "a", "b", "c"])
    )
    with pytest.raises(InputError) as caught:
        refuse_leaks(table["source_id"], table["mine"], positions(table, LEAD), where="mine.csv", fix="Mend it.")
    assert len(caught.value.problems) == 2
    refuse_leaks(table["source_id"][1:], table["mine"][1:], None, where="mine.csv")


# ---- settings ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"by": "survey"}, "needs hold_out"),
        ({"by": "cluster"}, r"needs \[split.clusters\]"),
        ({"by": "cell", "hold_out": ("a",)}, "hold_out has no meaning"),
        ({"clusters": SplitClusters()}, "no meaning with by"),
        ({"train": 0.5}, "must be 1"),
    ],
)
def test_settings_that_do_not_fit(config: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SplitConfig.model_validate(config)
    with pytest.raises(ValueError, match="path is missing"):
        SplitClusters(source_id="source_id")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (SplitConfig(by="cell"), "has no positions"),
        (MODES["survey"], r"'surveys': is missing, but needed for a split by survey"),
        (MODES["cluster"], r"'cluster': is missing, but needed for a split by cluster"),
        (SplitConfig(by="cluster", clusters=SplitClusters(path="x")), "'split_cluster': is missing"),
    ],
)
def test_columns_that_a_split_needs(config: SplitConfig, message: str) -> None:
    with pytest.raises(InputError, match=message):
        split(pl.DataFrame({"source_id": [1, 2]}), config)
    with pytest.raises(InputError, match="'source_id': is missing"):
        split(pl.DataFrame({"ra": [1.0]}), config)
