"""With the affinity set to one core, one thread works: in a match, a prediction and a homogenisation."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """\
import concurrent.futures as futures, json, os, sys
cores = sorted(os.sched_getaffinity(0))
os.sched_setaffinity(0, set(cores[: int(sys.argv[1])]))

pools = []
begin = futures.ThreadPoolExecutor.__init__

def recorded(self, max_workers=None, *args, **named):
    # Pools of other libraries (jax makes one for its compiler) are not ours to count.
    if "starscale" in sys._getframe(1).f_code.co_filename:
        pools.append(max_workers)
    begin(self, max_workers, *args, **named)

futures.ThreadPoolExecutor.__init__ = recorded

import polars as pl
import starscale as ss
from starscale.io.threads import cores as usable

sky, run, output = sys.argv[2:]
gaia, smss = f"{sky}/mock/gaia_dr3.parquet", f"{sky}/mock/skymapper_dr2.parquet"
pairs = ss.match(gaia, smss, left_survey="gaia_dr3", right_survey="skymapper_dr2").n_pairs
rows = ss.predict(f"{run}/model", f"{run}/matched.parquet", f"{output}/catalogue.parquet").rows
print(json.dumps({
    "cores": usable(), "polars": pl.thread_pool_size(),
    "pools": pools, "pairs": pairs, "rows": rows,
}))
"""


def seen(number: int, sky: Path, run: Path, output: Path) -> dict[str, object]:
    output.mkdir()
    command = [sys.executable, "-c", SCRIPT, str(number), str(sky), str(run), str(output)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no affinity")
def test_one_core_means_one_thread(sky: Path, finished: Path, tmp_path: Path) -> None:
    one = seen(1, sky, finished, tmp_path / "one")
    assert (one["cores"], one["polars"]) == (1, 1)
    assert set(one["pools"]) <= {1}
    if len(os.sched_getaffinity(0)) < 2:
        return
    # And so the check can fail: two cores are used where there are two.
    two = seen(2, sky, finished, tmp_path / "two")
    assert two["cores"] == 2
    assert 2 in two["pools"]
    assert (two["pairs"], two["rows"]) == (one["pairs"], one["rows"])
