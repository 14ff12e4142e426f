"""Where the tables of a schema lie in a picture: layers from parents (left) to children (right), laid out by grandalf.

Coordinates only (Sugiyama's method per connected part, the parts below each other, tables without relations in a grid);
how the picture looks and reacts does not belong here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from synth_pipeline.catalog.schema import DatabaseSchema, ForeignKey, Table

HEAD, LINE, FOOT = 34.0, 18.0, 8.0
LAYER_GAP, BOX_GAP, PART_GAP = 92.0, 22.0, 48.0
GRID_WIDTH = 1_250.0
_LOWEST = 640.0
_TITLE_CHARACTER, _KEY_CHARACTER = 8.9, 7.3
"""Widths of letters in the widest of the fonts that the page may be shown in."""
_SCORE = 34.0


@dataclass(frozen=True)
class KeyLine:
    """A key shown in a table's box: its columns, whether primary, the foreign keys it takes part in, and its y inside the picture."""

    text: str
    primary: bool
    foreign: tuple[str, ...]
    y: float


@dataclass(frozen=True)
class Box:
    """A table: position of its upper left corner, size, and its keys."""

    table: str
    x: float
    y: float
    width: float
    height: float
    keys: tuple[KeyLine, ...]


@dataclass(frozen=True)
class Link:
    """A foreign key as a cubic curve from the parent's edge to the child's key line."""

    fk: str
    table: str
    parent: str
    text: str
    path: str


@dataclass(frozen=True)
class Diagram:
    """The whole picture."""

    width: float
    height: float
    boxes: tuple[Box, ...]
    links: tuple[Link, ...]


def lay_out(schema: DatabaseSchema) -> Diagram:
    """Positions of all tables and foreign keys; boxes never overlap."""
    sizes = {t.id: _size(schema, t) for t in schema.tables}
    places: dict[str, tuple[float, float]] = {}
    top = width = 0.0
    parts, alone = _parts(schema)
    for part in parts:
        placed = _layered(schema, part, sizes)
        left, upper = min(x for x, _ in placed.values()), min(y for _, y in placed.values())
        for table, (x, y) in placed.items():
            places[table] = (x - left, y - upper + top)
            width = max(width, x - left + sizes[table][0])
        top = max(places[t][1] + sizes[t][1] for t in part) + PART_GAP
    x = row = 0.0
    limit = max(width, GRID_WIDTH)
    for table in alone:
        w, h = sizes[table]
        if x and x + w > limit:
            x, top, row = 0.0, top + row + BOX_GAP, 0.0
        places[table], row = (x, top), max(row, h)
        width, x = max(width, x + w), x + w + BOX_GAP
    margin = 12.0
    boxes = {t: _box(schema, schema.table(t), x + margin, y + margin, sizes[t]) for t, (x, y) in places.items()}
    height = max((b.y + b.height for b in boxes.values()), default=0.0) + margin
    links = tuple(_link(fk, boxes) for fk in schema.foreign_keys)
    return Diagram(width + 4 * margin, height, tuple(boxes[t.id] for t in schema.tables), links)


def _lines(schema: DatabaseSchema, table: Table) -> list[tuple[tuple[str, ...], bool, tuple[str, ...]]]:
    """The key lines of a box: primary key first, then foreign keys; keys over the same columns share a line."""
    found: dict[tuple[str, ...], list[str]] = {table.primary_key: []} if table.primary_key else {}
    for fk in table.foreign_keys:
        if fk.parent in schema:
            found.setdefault(fk.columns, []).append(fk.id)
    return [(columns, columns == table.primary_key, tuple(fks)) for columns, fks in found.items()]


def _size(schema: DatabaseSchema, table: Table) -> tuple[float, float]:
    lines = _lines(schema, table)
    longest = max((min(len(", ".join(c)), 34) for c, _, _ in lines), default=0)
    width = max(130.0, 22 + _TITLE_CHARACTER * len(table.id) + _SCORE, 42 + _KEY_CHARACTER * longest)
    return width, HEAD + LINE * len(lines) + FOOT


def _parts(schema: DatabaseSchema) -> tuple[list[list[str]], list[str]]:
    """Connected groups of tables, the largest first, and the tables without any relation to another."""
    group = {t: t for t in schema.table_ids}

    def root(t: str) -> str:
        while group[t] != t:
            group[t] = group[group[t]]
            t = group[t]
        return t

    for fk in schema.foreign_keys:
        group[root(fk.table)] = root(fk.parent)
    members: dict[str, list[str]] = {}
    for t in schema.table_ids:
        members.setdefault(root(t), []).append(t)
    parts = sorted((m for m in members.values() if len(m) > 1), key=lambda m: -len(m))
    return parts, [m[0] for m in members.values() if len(m) == 1]


