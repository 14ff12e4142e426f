"""Infers what a database means: one pass over schema and profiles to `SynthesisMetadata`.

Order of decisions: keys and relationships first (they fix the sdtype of whole classes of columns), then every other column by
evidence, then the user's overrides, which win over all, then what follows (personal columns, groups, the list to review).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from synth_pipeline.config import ColumnConfig
from synth_pipeline.errors import ConfigError, closest
from synth_pipeline.metadata import checks, evidence, formats, groups, polymorphic, privacy, references, values
from synth_pipeline.metadata import keys as k
from synth_pipeline.metadata.keys import Probes
from synth_pipeline.metadata.model import (
    REVIEW_BELOW,
    ColumnMetadata,
    PolymorphicParent,
    PolymorphicRelationship,
    Relationship,
    ReviewItem,
    SynthesisMetadata,
    TableMetadata,
)
from synth_pipeline.metadata.names import Names
from synth_pipeline.metadata.sdtypes import is_sdtype, locale_of

if TYPE_CHECKING:
    import pyarrow as pa

    from synth_pipeline.catalog.polymorphic import PolymorphicKey
    from synth_pipeline.catalog.schema import Column, DatabaseSchema, ForeignKey, Table
    from synth_pipeline.connectors.base import TableProfile
    from synth_pipeline.progress import Progress

__all__ = ["Probes", "infer"]

_KEY_KINDS = (
    "email",
    "user_name",
    "phone_number",
    "name",
    "country_code",
    "ssn",
    "credit_card_number",
    "iban",
    "vin",
    "passport_number",
    "license_plate",
)
_KEPT_AS = frozenset({"email", "user_name", "phone_number", "name", "country_code"})
"""Of the kinds that a natural key can be, those that a provider makes; the rest stay ids with a shape."""

_SMALL = 1_000
"""Rows of a table that may be one of types."""

Where = tuple[str, str]


@dataclass
class _Work:
    """All that the steps share."""

    schema: DatabaseSchema
    names: Names
    facts: dict[str, dict[str, values.Facts]]
    primary: dict[str, tuple[str, ...]]
    domains: dict[str, dict[str, checks.Domain]]
    small: dict[str, pa.Table]


def infer(
    schema: DatabaseSchema, profiles: Iterable[TableProfile], *, overrides: Mapping[str, ColumnConfig] | None = None, probes: Probes | None = None,
    progress: Progress | None = None,
) -> SynthesisMetadata:  # fmt: skip
    """What the columns of a database hold, its keys and relationships, each with its reason.

    Args:
        schema: the tables that take part; virtual foreign keys of the configuration included.
        profiles: a bounded sample per table, consumed one by one; tables without one count as empty.
        overrides: the user's word, by `table.column`.
        probes: asks the source about uniqueness and inclusion; None asks the samples.
        progress: told of every table.

    Raises:
        ConfigError: an override names an unknown column or sdtype.
    """
    if progress is None:
        from synth_pipeline.progress import Silent

        progress = Silent()
    overrides = overrides or {}
    _check_overrides(schema, overrides)
    facts: dict[str, dict[str, values.Facts]] = {}
    held: dict[str, TableProfile] = {}
    small: dict[str, pa.Table] = {}
    with progress.step("inferring metadata", len(schema.tables)) as step:
        for profile in profiles:
            if profile.table in schema:
                facts[profile.table] = _facts(schema.table(profile.table), profile)
                if probes is None:
                    held[profile.table] = profile
                if profile.rows is not None and profile.rows == profile.sample.num_rows <= _SMALL:
                    small[profile.table] = profile.sample
            step.advance(1, profile.table)
    for table in schema.tables:
        facts.setdefault(table.id, {c.name: values.Facts() for c in table.columns})
    asked: Probes = probes if probes is not None else k.SampleProbes(held)
    primary, domains = {t.id: t.primary_key for t in schema.tables}, {t.id: checks.domains(t, schema.dialect) for t in schema.tables}
    work = _Work(schema, Names(schema), facts, primary, domains, small)
    review: list[ReviewItem] = []
    key_reasons = _infer_keys(work, asked, review)
    relationships, pairs = _relate(work, asked, review)
    columns = _decide_columns(work, relationships, pairs, key_reasons, overrides)
    tables = {t.id: _table(work, t, columns, key_reasons) for t in schema.tables}
    review += _review(tables, work)
    review.sort(key=lambda r: r.confidence)
    return SynthesisMetadata(
        schema_fingerprint=schema.fingerprint(), tables=tables, relationships=relationships, polymorphic=pairs, review=tuple(review)
    )


def _facts(table: Table, profile: TableProfile) -> dict[str, values.Facts]:
    present = {name: i for i, name in enumerate(profile.sample.column_names)}
    return {c.name: values.facts(profile.sample.column(present[c.name]) if c.name in present else None) for c in table.columns}


def _check_overrides(schema: DatabaseSchema, overrides: Mapping[str, ColumnConfig]) -> None:
    known = {f"{t.id}.{c}" for t in schema.tables for c in t.column_names}
    for where, override in overrides.items():
        if where not in known:
            raise ConfigError(f"`columns` speaks of {where!r}, which is no column of the source.", closest(where, sorted(known)))
        if override.sdtype is not None and not is_sdtype(override.sdtype):
            from synth_pipeline.metadata.sdtypes import common_sdtypes

            raise ConfigError(f"{override.sdtype!r}, given for {where}, is no sdtype.", closest(override.sdtype, common_sdtypes()))


def _declared(fk: ForeignKey) -> Relationship:
    reason = "declared as a foreign key" if fk.declared else "given in the configuration"
    return Relationship(
        id=fk.id, parent_table_name=fk.parent, parent_primary_key=fk.parent_columns, child_table_name=fk.table, child_foreign_key=fk.columns,
        source="declared" if fk.declared else "user", reason=reason,
    )  # fmt: skip


def _given(key: PolymorphicKey) -> PolymorphicRelationship:
    parents = tuple(PolymorphicParent(value=value, table=table, column=column) for value, table, column in key.parents)
    return PolymorphicRelationship(
        id=key.id, child_table_name=key.table, type_column=key.type_column, key_column=key.column, parents=parents, source="user",
        reason="given in the configuration" if parents else "refused in the configuration",
    )  # fmt: skip


def _relate(work: _Work, probes: Probes, review: list[ReviewItem]) -> tuple[tuple[Relationship, ...], tuple[PolymorphicRelationship, ...]]:
    """What refers to what. A column of keys that is clearly polymorphic is not taken for a foreign key, one that could be a foreign key is one."""
    schema = work.schema
    pairs, doubtful = polymorphic.guess_polymorphic(schema, work.primary, work.names, work.facts, probes, work.small)
    given = [_given(key) for table in schema.tables for key in table.polymorphic_keys]
    taken = {(p.child_table_name, p.key_column) for p in (*given, *(p for p in pairs if polymorphic.clear(work.names, p)))}
    inferred, more = references.guess_references(schema, work.primary, work.names, work.facts, probes, taken)
    keys = {(r.child_table_name, c) for r in inferred for c in r.child_foreign_key}
    pairs = [p for p in pairs if (p.child_table_name, p.key_column) not in keys]
    settled = keys | {(p.child_table_name, p.key_column) for p in pairs}
    review += [item for item in (*doubtful, *more) if (item.table, item.column) not in settled]
    return (*(_declared(f) for f in schema.foreign_keys), *inferred), (*given, *pairs)


def _infer_keys(work: _Work, probes: Probes, review: list[ReviewItem]) -> dict[str, k.KeyGuess]:
    """Primary keys for the tables that declare none; fills `work.primary`."""
    trust_nulls = any(not c.nullable for t in work.schema.tables for c in t.columns)
    found: dict[str, k.KeyGuess] = {}
    for table in work.schema.tables:
        if table.primary_key or not table.columns:
            continue
        guess = k.guess_primary_key(work.schema, table, work.names, work.facts[table.id], probes, trust_nulls=trust_nulls)
        if guess is None:
            continue
        if guess.confidence >= REVIEW_BELOW:
            found[table.id] = guess
            work.primary[table.id] = guess.columns
        else:
            text = f"Is ({', '.join(guess.columns)}) the primary key? {guess.reason}; not used as it stands."
            review.append(ReviewItem(table=table.id, column=None, question=text, confidence=guess.confidence))
    return found


# --- columns -----------------------------------------------------------------------------------------------------------


def _decide_columns(
    work: _Work, relationships: Iterable[Relationship], pairs: Iterable[PolymorphicRelationship], guesses: Mapping[str, k.KeyGuess],
    overrides: Mapping[str, ColumnConfig],
) -> dict[Where, ColumnMetadata]:  # fmt: skip
    columns: dict[Where, ColumnMetadata] = {}
    for table in work.schema.tables:
        for column in table.columns:
            columns[table.id, column.name] = _decide_one(work, table, column)
    links = tuple(relationships)
    classes = k.key_classes(links)
    tied = {member for c in classes for member in c}
    for table in work.schema.tables:
        single = len(work.primary[table.id]) == 1
        for name in work.primary[table.id]:
            if (table.id, name) not in tied and (single or columns[table.id, name].sdtype in ("text", "unknown", "categorical", "id")):
                classes.append(frozenset({(table.id, name)}))
    below = {(r.child_table_name, c): r for r in links for c in r.child_foreign_key}
    for members in classes:
        _settle_class(work, members, below, guesses, columns)
    # What follows from the other columns of the table comes after all sdtypes are known.
    keys = {member for c in classes for member in c}
    for table in work.schema.tables:
        _mark_personal(work, table, columns, keys)
    for members in classes:
        if any(columns[m].pii for m in members):
            fullest = max(sorted(members), key=lambda m: work.facts[m[0]][m[1]].filled)
            for member in members:
                regex = _regex(work, fullest, literals=False) if columns[member].sdtype == "id" else None
                columns[member] = columns[member].model_copy(update={"pii": True, "regex_format": regex})
    for pair in pairs:
        _settle_pair(pair, columns, typed=(pair.child_table_name, pair.type_column) not in tied)
    _apply_overrides(work, classes, overrides, columns)
    return columns


def _decide_one(work: _Work, table: Table, column: Column) -> ColumnMetadata:
    name, facts = work.names.column(table.id, column.name), work.facts[table.id][column.name]
    domain = work.domains[table.id].get(column.name)
    found = evidence.decide(column, name, facts, domain)
    if found.sdtype == "administrative_unit" and facts.values and facts.share("state_abbr") >= 0.95 and facts.distinct >= 2:
        found.sdtype = "state_abbr"
    low, high = domain and domain.minimum, domain and domain.maximum
    if low is None and column.type.unsigned:
        low = 0.0
    if found.sdtype in ("latitude", "longitude"):
        limit = 90.0 if found.sdtype == "latitude" else 180.0
        low, high = low if low is not None else -limit, high if high is not None else limit
    remarks = [r for r in (privacy.note(found.sdtype, name),) if r]
    if found.ambiguous_date:
        remarks.append("day and month could be the other way round")
        found.confidence = min(found.confidence, 0.6)
    declared = column.type.values or (domain.values if domain else None)
    return ColumnMetadata(
        sdtype=found.sdtype, datetime_format=found.datetime_format, minimum=low, maximum=high, values=declared or None,
        decimals=values.decimals(facts) if found.sdtype in ("numerical", "latitude", "longitude") else None,
        regex_format=_regex(work, (table.id, column.name), literals=True) if found.sdtype == "id" else None,
        reason="; ".join(found.reasons[:2]), evidence=(*found.reasons, *remarks, *([f"next best: {found.runner_up}"] if found.runner_up else [])),
        confidence=round(found.confidence, 3), source="declared" if found.declared else "inferred",
    )  # fmt: skip


def _regex(work: _Work, where: Where, *, literals: bool) -> str | None:
    """The shape of a text id. Shapes of personal values are made of character classes only."""
    facts = work.facts[where[0]][where[1]]
    return formats.id_regex(facts.values, literals=literals) if facts.values else None


def _settle_class(
    work: _Work,
    members: frozenset[Where],
    below: Mapping[Where, Relationship],
    guesses: Mapping[str, k.KeyGuess],
    columns: dict[Where, ColumnMetadata],
) -> None:
    """One sdtype for columns that hold the same key: that of the column where the key originates."""
    order = sorted(members, key=lambda m: (m in below, -work.facts[m[0]][m[1]].filled, m))
    root = order[0]
    table, column = work.schema.table(root[0]), work.schema.table(root[0]).column(root[1])
    kind = _natural_kind(work, root)
    if column.type.is_temporal:
        sdtype = "datetime"
    elif column.type.kind == "boolean":
        sdtype = "boolean"
    else:
        sdtype = kind if kind in _KEPT_AS and table.primary_key == (column.name,) and kind != "country_code" else "id"
    personal = kind is not None and kind != "country_code"
    regex = _regex(work, root, literals=not personal) if sdtype == "id" else None
    for where in members:
        old, link = columns[where], below.get(where)
        if link is not None:
            reason, confidence = f"refers to {link.parent_table_name}: {link.reason}", link.confidence
        elif where[1] in work.primary[where[0]]:
            guess = guesses.get(where[0])
            reason, confidence = (f"primary key: {guess.reason}", guess.confidence) if guess else ("part of the declared primary key", 0.99)
        else:
            reason, confidence = "other tables refer to it", 0.99
        extra = () if kind is None else (f"the values or the name say {kind}",)
        declared = (link.source == "declared") if link is not None else where[0] not in guesses
        columns[where] = old.model_copy(
            update={
                "sdtype": sdtype, "pii": personal, "regex_format": regex, "reason": reason, "confidence": round(confidence, 3), "decimals": None,
                "datetime_format": old.datetime_format if sdtype == "datetime" else None,
                "evidence": (reason, *extra, *(e for e in old.evidence if "personal" in e)), "source": "declared" if declared else "inferred",
            }
        )  # fmt: skip


def _settle_pair(pair: PolymorphicRelationship, columns: dict[Where, ColumnMetadata], *, typed: bool) -> None:
    """The two columns of a polymorphic reference: a category that is nobody's (`typed`), and keys, personal where those of a parent are."""
    if not pair.parents:
        return
    plain = {"datetime_format": None, "decimals": None, "regex_format": None, "confidence": pair.confidence, "source": "inferred"}
    where = (pair.child_table_name, pair.type_column)
    reason = f"says what {pair.key_column} refers to"
    if typed:
        columns[where] = columns[where].model_copy(update={**plain, "sdtype": "categorical", "pii": False, "reason": reason, "evidence": (reason,)})
    where = (pair.child_table_name, pair.key_column)
    reason = f"refers to {', '.join(pair.by_table)}, as {pair.type_column} says: {pair.reason}"
    personal = any(columns[p.table, p.column].pii for p in pair.parents)
    columns[where] = columns[where].model_copy(update={**plain, "sdtype": "id", "pii": personal, "reason": reason, "evidence": (reason,)})


