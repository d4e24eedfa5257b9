"""What the page on archives shows of LSDB; run by the Python of an environment that has it.

hats_client.py make TABLE.parquet FOLDER    write a HATS catalogue
hats_client.py cone URL RA DEC ARCSEC FOLDER    read a cone of it, write that as a catalogue
"""

from __future__ import annotations

import sys

import lsdb
import pandas as pd


def make(table: str, folder: str) -> None:
    frame = pd.read_parquet(table)
    catalogue = lsdb.from_dataframe(
        frame, ra_column="ra", dec_column="dec", catalog_name="gaia", partition_rows=2000
    )
    catalogue.write_catalog(folder)


def cone(url: str, ra: str, dec: str, arcsec: str, folder: str) -> None:
    columns = ["source_id", "ra", "dec", "pmra", "pmdec", "phot_g_mean_mag", "ruwe"]
    sky = lsdb.open_catalog(url, columns=columns, filters=[("phot_g_mean_mag", "<", 18)])
    sky.cone_search(ra=float(ra), dec=float(dec), radius_arcsec=float(arcsec)).write_catalog(folder)


if __name__ == "__main__":
    {"make": make, "cone": cone}[sys.argv[1]](*sys.argv[2:])
