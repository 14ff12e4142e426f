"""A database as SDV wants it, and back: metadata V2 with plain names, data frames, and Arrow tables of the catalogue's types.

Tables are called `t0`, `t1` …, columns `c0`, `c1` …, since SDV gives some names a meaning. Categories travel as opaque
codes. What a column is to SDV follows from our metadata; free text and what is unknown counts as personal, so that no
real text is repeated.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from synth_pipeline.metadata.evidence import GENERIC

if TYPE_CHECKING:
    import pandas as pd

    from synth_pipeline.catalog.schema import Column, Table
    from synth_pipeline.metadata.model import TableMetadata

Form = Literal["number", "instant", "clock", "code", "text", "null"]


@dataclass
class ColumnForm:
    """How a column travels.

    Attributes:
        name: of the column in SDV.
        form: number, instant (date or date-time), clock (time of day, as microseconds), code (of `dictionary`), text, or
            null for what SDV cannot hold.
        entry: the column's metadata in SDV.
        dictionary: the values of a category.
    """

    name: str
    form: Form
    entry: dict[str, Any] = field(default_factory=dict)
    dictionary: pa.Array | None = None


def forms_of(table: Table, meta: TableMetadata, entries: Mapping[str, dict[str, Any]], rows: pa.Table, keys: set[str]) -> dict[str, ColumnForm]:
    """The form of every stored column.

    Args:
        table: its definition.
        meta: what its columns mean.
        entries: what `to_sdv` says about them.
        rows: the training rows, for the dictionaries.
        keys: columns of primary, foreign and unique keys, which are ids.
    """
    forms = {}
    for number, column in enumerate(table.stored_columns):
        values = rows.column(column.name)
        sdtype = "id" if column.name in keys else meta.columns[column.name].sdtype
        form, entry = _form(column, values.type, sdtype, meta.columns[column.name].pii, entries.get(column.name, {}))
        if values.null_count == len(values):
            form = "null"
        forms[column.name] = made = ColumnForm(f"c{number}", form, entry)
        if form == "code":
            made.dictionary = values.drop_null().unique()
    return forms


def _form(column: Column, kind: pa.DataType, sdtype: str, pii: bool, entry: dict[str, Any]) -> tuple[Form, dict[str, Any]]:
    textual = pa.types.is_string(kind)
    if pa.types.is_binary(kind):
        return "null", {}
    if sdtype == "id":
        made = {"sdtype": "id"}
        if textual and (entry.get("regex_format") or column.type.length):
            made["regex_format"] = entry.get("regex_format") or f"[A-Z0-9]{{{min(column.type.length or 8, 12)}}}"
        return ("text" if textual else "number"), made
    if pa.types.is_date(kind) or pa.types.is_timestamp(kind):
        return "instant", {"sdtype": "datetime"}
    if pa.types.is_time(kind):
        return "clock", {"sdtype": "numerical"}
    if pii or sdtype in ("text", "unknown"):
        if not textual:
            return "number", {"sdtype": "id" if pa.types.is_integer(kind) else "numerical"}
        return "text", {"sdtype": sdtype if sdtype not in GENERIC or sdtype == "text" else "unknown", "pii": True}
    if sdtype == "datetime" and textual and "datetime_format" in entry:
        return "text", {"sdtype": "datetime", "datetime_format": entry["datetime_format"]}
    if sdtype == "numerical" and not textual and not pa.types.is_boolean(kind):
        return "number", {"sdtype": "numerical"}
    return "code", {"sdtype": "categorical"}


def to_frame(rows: pa.Table, forms: Mapping[str, ColumnForm]) -> pd.DataFrame:
    """The rows as SDV sees them."""
    import pandas as pd

    return pd.DataFrame({f.name: _series(rows.column(c), f) for c, f in forms.items() if f.form != "null"})


def _series(values: pa.ChunkedArray[Any], form: ColumnForm) -> Any:
    import pandas as pd

    match form.form:
        case "code":
            codes = pc.index_in(values, value_set=form.dictionary).cast(pa.string())
            return pd.Series(codes.to_pylist(), dtype=object)
        case "instant":
            return pd.Series(pd.to_datetime(_naive(values).to_pandas().astype("datetime64[us]"), errors="coerce")).astype("datetime64[ns]")
        case "clock":
            return pd.Series(values.cast(pa.int64()).to_pandas())
        case "number":
            if pa.types.is_integer(values.type) and not values.null_count:
                return pd.Series(values.to_pandas())
            return pd.Series(np.asarray(values.cast(pa.float64()).to_numpy(), dtype=float))
        case _:
            return pd.Series(values.to_pylist(), dtype=object)


def _naive(values: pa.ChunkedArray[Any]) -> Any:
    """Instants without a zone (UTC), kept inside what nanoseconds can say."""
    instants: Any = values.cast(pa.timestamp("us", tz="UTC") if pa.types.is_timestamp(values.type) and values.type.tz else pa.timestamp("us"))
    micros = instants.cast(pa.int64())
    limit = 2**63 // 1000 - 1
    return pc.max_element_wise(pc.min_element_wise(micros, limit, skip_nulls=False), -limit, skip_nulls=False).cast(pa.timestamp("us"))


def from_frame(frame: pd.DataFrame, table: Table, schema: pa.Schema, forms: Mapping[str, ColumnForm]) -> pa.Table:
    """Sampled rows in the catalogue's types; required columns without NULLs, texts within their length."""
    arrays = []
    for field_ in schema:
        form, column = forms[field_.name], table.column(field_.name)
        values = pa.nulls(len(frame), field_.type) if form.form == "null" else _array(frame[form.name], field_.type, form)
        if column.type.length and pa.types.is_string(field_.type):
            values = pc.utf8_slice_codeunits(values, 0, column.type.length)
        if not column.nullable and values.null_count:
            values = pc.fill_null_backward(pc.fill_null_forward(values))
        arrays.append(values)
    return pa.table(arrays, schema=schema)


def _array(series: pd.Series[Any], kind: pa.DataType, form: ColumnForm) -> Any:
    import pandas as pd

    if form.form == "text":
        return pa.array([None if pd.isna(v) else str(v) for v in series], pa.string()).cast(kind)
    if form.form == "instant":
        instants = pa.array(pd.to_datetime(series).astype("datetime64[us]"), pa.timestamp("us"), from_pandas=True)
        if pa.types.is_date(kind):
            return pc.floor_temporal(instants, unit="day").cast(kind)
        return instants.cast(pa.int64()).cast(kind)
    x = np.asarray(pd.to_numeric(series, errors="coerce"), dtype=float)
    null = ~np.isfinite(x)
    x = np.where(null, 0.0, x)
    if form.dictionary is not None:
        return form.dictionary.take(pa.array(x.astype(np.int64), mask=null))
    if form.form == "clock":
        return pa.array(np.clip(x, 0, 86_399_999_999).astype(np.int64), mask=null).cast(kind)
    if pa.types.is_decimal(kind):
        return pa.array(np.round(x, kind.scale), pa.float64(), mask=null).cast(kind, safe=False)
    if pa.types.is_floating(kind):
        return pa.array(x, pa.float64(), mask=null).cast(kind)
    return pa.array(np.round(x).astype(np.int64), mask=null).cast(kind)
