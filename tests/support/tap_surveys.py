"""Packaged survey files, moved to a TAP server on loopback."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

LABELS = ("apogee_dr17", "galah_dr3", "gaia_eso_dr5", "rave_dr6_summary", "lamost_dr5")
NAMES = ("gaia_dr3", "bailer_jones_edr3", "skymapper_dr2", *LABELS)
ARCHIVES = (
    "https://gea.esac.esa.int/tap-server/tap",
    "https://api.skymapper.nci.org.au/public/tap",
    "https://datalab.noirlab.edu/tap",
    "https://datacentral.org.au/vo/tap",
    "https://tapvizier.cds.unistra.fr/TAPVizieR/tap",
)


def moved(folder: Path, service: str) -> dict[str, Path]:
    """Write the survey files whose tables the test server has, with its address; returns their paths."""
    paths = {}
    folder.mkdir(parents=True, exist_ok=True)
    for name in NAMES:
        text = (resources.files("starscale.surveys") / f"{name}.toml").read_text(encoding="utf-8")
        for archive in ARCHIVES:
            text = text.replace(archive, service)
        # A reserved word of SQL, which DaCHS does not take for a schema.
        text = text.replace("external.", "gaiaext.").replace('"dr2.master"', '"gaiaext.skymapperdr2_master"')
        text = text.replace('"V/164/stellar5"', "vizier.stellar5")
        text = text.replace('joins = ["bailer_jones_edr3"]', 'joins = ["bailer_jones_edr3.toml"]')
        paths[name] = folder / f"{name}.toml"
        paths[name].write_text(text, encoding="utf-8")
    return paths
