"""The page works in a browser without a network, and neither it nor the other outputs give away a real value."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from synth_pipeline.connectors import connect
from synth_pipeline.errors import ArtifactError
from synth_pipeline.metadata.infer import infer
from synth_pipeline.quality.model import QualityReport
from synth_pipeline_tests.helpers import bundle_of
from synth_pipeline_tests.quality import shop

OUTPUTS = ("report.html", "report.json", "summary.md")


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report on the worst case: the synthetic rows are the real ones, personal and rare values included."""
    folder = tmp_path_factory.mktemp("page")
    real = shop.write(shop.make(1), folder / "real", holdout=0.35)
    facts = {"synthesizer": {"rules": ["orders.tax follows orders.amount"], "warnings": ["few rows in <b>customer</b>"]}}
    shop.report_on(real, real, facts=facts).save(folder / "out")
    return folder / "out"


def test_no_personal_or_rare_real_value_is_in_any_output(saved: Path) -> None:
    real = shop.make(1)
    emails = [str(e) for e in real.customer["email"]]
    ages, counts = np.unique(real.customer["age"], return_counts=True)
    for name in OUTPUTS:
        text = (saved / name).read_text()
        assert not [e for e in emails if e in text], name
        assert shop.RARE not in text, name
        assert f"{real.orders['amount'].max():.2f}" not in text, name
    assert counts.min() < 10 and len(ages) > 10  # the rarest ages lie beyond the axes
    edges = next(c for t in QualityReport.load(saved).figures["tables"].values() for c in t["columns"] if c["column"] == "age")["plot"]["edges"]
    assert edges[0] > ages.min() - 5 and all(e % 0.5 == 0 for e in edges)


def test_saved_and_loaded_reports_are_equal(saved: Path) -> None:
    report = QualityReport.load(saved)
    assert report.html == (saved / "report.html").read_text() and report.quality is not None
    assert report.privacy["level"] == "At risk" and report.figures["format"] == 1
    with pytest.raises(ArtifactError, match="quality report"):
        QualityReport.load(saved.parent / "nowhere")


def test_the_page_is_self_contained_and_small(saved: Path) -> None:
    html = (saved / "report.html").read_text()
    assert len(html) < 1_000_000
    addresses = set(re.findall(r"""(?:src|href|url)\s*[=(]\s*["']?(\w+:[^"')\s>]+)""", html))
    assert addresses <= {"data:,"}, addresses
    assert "orders.tax follows orders.amount" in html
    assert 'class="big t-poor">At risk' in html and 'class="big t-good">Excellent' in html and "As good as real rows" in html
    assert "few rows in <b>" not in html and "few rows in &lt;b&gt;customer" in html


def test_every_link_of_the_page_has_its_target(saved: Path) -> None:
    html = (saved / "report.html").read_text()
    ids = set(re.findall(r'\bid="([^"]+)"', html))
    assert {h for h in re.findall(r'href="#([^"]+)"', html)} <= ids


def test_the_summary_is_short_and_holds_its_chart(saved: Path) -> None:
    text = (saved / "summary.md").read_text()
    assert len(text) < 40_000 and "data:image/svg+xml;base64," in text and "**Privacy** At risk" in text


