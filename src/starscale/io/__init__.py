"""Tables on disk: reading, writing, checksums. Start with :func:`read` and :func:`write`."""

from starscale.io.atomic import atomic, atomic_directory, atomic_json, atomic_text, check_place, work_folder
from starscale.io.background import Hashing, Worker, read_ahead
from starscale.io.checksum import KnownSums, checksum, state_of
from starscale.io.reading import open_table, read
from starscale.io.table import Source
from starscale.io.unfinished import Unfinished
from starscale.io.writing import Writer, check_target, open_writer, write

__all__ = [
    "Hashing",
    "KnownSums",
    "Source",
    "Unfinished",
    "Worker",
    "Writer",
    "atomic",
    "atomic_directory",
    "atomic_json",
    "atomic_text",
    "check_place",
    "check_target",
    "checksum",
    "open_table",
    "open_writer",
    "read",
    "read_ahead",
    "state_of",
    "work_folder",
    "write",
]
