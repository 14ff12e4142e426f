"""Every fault is caught by the figure that should catch it, and named on the first page; an honest imitation is not accused."""

from __future__ import annotations

import html
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from synth_pipeline.artifacts import TableBundle
from synth_pipeline.config import ChecksConfig
from synth_pipeline.quality.model import QualityReport
from synth_pipeline_tests.quality import shop
from synth_pipeline_tests.quality.shop import DAY, Shop


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> TableBundle:
    return shop.write(shop.make(1), tmp_path_factory.mktemp("real"), holdout=0.35)


@pytest.fixture(scope="module")
def honest(real: TableBundle, tmp_path_factory: pytest.TempPathFactory) -> QualityReport:
    """Another draw from the same population."""
    return shop.report_on(real, shop.write(shop.make(2), tmp_path_factory.mktemp("honest")))


def first_areas(report: QualityReport) -> list[str]:
    """The areas of the three things to look at first, each of which stands on the first page in words."""
    page = html.unescape(report.html.split('<section id="verdict"')[1].split("</section>")[0])
    for finding in report.figures["verdict"]["first"]:
        assert finding["text"] in page
    return [f["area"] for f in report.figures["verdict"]["first"]]


def pair(report: QualityReport, a: str, b: str) -> float:
    return next(float(p["score"]) for p in report.figures["tables"]["orders"]["pairs"] if {p["a"], p["b"]} == {a, b})


def column(report: QualityReport, table: str, name: str) -> dict[str, Any]:
    return next(c for c in report.figures["tables"][table]["columns"] if c["column"] == name)


def faulty(real: TableBundle, tmp_path: Path, change: Callable[[Shop, np.random.Generator], None]) -> QualityReport:
    made = shop.make(2)
    change(made, np.random.default_rng(5))
    return shop.report_on(real, shop.write(made, tmp_path / "faulty"))


def test_an_honest_imitation_reaches_the_ceiling_everywhere(honest: QualityReport) -> None:
    for key, p in honest.figures["properties"].items():
        if key.startswith("c2st"):
            assert p["score"] < max(0.5, p["ceiling"]) + 0.06, (key, p)
        elif p["count"]:
            assert p["score"] > p["ceiling"] - 0.04, (key, p)
    assert honest.privacy["level"] == "Very Good"
    assert honest.privacy["replayed"] == 0
    assert honest.figures["verdict"]["integrity"]["passed"] and honest.passed
    assert honest.quality is not None and honest.quality > 0.9
    assert not [f for f in honest.figures["findings"] if f["severity"] > 0.25]


def test_real_against_itself_scores_at_least_the_ceiling(real: TableBundle) -> None:
    report = shop.report_on(real, real)
    for key, p in report.figures["properties"].items():
        if key.startswith("c2st"):
            assert p["score"] <= max(0.5, p["ceiling"]) + 0.01, key
        elif p["count"]:
            assert p["score"] >= p["ceiling"] - 0.01 and p["score"] > 0.95, key
    for name, t in report.figures["tables"].items():
        for part in ("individual", "cross_table"):
            assert t[part]["score"] >= t[part]["ceiling"] - 0.5, (name, part)
        for c in t["columns"]:
            assert c["score"] is None or c["score"] >= c["ceiling"] - 0.01, (name, c)
    assert {f["area"] for f in report.figures["findings"]} == {"privacy"}, "nothing but that it is the real data"
    assert report.privacy["level"] == "At risk" and first_areas(report)[0] == "privacy"


def test_texts_of_single_real_rows_are_named_with_their_column(tmp_path: Path) -> None:
    """Every place has a name of its own; the synthetic rows deal the real ones out anew."""
    real, made = shop.make(1), shop.make(2)
    real.customer["town"] = np.array([f"Upper Mill {i}" for i in range(len(real.customer["town"]))], dtype=object)
    made.customer["town"] = np.random.default_rng(5).permutation(real.customer["town"])[: len(made.customer["town"])]
    report = shop.report_on(shop.write(real, tmp_path / "real", holdout=0.35), shop.write(made, tmp_path / "made"))
    assert report.privacy["level"] == "Normal" and 'class="big t-fair">Normal' in report.html
    first = next(f["text"] for f in report.figures["verdict"]["first"] if f["area"] == "privacy")
    assert first.startswith("customer: ") and "of the texts (town) repeat one that few real rows have; 0% of real ones do" in first


