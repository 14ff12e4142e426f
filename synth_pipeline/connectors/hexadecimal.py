"""Bytes to hexadecimal text and back, a column at once: how they travel in the text forms of databases."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa


def from_hex(texts: pa.Array) -> pa.Array:
    """Hexadecimal text to bytes, a column at once."""
    import numpy as np
    import pyarrow as pa

    if not len(texts):
        return pa.array([], pa.binary())
    plain = pa.concat_arrays([texts])
    offsets = np.frombuffer(plain.buffers()[1], np.int32)[plain.offset : plain.offset + len(plain) + 1]
    data = plain.buffers()[2]
    whole = bytes.fromhex(data.to_pybytes()[offsets[0] : offsets[-1]].decode("ascii")) if data is not None else b""
    moved = ((offsets - offsets[0]) // 2).astype(np.int32)
    present = None if not plain.null_count else pa.py_buffer(np.packbits(np.asarray(plain.is_valid()), bitorder="little").tobytes())
    return pa.Array.from_buffers(pa.binary(), len(plain), [present, pa.py_buffer(moved.tobytes()), pa.py_buffer(whole)])


def to_hex(values: pa.Array, head: str) -> pa.Array:
    """The inverse of `from_hex`, with something before each value; large_string."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    plain = pa.concat_arrays([values])
    if not len(plain):
        return pa.array([], pa.string())
    offsets = np.frombuffer(plain.buffers()[1], np.int32)[plain.offset : plain.offset + len(plain) + 1]
    data = plain.buffers()[2]
    text = data.to_pybytes()[offsets[0] : offsets[-1]].hex().encode() if data is not None else b""
    moved = ((offsets.astype(np.int64) - offsets[0]) * 2).astype(np.int64)
    present = None if not plain.null_count else pa.py_buffer(np.packbits(np.asarray(plain.is_valid()), bitorder="little").tobytes())
    found = pa.Array.from_buffers(pa.large_string(), len(plain), [present, pa.py_buffer(moved.tobytes()), pa.py_buffer(text)])
    return pc.binary_join_element_wise(pa.scalar(head, pa.large_string()), found, pa.scalar("", pa.large_string()))