def _natural_kind(work: _Work, where: Where) -> str | None:
    """What a textual key is besides a key: an e-mail address, a national number."""
    facts, name = work.facts[where[0]][where[1]], work.names.column(*where)
    for kind in _KEY_KINDS:
        hinted = name.says(kind) > 0
        if facts.is_empty and hinted:
            return kind
        if facts.values and (hinted or kind in ("email", "ssn", "credit_card_number", "iban")):
            share = facts.share("dialable" if kind == "phone_number" else kind) if kind in _VALIDATED else (1.0 if hinted else 0.0)
            if share >= 0.95 or (hinted and share >= 0.5):
                return kind
    return None


_VALIDATED = frozenset(_KEY_KINDS) - {"passport_number", "license_plate"}


def _mark_personal(work: _Work, table: Table, columns: dict[Where, ColumnMetadata], keys: Collection[Where]) -> None:
    contact = {c for c in table.column_names if columns[table.id, c].sdtype in privacy.CONTACT}
    for column in table.columns:
        where = (table.id, column.name)
        old = columns[where]
        opaque = column.type.kind in ("binary", "json", "xml", "array", "other") and old.sdtype == "unknown"
        personal = old.pii or privacy.is_personal(
            old.sdtype, work.names.column(*where), work.names.entity(table.id), opaque=opaque, contact_nearby=bool(contact - {column.name})
        )
        # A number that every person has one of: of a passport, a driving licence, a membership.
        numbered = old.sdtype == "id" and where not in keys and work.names.entity(table.id) == "person" and not column.identity
        personal = personal or (numbered and 0 < work.facts[table.id][column.name].repeats < 1.2)
        if not personal:
            continue
        regex = _regex(work, where, literals=False) if old.sdtype == "id" else old.regex_format
        facts = work.facts[table.id][column.name]
        columns[where] = old.model_copy(update={"pii": True, "regex_format": regex, "locale": old.locale or locale_of(facts.values), "values": None})


