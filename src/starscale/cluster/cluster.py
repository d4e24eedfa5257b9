"""A Dask client, and tasks on it that are named in error messages."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import dask
import pyarrow as pa
from distributed import Client, KilledWorker, LocalCluster, as_completed

from starscale.io.threads import cores
from starscale.vocabulary.errors import InputError, Problem, StarscaleError
from starscale.vocabulary.provenance import program

#: Numbers of the items that one task works on.
Group = tuple[int, ...]

#: Seconds to wait for an answer of a scheduler.
_PATIENCE = "20s"


@dataclass(frozen=True, slots=True)
class Where:
    """The cluster to use. At most one is given; with none, one worker per core is started on this machine.

    Parameters
    ----------
    client : distributed.Client, optional
        The user's own, which stays open.
    scheduler : str, optional
        Address of a running scheduler (``tcp://...``).
    workers : int, optional
        Worker processes to start on this machine.
    """

    client: Any = None
    scheduler: str | None = None
    workers: int | None = None

    def __post_init__(self) -> None:
        given = [name for name in ("client", "scheduler", "workers") if getattr(self, name) is not None]
        if len(given) > 1:
            raise InputError(Problem(" and ".join(given), "are given together", "one of them"))
        if self.workers is not None and self.workers < 1:
            raise InputError(Problem("workers", f"{self.workers}", "one or more"))


@contextmanager
def connected(where: Where, scratch: Path) -> Iterator[Any]:
    """Yield a client whose workers run this very program.

    Parameters
    ----------
    where : Where
    scratch : Path
        Folder for temporary files of the workers of this machine.

    Raises
    ------
    StarscaleError
        No scheduler answers, or a worker has another version of this program.
    """
    with ExitStack() as stack:
        client = where.client
        if client is None and where.scheduler is not None:
            client = stack.enter_context(_remote(where.scheduler))
        elif client is None:
            client = stack.enter_context(_local(where.workers or cores(), scratch))
        _same_program(client)
        yield client


def _remote(address: str) -> Any:
    try:
        return Client(address, timeout=_PATIENCE, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        fix = "Is it running, and can this machine reach it?"
        raise StarscaleError(f"scheduler {address}: does not answer ({error}). {fix}") from None


@contextmanager
def _local(workers: int, scratch: Path) -> Iterator[Any]:
    # By default each worker would use all cores.
    threads = max(1, cores() // workers)
    settings = {"distributed.nanny.pre-spawn-environ.POLARS_MAX_THREADS": threads}
    with (
        dask.config.set(settings),
        warnings.catch_warnings(),
    ):
        # Another cluster on this machine may use the port of the status page, which is not needed here.
        warnings.filterwarnings("ignore", message="(?s).*already in use", category=UserWarning)
        yield from _workers(workers, scratch)


def _workers(workers: int, scratch: Path) -> Iterator[Any]:
    with (
        LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            dashboard_address=None,
            local_directory=str(scratch),
            # Errors of a worker are raised here, with the name of the partition.
            silence_logs=logging.CRITICAL,
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield client


def _same_program(client: Any) -> None:
    """Refuse workers with another version of this program, which might compute other values."""
    own = program()
    try:
        found = client.run(program)
    except ImportError as error:
        fix = "Install it there: pip install 'starscale[lsdb]'."
        raise StarscaleError(f"the workers lack a package ({error}). {fix}") from None
    others = sorted(address for address, theirs in found.items() if theirs != own)
    if others:
        raise StarscaleError(
            f"{len(others)} of {len(found)} workers run another version of starscale than this process "
            f"(first: {others[0]}). Install the same version there."
        )


def finished(client: Any, tasks: Sequence[Any], names: Sequence[str]) -> Iterator[tuple[int, Any]]:
    """Run tasks and yield the number and the result of each as it finishes.

    The tasks of a worker that dies are repeated by others.

    Parameters
    ----------
    client : distributed.Client
    tasks : sequence of dask.delayed.Delayed
    names : sequence of str
        What each task works on, for error messages.

    Raises
    ------
    StarscaleError
        The first task that fails, with its name. The other tasks are cancelled.
    """
    for (i,), result in finished_groups(client, [(i,) for i in range(len(tasks))], lambda g: tasks[g[0]], names):
        yield i, result


def finished_groups(
    client: Any, groups: Sequence[Group], task: Callable[[Group], Any], names: Sequence[str]
) -> Iterator[tuple[Group, Any]]:
    """Run tasks that work on several items each, and yield the items and the result of each as it finishes.

    When a task fails, its items are tried one by one: together they may have been too much for the memory of a
    worker, and an error should name one of them.

    Parameters
    ----------
    client : distributed.Client
    groups : sequence of tuple of int
        Numbers of the items of each task.
    task : callable
        Returns the task (``dask.delayed.Delayed``) for some items.
    names : sequence of str
        Of every item, for error messages.

    Raises
    ------
    StarscaleError
        The first item that fails alone, with its name. The other tasks are cancelled.
    """
    own: dict[Any, Group] = {}

    def started(some: Sequence[Group]) -> list[Any]:
        futures = client.compute([task(group) for group in some])
        own.update(zip(futures, some, strict=True))
        return list(futures)

    done = as_completed(started(groups), loop=client.loop)
    try:
        for future in done:
            group = own[future]
            if future.status == "error" and len(group) > 1:
                done.update(started([(i,) for i in group]))
                continue
            yield group, _named(future.result, names[group[0]])
            # A result that was fetched need not be kept on the cluster.
            future.release()
    finally:
        client.cancel(list(own))


def _named(result: Callable[[], Any], name: str) -> Any:
    try:
        return result()
    except KilledWorker as error:
        fix = "Was it memory? Give the workers more of it, or use a catalogue with smaller partitions."
        raise StarscaleError(f"{name}: {_deaths(error)} workers died over it. {fix}") from None
    except InputError as error:
        raise InputError(replace(p, where=f"{name}: {p.where}") for p in error.problems) from None
    except StarscaleError as error:
        raise StarscaleError(f"{name}: {error}") from None
    except (OSError, pa.ArrowException) as error:
        fix = "Is the file damaged or gone, or can a worker not reach it?"
        raise StarscaleError(f"{name}: cannot be read: {error}. {fix}") from error
    except Exception as error:
        error.add_note(f"while working on {name}")
        raise


def _deaths(error: Any) -> str:
    return str(getattr(error, "allowed_failures", "several"))
