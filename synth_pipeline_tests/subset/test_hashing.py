"""The hash of a key is the same number on the client and in the database."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from synth_pipeline.connectors import connect
from synth_pipeline.connectors.dialects import SQLITE
from synth_pipeline.subset.hashing import SPACE, combine, hash_expression, hash_integers, hash_texts, threshold

WHOLE = st.integers(-(2**63), 2**63 - 1)
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)


@given(st.lists(st.tuples(WHOLE, TEXT), min_size=1, max_size=20), st.integers(0, 2**31))
def test_sqlite_hashes_single_and_composite_keys_as_the_client_does(tmp_path_factory: object, rows: list[tuple[int, str]], seed: int) -> None:
    folder = Path(tmp_path_factory.mktemp("hash"))  # type: ignore[attr-defined]
    with sqlite3.connect(folder / "k.db") as connection:
        connection.execute("CREATE TABLE t (n INTEGER, s TEXT)")
        connection.executemany("INSERT INTO t VALUES (?, ?)", rows)
    connection.close()
    numbers = hash_integers(np.array([n for n, _ in rows], dtype=np.int64), seed, "t")
    texts = hash_texts([s for _, s in rows], seed, "t")
    columns = {"n": [("n", True)], "s": [("s", False)], "both": [("n", True), ("s", False)]}
    expressions = [hash_expression(SQLITE, c, seed, "t") for c in columns.values()]
    source = connect(f"sqlite:///{folder / 'k.db'}")
    with source.snapshot() as snapshot:
        found = list(snapshot.select(f"SELECT {', '.join(expressions)} FROM t ORDER BY rowid"))
    source.close()
    assert found == list(zip(numbers.tolist(), texts.tolist(), combine([numbers, texts]).tolist(), strict=True))


def test_thresholds_are_nested_and_draw_the_share_that_they_say() -> None:
    hashes = hash_integers(np.arange(200_000), 3, "t")
    assert hashes.min() >= 0 and hashes.max() < SPACE
    shares = [float((hashes < threshold(p)).mean()) for p in (0.0, 0.02, 0.5, 1.0)]
    assert np.allclose(shares, (0.0, 0.02, 0.5, 1.0), atol=0.005)


def test_seeds_and_tables_draw_independently() -> None:
    keys = np.arange(10_000)
    drawn = [hash_integers(keys, seed, salt) < threshold(0.5) for seed, salt in ((1, "a"), (2, "a"), (1, "b"))]
    for other in drawn[1:]:
        assert abs(float((drawn[0] == other).mean()) - 0.5) < 0.03
