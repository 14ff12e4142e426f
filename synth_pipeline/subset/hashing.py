"""A seeded hash of keys that gives the same number on the client and in every database, so that draws are portable.

A cubic polynomial over the prime field of P = 2^31 - 1 plus a linear term in the key's residue of a second prime
(Carter and Wegman 1979), in 64-bit integers with only +, * and modulo. A hash is below `SPACE`; keys whose hash is below
`threshold(p)` are drawn with probability p, and a smaller threshold draws a subset of them. Which keys are hashed is the
business of `search`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from synth_pipeline.connectors.dialects import Dialect

SPACE = 2**31 - 1
_SECOND = 2**31 - 19
_MIX = 31
_HEX_DIGITS = 15


def threshold(probability: float) -> int:
    """The hash below which keys are drawn with this probability."""
    return min(SPACE, max(0, round(probability * SPACE)))


def coefficients(seed: int, salt: str = "") -> tuple[int, ...]:
    """The five coefficients of a seed; the salt makes the draws of different tables independent."""
    found = []
    for i in range(5):
        digest = hashlib.sha256(f"{seed}/{salt}/{i}".encode()).digest()
        found.append(1 + int.from_bytes(digest[:8], "big") % (SPACE - 1))
    return tuple(found)


def hash_integers(values: NDArray[np.int64], seed: int, salt: str = "") -> NDArray[np.int64]:
    """The hashes of n integers."""
    a = coefficients(seed, salt)
    k = np.asarray(values, dtype=np.int64)
    u, v = k % SPACE, k % _SECOND
    h = (a[0] * u + a[1]) % SPACE
    h = (h * u + a[2]) % SPACE
    h = (h * u + a[3]) % SPACE
    return np.asarray((h + (a[4] * v) % SPACE) % SPACE)


def text_number(text: str | None) -> int:
    """What a text is hashed as: the first 60 bits of the MD5 of its UTF-8 bytes; NULL counts as 0."""
    return 0 if text is None else int(hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()[:_HEX_DIGITS], 16)


def hash_texts(values: Iterable[str | None], seed: int, salt: str = "") -> NDArray[np.int64]:
    """The hashes of n texts."""
    return hash_integers(np.fromiter((text_number(v) for v in values), dtype=np.int64), seed, salt)


def combine(parts: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    """The hash of a composite key from the hashes of its columns, in order."""
    h = parts[0]
    for part in parts[1:]:
        h = (h * _MIX + part) % SPACE
    return h


def hash_rows(columns: Sequence[Sequence[Any]], whole: Sequence[bool], seed: int, salt: str = "") -> NDArray[np.int64]:
    """The hashes of n composite keys, for servers that cannot: what `hash_expression` says in SQL.

    Args:
        columns: the key's columns, n values each; NULL counts as 0.
        whole: whether each holds whole numbers (others are hashed as text).
        seed: of the subset.
        salt: the table.
    """
    parts = []
    for values, integers in zip(columns, whole, strict=True):
        if integers:
            parts.append(hash_integers(np.array([0 if v is None else int(v) for v in values], dtype=np.int64), seed, salt))
        else:
            parts.append(hash_texts([None if v is None else str(v) for v in values], seed, salt))
    return combine(parts)


def hash_expression(dialect: Dialect, columns: Sequence[tuple[str, bool]], seed: int, salt: str = "") -> str:
    """The same hash as SQL.

    Args:
        dialect: the source's dialect.
        columns: the expressions of the key's columns, and whether each is a whole number (others are hashed as text).
        seed: of the subset.
        salt: the table.
    """
    parts = [_integer_expression(dialect, e if whole else dialect.text_number.format(dialect.as_text.format(e)), seed, salt) for e, whole in columns]
    h = parts[0]
    for part in parts[1:]:
        h = dialect.modulo.format(f"(({h}) * {_MIX} + ({part}))", SPACE)
    return h


def _integer_expression(dialect: Dialect, number: str, seed: int, salt: str) -> str:
    a = coefficients(seed, salt)
    k = f"COALESCE({dialect.as_bigint.format(number)}, 0)"

    def mod(x: str, y: int = SPACE) -> str:
        return dialect.modulo.format(x, y)

    def residue(prime: int) -> str:
        return mod(f"({mod(k, prime)} + {prime})", prime)

    u, v = residue(SPACE), residue(_SECOND)
    h = mod(f"({a[0]} * {u} + {a[1]})")
    h = mod(f"({h} * {u} + {a[2]})")
    h = mod(f"({h} * {u} + {a[3]})")
    return mod(f"({h} + {mod(f'({a[4]} * {v})')})")