def _apply_overrides(
    work: _Work, classes: Iterable[frozenset[Where]], overrides: Mapping[str, ColumnConfig], columns: dict[Where, ColumnMetadata]
) -> None:
    """The user's word, for the column and for the columns that hold the same key, unless they have a word of their own."""
    by_name = {f"{t.id}.{c}": (t.id, c) for t in work.schema.tables for c in t.column_names}
    spoken = {by_name[w] for w in overrides}
    groups_of = {m: c for c in classes for m in c}
    for text, override in overrides.items():
        given = override.model_dump(exclude_none=True)
        if not given:
            continue
        where = by_name[text]
        if "sdtype" in given and "pii" not in given:
            given["pii"] = given["sdtype"] in privacy.IDENTIFYING
        for member in {where} | (groups_of.get(where, frozenset()) - spoken):
            reason = "given in the configuration" if member == where else f"given in the configuration for {text}"
            cleared = _cleared(columns[member], given)
            columns[member] = columns[member].model_copy(
                update={**cleared, **given, "reason": reason, "evidence": (reason,), "confidence": 1.0, "source": "user"}
            )


def _cleared(old: ColumnMetadata, given: Mapping[str, object]) -> dict[str, object]:
    """What belongs to the sdtype that the user overruled."""
    sdtype = given.get("sdtype", old.sdtype)
    gone: dict[str, object] = {}
    if sdtype != old.sdtype:
        gone = {"regex_format": None, "datetime_format": None, "decimals": None}
    if given.get("pii"):
        gone["values"] = None
        if old.sdtype == "id":
            gone["regex_format"] = None
    return gone


