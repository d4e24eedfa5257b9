"""The command in this process: as in a process of its own, but without the time of its imports."""

from __future__ import annotations

import contextlib
import io
import signal
import subprocess
import sys
import traceback
from unittest import mock

from starscale.cli.main import main


def command(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run ``starscale`` with these arguments and return its exit code and what it prints."""
    words = ["starscale", *map(str, arguments)]
    out, err = io.StringIO(), io.StringIO()
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with (
            mock.patch.object(sys, "argv", words),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            code = _exit_code()
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    return subprocess.CompletedProcess(words, code, out.getvalue(), err.getvalue())


def _exit_code() -> int:
    try:
        main()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except Exception:  # noqa: BLE001 -- as the interpreter does
        traceback.print_exc()
        return 1
    return 0
