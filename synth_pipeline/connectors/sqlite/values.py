"""Stored SQLite values to Arrow and back: one total function each way, decided by a column's type and `storage`.

SQLite types values, not columns, so `Column.storage` says in what form a value lies where that does not follow from the
logical type: a text format of `temporal`; `epoch_s`, `epoch_ms`, `epoch_us` (integers), `epoch_real` (seconds with a
fraction), `julian`, `integer:<format>` (20240131); `yes|no` words of a boolean; `integer` or `real` for numbers that are
carried as another type; `literal` for columns of mixed types, carried as SQL literals; `bytes` for text that is no
UTF-8. The affinity of the declared type does the rest when a value is written. How the form is found is `probe`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from synth_pipeline.connectors.temporal import TextFormat

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from synth_pipeline.catalog.schema import Column

_UNITS = {"epoch_s": 1_000_000, "epoch_ms": 1_000, "epoch_us": 1}
_JULIAN_EPOCH_MS = 210_866_760_000_000
"""1970-01-01 in milliseconds of the julian day number, SQLite's own unit."""
_EXACT = 2**53


def select_expression(column: Column, quoted: str) -> str:
    """How the column is read: its reference, or a cast that makes every stored value readable."""
    if column.storage == "literal":
        # SQLite writes very small and very large numbers less exactly than it holds them.
        return f"CASE typeof({quoted}) WHEN 'real' THEN {quoted} ELSE quote({quoted}) END"
    if column.storage == "bytes":
        return f"CAST({quoted} AS BLOB)"
    return quoted


def bind_expression(column: Column) -> str:
    """How the column is bound in an INSERT."""
    return "CAST(? AS TEXT)" if column.storage == "bytes" else "?"


def decode(column: Column, values: Sequence[Any]) -> pa.Array:
    """Stored values to the column's Arrow type; what does not conform becomes NULL.

    `values` are what `select_expression` yields. A caller that must know of losses compares the NULLs.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    from synth_pipeline.catalog.types import arrow_type

    target, kind, storage = arrow_type(column.type), column.type.kind, column.storage
    if storage == "literal":
        return pa.array([None if v == "NULL" else repr(v) if isinstance(v, float) else v for v in values], pa.string())
    if pa.types.is_binary(target):
        return pa.array([v.encode() if isinstance(v, str) else v for v in values] if any(isinstance(v, str) for v in values) else values, pa.binary())
    if kind == "boolean":
        if storage is None:
            return _array(values, pa.int64()).cast(pa.bool_())
        yes, no = storage.split("|")
        words = _array(values, pa.string())
        return pc.if_else(pc.equal(words, yes), True, pc.if_else(pc.equal(words, no), False, None))
    if column.type.is_temporal:
        return to_kind(_instants(storage or default_format(kind), values), target)
    if pa.types.is_string(target) and storage in ("integer", "real"):
        return pa.array([None if v is None else repr(v) for v in values], pa.string())
    if pa.types.is_decimal(target):
        return _decimals(values, target)
    return _array(values, target)


def _array(values: Sequence[Any], target: pa.DataType) -> pa.Array:
    """Arrow values; the fast way where every value has the type, else one by one with NULL for the others."""
    import pyarrow as pa

    try:
        return pa.array(values, target)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError, UnicodeEncodeError):
        pass
    if pa.types.is_string(target):
        return pa.array([None if v is None else v if isinstance(v, str) else _as_text(v) for v in values], target)
    if pa.types.is_floating(target):
        return pa.array([float(v) if isinstance(v, int | float) else None for v in values], target)
    return pa.array([v if isinstance(v, int) else None for v in values], target)


def _as_text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else repr(value)


def default_format(kind: str) -> str:
    """The form in which a column gets its values where the source holds none to learn it from: SQLite's own functions'."""
    return {"date": "%Y-%m-%d", "time": "%H:%M:%S"}.get(kind, "%Y-%m-%d %H:%M:%S")


def _instants(storage: str, values: Sequence[Any]) -> pa.Array:
    """Stored dates and times to `timestamp[us]`; NULL for what does not conform."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if storage in _UNITS:
        return pc.multiply(_array(values, pa.int64()), _UNITS[storage]).cast(pa.timestamp("us"))
    if storage == "epoch_real":
        return pc.round(pc.multiply(_array(values, pa.float64()), 1e6)).cast(pa.int64()).cast(pa.timestamp("us"))
    if storage == "julian":
        ms = pc.round(pc.multiply(_array(values, pa.float64()), 86_400_000.0)).cast(pa.int64())
        return pc.multiply(pc.subtract(ms, _JULIAN_EPOCH_MS), 1_000).cast(pa.timestamp("us"))
    if storage.startswith("integer:"):
        return TextFormat(storage.removeprefix("integer:")).parse(_array(values, pa.int64()).cast(pa.string()))
    texts = values if all(v is None or isinstance(v, str) for v in values) else [v if isinstance(v, str) else None for v in values]
    return TextFormat(storage).parse(pa.array(texts, pa.string()))


