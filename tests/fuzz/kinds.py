"""Every kind of file that is read: a good one, how it is changed, and how it is read."""

from __future__ import annotations

import gzip
import hashlib
import json
import struct
import tomllib
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import starscale as ss
from fuzz import changes, originals, structures
from starscale.homogenization.api import load_calibration
from starscale.io.job_folder import JobFolder
from starscale.learn.bundle import INDEX, STARS, SUMS, WEIGHTS, sums_of
from starscale.learn.training.checkpoint import Checkpoint
from starscale.registry.packed import FOLDER
from starscale.vocabulary.errors import StarscaleError
from starscale.vocabulary.provenance import fingerprint
from support.small_model import small_stars

Files = dict[str, bytes]


@dataclass(frozen=True)
class Kind:
    """A kind of file.

    Attributes
    ----------
    originals : callable
        Returns good ones, each as the contents of its files by name.
    change : callable
        Changes the files.
    read : callable
        Reads what is at a path; another path is for output.
    target : str
        The file that is read; empty: the first one; ``.``: the folder.
    """

    originals: Callable[[], list[Files]]
    change: Callable[[Files, Random], Files]
    read: Callable[[Path, Path, Random], None]
    target: str = ""
    names_file: bool = True

    def changed(self, folder: Path, random: Random) -> Path:
        """Write a changed one to a folder; return what is to be read."""
        files = self.change(dict(random.choice(_kept(self.originals))), random)
        for name, data in files.items():
            (folder / "in" / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / "in" / name).write_bytes(data)
        return folder / "in" / ("" if self.target == "." else self.target or next(iter(files)))

    def warm(self) -> None:
        """Read a good one, so that what follows is measured without imports."""
        for number, files in enumerate(_kept(self.originals)):
            with TemporaryDirectory() as folder:
                path = Kind(lambda f=files: [f], lambda f, _: f, self.read, self.target).changed(
                    Path(folder), Random(number)
                )
                with suppress(StarscaleError):
                    self.read(path, Path(folder) / "out", Random(number))


@cache
def _kept(make: Callable[[], list[Files]]) -> list[Files]:
    return make()


def one_of(change: changes.Change) -> Callable[[Files, Random], Files]:
    """Change one of the files."""

    def changed(files: Files, random: Random) -> Files:
        name = random.choice(sorted(files))
        return {**files, name: change(files[name], random)}

    return changed


def read_table(path: Path, output: Path, random: Random) -> None:
    """Check a table, or convert it to another format."""
    if random.random() < 0.5:
        ss.check(path)
    else:
        output.mkdir(exist_ok=True)
        ss.convert(path, output / random.choice(("t.parquet", "t.parquet", "t.fits", "t.vot", "t.ecsv", "t.csv")))


def read_model(path: Path, output: Path, random: Random) -> None:
    """Check a bundle and predict a few stars with it."""
    ss.check(path)
    ss.load(path).predict(small_stars(5).drop("teff"))


def read_packed(path: Path, output: Path, random: Random) -> None:
    """Open a packed bundle as `starscale models add` does, in memory and in a folder."""
    from starscale.registry.packed import document_of, members, unpack

    document_of(members(path.read_bytes(), str(path)), str(path))
    unpack(path.read_bytes(), output / "model", str(path))


def read_settings(path: Path, output: Path, random: Random) -> None:
    """Check a run file, a survey file or a labels file."""
    ss.check(path)


def read_survey(path: Path, output: Path, random: Random) -> None:
    """Check a survey file, and a table with it."""
    survey = ss.load_survey(path)
    ss.check(path)
    output.mkdir(exist_ok=True)
    table = output / "small.parquet"
    table.write_bytes(originals.small_table())
    ss.clean(table, survey=survey)


def read_registry(path: Path, output: Path, random: Random) -> None:
    """List the models of a registry, and describe one."""
    models = ss.list_models(registry=path)
    ss.describe_model(models["name"][0], registry=path) if models.height else None


def read_calibration(path: Path, output: Path, random: Random) -> None:
    """Read a calibration and put a table on its scale."""
    known = load_calibration(path)
    ss.recalibrate(originals.label_table(), known, survey=originals.label_survey())


