"""What a schema needs of graph theory. Nodes are whatever can be hashed; tables and keys do not belong here."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping, Sequence
from typing import TypeVar

Node = TypeVar("Node", bound=Hashable)


def leads(start: Node, goal: Node, following: Mapping[Node, Collection[Node]]) -> bool:
    """Whether a path, of no step at least, leads from one node to another; what is not in the mapping has no successor."""
    waiting, seen = [start], {start}
    while waiting:
        if (node := waiting.pop()) == goal:
            return True
        fresh = set(following.get(node, ())) - seen
        seen |= fresh
        waiting += fresh
    return False


def on_loops(following: Mapping[Node, Node]) -> frozenset[Node]:
    """One node of every loop of a graph in which each node has at most one successor: the first in the mapping's order."""
    found: set[Node] = set()
    for start in following:
        seen, at = {start}, start
        while at in following and at not in found:
            at = following[at]
            if at == start:
                found.add(start)
            elif at in seen:
                break
            seen.add(at)
    return frozenset(found)


def strong_components(nodes: Sequence[str], edges: dict[str, tuple[str, ...]]) -> list[list[str]]:
    """Tarjan's algorithm without recursion; components come out with all their successors before them."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    on_stack: set[str] = set()
    components: list[list[str]] = []
    position = {n: i for i, n in enumerate(nodes)}
    for root in nodes:
        if root in index:
            continue
        work = [(root, iter(edges[root]))]
        index[root] = low[root] = len(index)
        stack.append(root)
        on_stack.add(root)
        while work:
            node, successors = work[-1]
            for nxt in successors:
                if nxt not in index:
                    index[nxt] = low[nxt] = len(index)
                    stack.append(nxt)
                    on_stack.add(nxt)
                    work.append((nxt, iter(edges[nxt])))
                    break
                if nxt in on_stack:
                    low[node] = min(low[node], index[nxt])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == index[node]:
                    component: list[str] = []
                    while True:
                        member = stack.pop()
                        on_stack.discard(member)
                        component.append(member)
                        if member == node:
                            break
                    components.append(sorted(component, key=position.__getitem__))
    return components
