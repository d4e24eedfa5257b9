"""Runs the distributed engine; called by the Python of an environment that has LSDB, in a process of its own.

lsdb_client.py make TABLE RA DEC ROWS FOLDER       write a HATS catalogue of many partitions
lsdb_client.py kill BUNDLE HATS FOLDER             predict it, and kill one of two workers in the middle
lsdb_client.py match LEFT RIGHT MODE FOLDER        match two of them, here and with two workers
lsdb_client.py opened HATS                         print what lsdb.open_catalog finds
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import lsdb
import pandas as pd
from distributed import Client, LocalCluster
from hats.io.validation import is_valid_catalog

import starscale as ss
from starscale.vocabulary.config import MatchConfig


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


def kill(bundle: str, hats: str, folder: str) -> None:
    """With the user's own client; a worker dies by SIGKILL when the first partitions are written."""
    killed: list[int] = []
    written = f"{Path(folder).name}.partial-*/dataset/*/*/*.parquet"
    with ExitStack() as stack:
        cluster = stack.enter_context(LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None))
        client = stack.enter_context(Client(cluster))

        def watch() -> None:
            while len(list(Path(folder).parent.glob(written))) < 3:
                time.sleep(0.01)
            process = next(iter(client.run(os.getpid).values()))
            os.kill(process, signal.SIGKILL)
            killed.append(process)

        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        counts = ss.predict(ss.load(bundle), hats, folder, engine="lsdb", client=client)
        thread.join(timeout=60)
        say(rows=counts.rows, killed=len(killed), client=client.status)


def match(left: str, right: str, mode: str, folder: str) -> None:
    """The pairs of the workers and those of this process, with all that comes beside them."""
    target = Path(folder)
    target.mkdir()
    found = []
    for name, where in (("local", {"order": 5}), ("lsdb", {"engine": "lsdb", "workers": 2})):
        beside = {key: target / f"{name}_{key}.parquet" for key in ("neighbours", "unmatched", "duplicates")}
        surveys = {"left_survey": "gaia_dr3", "right_survey": "skymapper_dr2"}
        settings = MatchConfig(mode=mode)
        done = ss.match_files(
            left, right, target / f"{name}_pairs.parquet", settings=settings, **surveys, **beside, **where
        )
        found.append((done.statistics, done.model, done.losses))
    say(same=found[0] == found[1])


def opened(folder: str) -> None:
    """What LSDB itself finds."""
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
    )


def say(**found: Any) -> None:
    """Give an answer to the process that started this one."""
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    {"make": make, "kill": kill, "match": match, "opened": opened}[sys.argv[1]](*sys.argv[2:])
