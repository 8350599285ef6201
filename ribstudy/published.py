"""The published results: the parts of finished results that the pages show, small enough for git. ::

    published/manifest.json          by the name of the result: its record, the commit, and size and SHA-256 of its file
    published/<stage>-<key>.zip      files (a history of losses, weights) and items, packed into one array per field
    published/records/<chapter>.<preset>.json   the headline numbers of a chapter

A result is found by the key under which it was computed. Other settings have other keys, for which nothing is published.
"""

import hashlib
import io
import json
import math
import zipfile
from collections.abc import Iterator, Mapping, Sequence, Set
from functools import cached_property, lru_cache
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ribstudy.runtime.files import atomic

MANIFEST = "manifest.json"
NAMES, FIELDS = "names", "fields"  # of the items in a file
Arrays = Mapping[str, np.ndarray]


class PublishedError(ValueError):
    """A published file is not the one that the manifest describes. The message names the file and a remedy."""


class Bundle:
    """The published part of one result.

    Args:
        path: its file.
        record: its entry of the manifest.
    """

    def __init__(self, path: Path, record: dict):
        self.path = path
        self.record = record

    @cached_property
    def _zip(self) -> zipfile.ZipFile:
        """The file, read as a whole, so that exactly the bytes that were checked are used."""
        remedy = "restore it (git checkout published), or remove the folder published/ to compute everything anew"
        if not self.path.is_file():
            raise PublishedError(f"{self.path}: is missing, but the manifest names it; {remedy}")
        content = self.path.read_bytes()
        found = hashlib.sha256(content).hexdigest()
        if found != self.record["sha256"]:
            stated = f"SHA-256 {found[:12]}, in the manifest {self.record['sha256'][:12]}"
            raise PublishedError(f"{self.path}: was changed after it was published ({stated}); {remedy}")
        return zipfile.ZipFile(io.BytesIO(content))

    @cached_property
    def parts(self) -> list[tuple[str, int, int]]:
        """Name, checksum and size of every part: equal contents are equal, however they are compressed."""
        return [(part.filename, part.CRC, part.file_size) for part in self._zip.infolist()]

    @cached_property
    def files(self) -> frozenset[str]:
        """The names of its files."""
        return frozenset(name.removeprefix("files/") for name in self._zip.namelist() if name.startswith("files/"))

    def open(self, name: str) -> BinaryIO:
        if name not in self.files:
            raise FileNotFoundError(f"{self.path}: contains no file {name}; published are {', '.join(sorted(self.files))}")
        return io.BytesIO(self._zip.read(f"files/{name}"))

    @cached_property
    def items(self) -> "PackedItems":
        """The arrays of its items, by item name."""
        return PackedItems(self._zip)


class PackedItems(Mapping[str, Arrays]):
    """Items in one file, each a dictionary of arrays. A field is one flat array for all items, which compresses well."""

    def __init__(self, file: zipfile.ZipFile):
        self._file = file
        self._places = {name: place for place, name in enumerate(self._read(NAMES).tolist())}

    def __getitem__(self, name: str) -> Arrays:
        place = self._places[name]
        return {field: values[place] for field, values in self._fields.items() if values[place] is not None}

    def __contains__(self, name: object) -> bool:
        return name in self._places

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    @cached_property
    def _fields(self) -> dict[str, list[np.ndarray | None]]:
        """The array of every item, by field; None for an item without the field."""
        return {field: self._unpacked(field) for field in self._read(FIELDS).tolist()}

    def _read(self, name: str) -> np.ndarray:
        with self._file.open(f"items/{name}.npy") as file:
            return np.lib.format.read_array(file, allow_pickle=False)

    def _unpacked(self, field: str) -> list[np.ndarray | None]:
        planes, kind, shapes, dtypes = (self._read(f"{part}/{field}") for part in ("planes", "kind", "shapes", "dtypes"))
        values = np.ascontiguousarray(planes.T).view(kind.dtype).ravel()
        found, start = [], 0
        for (num_dims, *dims), dtype in zip(shapes.tolist(), dtypes.tolist(), strict=True):
            if num_dims < 0:
                found.append(None)
                continue
            shape = tuple(dims[:num_dims])
            stop = start + math.prod(shape)
            found.append(values[start:stop].astype(dtype).reshape(shape))
            start = stop
        return found


