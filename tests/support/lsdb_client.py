"""Runs the distributed engine; called by the Python of an environment that has LSDB, in a process of its own.

lsdb_client.py make TABLE RA DEC ROWS FOLDER       write a HATS catalogue of many partitions
lsdb_client.py kill BUNDLE HATS FOLDER             predict it, and kill one of two workers in the middle
lsdb_client.py apply MODEL OUT TABLE ...           apply it, kill one of two workers in the middle; again, lazily
lsdb_client.py match LEFT RIGHT MODE FOLDER        match two of them, here and with two workers
lsdb_client.py algorithm LEFT RIGHT                match two tables by the crossmatch of LSDB with our algorithm
lsdb_client.py partitions BUNDLE HATS              predict it with map_partitions of LSDB
lsdb_client.py opened HATS OTHER SURVEY            what lsdb.open_catalog finds, and OTHER as a table of SURVEY
"""

from __future__ import annotations

import json
import os
import pickle
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import lsdb
import numpy as np
import pandas as pd
import polars as pl
from distributed import Client, LocalCluster
from hats.io.validation import is_valid_catalog

import starscale as ss
from starscale.cluster.catalogue import open_hats, table_of
from starscale.crossmatch.kernel.density import DensityMap
from starscale.crossmatch.kernel.inputs import match_columns
from starscale.crossmatch.on_cluster.algorithm import ROW, Reader, StarscaleCrossmatch, save_density
from starscale.learn.density import predict_block
from starscale.model.model import Model
from starscale.surveys import load_survey
from starscale.tables.standardise import standardise
from starscale.vocabulary.settings.match import MatchConfig


def make(table: str, ra: str, dec: str, rows: str, folder: str) -> None:
    """Cells of order 4 at least, so that a small sky has many partitions."""
    catalogue = lsdb.from_dataframe(
        pd.read_parquet(table),
        ra_column=ra,
        dec_column=dec,
        catalog_name="stars",
        lowest_order=5,
        highest_order=8,
        partition_rows=int(rows),
        margin_threshold=None,
    )
    catalogue.write_catalog(folder, as_collection=False, progress_bar=False)
    say(partitions=len(catalogue.get_healpix_pixels()))


@contextmanager
def dying(folder: Path) -> Iterator[tuple[Client, list[int]]]:
    """Two workers, one of which dies by SIGKILL when the first partitions of a catalogue are written."""
    killed: list[int] = []
    written = f"{folder.name}.partial-*/dataset/*/*/*.parquet"
    with ExitStack() as stack:
        cluster = stack.enter_context(LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None))
        client = stack.enter_context(Client(cluster))

        def watch() -> None:
            while len(list(folder.parent.glob(written))) < 3:
                time.sleep(0.01)
            process = next(iter(client.run(os.getpid).values()))
            os.kill(process, signal.SIGKILL)
            killed.append(process)

        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        yield client, killed
        thread.join(timeout=60)


def kill(bundle: str, hats: str, folder: str) -> None:
    """With the user's own client; a worker dies in the middle."""
    with dying(Path(folder)) as (client, killed):
        counts = ss.predict(ss.load(bundle), hats, folder, engine="lsdb", client=client)
        status = client.status
    say(rows=counts.rows, killed=len(killed), client=status)


def apply(bundle: str, output: str, *tables: str) -> None:
    """A worker dies while stars are cleaned; then a part of the same, computed on demand."""
    folder = Path(f"{output}.run")
    folder.mkdir()
    with dying(folder / "clean_gaia_dr3.hats") as (client, killed):
        applied = ss.apply(bundle, list(tables), output, clean=True, engine="lsdb", client=client)
        # The record of the folder says what its last call has done, so this one gets a copy.
        lazy = shutil.copytree(folder, f"{output}.lazy")
        asked = {"below": {"fe_h": [-1.5]}, "slopes": False}
        stars = ss.apply(bundle, list(tables), clean=True, lazy=True, folder=lazy, client=client, **asked)
        first = ss.read(output).row(0, named=True)
        near = stars.cone_search(ra=first["ra"], dec=first["dec"], radius_arcsec=7200).compute(progress_bar=False)
    stars_of_run = Path(lazy) / "matched.hats"
    expected = ss.predict(bundle, stars_of_run, **asked).table
    lazily = ss.read(near).select(expected.columns).sort("source_id")
    expected = expected.filter(pl.col("source_id").is_in(lazily["source_id"].implode())).sort("source_id")
    same = lazily.equals(expected) and "p_fe_h_below_m1p5" in lazily.columns
    null = set(lazily.select(pl.selectors.ends_with("_ebv_slope")).null_count().row(0))
    about = {"near": lazily.height, "same": same, "partitions": stars.npartitions}
    say(rows=applied.rows, killed=len(killed), asked=null == {lazily.height}, **about)


def match(left: str, right: str, mode: str, folder: str) -> None:
    """The pairs of the workers and those of this process, with all that comes beside them."""
    target = Path(folder)
    target.mkdir()
    found = []
    for name, where in (("local", {"order": 5}), ("lsdb", {"engine": "lsdb", "workers": 2})):
        beside = {key: target / f"{name}_{key}.parquet" for key in ("neighbours", "unmatched", "duplicates")}
        surveys = {"left_survey": "gaia_dr3", "right_survey": "skymapper_dr2"}
        settings = MatchConfig(mode=mode)
        done = ss.match(
            left, right, output=target / f"{name}_pairs.parquet", settings=settings, **surveys, **beside, **where
        )
        found.append((done.statistics, done.model, done.losses))
    say(same=found[0] == found[1])


