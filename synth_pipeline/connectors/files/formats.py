"""One file as one table: the types of its columns, its rows in the catalogue's Arrow types, and how rows are written back.

The types of a Parquet file are its own. Those of a CSV file are inferred from all of its rows by pyarrow, with two
exceptions: numbers with leading zeros stay text, and numbers that all have the same digits after the point are decimals.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synth_pipeline.catalog.types import arrow_type, logical_type
from synth_pipeline.connectors.base import BATCH_ROWS
from synth_pipeline.errors import SourceError

if TYPE_CHECKING:
    import pyarrow as pa

    from synth_pipeline.catalog.schema import Column

FORMATS = ("csv", "parquet")
SUFFIXES = {".csv": "csv", ".tsv": "csv", ".parquet": "parquet", ".pq": "parquet"}
_NULLS = ["", "NULL", "\\N"]
_DELIMITERS = ",;\t|"
_MOST_DIGITS = 15
"""More could not pass through a 64-bit float."""


@dataclass(frozen=True)
class TableFile:
    """A file of a known format; `delimiter` is that of a CSV file."""

    path: Path
    delimiter: str = ","

    @property
    def format(self) -> str:
        return SUFFIXES[self.path.suffix.lower()]

    @classmethod
    def of(cls, path: Path) -> TableFile:
        """Looks at the first line for the delimiter.

        Raises:
            SourceError: it cannot be read.
        """
        if SUFFIXES[path.suffix.lower()] != "csv":
            return cls(path)
        try:
            with path.open(encoding="utf-8-sig", errors="replace") as file:
                head = file.readline()
        except OSError as e:
            raise SourceError(f"The file {path} cannot be read: {e.strerror}.", "Check its permissions.") from e
        if path.suffix.lower() == ".tsv":
            return cls(path, "\t")
        return cls(path, max(_DELIMITERS, key=head.count))

    def schema(self) -> pa.Schema:
        """The file's own Arrow types.

        Raises:
            SourceError: it is damaged, or two columns have the same name but for case.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        with _readable(self.path):
            found = pq.read_schema(self.path) if self.format == "parquet" else self._csv().schema
        if self.format == "csv" and any(pa.types.is_binary(f.type) for f in found):
            raise SourceError(f"The file {self.path.name} is not UTF-8.", "Convert it, for instance with `iconv -f latin1 -t utf8`.")
        seen: set[str] = set()
        for name in found.names:
            if name.lower() in seen:
                raise SourceError(f"The file {self.path.name} has two columns {name!r} (case aside).", "Rename one of them.")
            seen.add(name.lower())
        return found.remove_metadata()

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows, in the catalogue's Arrow types of the file's own."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        with _readable(self.path):
            if self.format == "csv":
                source: Iterator[Any] = iter(self._csv().to_batches(BATCH_ROWS))
            else:
                source = pq.ParquetFile(self.path).iter_batches(BATCH_ROWS)
            for batch in source:
                yield pa.RecordBatch.from_arrays([_carried(c) for c in batch.columns], names=batch.schema.names)

    def _csv(self) -> pa.Table:
        import pyarrow as pa
        import pyarrow.csv as csv

        inferred = self._read_csv({})
        numeric = [f.name for f in inferred.schema if pa.types.is_integer(f.type) or pa.types.is_floating(f.type)]
        if not numeric or not inferred.num_rows:
            return inferred
        texts = csv.read_csv(
            self.path, parse_options=self._parsing(),
            convert_options=csv.ConvertOptions(
                include_columns=numeric, column_types=dict.fromkeys(numeric, pa.string()), null_values=_NULLS, strings_can_be_null=True
            ),
        )  # fmt: skip
        exact = {name: kind for name in numeric if (kind := _exact(texts.column(name), inferred.schema.field(name).type)) is not None}
        return self._read_csv(exact) if exact else inferred

    def _read_csv(self, types: Mapping[str, pa.DataType]) -> pa.Table:
        import pyarrow.csv as csv

        options = csv.ConvertOptions(column_types=dict(types), null_values=_NULLS, strings_can_be_null=True, quoted_strings_can_be_null=False)
        return csv.read_csv(self.path, parse_options=self._parsing(), convert_options=options)

    def _parsing(self) -> Any:
        import pyarrow.csv as csv

        return csv.ParseOptions(delimiter=self.delimiter, newlines_in_values=True)


def _exact(texts: pa.ChunkedArray[Any], inferred: pa.DataType) -> pa.DataType | None:
    """Text for numbers with leading zeros, a decimal for those with the same digits after the point; None for the rest."""
    import pyarrow as pa
    import pyarrow.compute as pc

    known = texts.drop_null()
    if pc.any(pc.match_substring_regex(known, r"^[+-]?0\d")).as_py():
        return pa.string()
    if not pa.types.is_floating(inferred) or not len(known) or not pc.all(pc.match_substring_regex(known, r"^-?\d+\.\d{1,6}$")).as_py():
        return None
    digits = pc.subtract(pc.utf8_length(known), pc.add(pc.find_substring(known, "."), 1))
    scale, whole = pc.max(digits).as_py(), pc.max(pc.find_substring(known, ".")).as_py()
    same = pc.min(digits).as_py() == scale and whole + scale <= _MOST_DIGITS
    return pa.decimal128(_MOST_DIGITS, scale) if same else None