def to_kind(instants: pa.Array, target: pa.DataType) -> pa.Array:
    """`timestamp[us]` without zone to a date, time or timestamp type."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_date(target):
        return pc.floor_temporal(instants, unit="day").cast(target)
    if pa.types.is_time(target):
        return instants.cast(pa.int64()).cast(target)
    return instants.cast(pa.int64()).cast(target)


def from_kind(values: pa.Array) -> pa.Array:
    """The inverse of `to_kind`."""
    import pyarrow as pa

    if pa.types.is_date(values.type):
        return values.cast(pa.timestamp("us"))
    return values.cast(pa.int64()).cast(pa.timestamp("us"))


def _decimals(values: Sequence[Any], target: pa.DataType) -> pa.Array:
    """Stored integers and reals to decimals; NULL for one that has more digits, or more than a float can tell apart."""
    import numpy as np
    import pyarrow as pa

    numbers = _array(values, pa.float64())
    valid = ~np.asarray(numbers.is_null())
    floats = np.nan_to_num(numbers.fill_null(0.0).to_numpy(zero_copy_only=False), nan=0.0, posinf=0.0, neginf=0.0)
    scaled = np.rint(floats * 10.0**target.scale)
    fits = valid & (np.abs(scaled) < min(float(_EXACT), 10.0**target.precision)) & (scaled / 10.0**target.scale == floats)
    unscaled = np.where(fits, scaled, 0.0).astype(np.int64)
    return decimal_array(unscaled, fits, target)


def decimal_array(unscaled: np.ndarray[Any, Any], valid: np.ndarray[Any, Any], target: pa.DataType) -> pa.Array:
    """A decimal array from unscaled 64-bit integers."""
    import numpy as np
    import pyarrow as pa

    words = np.repeat((unscaled >> 63)[:, None], target.bit_width // 64, axis=1)
    words[:, 0] = unscaled
    mask = pa.py_buffer(np.packbits(valid, bitorder="little").tobytes())
    return pa.Array.from_buffers(target, len(unscaled), [mask, pa.py_buffer(np.ascontiguousarray(words).tobytes())])


def decimal_floats(values: pa.Array) -> pa.Array:
    """Decimals to the nearest 64-bit floats (one correctly rounded division where the digits fit 53 bits)."""
    import numpy as np
    import pyarrow as pa

    plain = pa.concat_arrays([values])
    words = np.frombuffer(plain.buffers()[1], np.int64).reshape(-1, plain.type.bit_width // 64)[plain.offset : plain.offset + len(plain)]
    missing = np.asarray(plain.is_null())
    unscaled = np.where(missing, 0, words[:, 0])
    small = (np.abs(unscaled) < _EXACT) & (np.where(missing[:, None], 0, words[:, 1:]) == (unscaled >> 63)[:, None]).all(axis=1)
    if not small.all():
        return pa.array([None if v is None else float(v) for v in plain.to_pylist()], pa.float64())
    return pa.array(unscaled / 10.0**plain.type.scale, pa.float64(), mask=missing)


def encode(column: Column, values: pa.Array) -> list[Any]:
    """Arrow values to what is bound in an INSERT, in the column's stored form; the inverse of `decode`."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind, storage = column.type.kind, column.storage
    forms: dict[str | None, Callable[[Any], Any]] = {"literal": literal, "integer": int, "real": float}
    form = forms.get(storage)
    if kind == "boolean":
        values = values.cast(pa.int64()) if storage is None else pc.if_else(values, *storage.split("|"))
    elif column.type.is_temporal:
        values = _stored_instants(storage or default_format(kind), from_kind(values))
    elif pa.types.is_decimal(values.type):
        values, form = (values, _integer) if values.type.scale == 0 else (decimal_floats(values), form)
    bound: list[Any] = values.to_pylist()
    return bound if form is None else [None if v is None else form(v) for v in bound]


def _integer(value: Any) -> int | str:
    whole = int(value)
    return whole if -(2**63) <= whole < 2**63 else str(whole)


def _stored_instants(storage: str, instants: pa.Array) -> pa.Array:
    """`timestamp[us]` in the stored form; what is finer than the form is cut off."""
    import numpy as np
    import pyarrow as pa

    if storage.startswith("integer:"):
        return TextFormat(storage.removeprefix("integer:")).format(instants).cast(pa.int64())
    if storage not in _UNITS and storage not in ("epoch_real", "julian"):
        return TextFormat(storage).format(instants)
    missing = np.asarray(instants.is_null())
    micros = instants.cast(pa.int64()).fill_null(0).to_numpy()
    if storage == "julian":
        numbers = (micros // 1_000 + _JULIAN_EPOCH_MS) / 86_400_000.0
    else:
        numbers = micros / 1e6 if storage == "epoch_real" else micros // _UNITS[storage]
    return pa.array(numbers, mask=missing)


def literal(text: str) -> Any:
    """The value of a SQL literal as `quote()` writes it; text that is no literal stands for itself."""
    if len(text) >= 2 and text[0] == text[-1] == "'":
        return text[1:-1].replace("''", "'")
    if len(text) >= 3 and text[:2] in ("X'", "x'") and text[-1] == "'":
        try:
            return bytes.fromhex(text[2:-1])
        except ValueError:
            return text
    try:
        return float(text) if any(c in text for c in ".eEnN") else int(text)
    except ValueError:
        return text
