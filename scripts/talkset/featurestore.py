"""Features of one shard in one `.safetensors` file: arrays under `{clip}/{array}`, provenance in the metadata.

The file is written here byte by byte and not by the safetensors package, because the package orders metadata at random
and needs all arrays in memory; it is read by the package, as by everyone else. Layout: 8 bytes length of the header
(little-endian), header (JSON, padded with spaces to a multiple of 8), data (little-endian, C order, wide types first,
so that every array is aligned).

While a shard is under way each finished clip lies in a file of its own in the hidden folder `.{stem}.parts` beside the
result, together with a key over all that decides its values. A job that was interrupted goes on from there.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import struct
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from safetensors import safe_open

from talkset import files

DTYPES = {
    "float64": "F64",
    "int64": "I64",
    "float32": "F32",
    "int32": "I32",
    "float16": "F16",
    "int16": "I16",
    "int8": "I8",
    "uint8": "U8",
    "bool": "BOOL",
}
# Bytes a value, by the format's name of its type.
WIDTHS = {name: np.dtype(dtype).itemsize for dtype, name in DTYPES.items()}


class Writer:
    """Write one shard's features, whole or not at all: `with Writer(...) as store: store.add(clip, arrays)`.

    Clips may come in any order; the file has them in the order of `clips`. The same clips with the same values give the
    same bytes, in one go or after interruptions. Holds one clip's arrays in memory at a time.

    Args:
        path: the `.safetensors` file.
        metadata: what the file says about itself; texts stay, everything else becomes JSON. `clips` (list) and
            `missing` (clip to reason) are set by the writer.
        clips: the shard's clips; each is to be added or missed.
        inputs: files whose content the arrays depend on; known by size and date. If one of them or `metadata` is not
            what it was, clips that an interrupted job had finished are done again.

    Raises:
        ValueError: a clip is in `clips` twice.
    """

    def __init__(self, path: str | Path, metadata: dict[str, Any], clips: Sequence[str], inputs: Iterable[Path] = ()):
        self._path = Path(path)
        self._metadata = {key: _text(value) for key, value in metadata.items()}
        self._clips = list(clips)
        self._inputs = list(inputs)
        self._parts = self._path.with_name(f".{self._path.stem}.parts")
        self._left = dict.fromkeys(self._clips)
        if len(self._left) < len(self._clips):
            twice = next(clip for clip in self._clips if self._clips.count(clip) > 1)
            raise ValueError(f"clip {twice!r} is in this shard twice")

    def __enter__(self) -> Writer:
        key, known = self._key(), self._parts / "key"
        if not known.is_file() or known.read_text(encoding="utf-8") != key:
            shutil.rmtree(self._parts, ignore_errors=True)
            files.write_text(known, key)
        self._left = dict.fromkeys(clip for clip in self._clips if not self._part(clip).is_file())
        return self

    @property
    def left(self) -> list[str]:
        """The clips that are still to be added or missed, in order."""
        return list(self._left)

    def add(self, clip: str, arrays: dict[str, np.ndarray]) -> None:
        """Add one clip's arrays, in the order given.

        Raises:
            ValueError: the clip is not one of `left`, or an array has a type that the format does not know.
        """
        entries, data = [], []
        for name, array in arrays.items():
            if array.dtype.name not in DTYPES:
                raise ValueError(f"{clip}/{name}: {array.dtype} cannot be stored; known: {', '.join(DTYPES)}")
            data.append(array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes())
            entries.append((f"{clip}/{name}", DTYPES[array.dtype.name], array.shape, len(data[-1])))
        self._keep(clip, {}, entries, data)

    def miss(self, clip: str, reason: str) -> None:
        """Note that a clip has no arrays here, and why.

        Raises:
            ValueError: the clip is not one of `left`.
        """
        self._keep(clip, {"missing": reason}, [], [])

    def _keep(self, clip: str, said: dict[str, str], entries: list, data: list[bytes]) -> None:
        if clip not in self._left:
            raise ValueError(f"clip {clip!r} is not one of those that are left: {', '.join(self._left) or 'none'}")
        with files.whole(self._part(clip)) as partial, open(partial, "wb") as handle:
            handle.write(_header(said, entries))
            handle.writelines(data)
        del self._left[clip]

    def _part(self, clip: str) -> Path:
        return self._parts / f"{clip}.safetensors"

    def _key(self) -> str:
        stats = [(path.name, path.stat()) for path in self._inputs]
        inputs = [(name, stat.st_size, stat.st_mtime_ns) for name, stat in stats]
        return hashlib.sha256(json.dumps([self._metadata, inputs]).encode()).hexdigest()

    def __exit__(self, kind, error, trace) -> None:
        if kind is None:
            if self._left:
                raise ValueError(f"neither added nor missed: {', '.join(self._left)}")
            self._write()
        if kind is None or len(self._left) == len(self._clips):
            shutil.rmtree(self._parts, ignore_errors=True)

    def _write(self) -> None:
        arrays, missing = [], {}
        for clip in self._clips:
            with open(self._part(clip), "rb") as part:
                said, found = _read_header(part)
            if "missing" in said:
                missing[clip] = said["missing"]
            arrays += [(clip, *array) for array in found]
        arrays.sort(key=lambda array: -WIDTHS[array[2]])
        clips = [clip for clip in self._clips if clip not in missing]
        metadata = self._metadata | {"clips": _text(clips), "missing": _text(missing)}
        entries = [(key, dtype, shape, end - start) for _, key, dtype, shape, start, end in arrays]
        with files.whole(self._path) as partial, open(partial, "wb") as handle:
            handle.write(_header(metadata, entries))
            for clip, _, _, _, start, end in arrays:
                with open(self._part(clip), "rb") as part:
                    part.seek(start)
                    while start < end:
                        data = part.read(min(1 << 20, end - start))
                        start += len(data)
                        handle.write(data)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, allow_nan=False)


def _header(metadata: dict[str, str], entries: list[tuple[str, str, tuple[int, ...], int]]) -> bytes:
    """A file's bytes before the data; entries are key, type, shape and bytes of the arrays as they follow."""
    header: dict[str, Any] = {"__metadata__": metadata}
    end = 0
    for key, dtype, shape, size in entries:
        header[key] = {"dtype": dtype, "shape": list(shape), "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text


def _read_header(file: BinaryIO) -> tuple[dict[str, str], list[tuple[str, str, list[int], int, int]]]:
    """The metadata, and key, type, shape, first and last byte (in the file) of every array."""
    (length,) = struct.unpack("<Q", file.read(8))
    header = json.loads(file.read(length))
    said = header.pop("__metadata__")
    base = 8 + length
    return said, [
        (key, about["dtype"], about["shape"], *(base + at for at in about["data_offsets"]))
        for key, about in header.items()
    ]


def metadata(path: str | Path) -> dict[str, Any]:
    """What a feature file says about itself; reads the header only.

    Returns:
        Texts as text, and as values: `options`, `models`, `arrays`, `missing` (objects) and `clips` (list).
    """
    with safe_open(path, framework="numpy") as store:
        said = store.metadata()
    values = ("options", "models", "arrays", "clips", "missing")
    return said | {key: json.loads(said[key]) for key in values if key in said}


def arrays(path: str | Path, clip: str) -> dict[str, np.ndarray]:
    """One clip's arrays by name, without reading the others'.

    Raises:
        KeyError: the clip has none here; the text says why, where the file knows.
    """
    said = metadata(path)
    if clip not in said["clips"]:
        raise KeyError(f"{clip}: {said['missing'].get(clip, 'not among the kept clips')} ({path})")
    with safe_open(path, framework="numpy") as store:
        return {name: store.get_tensor(f"{clip}/{name}") for name in said["arrays"]}
