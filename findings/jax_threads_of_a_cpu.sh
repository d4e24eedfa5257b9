#!/usr/bin/env bash
# Guess: XLA_FLAGS=--xla_cpu_multi_thread_eigen=false makes a computation of jax on a CPU use one thread.
# Truth: it uses as many as without the flag. The variable NPROC sets their number, and is read whenever a client of
#   the CPU is made, for the first time when jax first uses the CPU. All computations of a client share its threads,
#   also those that several threads of Python have begun. A compiled function runs on the client that holds its
#   arguments, also on one that was made beside that of jax.
# Version: jax and jaxlib 0.10.2, Python 3.11, two cores or more. Seen on 2026-12-01 on two cores: "threads at work:
#   usually 2, with the flag 2, with NPROC=1 1, on a second client with NPROC=1 1".
# Source: run below.
# starscale trains networks side by side, each on a CPU client of its own that is made with NPROC=1
#   (src/starscale/learn/training/lanes.py), and leaves that of jax as it is.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check 'jax==0.10.2' 'jaxlib==0.10.2' 'numpy==2.4.6'
cat > "$work/count.py" <<'PY'
import os
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
from jaxlib.xla_client import make_cpu_client


def spent():
    """Seconds of the processor, in hundredths, of every thread that XLA computes with."""
    found = {}
    for folder in Path("/proc/self/task").iterdir():
        name, _, rest = (folder / "stat").read_text().partition("(")[2].rpartition(")")
        if "XLAEigen" in name:
            found[folder.name] = sum(map(int, rest.split()[11:13]))
    return found


@jax.jit
def work(x):
    return jax.lax.fori_loop(0, 60, lambda _, y: jnp.tanh(y @ x), x)


x = jnp.ones((1024, 1024)) / 1024
if "second" in sys.argv:
    x.block_until_ready()
    os.environ["NPROC"] = "1"
    x = jax.device_put(x, make_cpu_client().devices()[0])
work(x).block_until_ready()
before = spent()
for _ in range(5):
    work(x).block_until_ready()
after = spent()
print(sum(after[thread] - before.get(thread, 0) >= 10 for thread in after))
PY
if [ "$(nproc)" -lt 2 ]; then echo "needs two cores"; exit 1; fi
usually=$("$work/venv/bin/python" "$work/count.py")
flag=$(XLA_FLAGS=--xla_cpu_multi_thread_eigen=false "$work/venv/bin/python" "$work/count.py")
alone=$(NPROC=1 "$work/venv/bin/python" "$work/count.py")
second=$("$work/venv/bin/python" "$work/count.py" second)
echo "threads at work: usually $usually, with the flag $flag, with NPROC=1 $alone, on a second client with NPROC=1 $second"
if [ "$usually" -lt 2 ] || [ "$flag" -lt 2 ] || [ "$alone" -ne 1 ] || [ "$second" -ne 1 ]; then echo "this has changed: the finding is out of date"; exit 1; fi