def read_job(path: Path, output: Path, random: Random) -> None:
    """Resume a training from its checkpoints: whatever they hold, at most time is lost."""
    assert Checkpoint(path, "key").foreign in (True, False)
    found = Checkpoint(path, "key").load("part")
    assert found is None or all(array is not None for array in found.values())
    JobFolder(path, ("checkpoint-*",)).begin({"training": "key"})


def _signed(files: Files) -> Files:
    """Make the checksums of a bundle right again."""
    try:
        index = json.loads(files[INDEX])
        index.pop("sha256", None)
        for name in files:
            if name != INDEX and name in index["files"]:
                index["files"][name] = {
                    "sha256": hashlib.sha256(files[name]).hexdigest(),
                    "size": len(files[name]),
                }
        index["sha256"] = fingerprint(index)
        signed = {**files, INDEX: json.dumps(index).encode()}
        signed.pop(SUMS, None)
        return {**signed, SUMS: sums_of(signed)}
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return files


def change_bundle(files: Files, random: Random) -> Files:
    """Change settings or arrays of a bundle; mostly with right checksums."""
    choice = random.random()
    name = INDEX if choice < 0.5 else WEIGHTS if choice < 0.9 or STARS not in files else STARS
    if name == INDEX:
        index = json.loads(files[INDEX])
        part = random.choice(("model", "model", "document", "document", None))
        new = changes.by_document(index[part] if part else index, random)
        files[INDEX] = json.dumps({**index, part: new} if part else new).encode()
    else:
        files[name] = change_arrays(files[name], random)
    return _signed(files) if random.random() < 0.95 else files