# --- in a browser ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (390, "dark")])
def test_a_key_highlights_what_it_is_related_to_and_links_lead_there(saved: Path, browser: Any, width: int, scheme: str) -> None:
    page = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme).new_page()
    complaints: list[str] = []
    requests: list[str] = []
    page.on("console", lambda m: complaints.append(m.text))
    page.on("pageerror", lambda e: complaints.append(str(e)))
    page.on("request", lambda r: requests.append(r.url))
    page.goto((saved / "report.html").as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= width

    page.locator('#diagram .key[data-table="customer"]').first.hover()
    assert set(page.locator("#diagram .box.on").evaluate_all("xs => xs.map(x => x.dataset.table)")) == {"customer", "orders"}
    assert page.locator("#diagram .link.on").count() == 1
    assert page.locator('#diagram .key.on[data-table="orders"]').count() == 1
    assert "orders (customer_id) → customer (id)" in page.locator("#tell").inner_text()

    page.locator('#diagram .box[data-table="customer"] a').click()
    section = page.locator("details#table-customer")
    assert section.get_attribute("open") is not None and page.url.endswith("#table-customer")
    for _ in range(40):  # smooth scrolling takes its time
        if page.evaluate("Math.abs(document.getElementById('table-customer').getBoundingClientRect().top) < innerHeight / 2"):
            break
        page.wait_for_timeout(100)
    else:
        pytest.fail("the link does not lead to the table")
    page.locator("ol.first a").first.click()
    assert "#privacy" in page.url
    assert complaints == [] and len(requests) == 1


def test_nothing_in_the_diagram_of_77_tables_overlaps(
    shared_data: Path, browser: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Measured in the browser, in the font that it has: boxes, titles beside scores, keys inside their boxes."""
    from synth_pipeline_tests.quality.test_databases import build, cut

    monkeypatch.setattr("synth_pipeline.quality.report.published_scores", lambda *_, **__: None)  # not in the diagram, and slow
    path = shared_data / "ensembl_core.db"
    schema, bundle = bundle_of(path, tmp_path / "real")
    connector = connect(f"sqlite:///{path}")
    metadata = infer(schema, [connector.profile(t) for t in schema.tables])
    connector.close()
    few = cut(schema, bundle, tmp_path / "few", 40)
    build(schema, metadata, few, few).save(tmp_path / "out")
    page = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
    page.goto((tmp_path / "out" / "report.html").as_uri())
    found = page.evaluate("""() => [...document.querySelectorAll('#diagram .box')].map(b => {
        const r = x => { const c = x.getBBox(); return [c.x, c.y, c.x + c.width, c.y + c.height] };
        return {table: b.dataset.table, body: r(b.querySelector('.body')), title: r(b.querySelector('.title')),
                score: r(b.querySelector('.score')), scored: b.querySelector('.score').textContent !== '',
                keys: [...b.querySelectorAll('.key text')].map(r)} })""")
    assert len(found) == 77 and sum(b["scored"] for b in found) > 20
    for i, a in enumerate(found):
        left, top, right, bottom = a["body"]
        for x in (a["title"], *a["keys"]):
            assert left <= x[0] and x[2] <= right and top <= x[1] and x[3] <= bottom, a["table"]
        assert not a["scored"] or a["title"][2] < a["score"][0], a["table"]
        for b in found[:i]:
            apart = right <= b["body"][0] or b["body"][2] <= left or bottom <= b["body"][1] or b["body"][3] <= top
            assert apart, (a["table"], b["table"])
    page.fill("#find-table", "exon_tr")
    assert page.locator("#diagram .box.found").evaluate_all("xs => xs.map(x => x.dataset.table)") == ["exon_transcript"]
    page.click("#zoom-fit")
    size = page.locator("#diagram").bounding_box()
    frame = page.locator(".picture").bounding_box()
    assert size["width"] <= frame["width"] + 1 and size["height"] <= frame["height"] + 1


def test_the_page_prints_every_table_in_light_colours(saved: Path, browser: Any) -> None:
    page = browser.new_context(viewport={"width": 1440, "height": 900}, color_scheme="dark").new_page()
    page.goto((saved / "report.html").as_uri())
    pdf = page.pdf(format="A4", print_background=True)
    assert pdf.startswith(b"%PDF") and 2 <= len(re.findall(rb"/Type\s*/Page\b", pdf)) <= 20
    page.emulate_media(media="print", color_scheme="dark")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("details.block:not([open])").count() == 0
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate("getComputedStyle(document.documentElement).getPropertyValue('--ink')") == "#161b26"
    assert not page.locator("nav").is_visible() and page.locator("#diagram").is_visible()
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator("details.block:not([open])").count() == 1