def _layered(schema: DatabaseSchema, part: list[str], sizes: dict[str, tuple[float, float]]) -> dict[str, tuple[float, float]]:
    """Upper left corners; grandalf draws layers downwards, so sides are swapped before and after."""
    from grandalf.graphs import Edge, Graph, Vertex
    from grandalf.layouts import SugiyamaLayout

    order = {t: i for i, t in enumerate(t for level in schema.levels() for t in level)}
    vertices = {t: Vertex(t) for t in part}
    for t, v in vertices.items():
        v.view = _View(sizes[t][1], sizes[t][0])
    pairs = {(fk.parent, fk.table) for fk in schema.foreign_keys if fk.table in vertices and not fk.is_self_reference}
    # Inside a cycle the catalogue's order decides, so that the graph that is laid out has none.
    directed = sorted({(a, b) if order[a] < order[b] else (b, a) for a, b in pairs})
    graph = Graph([vertices[t] for t in part], [Edge(vertices[a], vertices[b]) for a, b in directed])
    placed: dict[str, tuple[float, float]] = {}
    for core in graph.C:
        layout = SugiyamaLayout(core)
        layout.xspace, layout.yspace = BOX_GAP, LAYER_GAP
        layout.init_all(roots=[v for v in core.sV if not list(v.e_in())], optimize=True)
        layout.draw(4)
        for v in core.sV:
            width, height = sizes[v.data]
            placed[v.data] = (v.view.xy[1] - width / 2, v.view.xy[0] - height / 2)
    return _aligned(placed, sizes)


class _View:
    """What grandalf asks of a vertex: its size, and room for its position."""

    def __init__(self, w: float, h: float) -> None:
        self.w, self.h, self.xy = w, h, (0.0, 0.0)


def _aligned(placed: dict[str, tuple[float, float]], sizes: dict[str, tuple[float, float]]) -> dict[str, tuple[float, float]]:
    """Layers as columns of one left edge, as tall as the whole picture is wide at most; a layer that is taller takes several columns."""
    centres = sorted({round(x + sizes[t][0] / 2) for t, (x, _) in placed.items()})
    layer = {t: centres.index(round(x + sizes[t][0] / 2)) for t, (x, _) in placed.items()}
    area = sum((sizes[t][0] + LAYER_GAP) * (sizes[t][1] + BOX_GAP) for t in placed)
    height = max(_LOWEST, math.sqrt(area), max(h for _, h in (sizes[t] for t in placed)))
    top = min(y for _, y in placed.values())
    bottom = max(y + sizes[t][1] for t, (_, y) in placed.items())
    scale = min(1.0, height / (bottom - top))
    result, left = {}, 0.0
    for number in range(len(centres)):
        tables = sorted((t for t in placed if layer[t] == number), key=lambda t: placed[t][1])
        stack = sum(sizes[t][1] + BOX_GAP for t in tables)
        columns = math.ceil(stack / height)
        for first in range(columns):
            column = tables[first::columns]
            for t, y in _stacked([((placed[t][1] - top) * scale, sizes[t][1]) for t in column], column, height).items():
                result[t] = (left, y)
            left += max(sizes[t][0] for t in column) + (LAYER_GAP if first == columns - 1 else LAYER_GAP / 2)
    return result


def _stacked(wanted: list[tuple[float, float]], column: list[str], height: float) -> dict[str, float]:
    """Upper edges near the wanted ones, without touching: pushed down from the top, then up from the bottom."""
    places, floor = [], -math.inf
    for y, h in wanted:
        places.append(max(y, floor))
        floor = places[-1] + h + BOX_GAP
    ceiling = max(height, sum(h + BOX_GAP for _, h in wanted))
    for i in range(len(places) - 1, -1, -1):
        places[i] = min(places[i], ceiling - wanted[i][1])
        ceiling = places[i] - BOX_GAP
    return dict(zip(column, places, strict=True))


def _box(schema: DatabaseSchema, table: Table, x: float, y: float, size: tuple[float, float]) -> Box:
    keys = []
    for i, (columns, primary, foreign) in enumerate(_lines(schema, table)):
        text = ", ".join(columns)
        keys.append(KeyLine(text if len(text) <= 34 else text[:33] + "…", primary, foreign, y + HEAD + LINE * (i + 0.5)))
    return Box(table.id, x, y, size[0], size[1], tuple(keys))


def _link(fk: ForeignKey, boxes: dict[str, Box]) -> Link:
    child, parent = boxes[fk.table], boxes[fk.parent]
    y2 = next(k.y for k in child.keys if fk.id in k.foreign)
    y1 = next((k.y for k in parent.keys if k.primary), parent.y + HEAD / 2)
    text = f"{fk.table} ({', '.join(fk.columns)}) → {fk.parent} ({', '.join(fk.parent_columns)})"
    right = parent.x + parent.width
    if fk.is_self_reference or abs(child.x - parent.x) < 1:
        edge = max(right, child.x + child.width)
        out = edge + 26 + min(40.0, abs(y2 - y1) / 12)
        path = f"M{right:.0f} {y1:.0f}C{out:.0f} {y1:.0f} {out:.0f} {y2:.0f} {child.x + child.width:.0f} {y2:.0f}"
    elif child.x > parent.x:
        path = _curve(right, y1, child.x, y2)
    else:
        path = _curve(parent.x, y1, child.x + child.width, y2)
    return Link(fk.id, fk.table, fk.parent, text, path)


def _curve(x1: float, y1: float, x2: float, y2: float) -> str:
    bend: Any = max(36.0, abs(x2 - x1) / 2) * (1 if x2 > x1 else -1)
    return f"M{x1:.0f} {y1:.0f}C{x1 + bend:.0f} {y1:.0f} {x2 - bend:.0f} {y2:.0f} {x2:.0f} {y2:.0f}"
