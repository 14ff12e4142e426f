"""Which part a column plays, and how the values of columns without donors are made.

A column follows a foreign key, is drawn from donors, or is made up: surrogate and natural keys, personal values, free
text, opaque values, constants. What is made up is modelled only in its form and in where it is NULL.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from synth_pipeline.catalog.schema import Column, DatabaseSchema
from synth_pipeline.keys import at_rows, combined_codes
from synth_pipeline.metadata.model import ColumnMetadata, TableMetadata
from synth_pipeline.synthesis.relational import accounts, documents
from synth_pipeline.synthesis.relational.frame import Frame
from synth_pipeline.synthesis.relational.letters import CLASSES
from synth_pipeline.synthesis.relational.model import MadeColumn, Opaque, Surrogate
from synth_pipeline.synthesis.relational.personal import PersonalModel, shaped
from synth_pipeline.synthesis.relational.random import WHOLE, Lane
from synth_pipeline.synthesis.relational.shapes import KeyShapes
from synth_pipeline.synthesis.relational.structure import decided_columns
from synth_pipeline.synthesis.relational.text import TextModel
from synth_pipeline.synthesis.relational.variable import Variable

_PLACES = {
    "postcode": 0, "zipcode": 0, "city": 1, "state": 2, "state_abbr": 2, "administrative_unit": 2, "country": 3, "country_code": 3,
    "currency_code": 4, "language_code": 4, "timezone": 4, "locale": 4,
}  # fmt: skip
"""Parts of a place, the smaller ones first."""
_PLAIN = {"numerical", "datetime", "categorical", "ordinal", "boolean", "id", "unknown", "text"}
_SHAPELESS = {"first_name", "last_name", "phone_number", "ssn", "email", "user_name", "username", "password"}
_MOST_NAMES = 5_000
_FEW_KEYS = 20
_MOST_BYTES = 1 << 20
_MOST_DOCUMENTS = 2_000
_FIRST_ROWS = 2_000


@dataclass
class Roles:
    """The columns of a table by the part they play.

    Attributes:
        foreign: columns of foreign keys.
        drawn: columns drawn from donors, in the schema's order.
        made: the others.
        copyable: made columns that may turn out to be copies of a parent's column.
        kinds: for made columns how: constant, surrogate, shape, personal, text, opaque.
        unique: columns that are a key by themselves.
        places: drawn columns that hold parts of a place, and how large a part.
        masked: drawn columns whose values are replaced one by one: the same name stays the same name.
        composed: columns that are none of these, as they are composed of others: those of their row that are in them, directly or not.
    """

    foreign: set[str] = field(default_factory=set)
    drawn: list[str] = field(default_factory=list)
    made: list[str] = field(default_factory=list)
    copyable: list[str] = field(default_factory=list)
    kinds: dict[str, str] = field(default_factory=dict)
    unique: set[str] = field(default_factory=set)
    places: dict[str, int] = field(default_factory=dict)
    masked: set[str] = field(default_factory=set)
    composed: dict[str, set[str]] = field(default_factory=dict)

    def leave(self, columns: Mapping[str, Collection[str]]) -> None:
        """Takes columns out of their parts, as they are composed of others of their row, which come before."""
        for column, pieces in columns.items():
            self.composed[column] = {*pieces, *(c for piece in pieces for c in self.composed.get(piece, ()))}
        self.drawn, self.made, self.copyable = ([c for c in part if c not in columns] for part in (self.drawn, self.made, self.copyable))
        self.masked -= set(columns)


def assign_roles(frame: Frame, schema: DatabaseSchema, meta: TableMetadata) -> Roles:
    """Decides the part of every stored column."""
    table = frame.table
    roles = Roles()
    roles.foreign = decided_columns(schema, table)
    roles.unique = {k[0] for k in table.keys if len(k) == 1}
    for column in table.stored_columns:
        if column.name in roles.foreign:
            continue
        kind = _kind(frame, column, meta, column.name in roles.unique, keyed=any(column.name in key for key in table.keys))
        if kind == "masked":
            roles.drawn.append(column.name)
            roles.masked.add(column.name)
        elif kind == "drawn":
            roles.drawn.append(column.name)
            if meta.columns[column.name].sdtype in _PLACES:
                roles.places[column.name] = _PLACES[meta.columns[column.name].sdtype]
        else:
            roles.made.append(column.name)
            roles.kinds[column.name] = kind
        if kind in ("personal", "text") and column.name not in roles.unique:
            roles.copyable.append(column.name)
    return roles


def _kind(frame: Frame, column: Column, meta: TableMetadata, unique: bool, *, keyed: bool) -> str:
    values = frame.data.column(column.name)
    about = meta.columns[column.name]
    known = len(values) - values.null_count
    kind = values.type
    textual, whole = pa.types.is_string(kind), pa.types.is_integer(kind)
    if known == 0:
        return "constant"
    distinct = pc.count_distinct(values, mode="only_valid").as_py()
    document = textual and not unique and _are_documents(values.drop_null())
    # Personal fractions (a latitude) are drawn between donors; a code or a number keeps only its number of digits.
    fraction = pa.types.is_decimal(kind) and kind.scale > 0 or pa.types.is_floating(kind) and not _all_whole(values)
    if about.pii and not pa.types.is_temporal(kind) and not pa.types.is_boolean(kind) and not fraction:
        if pa.types.is_binary(kind) or document:
            return "opaque"
        return "masked" if _repeated(frame, values, about, distinct, known) else "personal"
    if unique or about.sdtype == "id" and distinct > 0.95 * known and known > 20:
        if whole or pa.types.is_decimal(kind) and kind.scale == 0 or pa.types.is_floating(kind) and column.identity:
            return "surrogate"
        if textual:
            wordy = about.sdtype not in ("id", "unknown", "categorical") and _words(values) >= 1.3
            return (
                "text" if wordy and about.sdtype == "text" else "personal" if wordy and about.sdtype not in _PLAIN else "text" if wordy else "shape"
            )
        if pa.types.is_binary(kind):
            return "opaque"
        if pa.types.is_floating(kind) and _all_whole(values):
            return "surrogate"
        return "drawn"
    if pa.types.is_binary(kind) or column.type.is_opaque or document:
        few = distinct <= 20 and known >= 5 * distinct
        return "drawn" if few and textual else "opaque"
    # One row seen says nothing of a part of a key, which must be free to differ in the next.
    if distinct == 1 and values.null_count == 0 and not (keyed and known < _FEW_KEYS):
        return "constant"
    if not textual or about.sdtype in _PLACES or column.type.kind == "enum":
        return "drawn"
    if about.sdtype in ("datetime", "numerical"):
        return "drawn"
    if _repeated(frame, values, about, distinct, known):
        return "masked"
    near_unique = distinct > 0.5 * known and distinct > 20
    if about.sdtype == "text" and (distinct > 50 or near_unique or distinct > 0.5 * known):
        return "text"
    if about.sdtype not in _PLAIN and (near_unique or distinct > 0.8 * known):
        return "personal"
    if near_unique:
        return "text" if _words(values) >= 1.3 else "personal"
    return "drawn"


def _repeated(frame: Frame, values: pa.ChunkedArray, about: ColumnMetadata, distinct: int, known: int) -> bool:
    """Whether values name the same few things again and again (a composer): then each keeps its place under another name."""
    if not pa.types.is_string(values.type) or about.sdtype in _SHAPELESS or distinct > min(0.5 * known, _MOST_NAMES) or known < 20:
        return False
    if about.pii:
        return True
    # What is not personal may come out, unless a value stands for one root entity.
    pairs = np.unique(combined_codes([values, pa.chunked_array([pa.array(frame.entities)])]))
    return (about.sdtype not in _PLAIN or about.sdtype == "text") and len(pairs) - (known < len(values)) < 2 * distinct


def _are_documents(values: pa.ChunkedArray) -> bool:
    """Whether all values are JSON objects or arrays; the first few tell for most columns that they are not."""
    return documents.are_json(_texts(values.slice(0, 20))) and documents.are_json(_texts(values))


def _words(values: pa.Array | pa.ChunkedArray) -> float:
    """Words per value, over a few thousand values."""
    sample = values.drop_null().slice(0, 2000).to_pylist()
    return sum(len(v.split()) for v in sample) / max(1, len(sample))


def _all_whole(values: pa.ChunkedArray) -> bool:
    x = np.asarray(values.drop_null().to_numpy(), dtype=float)
    return bool(np.all(x == np.floor(x)) and np.abs(x).max(initial=0) < 2**53)


def make_column(frame: Frame, column: str, roles: Roles, meta: TableMetadata, absent: Variable | None, rng: np.random.Generator) -> MadeColumn:
    """Fits the maker of a column that is not drawn."""
    definition, values, about = frame.table.column(column), frame.data.column(column), meta.columns[column]
    known = values.drop_null()
    unique = column in roles.unique
    kind, limit = roles.kinds[column], definition.type.length
    if kind == "constant":
        return MadeColumn(known.slice(0, 1).combine_chunks() if len(known) else pa.nulls(1, values.type))
    if kind == "surrogate":
        x = np.unique(np.asarray(known.cast(pa.float64()).to_numpy()))
        span = float(np.median(np.diff(x))) if len(x) > 1 else 1.0
        return MadeColumn(Surrogate(int(x[0]), max(1, int(span))), absent, unique)
    texts = _texts(known)
    if kind == "opaque":
        return MadeColumn(_fit_opaque(known, frame.entities[np.asarray(values.is_valid())], rng, personal=about.pii), absent, unique)
    if kind == "shape":
        return MadeColumn(KeyShapes.fit(texts, limit), absent, unique)
    if kind == "text":
        return MadeColumn(TextModel.fit(texts, limit), absent, unique)
    sdtype = about.sdtype if about.sdtype not in _PLAIN else "id"
    if not pa.types.is_string(values.type):
        sdtype = "id"
    also = _texts(frame.protected(column).drop_null())
    entities = frame.entities[np.asarray(values.is_valid())]
    relatives, form = _relatives(frame, column, meta, roles)
    maker = PersonalModel.fit(texts, sdtype, about.locale, limit, relatives, rng, also, entities, form)
    return MadeColumn(maker, absent, unique)


def is_code(sdtype: str) -> bool:
    """Whether personal values of an sdtype are made by their shape."""
    return sdtype in _PLAIN or shaped(sdtype)


def pseudonyms(dictionary: pa.Array, also: Collection[str], about: ColumnMetadata, column: Column, rng: np.random.Generator) -> pa.Array:
    """Another name for each value of a dictionary, all different and none of them in it or in `also`."""
    real = [str(v) for v in dictionary.to_pylist()]
    if about.sdtype in _PLAIN and _words(dictionary) > 1:
        made = TextModel.fit(real, column.type.length).generate(len(real), rng, {*real, *also}, unique=True)
    else:
        sdtype = "id" if about.sdtype in _PLAIN else about.sdtype
        made = PersonalModel.fit(real, sdtype, about.locale, column.type.length, {}, rng, also).generate(len(real), {}, rng, unique=True)
    return pa.array(made, type=dictionary.type)


def scrambled(dictionary: pa.Array, also: Collection[str], rng: np.random.Generator) -> pa.Array:
    """Each value with other letters and digits in their places, all different and none of them in it or in `also`."""
    taken, out = {*also, *(str(v) for v in dictionary.to_pylist())}, []
    classes = [(kind, np.array(list(CLASSES[kind]))) for kind in ("9", "A", "a")]
    for value in dictionary.to_pylist():
        text = list(str(value))
        while (made := "".join(text)) in taken:
            at = [i for i, c in enumerate(text) if c.isalnum()]
            for i in at:
                text[i] = next((str(rng.choice(some)) for _, some in classes if text[i] in some), str(rng.choice(classes[2][1])))
            text += [str(rng.choice(classes[0][1]))] if not at or "".join(text) == made else []
        taken.add(made)
        out.append(made)
    return pa.array(out, type=dictionary.type)


def named_columns(sql: str, columns: Collection[str]) -> list[str]:
    """The columns that an expression names."""
    return [c for c in columns if re.search(rf"(?<!\w){re.escape(c)}(?!\w)", sql, re.IGNORECASE)]


def _texts(values: pa.ChunkedArray) -> list[str]:
    return [str(v) for v in values.to_pylist()] if not pa.types.is_binary(values.type) else []


def _relatives(frame: Frame, column: str, meta: TableMetadata, roles: Roles) -> tuple[dict[str, str], str]:
    """The other columns of the row that hold parts of the same person's name, and the form of an account that is made of them.

    A whole name is made from its parts; an account from what most real ones are made of, also where names are replaced one by one.
    """
    sdtype = meta.columns[column].sdtype
    wanted = {"first_name", "last_name"} if sdtype in ("name", "full_name") else {"first_name", "last_name", "name"}
    found: dict[str, str] = {}
    if sdtype in wanted:
        return found, ""
    personal = [c for c in (*roles.made, *roles.composed) if roles.kinds.get(c) == "personal" and column not in roles.composed.get(c, ())]
    for name in personal:
        other = meta.columns[name].sdtype
        if name != column and other in wanted:
            found.setdefault(other, name)
    if sdtype not in accounts.USERS | accounts.MAILS:
        return found, ""
    made: dict[str, list[str]] = {}
    for name in (*personal, *sorted(roles.masked)):
        other = "user_name" if meta.columns[name].sdtype in accounts.USERS else meta.columns[name].sdtype
        made.setdefault(other, []).append(name)
    choices = [{"user_name": c} for c in made.get("user_name", ()) if sdtype in accounts.MAILS] + [{"name": c} for c in made.get("name", ())]
    choices += [{"first_name": a, "last_name": b} for a in made.get("first_name", ()) for b in made.get("last_name", ())]
    values = {c: _texts_or_none(frame, c) for c in {column, *(c for choice in choices for c in choice.values())}}
    best, relatives, form = 0, found, ""
    for choice in choices:
        count, of_it = accounts.form_of(values[column], {role: values[c] for role, c in choice.items()})
        if count > best:
            best, relatives, form = count, choice, of_it
    return relatives, form


def _texts_or_none(frame: Frame, column: str) -> list[str | None]:
    """The values of the first rows of a column as texts."""
    values = frame.data.column(column).slice(0, _FIRST_ROWS)
    return [None if v is None else str(v) for v in values.to_pylist()]


def _fit_opaque(values: pa.ChunkedArray, entities: np.ndarray, rng: np.random.Generator, *, personal: bool) -> Opaque:
    picks = np.sort(rng.choice(len(values), min(200, len(values)), replace=False))
    sample = values.take(pa.array(picks)).to_pylist()
    if not pa.types.is_binary(values.type):
        each = np.unique(entities, return_index=True)[1]
        shared = documents.Shared.of(_texts(values.take(pa.array(each[:: len(each) // _MOST_DOCUMENTS + 1]))), contents=not personal)
        return Opaque(shapes=[documents.template(str(v), shared) for v in sample])
    header = b""
    if len(sample) >= 5:
        for i in range(min(8, *(len(v) for v in sample))):
            if len({v[i] for v in sample}) > 1:
                break
            header += sample[0][i : i + 1]
    return Opaque(lengths=[min(len(v), _MOST_BYTES) for v in sample], header=header.hex())


def make_values(
    made: MadeColumn,
    type_: pa.DataType,
    count: int,
    row: Mapping[str, Sequence[str | None]],
    present: np.ndarray,
    rng: np.random.Generator,
    bits: int | None = None,
    lane: Lane = WHOLE,
) -> pa.Array:
    """Values of a made column.

    Args:
        made: the column.
        type_: its Arrow type.
        count: number of rows.
        row: values of other made columns of the rows, for consistency.
        present: rows that are not NULL, bool (count,).
        rng: the column's stream.
        bits: the width of the column's type, if it is a whole number.
        lane: the part of the table that the rows are.
    """
    maker = made.maker
    if isinstance(maker, (pa.Array, pa.ChunkedArray)):
        return pa.concat_arrays([maker]).take(pa.array(np.zeros(count, dtype=np.int64)))
    at = np.flatnonzero(present)
    if isinstance(maker, Surrogate):
        if bits is not None:
            maker = maker.within(lane.total if lane.total is not None else count, bits, "the key")
        numbers = pa.array(maker.start + maker.spread * (lane.start + np.arange(count)), mask=~present)
        return numbers.cast(type_)
    if isinstance(maker, KeyShapes):
        values: list[str] | list[bytes] = maker.generate(len(at), (), rng, lane) if made.unique else maker.draw(len(at), rng)
    elif isinstance(maker, TextModel):
        values = maker.generate(len(at), rng, unique=made.unique, lane=lane)
    elif isinstance(maker, PersonalModel):
        near = {c: [v[i] for i in at.tolist()] for c, v in row.items()}
        values = maker.generate(len(at), near, rng, unique=made.unique, lane=lane)
    else:
        values = _opaque(maker, len(at), type_, made.unique, rng, lane)
    out = pa.array(values, type=pa.binary() if pa.types.is_binary(type_) else pa.string())
    if not (pa.types.is_string(type_) or pa.types.is_binary(type_)):
        out = _as_number(out, type_, rng, bits, made.unique, lane)
    if len(at) == count:
        return out
    index = np.full(count, -1, dtype=np.int64)
    index[at] = np.arange(len(out))
    return at_rows(out, index)


def _as_number(texts: pa.Array, type_: pa.DataType, rng: np.random.Generator, bits: int | None, unique: bool, lane: Lane) -> pa.Array:
    """Personal numbers are made as text, so that they keep their number of digits."""
    digits = [("".join(c for c in t if c.isdigit()) or str(rng.integers(1, 10)))[:15] for t in texts.to_pylist()]
    most = 2 ** (bits - 1) if bits is not None else 10**15
    numbers = [(int(d) if d[0] != "0" or len(d) == 1 else int("1" + d[1:])) % most for d in digits]
    if unique:
        used: set[int] = set()
        for i, number in enumerate(numbers):
            number = lane.settle(number, most)
            while number in used:
                number = lane.settle((number + lane.count) % most, most)
            used.add(number)
            numbers[i] = number
    return pa.array(numbers, type=pa.int64()).cast(type_)


def _opaque(maker: Opaque, count: int, type_: pa.DataType, unique: bool, rng: np.random.Generator, lane: Lane) -> list[str] | list[bytes]:
    if not pa.types.is_binary(type_):
        picks = rng.integers(0, max(1, len(maker.shapes)), count)
        return documents.fill([maker.shapes[i] for i in picks], rng) if maker.shapes else [""] * count
    header = bytes.fromhex(maker.header)
    lengths = rng.choice(maker.lengths, count) if maker.lengths else np.zeros(count, dtype=int)
    out = [header + rng.bytes(max(0, int(n) - len(header))) for n in lengths]
    if unique:
        seen: set[bytes] = set()
        mark = lane.number.to_bytes(3, "big") if lane.count > 1 else b""
        for i, value in enumerate(out):
            value = _marked(value, len(header), mark)
            while value in seen:
                value = _marked(header + rng.bytes(max(4, len(value) - len(header))), len(header), mark)
            seen.add(value)
            out[i] = value
    return out


def _marked(value: bytes, fixed: int, mark: bytes) -> bytes:
    """The value ending in the mark: in the place of its last bytes where it stays long enough to tell values apart."""
    return value[: len(value) - len(mark)] + mark if len(value) - fixed >= len(mark) + 4 else value + mark
