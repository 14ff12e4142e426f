"""Codes keep what tells nobody apart: letters that all have, beginnings that many have, and what they are codes in."""

from __future__ import annotations

import ipaddress
import re
import uuid
from collections import Counter

import numpy as np
import pytest
from stdnum import ean, iban, isin, luhn

from synth_pipeline.synthesis.relational.personal import PersonalModel
from synth_pipeline.synthesis.relational.random import WHOLE, Lane, stream
from synth_pipeline.synthesis.relational.shapes import KeyShapes


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


def test_hexadecimal_codes_stay_hexadecimal() -> None:
    rng = np.random.default_rng(1)
    uuids = [str(uuid.UUID(bytes=rng.bytes(16), version=4)) for _ in range(100)]
    for real in (uuids, [u.upper() for u in uuids]):
        values = [v for i in range(2) for v in made(real, "uuid4", 300, lane=Lane(i, 2))]
        assert len(set(values)) == 600 and all(uuid.UUID(v).version == 4 and uuid.UUID(v).variant == uuid.RFC_4122 for v in values)
        assert all((v == v.upper()) == (real[0] == real[0].upper()) for v in values)
    assert all(re.fullmatch("[0-9a-f]{64}", v) for v in KeyShapes.fit([rng.bytes(32).hex() for _ in range(5)], 64).draw(50, stream(0, "d")))
    digest = made(["8cb2237d0679ca88db6464eac60da96345513964"], "password", 50)
    assert all(re.fullmatch("[0-9a-f]{40}", v) for v in digest)
    macs = made(["02:10:" + rng.bytes(4).hex(":").upper() for _ in range(100)], "mac_address", 300)
    assert all(re.fullmatch("02:10(:[0-9A-F]{2}){4}", v) for v in macs)
    tagged = made(["sha1:" + rng.bytes(20).hex() for _ in range(100)], "id", 100)
    assert all(re.fullmatch("sha1:[0-9a-f]{40}", v) for v in tagged)
    rooms = made([f"{c}{i}{j}" for c in "ABCDEF" for i in range(1, 5) for j in range(11, 61)], "id", 300)
    assert all(re.fullmatch("[A-Z][0-9]{3}", v) for v in rooms)


def test_addresses_of_a_network_are_addresses_of_that_network() -> None:
    real = [f"10.{a}.{b}.{c}" for a, b, c in np.random.default_rng(2).integers(0, 256, (60, 3))]
    for unique in (True, False):
        values = [v for i in range(2) for v in made(real, "ipv4_address", 100, unique=unique, lane=Lane(i, 2))]
        assert all(ipaddress.ip_address(v) in ipaddress.ip_network("10.0.0.0/8") for v in values)
        assert not unique or len(set(values)) == 200


def numbers(sizes: int, prefix: str) -> list[str]:
    return [prefix + "".join(map(str, d)) for d in np.random.default_rng(3).integers(0, 10, (200, sizes))]


REAL = {
    ean.is_valid: [v + ean.calc_check_digit(v) for v in numbers(9, "400")],
    luhn.is_valid: [v + luhn.calc_check_digit(v) for v in numbers(14, "4")],
    iban.is_valid: [f"{v[:2]}{98 - int(f'{v[2:]}{ord(v[0]) - 55}{ord(v[1]) - 55}00') % 97:02d}{v[2:]}" for v in numbers(18, "DE")],
    isin.is_valid: [v + isin.calc_check_digit(v) for v in numbers(6, "US037")],
    lambda v: v[:3] == "AG-" and luhn.is_valid(v[3:].replace("-", "")): [f"AG-{v}-{luhn.calc_check_digit(v)}" for v in numbers(8, "")],
}


@pytest.mark.parametrize("number", range(len(REAL)))
def test_check_digits_are_right_again(number: int) -> None:
    valid, real = list(REAL.items())[number]
    assert all(map(valid, real))
    values = [v for i in range(3) for v in made(real, "id", 300, lane=Lane(i, 3))]
    assert len(set(values)) == 900 and all(map(valid, values))
    assert all(map(valid, made(real, "id", 300, unique=False)))
    keys = KeyShapes.fit(real, None)
    assert all(map(valid, [*keys.generate(300, frozenset(real), stream(0, "k")), *keys.draw(300, stream(0, "k"))]))
    assert not KeyShapes.fit([*real, real[0][:-1] + str((int(real[0][-1]) + 1) % 10)], None).check


def test_codes_that_are_nearly_all_used_have_room_for_others() -> None:
    real = [f"S{2015 + i % 10}-{i // 10:05d}" for i in range(30_000)]
    for unique in (True, False):
        assert all(re.fullmatch("S20(1[5-9]|2[0-4])-[0-9]{5}", v) for v in made(real, "id", 30_000, unique=unique))