def pack(items: Mapping[str, Arrays]) -> dict[str, np.ndarray]:
    """The values of each field of the items, with the shape and type of each item's part, as `PackedItems` reads them.

    Whole numbers take the smallest type that holds them. Nothing is rounded. Raises ValueError if the parts of a field are of
    kinds that no type holds without rounding, such as whole numbers and fractions.
    """
    fields = list(dict.fromkeys(field for arrays in items.values() for field in arrays))
    packed = {NAMES: np.array(list(items), dtype=np.str_), FIELDS: np.array(fields, dtype=np.str_)}
    for field in fields:
        parts = [None if field not in arrays else np.asarray(arrays[field]) for arrays in items.values()]
        present = [part for part in parts if part is not None]
        depth = max(part.ndim for part in present)
        shapes = [(-1,) * (depth + 1) if part is None else _padded(part.shape, depth) for part in parts]
        dtype = _common_dtype(field, present)
        packed[f"planes/{field}"] = _planes(np.concatenate([part.ravel().astype(dtype) for part in present]))
        packed[f"kind/{field}"] = np.empty(0, dtype)
        packed[f"shapes/{field}"] = np.array(shapes, dtype=np.min_scalar_type(-1 - max(map(max, shapes))))
        packed[f"dtypes/{field}"] = np.array(["" if part is None else part.dtype.str for part in parts])
    return packed


def _planes(values: np.ndarray) -> np.ndarray:
    """The bytes [B, N] of N values of B bytes. Bytes of one place stand together and compress a tenth better."""
    return values.view(np.uint8).reshape(-1, values.dtype.itemsize).T


def _padded(shape: tuple[int, ...], depth: int) -> tuple[int, ...]:
    return (len(shape), *shape, *[0] * (depth - len(shape)))


def _common_dtype(field: str, parts: Sequence[np.ndarray]) -> np.dtype:
    """A type that holds all parts of a field without rounding; for whole numbers the smallest one."""
    kinds = {part.dtype.kind.replace("u", "i") for part in parts}
    types = [part.dtype for part in parts]
    if kinds == {"i"}:
        types = [np.min_scalar_type(bound) for part in parts if part.size for bound in (part.min(), part.max())] or types
    found = np.result_type(*types)
    if found.hasobject:
        raise ValueError(f"field {field}: contains Python objects; only numbers and texts are published")
    if {found.kind.replace("u", "i")} != kinds:
        raise ValueError(
            f"field {field}: no type holds {', '.join(sorted({str(part.dtype) for part in parts}))} without rounding"
        )
    return found


def write_bundle(path: Path, items: Mapping[str, Arrays], files: Mapping[str, bytes]) -> None:
    """Writes the file of a published result. Equal contents give equal bytes."""
    with atomic(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_LZMA) as file:
        for name, values in pack(items).items():
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, values, allow_pickle=False)
            _write(file, f"items/{name}.npy", buffer.getvalue())
        for name, content in files.items():
            _write(file, f"files/{name}", content)


def _write(file: zipfile.ZipFile, name: str, content: bytes) -> None:
    member = zipfile.ZipInfo(name)  # with a constant date
    member.compress_type = zipfile.ZIP_LZMA
    file.writestr(member, content)


class Published:
    """The folder of the published results; it need not exist.

    Args:
        folder: the folder.
        manifest: the records of its results, by name.
    """

    def __init__(self, folder: Path, manifest: Mapping[str, dict]):
        self.folder = folder
        self.manifest = manifest
        self._bundles: dict[str, Bundle] = {}

    @classmethod
    def of(cls, folder: Path) -> "Published":
        """The published results in a folder. The manifest is read again only if it has changed."""
        path = folder / MANIFEST
        return _read_published(folder, path.stat().st_mtime_ns if path.is_file() else None)

    def bundle(self, name: str) -> Bundle | None:
        """The published part of the result `name` (<stage>-<key>); None if nothing of it is published."""
        if name not in self.manifest:
            return None
        return self._bundles.setdefault(name, Bundle(self.folder / f"{name}.zip", self.manifest[name]))


@lru_cache
def _read_published(folder: Path, changed: int | None) -> Published:
    if changed is None:
        return Published(folder, {})
    path, remedy = folder / MANIFEST, "restore it with git checkout published"
    try:
        manifest = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise PublishedError(f"{path}: is not JSON ({error}); {remedy}") from None
    entries = list(manifest.values()) if isinstance(manifest, dict) else [None]
    if not all(isinstance(entry, dict) and isinstance(entry.get("sha256"), str) for entry in entries):
        raise PublishedError(f"{path}: has no SHA-256 for each result; {remedy}")
    return Published(folder, manifest)


def merged_entries(
    old: Mapping[str, dict], new: Mapping[str, dict], preset: str, stay: Set[str] = frozenset()
) -> dict[str, dict]:
    """The entries of results by name, each with the presets that use it: the new ones of a preset, and the others in use.

    Args:
        stay: the names of results that the preset still uses as they are if they have no new entry.
    """
    users = {name: set(entry["presets"]) - {preset} for name, entry in old.items()}
    for name in {*new, *(stay & old.keys())}:
        users.setdefault(name, set()).add(preset)
    return {name: {**entry, "presets": sorted(users[name])} for name, entry in {**old, **new}.items() if users[name]}