def test_independent_columns_are_caught_by_trends_between_columns(real: TableBundle, honest: QualityReport, tmp_path: Path) -> None:
    def change(s: Shop, rng: np.random.Generator) -> None:
        for name in ("amount", "tax", "channel"):
            s.orders[name] = rng.permutation(s.orders[name])

    report = faulty(real, tmp_path, change)
    assert pair(report, "amount", "tax") < 0.6 < 0.95 < pair(honest, "amount", "tax")
    assert column(report, "orders", "amount")["score"] > 0.95
    assert {"pairs", "detection"} & set(first_areas(report))
    assert any("amount" in f["text"] or "tax" in f["text"] for f in report.figures["verdict"]["first"])


def test_shuffled_keys_are_caught_by_trends_across_tables(real: TableBundle, honest: QualityReport, tmp_path: Path) -> None:
    def change(s: Shop, rng: np.random.Generator) -> None:
        s.orders["customer_id"] = rng.permutation(s.orders["customer_id"])

    report = faulty(real, tmp_path, change)
    hop, siblings = (report.figures["properties"][k]["score"] for k in ("hop1", "siblings"))
    assert hop < honest.figures["properties"]["hop1"]["score"] - 0.04
    assert siblings < honest.figures["properties"]["siblings"]["score"] - 0.15
    assert abs(report.figures["properties"]["pairs"]["score"] - honest.figures["properties"]["pairs"]["score"]) < 1e-9
    assert {"trends", "siblings"} <= set(first_areas(report))


def test_copied_rows_are_caught_by_copies_and_distances(real: TableBundle, tmp_path: Path) -> None:
    copies = shop.training_rows(shop.make(1), real)
    copies.customer["email"] = [f"new{i}@elsewhere.example" for i in range(len(copies.customer["id"]))]
    report = shop.report_on(real, shop.write(copies, tmp_path / "copies"), checks=ChecksConfig(privacy_max_nearer=0.6))
    orders = next(p for p in report.figures["privacy"] if p["table"] == "orders")
    assert orders["copied"] == 1.0 and orders["copied_expected"] < 0.05
    assert orders["nearer_low"] > 0.6
    assert report.privacy["level"] == "At risk" and first_areas(report)[0] == "privacy"
    assert any("privacy_max_nearer" in c for c in report.failed_checks) and not report.passed


def test_noise_around_training_rows_is_caught_by_distances_alone(real: TableBundle, tmp_path: Path) -> None:
    copies = shop.training_rows(shop.make(1), real)
    rng = np.random.default_rng(1)
    copies.orders["amount"] = copies.orders["amount"] + rng.normal(0, 0.01, len(copies.orders["amount"]))
    copies.customer["email"] = [f"new{i}@elsewhere.example" for i in range(len(copies.customer["id"]))]
    report = shop.report_on(real, shop.write(copies, tmp_path / "noise"))
    orders = next(p for p in report.figures["privacy"] if p["table"] == "orders")
    assert orders["copied"] < 0.02 and orders["nearer_low"] > 0.6 and orders["level"] == "At risk"


def test_what_can_be_guessed_of_learned_rows_only_is_disclosure(real: TableBundle, honest: QualityReport, tmp_path: Path) -> None:
    """The other columns of the copies are exact, the sensitive one as well; of honest rows it is guessed by its pattern alone."""
    copies = shop.training_rows(shop.make(1), real)
    copies.customer["email"] = [f"new{i}@elsewhere.example" for i in range(len(copies.customer["id"]))]
    metadata = shop.sensitive("customer", "age", "email")
    report = shop.report_on(real, shop.write(copies, tmp_path / "copies"), metadata=metadata)
    about = {(p["table"], d["column"]): d for p in report.figures["privacy"] for d in p["disclosure"]}
    age = about["customer", "age"]
    assert age["sensitive"] and age["learned"] > 0.9 and age["low"] > 0.3 and age["unseen"] < 0.5 and age["blind"] < 0.3
    assert next(p for p in report.figures["privacy"] if p["table"] == "customer")["unmeasured"] == ["email"]
    assert "customer.age is sensitive, and guessed right for" in " ".join(f["text"] for f in report.figures["findings"])
    assert "privacy" in first_areas(report) and report.privacy["level"] == "At risk"
    fair = {(p["table"], d["column"]): d for p in honest.figures["privacy"] for d in p["disclosure"]}
    assert {"age", "region"} <= {c for t, c in fair if t == "customer"} and "amount" in {c for t, c in fair if t == "orders"}
    assert all(d["low"] < 0.02 for d in fair.values())
    assert fair["orders", "tax"]["unseen"] > 0.4 > fair["orders", "tax"]["blind"], "a pattern of the population is no disclosure"


