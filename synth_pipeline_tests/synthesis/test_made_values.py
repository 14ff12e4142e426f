"""Made-up keys, names, texts and documents: right in form, different, and none of the source."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import numpy as np
import pytest

import synth_pipeline as sp
from synth_pipeline.synthesis.relational import documents
from synth_pipeline.synthesis.relational.letters import scramble, shape_of
from synth_pipeline.synthesis.relational.model import Surrogate
from synth_pipeline.synthesis.relational.personal import PersonalModel
from synth_pipeline.synthesis.relational.random import stream
from synth_pipeline.synthesis.relational.shapes import KeyShapes
from synth_pipeline.synthesis.relational.text import TextModel


def test_natural_keys_are_unique_keep_their_shape_and_leave_out_what_is_taken() -> None:
    real = [f"BU{i:04d}" for i in range(30)]
    keys = KeyShapes.fit(real, 6).generate(500, set(real), stream(0, "k"))
    assert len(set(keys)) == 500
    assert not set(keys) & set(real)
    assert {shape_of(k) for k in keys} == {"AA9999"}
    assert all(k.startswith("BU") for k in keys)


def test_a_shape_with_too_little_room_is_widened_within_the_columns_length() -> None:
    keys = KeyShapes.fit(["a", "b"], 3).generate(300, (), stream(0, "k"))
    assert len(set(keys)) == 300
    assert max(map(len, keys)) <= 3


def test_scrambling_keeps_punctuation_and_length_and_changes_the_rest() -> None:
    values = ["+55 (12) 3923-5555", "Zoë-9", ""]
    out = scramble(values, stream(0, "s"))
    assert [len(v) for v in out] == [len(v) for v in values]
    assert shape_of(out[0]) == shape_of(values[0])
    assert out[0] != values[0]


@pytest.mark.parametrize(
    "sdtype", ["first_name", "last_name", "name", "email", "phone_number", "street_address", "company", "user_name", "ssn", "iban", "job"]
)
def test_personal_values_are_none_of_the_source_and_fit_the_column(sdtype: str) -> None:
    source = PersonalModel.fit(["x"], sdtype, None, 40, {}, stream(0, "f")).generate(50, {}, stream(3, "p"))
    model = PersonalModel.fit(source, sdtype, None, 24, {}, stream(0, "f"))
    values = model.generate(400, {}, stream(1, "p"), unique=True)
    assert len(set(values)) == 400
    assert not {v.lower() for v in values} & {v.lower() for v in source}
    assert max(map(len, values)) <= 24


def test_a_name_and_its_parts_and_the_address_of_its_mail_agree() -> None:
    relatives = {"first_name": "first", "last_name": "last"}
    row = {"first": ["Ada", "Bo"], "last": ["Byron", "Derek"]}
    names = PersonalModel.fit(["Some One"], "name", None, None, relatives, stream(0, "f")).generate(2, row, stream(1, "p"))
    mails = PersonalModel.fit(["a@b.c"], "email", None, None, relatives, stream(0, "f")).generate(2, row, stream(1, "p"))
    assert names == ["Ada Byron", "Bo Derek"]
    assert [m.split("@")[0] for m in mails] == ["ada.byron", "bo.derek"]


def test_capital_letters_stay_capital() -> None:
    values = PersonalModel.fit(["MARY", "JOHN"], "first_name", None, 45, {}, stream(0, "f")).generate(20, {}, stream(1, "p"))
    assert all(v.isupper() for v in values)


def test_texts_are_made_of_shared_words_and_are_none_of_the_source() -> None:
    rng = np.random.default_rng(0)
    words = ["blue", "river", "night", "song", "stone"]
    source = [" ".join(rng.choice(words, 4)).title() + f" Secret{i}" for i in range(200)]
    model = TextModel.fit(source, 60)
    texts = model.generate(300, stream(0, "t"), source, unique=True)
    assert len(set(texts)) == 300
    assert not set(texts) & set(source)
    assert not any("secret" in t.lower() for t in texts)
    assert any("river" in t.lower() for t in texts)
    assert max(map(len, texts)) <= 60


def test_documents_keep_their_structure_and_none_of_their_contents() -> None:
    document = json.dumps({"name": "Ada", "tags": ["x1", None], "age": 36, "ok": True, "at": -1.25})
    template = documents.template(document)
    assert "Ada" not in template and "36" not in template
    filled = json.loads(documents.fill([template], stream(0, "d"))[0])
    assert list(filled) == ["name", "tags", "age", "ok", "at"]
    assert filled["ok"] is True and filled["tags"][1] is None
    assert 10 <= filled["age"] < 100 and len(filled["name"]) == 3
    assert documents.fill([documents.template("<a>Bob 7</a>")], stream(0, "d"))[0] != "<a>Bob 7</a>"


def test_surrogates_close_up_where_the_type_is_narrow_and_refuse_what_it_cannot_number() -> None:
    from synth_pipeline.errors import UsageError

    assert Surrogate(1000, 100).within(600, 16, "t.id") == Surrogate(1000)
    assert Surrogate(32_000, 1).within(2_000, 16, "t.id") == Surrogate(1)
    with pytest.raises(UsageError, match="16-bit"):
        Surrogate(1).within(40_000, 16, "t.id")


def test_a_key_of_which_one_row_was_seen_is_free_to_differ(tmp_path: Path) -> None:
    """The parts of a composite key are no constants because one row has but one value."""
    with sqlite3.connect(tmp_path / "real.db") as db:
        db.execute("CREATE TABLE edition (major INTEGER NOT NULL, minor TEXT NOT NULL, PRIMARY KEY (major, minor))")
        db.execute("INSERT INTO edition VALUES (1, 'p0')")
    db.close()
    drawn = sp.open(f"sqlite:///{tmp_path}/real.db").metadata().subset().fit().sample(rows={"edition": 3})
    assert len(drawn["edition"].drop_duplicates()) == 3
