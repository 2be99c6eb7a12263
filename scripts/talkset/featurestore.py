"""Features of one shard in one `.safetensors` file: arrays under `{clip}/{array}`, provenance in the metadata.

The file is written here byte by byte and not by the safetensors package, because the package orders metadata at random
and needs all arrays in memory; it is read by the package, as by everyone else. Layout: 8 bytes length of the header
(little-endian), header (JSON, padded with spaces to a multiple of 8), data (little-endian, C order, wide types first,
so that every array is aligned).
"""

from __future__ import annotations

import contextlib
import json
import shutil
import struct
import tempfile
from pathlib import Path
from typing import Any

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


class Writer:
    """Write one shard's features, whole or not at all: `with Writer(path, metadata) as store: store.add(clip, arrays)`.

    Holds one clip's arrays in memory at a time. The same clips in the same order with the same values give the same
    bytes.

    Args:
        path: the `.safetensors` file.
        metadata: what the file says about itself; texts stay, everything else becomes JSON. `clips` (list, in the
            order added) and `missing` (clip to reason) are set by the writer.
    """

    def __init__(self, path: str | Path, metadata: dict[str, Any]):
        self._path = Path(path)
        self._metadata = dict(metadata)
        self._clips: list[str] = []
        self._missing: dict[str, str] = {}
        self._arrays: list[tuple[int, str, str, tuple[int, ...], int]] = []
        self._data: dict[int, Any] = {}  # item size in bytes -> the data of all arrays of that width
        self._files = contextlib.ExitStack()

    def __enter__(self) -> Writer:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        return self

    def add(self, clip: str, arrays: dict[str, np.ndarray]) -> None:
        """Add one clip's arrays, in the order given.

        Raises:
            ValueError: the clip is there already, or an array has a type that the format does not know.
        """
        self._only_once(clip)
        self._clips.append(clip)
        for name, array in arrays.items():
            if array.dtype.name not in DTYPES:
                raise ValueError(f"{clip}/{name}: {array.dtype} cannot be stored; known: {', '.join(DTYPES)}")
            data = array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
            width = array.itemsize
            if width not in self._data:
                # Beside the result, because a node's own temporary folder may be too small; without a name, so a
                # killed job leaves nothing behind.
                data_file = tempfile.TemporaryFile(dir=self._path.parent)  # noqa: SIM115 - closed by `_files`
                self._data[width] = self._files.enter_context(data_file)
            self._data[width].write(data)
            self._arrays.append((width, f"{clip}/{name}", DTYPES[array.dtype.name], array.shape, len(data)))

    def miss(self, clip: str, reason: str) -> None:
        """Note that a clip has no arrays here, and why."""
        self._only_once(clip)
        self._missing[clip] = reason

    def _only_once(self, clip: str) -> None:
        if clip in self._clips or clip in self._missing:
            raise ValueError(f"clip {clip!r} is in this shard twice")

    def __exit__(self, kind, error, trace) -> None:
        with self._files:
            if kind is None:
                self._write()

    def _write(self) -> None:
        metadata = self._metadata | {"clips": self._clips, "missing": self._missing}
        header: dict[str, Any] = {
            "__metadata__": {
                key: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, allow_nan=False)
                for key, value in metadata.items()
            }
        }
        end = 0
        for _, key, dtype, shape, size in sorted(self._arrays, key=lambda array: -array[0]):
            header[key] = {"dtype": dtype, "shape": list(shape), "data_offsets": [end, end + size]}
            end += size
        text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 8)
        with files.whole(self._path) as partial, open(partial, "wb") as handle:
            handle.write(struct.pack("<Q", len(text)) + text)
            for width in sorted(self._data, reverse=True):
                self._data[width].seek(0)
                shutil.copyfileobj(self._data[width], handle, 1 << 20)


def metadata(path: str | Path) -> dict[str, Any]:
    """What a feature file says about itself; reads the header only.

    Returns:
        Texts as text, and as values: `options`, `arrays`, `missing` (objects) and `clips` (list).
    """
    with safe_open(path, framework="numpy") as store:
        said = store.metadata()
    return said | {key: json.loads(said[key]) for key in ("options", "arrays", "clips", "missing") if key in said}


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