# --- tables ------------------------------------------------------------------------------------------------------------


def _table(work: _Work, table: Table, columns: Mapping[Where, ColumnMetadata], guesses: Mapping[str, k.KeyGuess]) -> TableMetadata:
    mine = {c: columns[table.id, c] for c in table.column_names}
    named = {c: work.names.column(table.id, c) for c in table.column_names}
    return TableMetadata(
        columns=mine, primary_key=work.primary[table.id], primary_key_source="inferred" if table.id in guesses else "declared",
        groups=groups.find_groups(mine, named),
    )  # fmt: skip


def _review(tables: Mapping[str, TableMetadata], work: _Work) -> list[ReviewItem]:
    items = []
    for table_id, table in tables.items():
        for name, column in table.columns.items():
            if column.confidence >= REVIEW_BELOW or column.source == "user":
                continue
            facts = work.facts[table_id][name]
            next_best = next((e.removeprefix("next best: ") for e in column.evidence if e.startswith("next best: ")), None)
            doubt = "there are no values" if facts.is_empty else f"or {next_best}?" if next_best else ""
            question = f"{column.sdtype}{',' if facts.is_empty else ''} {doubt} ({column.reason})".replace("  ", " ")
            items.append(ReviewItem(table=table_id, column=name, question=question, confidence=column.confidence))
    return items
