"""Codes keep what tells nobody apart: letters that all have, beginnings that many have."""

from __future__ import annotations

from collections import Counter

import numpy as np

from synth_pipeline.synthesis.relational.personal import PersonalModel
from synth_pipeline.synthesis.relational.random import WHOLE, Lane, stream


def made(real: list[str], sdtype: str, count: int, *, unique: bool = True, lane: Lane = WHOLE, entities: np.ndarray | None = None) -> list[str]:
    model = PersonalModel.fit(real, sdtype, None, None, {}, stream(0, "f"), (), entities)
    values = model.generate(count, {}, stream(lane.number, "p"), unique=unique, lane=lane)
    assert len(values) == count and not {v.lower() for v in values} & {v.lower() for v in real}
    assert not unique or len(set(values)) == count
    return values


def test_what_all_codes_have_in_common_stays_in_personal_ones() -> None:
    rng = np.random.default_rng(0)
    phones = made([f"555-{a}-{b}" for a, b in rng.integers([100, 1000], [1000, 10_000], (60, 2))], "phone_number", 60, unique=False)
    assert all(p.startswith("555-") and len(p) == 12 for p in phones)
    alphabet = list("./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789")
    hashes = made(["$2b$12$" + "".join(rng.choice(alphabet, 53)) for _ in range(200)], "password", 200, unique=False)
    assert all(h.startswith("$2b$12$") and len(h) == 60 for h in hashes) and {c for h in hashes for c in h[7:]} == set(alphabet)
    badges = made([f"T{1000 + i}" for i in range(40)], "id", 40)
    assert all(b.startswith("T1") and len(b) == 5 for b in badges)


def test_beginnings_that_many_codes_have_come_out_as_often() -> None:
    real = [f"S{year}-{i:04d}" for year, n in ((2021, 60), (2022, 30), (2023, 90)) for i in range(n)]
    years = Counter(v[:6] for v in made(real, "id", 600))
    assert years == {"S2021-": 200, "S2022-": 100, "S2023-": 300}
    parts = [made(real, "id", 200, lane=Lane(i, 3)) for i in range(3)]
    assert len({v for part in parts for v in part}) == 600 and all(v.startswith("S202") for part in parts for v in part)


def test_what_few_have_in_common_is_not_kept() -> None:
    few = made([f"QXZ{i}{i}" for i in range(9)] * 5, "id", 200)
    assert len({v[:3] for v in few}) > 100
    real = [f"QXZ{i:05d}" for i in range(100)] + [f"{c}{c}K{i:05d}" for i, c in enumerate("ABCDEFGHIJKLMNOPRSTUVW")]
    one = made(real, "id", 200, entities=np.r_[np.zeros(100), 1:23])
    assert sum(v.startswith("QXZ") for v in one) < 10
