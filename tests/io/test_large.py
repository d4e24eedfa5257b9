"""Memory does not grow with a table: measured in processes of their own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux tells the peak of a process there"),
]

MILLION = 1_000_000
_PEAK = """
# Not ru_maxrss: a process inherits that of the one which started it.
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(rows, int(status["VmHWM"].split()[0]) // 1024)
"""
READ = """
import sys
from starscale import io
rows = sum(batch.height for batch in io.open_table(sys.argv[1]).batches(100_000))
"""
WRITE = """
import sys
import numpy as np
import polars as pl
from starscale import io
path, rows = sys.argv[1], int(sys.argv[2])
rng = np.random.default_rng(1)
schema = pl.Schema({"ra": pl.Float64, "dec": pl.Float64, **{f"c{i}": pl.Float32 for i in range(20)}})
with io.open_writer(path, schema) as writer:
    for _ in range(rows // 100_000):
        columns = {name: rng.random(100_000) for name in schema}
        columns["dec"] = np.degrees(np.arcsin(2 * columns["dec"] - 1))
        columns["ra"] *= 360
        writer.append(pl.DataFrame(columns).cast(schema))
"""


def peak(code: str, *arguments: object) -> tuple[int, int]:
    """Rows and the greatest memory (MB) of a process that runs some code."""
    command = [sys.executable, "-c", code + _PEAK, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]
    rows, memory = done.stdout.split()
    return int(rows), int(memory)


def test_a_row_group_of_ten_million_rows_is_read_in_pieces(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    columns = {f"c{i}": rng.random(10 * MILLION) for i in range(6)}
    pq.write_table(pa.table(columns), tmp_path / "one.parquet", row_group_size=10 * MILLION)
    del columns
    assert pq.read_metadata(tmp_path / "one.parquet").num_row_groups == 1
    # 480 MB of numbers.
    rows, memory = peak(READ, tmp_path / "one.parquet")
    assert rows == 10 * MILLION
    assert memory < 400


@pytest.mark.parametrize("suffix", [".parquet", ".hats", ".vot", ".fits"])
def test_memory_is_the_same_for_three_times_the_rows(tmp_path: Path, suffix: str) -> None:
    used = []
    for rows in (MILLION, 3 * MILLION):
        path = tmp_path / f"t{rows}{suffix}"
        written, writing = peak(WRITE, path, rows)
        found, reading = peak(READ, path)
        assert (written, found) == (rows, rows)
        used.append((writing, reading))
    (writing, reading), (more_writing, more_reading) = used
    # 288 MB of numbers are 192 MB more than 96.
    assert more_writing - writing < 100
    assert more_reading - reading < 100
