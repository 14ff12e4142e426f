"""What drivers return to Arrow, and Arrow to what they take: one total function each way, decided by a column's type."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

    from synth_pipeline.catalog.schema import Column

_EPOCH = dt.datetime(1970, 1, 1)


def decode(column: Column, values: Sequence[Any]) -> pa.Array:
    """Driver values to the column's Arrow type; what it cannot hold (a NaN among decimals) becomes NULL."""
    import pyarrow as pa

    from synth_pipeline.catalog.types import arrow_type

    target = arrow_type(column.type)
    try:
        if not (pa.types.is_timestamp(target) or pa.types.is_decimal(target) or pa.types.is_string(target) and column.type.is_opaque):
            return pa.array(values, target)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError):
        pass
    form = _form(target)
    return pa.array([None if v is None else _formed(v, form) for v in values], target)


def _formed(value: Any, form: Callable[[Any], Any]) -> Any:
    try:
        return form(value)
    except (ValueError, TypeError, ArithmeticError, AttributeError):
        return None


def _form(target: pa.DataType) -> Callable[[Any], Any]:
    import pyarrow as pa

    if pa.types.is_decimal(target):
        step = Decimal(1).scaleb(-target.scale)
        return lambda v: _decimal(v, step)
    if pa.types.is_timestamp(target):
        return _utc if target.tz else _naive
    forms: tuple[tuple[Callable[[pa.DataType], bool], Callable[[Any], Any]], ...] = (
        (pa.types.is_integer, int), (pa.types.is_floating, float), (pa.types.is_boolean, _truth), (pa.types.is_binary, _octets),
        (pa.types.is_date, _date), (pa.types.is_time, _time),
    )  # fmt: skip
    return next((form for fits, form in forms if fits(target)), _text)


def _decimal(value: Any, step: Decimal) -> Decimal | None:
    import decimal

    exact = value if isinstance(value, Decimal) else Decimal(repr(value) if isinstance(value, float) else str(value))
    with decimal.localcontext(prec=80):
        return exact.quantize(step) if exact.is_finite() else None


def _naive(value: Any) -> dt.datetime | None:
    if isinstance(value, str):
        value = dt.datetime.fromisoformat(value)
    if isinstance(value, dt.datetime):
        return value.replace(tzinfo=None)
    return dt.datetime(value.year, value.month, value.day) if isinstance(value, dt.date) else None


def _utc(value: Any) -> dt.datetime | None:
    if isinstance(value, str):
        value = dt.datetime.fromisoformat(value)
    if not isinstance(value, dt.datetime):
        return None
    return value.replace(tzinfo=dt.UTC) if value.tzinfo is None else value.astimezone(dt.UTC)


def _date(value: Any) -> dt.date | None:
    if isinstance(value, dt.datetime):
        return value.date()
    return value if isinstance(value, dt.date) else dt.date.fromisoformat(str(value)[:10])


def _time(value: Any) -> dt.time | None:
    if isinstance(value, dt.timedelta):  # some drivers have no times of day
        return (_EPOCH + value).time()
    if isinstance(value, dt.datetime):
        return value.time()
    return value.replace(tzinfo=None) if isinstance(value, dt.time) else dt.time.fromisoformat(str(value))


def _truth(value: Any) -> bool:
    return value.upper() in ("1", "T", "TRUE", "Y", "YES") if isinstance(value, str) else bool(value)


def _octets(value: Any) -> bytes:
    return value.encode() if isinstance(value, str) else bytes(value)


def _text(value: Any) -> str:
    """Canonical text; structures as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict | list | tuple):
        return json.dumps(value, ensure_ascii=False, default=str)
    if hasattr(value, "read"):  # a handle to a large object
        return _text(value.read())
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def encode(column: Column, values: pa.Array) -> list[Any]:
    """Arrow values to Python's, as the types of `types.bound` take them; the inverse of `decode`."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_decimal(values.type) and column.type.kind == "integer":
        return [None if v is None else int(v) for v in values.to_pylist()]
    if pa.types.is_timestamp(values.type) and values.type.tz:
        return [None if v is None else v.replace(tzinfo=dt.UTC) for v in pc.cast(values, pa.timestamp("us")).to_pylist()]
    found: list[Any] = values.to_pylist()
    return [_items(v) for v in found] if column.type.kind == "array" else found


def _items(text: str | None) -> Any:
    """The items of an array that `decode` has spelled; what another connector has spelled stays text."""
    try:
        return None if text is None else json.loads(text)
    except ValueError:
        return text


def plain(value: Any) -> Any:
    """A value of a key as it is compared and hashed: what JSON can hold, in the text form that servers give dates."""
    if isinstance(value, dt.datetime):
        return _naive(value).isoformat(" ") if value.tzinfo is None else str(value)  # type: ignore[union-attr]
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() and value.as_tuple().exponent == 0 else str(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).hex().upper()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return _text(value)