def _carried(values: pa.Array) -> pa.Array:
    """In the catalogue's type; lists and structures as JSON."""
    import pyarrow as pa

    kind = values.type
    if pa.types.is_dictionary(kind):
        return _carried(values.dictionary_decode())
    if pa.types.is_nested(kind):
        return pa.array([None if v is None else json.dumps(v, default=str, ensure_ascii=False) for v in values.to_pylist()], pa.string())
    if pa.types.is_null(kind):
        return values.cast(pa.string())
    if pa.types.is_duration(kind):
        return values.cast(pa.int64())
    wanted = arrow_type(logical_type(kind)) if not pa.types.is_unsigned_integer(kind) else pa.int64()
    return values if kind == wanted else values.cast(wanted, safe=not pa.types.is_temporal(kind))


def native_type(kind: pa.DataType) -> str:
    """The SQL type of an Arrow type, in a spelling that says which one it was."""
    import pyarrow as pa

    if pa.types.is_dictionary(kind):
        return native_type(kind.value_type)
    plain = {str(t): name for name, t in _plain_types().items()}
    if str(kind) in plain:
        return plain[str(kind)]
    if pa.types.is_decimal(kind):
        return f"DECIMAL({kind.precision},{kind.scale})"
    if pa.types.is_timestamp(kind):
        return "TIMESTAMPTZ" if kind.tz else "DATETIME"
    for test, name in ((pa.types.is_date, "DATE"), (pa.types.is_time, "TIME"), (pa.types.is_nested, "JSON")):
        if test(kind):
            return name
    binary = pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind) or pa.types.is_binary(kind)
    return "BLOB" if binary else "BIGINT" if pa.types.is_integer(kind) or pa.types.is_duration(kind) else "TEXT"


def _plain_types() -> dict[str, Any]:
    import pyarrow as pa

    return {
        "BOOLEAN": pa.bool_(), "TINYINT": pa.int8(), "SMALLINT": pa.int16(), "INT4": pa.int32(), "BIGINT": pa.int64(), "FLOAT": pa.float32(),
        "DOUBLE": pa.float64(), "TEXT": pa.string(), "BLOB": pa.binary(), "DATE": pa.date32(),
    }  # fmt: skip


def file_type(column: Column, *, own: bool) -> pa.DataType:
    """The type in which a column is written to Parquet; `own` where the column came out of such a file."""
    import pyarrow as pa

    if own and column.native_type.startswith("DECIMAL("):
        precision, scale = (int(n) for n in column.native_type[8:-1].split(","))
        return pa.decimal128(precision, scale) if precision <= 38 else pa.decimal256(precision, scale)
    found: Any = _plain_types().get(column.native_type) if own else None
    return found or arrow_type(column.type)


# --- writing -----------------------------------------------------------------------------------------------------------


class TableWriter:
    """Writes one file, batch by batch; a file without rows has its columns all the same."""

    def __init__(self, file: TableFile, schema: pa.Schema) -> None:
        import pyarrow.parquet as pq

        self._file, self._schema = file, schema
        self._parquet = self._text = None
        if file.format == "parquet":
            self._parquet = pq.ParquetWriter(file.path, schema, compression="zstd")
        else:
            self._text = file.path.open("wb")
            self._text.write((file.delimiter.join(_quoted_name(n, file.delimiter) for n in schema.names) + "\n").encode())

    def write(self, batch: pa.RecordBatch) -> None:
        """Appends rows, whose columns may come in any order."""
        import pyarrow as pa

        columns = [batch.column(f.name).cast(f.type, safe=not pa.types.is_decimal(f.type)) for f in self._schema]
        if self._parquet is not None:
            self._parquet.write_batch(pa.RecordBatch.from_arrays(columns, schema=self._schema))
        elif self._text is not None and columns and batch.num_rows:
            self._text.write(_lines(columns, self._file.delimiter))

    def close(self) -> None:
        """Finishes the file."""
        if self._parquet is not None:
            self._parquet.close()
        if self._text is not None:
            self._text.close()


def _quoted_name(name: str, delimiter: str) -> str:
    return '"' + name.replace('"', '""') + '"' if any(c in name for c in f'{delimiter}"\r\n') else name


def _lines(columns: list[pa.Array], delimiter: str) -> bytes:
    """Rows as CSV: quotes where needed (RFC 4180), nothing for NULL, two quotes for an empty text."""
    import re

    import pyarrow.compute as pc

    special = f'^$|^(?:NULL|\\\\N)$|[{re.escape(delimiter)}"\r\n]'
    cells = []
    for values in columns:
        text: Any = _text(values)
        quoted = pc.binary_join_element_wise('"', pc.replace_substring(text, '"', '""'), '"', "")
        cells.append(pc.fill_null(pc.if_else(pc.match_substring_regex(text, special), quoted, text), ""))
    joined = pc.binary_join_element_wise(*cells, delimiter)
    return "".join(f"{line}\n" for line in joined.to_pylist()).encode()


def _text(values: pa.Array) -> pa.Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = values.type
    if pa.types.is_binary(kind):
        return pa.array([None if v is None else v.hex() for v in values.to_pylist()], pa.string())
    if pa.types.is_timestamp(kind) and kind.tz:
        plain: Any = values.cast(pa.timestamp("us")).cast(pa.string())
        return pc.binary_join_element_wise(pc.replace_substring_regex(plain, r"\.0+$", ""), "Z", "")
    text: Any = values.cast(pa.string())
    return pc.replace_substring_regex(text, r"\.0+$", "") if pa.types.is_timestamp(kind) or pa.types.is_time(kind) else text


class _readable:  # noqa: N801 - a context manager that is used like a function
    """Turns what pyarrow says about a damaged file into one clear line; its own messages may repeat values."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, *_: object) -> None:
        import pyarrow as pa

        if isinstance(error, pa.ArrowException | OSError):
            remedy = "Check that it is a complete file of its kind, in UTF-8, with a header line if it is CSV."
            raise SourceError(f"The file {self._path} cannot be read ({type(error).__name__}).", remedy) from None