def change_arrays(data: bytes, random: Random) -> bytes:
    """Change a safetensors file: its bytes, its header, or single numbers."""
    if (choice := random.random()) < 0.1:
        return changes.by_bytes(data, random)
    size = int.from_bytes(data[:8], "little")
    header, body = json.loads(data[8 : 8 + size]), bytearray(data[8 + size :])
    if choice < 0.5:
        header = changes.by_document(header, random)
    elif choice < 0.6 and isinstance(header, dict):
        a, b = random.choice(sorted(header)), random.choice(sorted(header))
        header[a], header[b] = header[b], header[a]
    else:
        for _ in range(random.choice((1, 1, 5))):
            wide = random.choice((float("nan"), float("inf"), -1.0, 0.0, 1e30, -1e300, 5e-324))
            narrow = random.choice((float("nan"), float("-inf"), -1.0, 0.0, 1e30, 1e-45))
            raw = struct.pack("<d", wide) if random.random() < 0.5 else struct.pack("<f", narrow)
            at = random.randrange(max(len(body) // len(raw), 1)) * len(raw)
            body[at : at + len(raw)] = raw
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + bytes(body)


def change_packed(files: Files, random: Random) -> Files:
    """Change a packed bundle: the archive, or a file in it with right sums."""
    import io as streams
    import tarfile

    (name,) = files
    if random.random() < 0.4:
        return {name: changes.mixed(changes.by_bytes, changes.cut)(files[name], random)}
    inner = {}
    with tarfile.open(fileobj=streams.BytesIO(files[name])) as tar:
        for member in tar:
            held = tar.extractfile(member)
            inner[member.name.removeprefix(f"{FOLDER}/")] = held.read() if held else b""
    inner = change_bundle({k: v for k, v in inner.items() if k != SUMS}, random)
    sums = "".join(f"{hashlib.sha256(inner[k]).hexdigest()}  {k}\n" for k in sorted(inner))
    inner[SUMS] = sums.encode()
    archive = streams.BytesIO()
    with tarfile.open(fileobj=archive, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for member_name in sorted(inner):
            path = f"{FOLDER}/{member_name}" if random.random() < 0.98 else f"../{member_name}"
            header = tarfile.TarInfo(path)
            header.size = len(inner[member_name])
            tar.addfile(header, streams.BytesIO(inner[member_name]))
    return {name: archive.getvalue()}


def change_packed_gzip(data: bytes, random: Random) -> bytes:
    """Change the packing of a gzip file, or what is in it."""
    if random.random() < 0.4:
        return changes.mixed(changes.by_bytes, changes.cut)(data, random)
    inner = gzip.decompress(data)
    return gzip.compress(changes.mixed(changes.by_cards, changes.by_cards, changes.by_bytes)(inner, random), 1)


def change_parquet(data: bytes, random: Random) -> bytes:
    """Change a Parquet file, mostly its footer and the headers of its pages."""
    size = int.from_bytes(data[-8:-4], "little")
    footer = len(data) - 8 - size
    choice = random.random()
    if choice < 0.5:
        new = changes.by_bytes(data[footer:-8], random)
        return data[:footer] + new + len(new).to_bytes(4, "little") + b"PAR1"
    if choice < 0.7:
        return changes.by_bytes(data[:footer], random) + data[footer:]
    return changes.mixed(changes.by_bytes, changes.cut)(data, random)


def change_hats(files: Files, random: Random) -> Files:
    """Change, remove or add a file of a HATS catalogue."""
    name = random.choice(sorted(files))
    choice = random.random()
    if choice < 0.08:
        del files[name]
    elif choice < 0.12:
        files[random.choice(("x", "dataset/x", "properties", "dataset/Norder=0/Dir=0/Npix=x.parquet"))] = files[
            name
        ]
    elif name.endswith(".parquet") or "_metadata" in name:
        files[name] = change_parquet(files[name], random)
    else:
        files[name] = changes.mixed(changes.by_bytes, changes.by_lines, changes.by_words)(files[name], random)
    return files


def change_job(files: Files, random: Random) -> Files:
    """Change the records of a job or its arrays, with a right checksum."""
    name = random.choice(sorted(files))
    if name.endswith(".safetensors"):
        files[name] = change_arrays(files[name], random)
        lines = [json.loads(line) for line in files["parts.jsonl"].decode().splitlines()]
        for line in lines:
            line["files"] = {k: hashlib.sha256(files[k]).hexdigest() for k in line["files"] if k in files}
        files["parts.jsonl"] = "".join(json.dumps(line) + "\n" for line in lines).encode()
    elif random.random() < 0.7:
        lines = files[name].splitlines()
        at = random.randrange(len(lines))
        lines[at] = changes.of_json(lines[at], random) if name.endswith("jsonl") else lines[at]
        files[name] = b"\n".join(lines) if name.endswith("jsonl") else changes.of_json(files[name], random)
    else:
        files[name] = changes.mixed(changes.by_bytes, changes.cut)(files[name], random)
    return files


TEXT = one_of(changes.mixed(changes.by_bytes, changes.by_lines, changes.by_words, changes.cut))
MARKUP = one_of(changes.mixed(changes.by_markup, changes.by_markup, changes.by_bytes, changes.cut))


def change_json(data: bytes, random: Random) -> bytes:
    """Change a JSON document by its structure, or its text."""
    if random.random() < 0.7:
        return changes.of_json(data, random)
    return changes.mixed(changes.by_bytes, changes.by_words, changes.cut)(data, random)


def either(*ways: Callable[[Files, Random], Files]) -> Callable[[Files, Random], Files]:
    """Change files in one of several ways."""
    return lambda files, random: random.choice(ways)(files, random)


def with_others(make: Callable[[], list[Files]]) -> Callable[[Files, Random], Files]:
    """Join a file with another good one."""

    def changed(files: Files, random: Random) -> Files:
        name = random.choice(sorted(files))
        other = random.choice(_kept(random.choice((make, make, originals.csv, originals.fits, originals.parquet))))
        return {**files, name: structures.joined(files[name], random.choice(list(other.values())), random)}

    return changed


def change_arrays_widely(files: Files, random: Random) -> Files:
    """Change shapes, types and names of the arrays of a bundle, or its settings; with right checksums."""
    name = random.choice((WEIGHTS, WEIGHTS, STARS if STARS in files else WEIGHTS, INDEX))
    change = structures.of_json_widely if name == INDEX else structures.by_shapes
    return _signed({**files, name: change(files[name], random)})


def exchange(files: Files, random: Random) -> Files:
    """Exchange, remove or copy files of a folder, or put folders in their places."""
    a, b = random.choice(sorted(files)), random.choice(sorted(files))
    change = random.randrange(5)
    if change == 0:
        files[a], files[b] = files[b], files[a]
    elif change == 1:
        for name in random.sample(sorted(files), random.randrange(1, len(files) + 1)):
            files[name] = b""
    elif change == 2:
        files[f"{a}.copy" if random.random() < 0.5 else f"x/{a}"] = files[a]
    elif change == 3:
        files[f"{a}/{b}"] = files.pop(a)
    else:
        files[a] = structures.by_cells(files[a], random)
    return files


def _ecsv_header(data: bytes, random: Random) -> bytes:
    """Change the YAML header of an ECSV file as a document."""
    import yaml

    lines = data.decode().splitlines()
    header = [line[2:] for line in lines if line.startswith("# ")]
    rest = [line for line in lines if not line.startswith("#")]
    wide = random.sample(structures.WIDE, 12)
    new = changes.by_document(yaml.safe_load("\n".join(header[2:])), random, wide)
    text = yaml.safe_dump(new, allow_unicode=True).splitlines()
    return "\n".join([*(f"# {line}" for line in [*header[:2], *text]), *rest, ""]).encode("utf-8", "replace")


def _toml(document: object) -> str:
    return originals.as_toml(document) if isinstance(document, dict) else json.dumps(document)


BLOCKS = one_of(changes.mixed(structures.by_sections, structures.by_numbers))
SMALL = one_of(lambda data, random: structures.by_sections(data, random, random.choice((16, 64, 256))))
CELLS = one_of(structures.by_cells)
WIDE_TOML = one_of(structures.of_document(tomllib.loads, _toml, structures.TOML_SYNTAX))
WIDE_JSON = one_of(structures.of_json_widely)
HEADER = one_of(structures.by_header)
TREE = one_of(structures.by_elements)


def _packed(data: bytes, random: Random) -> bytes:
    inner = random.choice((structures.by_header, structures.by_sections, structures.by_numbers))
    return gzip.compress(inner(gzip.decompress(data), random), 1) * random.choice((1, 1, 1, 2))


def _markup(make: Callable[[], list[Files]]) -> Kind:
    return Kind(make, either(MARKUP, MARKUP, TREE, TREE, SMALL, with_others(make)), read_table)


FITS = one_of(changes.mixed(changes.by_cards, changes.by_cards, changes.by_bytes, changes.cut))
PARQUET = one_of(change_parquet)
KINDS: Mapping[str, Kind] = {
    "fits": Kind(
        originals.fits, either(FITS, FITS, HEADER, HEADER, BLOCKS, with_others(originals.fits)), read_table
    ),
    "fits_gz": Kind(originals.fits_gz, either(one_of(change_packed_gzip), one_of(_packed)), read_table),
    "votable": _markup(originals.votable_tabledata),
    "votable_binary": _markup(originals.votable_binary),
    "votable_binary2": _markup(originals.votable_binary2),
    "votable_fits": _markup(originals.votable_fits),
    "parquet": Kind(
        originals.parquet,
        either(PARQUET, PARQUET, one_of(structures.odd_parquet), SMALL, with_others(originals.parquet)),
        read_table,
    ),
    "csv": Kind(originals.csv, either(TEXT, CELLS, CELLS, SMALL, with_others(originals.csv)), read_table),
    "ecsv": Kind(
        originals.ecsv, either(TEXT, one_of(_ecsv_header), CELLS, with_others(originals.ecsv)), read_table
    ),
    "mrt": Kind(originals.mrt, either(TEXT, one_of(structures.by_ranges), with_others(originals.mrt)), read_table),
    "ipac": Kind(originals.ipac, either(TEXT, CELLS, with_others(originals.ipac)), read_table),
    "hats": Kind(originals.hats, either(change_hats, change_hats, exchange), read_table, "."),
    "run": Kind(originals.run, either(TEXT, WIDE_TOML, CELLS), read_settings, names_file=False),
    "survey": Kind(originals.survey, either(TEXT, WIDE_TOML, CELLS), read_survey, names_file=False),
    "bundle": Kind(
        originals.bundle, either(change_bundle, change_arrays_widely, exchange), read_model, ".", names_file=False
    ),
    "packed_bundle": Kind(
        originals.packed_bundle,
        either(change_packed, change_packed, SMALL, with_others(originals.packed_bundle)),
        read_packed,
        names_file=False,
    ),
    "calibration": Kind(
        originals.calibration, either(one_of(change_json), WIDE_JSON), read_calibration, names_file=False
    ),
    "registry": Kind(originals.registry, either(TEXT, WIDE_TOML, CELLS), read_registry, names_file=False),
    "job": Kind(originals.job, either(change_job, change_job, exchange), read_job, ".", names_file=False),
    "provenance": Kind(
        originals.provenance, either(one_of(change_json), WIDE_JSON), lambda p, *_: ss.check(p) and None, "."
    ),
}