def test_one_leaked_personal_value_is_found_named_and_never_shown(real: TableBundle, tmp_path: Path) -> None:
    leaked = shop.make(1).customer["email"][17]

    def change(s: Shop, _: np.random.Generator) -> None:
        s.customer["email"][0] = leaked

    report = faulty(real, tmp_path, change)
    assert report.privacy == {**report.privacy, "replayed": 1, "level": "At risk"}
    first = report.figures["verdict"]["first"][0]
    assert first["area"] == "privacy" and "customer.email (1)" in first["text"] and first["text"] in report.html
    report.save(tmp_path / "out")
    assert not any(leaked in f.read_text() for f in (tmp_path / "out").iterdir())


def test_dropped_children_are_caught_by_cardinality(real: TableBundle, honest: QualityReport, tmp_path: Path) -> None:
    def change(s: Shop, rng: np.random.Generator) -> None:
        keep = rng.random(len(s.orders["id"])) < 0.6
        s.orders = {k: np.asarray(v)[keep] for k, v in s.orders.items()}

    report = faulty(real, tmp_path, change)
    assert report.figures["relationships"][0]["score"] < honest.figures["relationships"][0]["score"] - 0.15
    assert {"cardinality", "size"} <= set(first_areas(report))


def test_shifted_dates_are_caught_by_order_in_time(real: TableBundle, honest: QualityReport, tmp_path: Path) -> None:
    def change(s: Shop, _: np.random.Generator) -> None:
        s.orders["placed"] = s.orders["placed"] - 150 * DAY

    report = faulty(real, tmp_path, change)
    order = next(t for t in report.figures["time"] if t["kind"] == "order")
    assert order["real"] == 1.0 and order["synthetic"] < 0.5
    assert column(report, "orders", "placed")["score"] < column(honest, "orders", "placed")["score"] - 0.1
    assert "time" in first_areas(report)


def test_lost_nulls_broken_keys_and_dangling_references_are_named(real: TableBundle, tmp_path: Path) -> None:
    def change(s: Shop, _: np.random.Generator) -> None:
        s.orders["customer_id"] = np.asarray(s.orders["customer_id"]).copy()
        s.orders["customer_id"][:7] = 999_999
        s.customer["region"] = np.where(np.arange(len(s.customer["id"])) % 3 == 0, None, s.customer["region"].astype(object))

    report = faulty(real, tmp_path, change)
    assert not report.figures["verdict"]["integrity"]["passed"] and not report.passed
    first = report.figures["verdict"]["first"][0]
    assert first["area"] == "integrity" and "7 of" in first["text"] and "orders (customer_id) refers to customer (id)" in first["text"]
    assert any(f["area"] == "nulls" and "customer.region: 33% NULL instead of 0%" in f["text"] for f in report.figures["findings"])


def test_the_features_that_give_the_data_away_are_named(real: TableBundle, tmp_path: Path) -> None:
    def change(s: Shop, _: np.random.Generator) -> None:
        s.orders["amount"] = np.round(s.orders["amount"]) + 0.5

    report = faulty(real, tmp_path, change)
    own = next(d for d in report.figures["detection"] if d["table"] == "orders" and d["scope"] == "own columns")
    assert own["auc"] > own["ceiling"] + 0.1
    assert own["features"][0][0] in ("amount", "tax")


def test_quality_below_the_threshold_fails_the_check(real: TableBundle, tmp_path: Path) -> None:
    made = shop.write(shop.make(2), tmp_path / "made")
    assert shop.report_on(real, made, checks=ChecksConfig(quality_min=0.5, privacy_max_nearer=0.9)).failed_checks == []
    failed = shop.report_on(real, made, checks=ChecksConfig(quality_min=1.0)).failed_checks
    assert len(failed) == 1 and "quality_min" in failed[0]
