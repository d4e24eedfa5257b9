"""What LSDB sees of a HATS catalogue, as JSON; run by the Python of an environment that has it.

hats_reader.py FOLDER RA DEC ARCSEC
"""

from __future__ import annotations

import json
import sys

import lsdb
from hats.io.validation import is_valid_catalog


def main(folder: str, ra: str, dec: str, arcsec: str) -> None:
    catalogue = lsdb.open_catalog(folder)
    rows = catalogue.compute()
    cone = catalogue.cone_search(ra=float(ra), dec=float(dec), radius_arcsec=float(arcsec)).compute()
    labels = rows["teff"].to_numpy(dtype=float, na_value=float("nan"))
    found = {
        "valid": bool(is_valid_catalog(folder, strict=True)),
        "partitions": catalogue.npartitions,
        "columns": list(rows.columns),
        "ids": [int(i) for i in rows["source_id"]],
        "teff": [float(x) if x == x else None for x in labels],
        "cone": sorted(int(i) for i in cone["source_id"]),
        "total": catalogue.hc_structure.catalog_info.total_rows,
        "extra": catalogue.hc_structure.catalog_info.model_dump().get("position_epoch"),
    }
    sys.stdout.write("JSON" + json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