def algorithm(left: str, right: str) -> None:
    """The kernel within LSDB's own crossmatch, with partitions and margins of LSDB."""
    settings = MatchConfig(mode="dense", method="nearest", curate=False)
    catalogues, readers = [], []
    for path, survey, ra, dec in ((left, "gaia_dr3", "ra", "dec"), (right, "skymapper_dr2", "raj2000", "dej2000")):
        frame = pd.read_parquet(path)
        described = load_survey(survey)
        columns = tuple(name for name in match_columns(described) if name in frame.columns)
        readers.append(Reader(path, described, columns, {}))
        frame[ROW] = range(len(frame))
        made = lsdb.from_dataframe(
            frame, ra_column=ra, dec_column=dec, lowest_order=5, partition_rows=1300, margin_threshold=600
        )
        catalogues.append(made)
    with tempfile.TemporaryDirectory() as folder:
        density = str(Path(folder) / "density.npz")
        nothing = np.empty(0, dtype=np.int64)
        save_density(Path(density), DensityMap(nothing, nothing))
        ours = StarscaleCrossmatch(*readers, settings, "dense", density)
        pairs = catalogues[0].crossmatch(
            catalogues[1], algorithm=ours, suffixes=("", "_right"), suffix_method="overlapping_columns"
        )
        found = pl.from_pandas(pairs.compute(progress_bar=False)[["source_id", "object_id", "angular_distance"]])
        target = Path(folder) / "pairs.parquet"
        beside = Path(folder) / "neighbours.parquet"
        surveys = {"left_survey": "gaia_dr3", "right_survey": "skymapper_dr2"}
        ss.match(left, right, output=target, settings=settings, neighbours=beside, order=5, **surveys)
        local = ss.read(beside).select(
            "source_id", pl.col("original_ext_source_id").alias("object_id"), "angular_distance"
        )
    key = ["source_id", "object_id"]
    say(pairs=local.height, same=found.sort(key).equals(local.sort(key)))


def loads() -> list[int]:
    """How often this process has read a bundle, and how many programs of the networks it has compiled."""
    return [len(_LOADS), predict_block._cache_size()]


_LOADS: list[str] = []
_PREDICT_LOAD = Model.load.__func__


def counted(client: Client) -> None:
    """Let every worker count how often it reads a bundle."""

    def count() -> None:
        import lsdb_client as here

        def load(cls: type[Model], path: str) -> Model:
            here._LOADS.append(str(path))
            return here._PREDICT_LOAD(cls, path)

        Model.load = classmethod(load)

    client.run(count)


def partitions(bundle: str, hats: str) -> None:
    """The model as a function of partitions, which LSDB calls without rows first, on two workers."""
    model, indices = ss.load(bundle), set()
    sent = len(pickle.dumps(model))

    def predict(partition: pd.DataFrame) -> pd.DataFrame:
        indices.add(partition.index.name)
        catalogue = model.predict(partition).to_pandas()
        catalogue.index = partition.index
        return catalogue

    local = model.predict(hats)
    # What Dask sends must be what this module is called on the workers.
    sys.path.insert(0, str(Path(__file__).parent))
    os.environ["PYTHONPATH"] = f"{Path(__file__).parent}:{os.environ['PYTHONPATH']}"
    with ExitStack() as stack:
        cluster = stack.enter_context(LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None))
        client = stack.enter_context(Client(cluster))
        counted(client)
        found = lsdb.open_catalog(hats).map_partitions(predict).compute(progress_bar=False)
        # The same model again, from a copy elsewhere: it is known by what it holds.
        with tempfile.TemporaryDirectory() as folder:
            ss.predict(model, hats, Path(folder) / "out.hats", engine="lsdb", client=client)
        seen = client.run(lambda: __import__("lsdb_client").loads())
    same = ss.read(found, columns=local.columns).sort("source_id").equals(local.sort("source_id"))
    found_loads = {"loads": list(seen.values()), "programs": loads()[1]}
    say(rows=len(found), same=same, indices=[*indices, found.index.name], sent=sent, **found_loads)


def opened(folder: str, other: str, survey: str) -> None:
    """What LSDB itself finds, and the values of a catalogue in the units of its survey."""
    sky = open_hats(other)
    table = table_of(sky.catalogue.compute(progress_bar=False), list(sky.schema))
    values = standardise(table, load_survey(survey), found_columns=sky.columns)
    catalogue = lsdb.open_catalog(folder)
    info = catalogue.hc_structure.catalog_info
    near = catalogue.cone_search(ra=0, dec=-90, radius_arcsec=3600 * 180)
    say(
        rows=len(catalogue),
        computed=len(catalogue.compute(progress_bar=False)),
        near=len(near.compute(progress_bar=False)),
        position=[info.ra_column, info.dec_column],
        unit=catalogue.hc_structure.original_schema.field("teff").metadata[b"unit"].decode(),
        valid=is_valid_catalog(folder, strict=True),
        error=values["e_ra"].to_list(),
        noted=sky.columns["e_ra"].converted,
    )


def say(**found: Any) -> None:
    """Give an answer to the process that started this one."""
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    verbs = (make, kill, apply, match, algorithm, partitions, opened)
    {verb.__name__: verb for verb in verbs}[sys.argv[1]](*sys.argv[2:])
