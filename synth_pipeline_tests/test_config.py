"""A file of configuration: every problem at once, each with its line and remedy; secrets are never repeated."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synth_pipeline.config import SourceConfig, overridden
from synth_pipeline.config_files import config_names, load_config, validate
from synth_pipeline.errors import ConfigError

MINIMAL = 'source: {url: "sqlite:///my.db"}\n'


def lines_of(folder: Path, text: str, name: str = "shop") -> list[str]:
    (folder / f"{name}.yaml").write_text(text)
    return [str(p) for p in validate(name, folder)]


def test_a_file_with_only_a_source_is_enough(tmp_path: Path) -> None:
    assert lines_of(tmp_path, MINIMAL) == []
    config = load_config("shop", tmp_path)
    assert (config.name, config.source.url, config.export, config.synthesizer.name) == ("shop", "sqlite:///my.db", None, "relational")
    assert load_config(tmp_path / "shop.yaml") == config


def test_every_problem_is_told_at_once_with_its_line(tmp_path: Path) -> None:
    text = (
        "descripton: a shop\n"
        'source: {url: "sqlite:///my.db"}\n'
        "tables:\n"
        "  exclude: [no, other]\n"
        "subset:\n"
        "  max_rows: many\n"
        "  fraction: true\n"
        'export: {url: "sqlite:///out.db", mode: repalce}\n'
        "columns:\n"
        "  client.email: {sdtyp: email}\n"
        "sample: {scale: 0}\n"
    )
    found = lines_of(tmp_path, text)
    file = tmp_path / "shop.yaml"
    expected = [
        (1, "unknown key `descripton`. Did you mean 'description'?"),
        (4, "`tables.exclude.0` must be text, not true or false. Put it in quotes."),
        (6, "`subset.max_rows` must be a whole number, not text."),
        (7, "`subset.fraction` must be a number, not true or false."),
        (8, "`export.mode` must be 'create', 'append' or 'replace'. Did you mean 'replace'?"),
        (10, "unknown key `columns.client.email.sdtyp`. Did you mean 'sdtype'?"),
        (11, "`sample.scale` must be more than 0."),
    ]
    assert len(found) == len(expected)
    for problem, (line, text) in zip(found, expected, strict=True):
        assert problem.startswith((f"{file}:{line}: ", f"{tmp_path / 'shop'}:{line}: ")) and problem.endswith(text)
    with pytest.raises(ConfigError) as caught:
        load_config("shop", tmp_path)
    assert caught.value.problem.splitlines() == found and caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "`source` is missing"),
        ("- a\n", "must hold keys and values"),
        ("source: [", "not valid YAML"),
        ("source: {url: 'x'}\n", "no database URL"),
        ("source: {}\n", "needs either `url` or `url_env`"),
        ("source: {url: 'sqlite:///a', url_env: HOME}\n", "not both"),
        ("source: {url_env: 'postgres://u:pw@h'}\n", "no name of an environment variable"),
        (MINIMAL + "source: {url: 'sqlite:///b.db'}\n", "a second time"),
        (MINIMAL + "name: other\n", "The name of the file"),
        (MINIMAL + "subset: {rows: 10}\n", "belong together"),
        (MINIMAL + "synthesizer: {address: 'tcp://here:8786'}\n", "dask or ray"),
        (MINIMAL + "subset: {rows: 10, main_table: t, fraction: 0.5}\n", "exclude each other"),
        (MINIMAL + "relationships: [{child: a, columns: [x], parent: b, parent_columns: [y, z]}]\n", "1 and 2 columns"),
        (MINIMAL + "relationships: [{child: a, columns: [x], paren: b, parent_columns: [y]}]\n",
         "unknown key `relationships.0.paren`. Did you mean 'parent'?"),
        (MINIMAL + "relationships: [{child: a, type_colum: x, column: y, parents: {}}]\n",
         "unknown key `relationships.0.type_colum`. Did you mean 'type_column'?"),
        (MINIMAL + "relationships: [{child: a, type_colum: x, column: y, parents: {}}]\n", "`relationships.0.type_column` is missing"),
        (MINIMAL + "relationships: [{child: a, type_column: x, column: y, parents: [b]}]\n", "must be keys and values, not a list"),
        (MINIMAL + "relationships: [{child: a, type_column: x, column: x, parents: {P: b}}]\n", "one column as `type_column` and `column`"),
        (MINIMAL + "sample: {rows: {t: -1}}\n", "at least 0"),
        (MINIMAL + "refresh: {cron: daily}\n", "five fields"),
        (MINIMAL + "refresh: {timezone: Mars/Base}\n", "no time zone"),
        (MINIMAL + "subset: {where: {yes: 'x'}}\n", "Put it in quotes"),
        (MINIMAL + "source2: &a {b: *a}\n", "aliases are not taken (*a)"),
    ],
)  # fmt: skip
def test_each_kind_of_mistake_has_its_own_words(tmp_path: Path, text: str, part: str) -> None:
    found = lines_of(tmp_path, text)
    assert any(part in problem for problem in found), found


@pytest.mark.parametrize(
    "url",
    ["postgresql://u:geheim@host/db", "mysql+pymysql://u:geheim@host:3306/db", "mssql+pyodbc://h/d?driver=x&Password=geheim", "snowflake://u:ge%20heim@acc/db"],
)  # fmt: skip
def test_a_password_in_a_file_is_refused_and_not_repeated(tmp_path: Path, url: str) -> None:
    (problem,) = lines_of(tmp_path, f'source: {{url: "{url}"}}\n')
    assert "holds a password" in problem and "url_env: " in problem
    assert "geheim" not in problem and "ge%20heim" not in problem


def test_a_variable_is_named_and_its_value_never_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "source: {url_env: SHOP_URL}\n"
    monkeypatch.delenv("SHOP_URL", raising=False)
    (problem,) = lines_of(tmp_path, text)
    assert "the environment variable SHOP_URL is not set" in problem
    monkeypatch.setenv("SHOP_URL", "geheim")
    (problem,) = lines_of(tmp_path, text)
    assert "SHOP_URL does not hold a database URL" in problem and "geheim" not in problem
    monkeypatch.setenv("SHOP_URL", "postgresql://u:geheim@h/db")
    assert lines_of(tmp_path, text) == []
    assert "geheim" not in repr(load_config("shop", tmp_path))


def test_a_missing_file_names_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "chinook.yaml").write_text(MINIMAL)
    with pytest.raises(ConfigError, match="no such configuration. Did you mean 'chinook'"):
        load_config("chinok", tmp_path)
    with pytest.raises(ConfigError, match="no such configuration"):
        load_config("chinook", tmp_path / "nowhere")


def test_a_name_that_cannot_name_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "my shop.yaml").write_text(MINIMAL)
    with pytest.raises(ConfigError, match="cannot name a source"):
        load_config(tmp_path / "my shop.yaml")


def test_names_come_without_reading_files(tmp_path: Path) -> None:
    (tmp_path / "b.yml").write_text("not: [valid")
    (tmp_path / "a.yaml").write_text("")
    (tmp_path / ".hidden.yaml").write_text("")
    (tmp_path / "notes.txt").write_text("")
    assert config_names(tmp_path) == ["a", "b"]
    assert config_names(tmp_path / "nowhere") == []


def test_bytes_that_are_no_text_are_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "shop.yaml").write_bytes(b"\xff\xfe\x00source")
    with pytest.raises(ConfigError, match="not UTF-8 text"):
        load_config("shop", tmp_path)


def test_overrides_of_a_command_line_touch_only_what_they_name() -> None:
    config = SourceConfig.model_validate({"name": "a", "source": {"url": "sqlite:///x"}, "sample": {"rows": {"t": 3}}})
    changed = overridden(config, seed=5, scale=2.0)
    assert (changed.subset.seed, changed.synthesizer.seed, changed.sample.seed, changed.sample.scale) == (5, 5, 5, 2.0)
    assert changed.sample.rows == {"t": 3} and config.sample.seed == 0
    assert overridden(config) is config


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.dates(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8) | st.sampled_from(list(SourceConfig.model_fields)), inner, max_size=4)
    ),
    max_leaves=12,
)  # fmt: skip


@given(values)
def test_no_content_of_a_file_ends_in_anything_but_a_config_error(tmp_path_factory: pytest.TempPathFactory, value: object) -> None:
    import yaml

    folder = tmp_path_factory.getbasetemp()
    (folder / "any.yaml").write_text(yaml.safe_dump(value), encoding="utf-8")
    try:
        load_config("any", folder)
    except ConfigError as error:
        assert error.problem
