"""The projection of our metadata to SDV's metadata V2 and the list of what SDV cannot hold; and metadata of theirs read as ours.

SDV knows no self references, no cycles, no keys to anything but a primary key, one relationship per foreign key, and one
regular expression per id. Nothing is lost in our own model; here it is left out and said.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from synth_pipeline.catalog.graph import leads
from synth_pipeline.config import ColumnConfig
from synth_pipeline.errors import ConfigError
from synth_pipeline.metadata.evidence import GENERIC
from synth_pipeline.metadata.model import ColumnMetadata, Relationship, SynthesisMetadata, TableMetadata
from synth_pipeline.relationships import AnyRelationship, PolymorphicConfig, RelationshipConfig

_ADDRESS_PARTS = frozenset("country_code administrative_unit city postcode street_address secondary_address state state_abbr".split())


def to_sdv(metadata: SynthesisMetadata) -> tuple[dict[str, Any], list[str]]:
    """Metadata in SDV's V2 form.

    Returns:
        the dictionary for `sdv.metadata.Metadata.load_from_dict`, and one readable line per thing left out.
    """
    lost: list[str] = []
    for name, table in metadata.tables.items():
        if not table.columns:
            lost.append(f"table {name}: it has no columns")
    inside = {n: t for n, t in metadata.tables.items() if t.columns}
    # SDV wants the key of a parent to hold an id or a personal column.
    primary = {n: _primary_key(n, t, lost) for n, t in inside.items()}
    relationships = _relationships(metadata, inside, primary, lost)
    foreign = {(r["child_table_name"], c) for r in relationships for c in _as_list(r["child_foreign_key"])}
    tables: dict[str, Any] = {}
    for name, table in inside.items():
        entry: dict[str, Any] = {"columns": {c: _column(name, c, m, (name, c) in foreign, lost) for c, m in table.columns.items()}}
        if primary[name]:
            entry["primary_key"] = _one_or_list(primary[name])
        together = _column_relationships(name, table, primary[name], {c for t, c in foreign if t == name}, lost)
        if together:
            entry["column_relationships"] = together
        tables[name] = entry
    return {"METADATA_SPEC_VERSION": "V2", "tables": tables, "relationships": relationships}, lost


_READ = {"pii": bool, "sensitive": bool, "sdtype": str, "datetime_format": str, "regex_format": str, "locale": str}


def from_json(payload: Any, what: str) -> tuple[dict[str, ColumnConfig], tuple[AnyRelationship, ...]]:
    """The user's word in metadata of SDV (several tables) or in our own: what overrides the inference, and the relationships.

    Raises:
        ConfigError: it is neither; `what` names it.
    """
    try:
        columns = {
            f"{table}.{column}": ColumnConfig(**{k: about[k] for k, kind in _READ.items() if isinstance(about.get(k), kind)})
            for table, described in payload["tables"].items() for column, about in described["columns"].items()
            if about.get("sdtype") != "unknown"
        }  # fmt: skip
        relationships = [
            RelationshipConfig(
                child=r["child_table_name"], columns=tuple(_as_list(r["child_foreign_key"])), parent=r["parent_table_name"],
                parent_columns=tuple(_as_list(r["parent_primary_key"])),
            )
            for r in payload.get("relationships", ())
        ]  # fmt: skip
        polymorphic = [
            PolymorphicConfig(
                child=r["child_table_name"], type_column=r["type_column"], column=r["key_column"],
                parents={p["value"]: f"{p['table']}.{p['column']}" for p in r["parents"]},
            )
            for r in payload.get("polymorphic", ())
        ]  # fmt: skip
    except (KeyError, TypeError, AttributeError, ValueError) as e:
        raise ConfigError(f"{what} is no metadata of several tables.", "Give SDV's metadata, or the metadata.json that `infer` makes.") from e
    return columns, (*relationships, *polymorphic)


def _one_or_list(key: tuple[str, ...]) -> str | list[str]:
    return key[0] if len(key) == 1 else list(key)


def _as_list(key: str | list[str]) -> list[str]:
    return [key] if isinstance(key, str) else key


def _primary_key(name: str, table: TableMetadata, lost: list[str]) -> tuple[str, ...]:
    key = table.primary_key
    if key and not any(table.columns[c].sdtype == "id" or table.columns[c].sdtype not in GENERIC or table.columns[c].sdtype == "text" for c in key):
        lost.append(f"table {name}: primary key ({', '.join(key)}), since none of its columns is an id")
        return ()
    return key


def _column(table: str, column: str, metadata: ColumnMetadata, foreign: bool, lost: list[str]) -> dict[str, Any]:
    where = f"column {table}.{column}"
    sdtype = metadata.sdtype
    entry: dict[str, Any] = {"sdtype": sdtype}
    if sdtype == "numerical":
        if metadata.decimals is not None:
            entry["decimal_places"] = metadata.decimals
        if not foreign:
            bounds = {"range_min": metadata.minimum, "range_max": metadata.maximum}
            entry |= {k: v for k, v in bounds.items() if v is not None}
            if metadata.minimum is not None and metadata.maximum is not None and metadata.minimum > metadata.maximum:
                entry.pop("range_min"), entry.pop("range_max")
    elif sdtype == "datetime":
        if metadata.datetime_format and metadata.datetime_format.startswith("epoch"):
            lost.append(f"{where}: times counted since 1970 ({metadata.datetime_format}) become numbers")
            return {"sdtype": "numerical"}
        if metadata.datetime_format:
            entry["datetime_format"] = metadata.datetime_format
    elif sdtype in ("categorical", "ordinal"):
        # Members are kept as text; SDV compares them with the values, so that numbers would not match.
        if metadata.values and not foreign and not all(_is_number(v) for v in metadata.values):
            entry["range_values"] = list(metadata.values)
    elif sdtype == "id":
        if metadata.regex_format:
            entry["regex_format"] = metadata.regex_format
        if metadata.pii:
            lost.append(f"{where}: an id that is personal; SDV has no such mark for ids")
    elif sdtype == "unknown" or sdtype not in GENERIC or sdtype == "text":
        entry["pii"] = metadata.pii
    return entry


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _relationships(
    metadata: SynthesisMetadata, inside: Mapping[str, TableMetadata], primary: Mapping[str, tuple[str, ...]], lost: list[str]
) -> list[dict[str, Any]]:
    kept: list[dict[str, Any]] = []
    used: set[tuple[str, frozenset[str]]] = set()
    children: dict[str, set[str]] = {}
    for r in metadata.relationships:
        parent, child = r.parent_table_name, r.child_table_name
        said = f"relationship {child} ({', '.join(r.child_foreign_key)}) → {parent} ({', '.join(r.parent_primary_key)})"
        why = _refusal(r, inside, primary, used, children)
        if why:
            lost.append(f"{said}: {why}")
            continue
        used.add((child, frozenset(r.child_foreign_key)))
        children.setdefault(parent, set()).add(child)
        kept.append(
            {
                "parent_table_name": parent, "parent_primary_key": _one_or_list(r.parent_primary_key), "child_table_name": child,
                "child_foreign_key": _one_or_list(r.child_foreign_key),
            }
        )  # fmt: skip
    for p in metadata.polymorphic:
        leads = ", ".join(p.by_table) or "no table"
        lost.append(f"relationship {p.child_table_name} ({p.type_column}, {p.key_column}) → {leads}: SDV knows none that a column decides")
    return kept


def _refusal(
    r: Relationship, inside: Mapping[str, TableMetadata], primary: Mapping[str, tuple[str, ...]], used: set[tuple[str, frozenset[str]]],
    children: Mapping[str, set[str]],
) -> str | None:  # fmt: skip
    parent, child = r.parent_table_name, r.child_table_name
    if parent == child:
        return "a table cannot refer to itself"
    if parent not in inside or child not in inside:
        return "one of its tables is left out"
    if set(primary[parent]) != set(r.parent_primary_key):
        return "it does not point at the primary key"
    if len(set(r.child_foreign_key)) != len(r.child_foreign_key):
        return "it uses a column twice"
    if (child, frozenset(r.child_foreign_key)) in used:
        return "its columns are a foreign key already"
    pairs = zip(r.parent_primary_key, r.child_foreign_key, strict=True)
    if any(inside[parent].columns[a].sdtype != inside[child].columns[b].sdtype for a, b in pairs):
        return "its two sides differ in sdtype"
    if leads(child, parent, children):
        return "it closes a cycle"
    return None


def _column_relationships(name: str, table: TableMetadata, primary: tuple[str, ...], foreign: set[str], lost: list[str]) -> list[dict[str, Any]]:
    found = []
    for group in table.groups:
        members = [c for c in group.columns if c not in primary and c not in foreign]
        if group.kind == "address":
            fit = {table.columns[c].sdtype: c for c in reversed(members) if table.columns[c].sdtype in _ADDRESS_PARTS}
            members = [c for c in members if c in fit.values()]
        said = f"table {name}: {group.kind} of {', '.join(group.columns)}"
        if group.kind == "person" or len(members) < 2:
            lost.append(f"{said}; SDV has no such group")
            continue
        if set(members) != set(group.columns):
            lost.append(f"{said}; only {', '.join(members)} fit")
        found.append({"type": group.kind, "column_names": members})
    return found
