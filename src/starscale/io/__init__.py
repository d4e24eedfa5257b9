"""Tables on disk: reading, writing, checksums. Start with :func:`read` and :func:`write`."""

from starscale.io.atomic import atomic, atomic_directory, atomic_json, atomic_text, work_folder
from starscale.io.checksum import checksum
from starscale.io.reading import open_table, read
from starscale.io.table import Source
from starscale.io.writing import Writer, open_writer, write

__all__ = [
    "Source",
    "Writer",
    "atomic",
    "atomic_directory",
    "atomic_json",
    "atomic_text",
    "checksum",
    "open_table",
    "open_writer",
    "read",
    "work_folder",
    "write",
]
