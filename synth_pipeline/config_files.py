"""How the files of configs/ are read and checked: every problem at once, each with its line; nothing here opens a connection."""

from __future__ import annotations

import json
import os
import re
import typing
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from synth_pipeline.config import Connection, ExportConfig, SourceConfig, holds_password
from synth_pipeline.errors import ConfigError, closest
from synth_pipeline.relationships import FORMS, PolymorphicConfig

if TYPE_CHECKING:
    import yaml
    from pydantic_core import ErrorDetails

CONFIGS = Path("configs")
_SUFFIXES = (".yaml", ".yml")


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong in a file: where, what, and what to do about it."""

    file: str
    line: int | None
    text: str
    remedy: str = ""

    def __str__(self) -> str:
        at = f"{self.file}:{self.line}" if self.line else self.file
        return f"{at}: {self.text} {self.remedy}".rstrip()


def config_names(configs_dir: Path | str = CONFIGS) -> list[str]:
    """The names of all sources that have a file in a folder, sorted; no file is read."""
    folder = Path(configs_dir)
    return sorted({p.stem for p in folder.iterdir() if p.suffix in _SUFFIXES and not p.name.startswith(".")}) if folder.is_dir() else []


def load_config(path_or_name: Path | str, configs_dir: Path | str = CONFIGS) -> SourceConfig:
    """Reads the file of one source, given its path or its name in a folder.

    Raises:
        ConfigError: the file is missing or has problems; all of them are told, one line each.
    """
    config, problems = _read(path_or_name, configs_dir)
    if config is None or problems:
        raise ConfigError("\n".join(str(p) for p in problems))
    return config


def validate(path_or_name: Path | str, configs_dir: Path | str = CONFIGS) -> list[Problem]:
    """Every problem of a file; empty where `load_config` would take it."""
    return _read(path_or_name, configs_dir)[1]


def connection(text: str, place: str) -> Connection:
    """A database named on a command line: its URL, or `env:NAME` for the variable that holds it.

    Raises:
        ConfigError: it is no URL, holds a password, or the variable is not set; `place` is where it was given.
    """
    found = Connection(url_env=text[4:]) if text.startswith("env:") else Connection(url=text)
    for _, problem, remedy in _connection_problems(place, found):
        remedy = f"Put the URL into an environment variable and give its name: {place} env:MY_DATABASE_URL." if "password" in problem else remedy
        raise ConfigError(problem.replace(f"`{place}.url", f"`{place}").replace("_env`", "`"), remedy)
    return found


def _read(path_or_name: Path | str, configs_dir: Path | str) -> tuple[SourceConfig | None, list[Problem]]:
    import yaml

    path = Path(path_or_name)
    if path.suffix not in _SUFFIXES:
        found = (Path(configs_dir) / f"{path_or_name}{suffix}" for suffix in _SUFFIXES)
        path = next((p for p in found if p.is_file()), path)
    file = str(path)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        names = config_names(configs_dir)
        remedy = closest(path.stem, names) if names else f"Give the path of a YAML file, or put one into {configs_dir}/."
        return None, [Problem(file, None, "there is no such configuration.", remedy)]
    except (OSError, UnicodeDecodeError) as e:
        return None, [Problem(file, None, f"the file cannot be read: {getattr(e, 'strerror', None) or 'it is not UTF-8 text'}.")]
    loader = yaml.SafeLoader(text)
    try:
        alias = next((e for e in yaml.parse(text, Loader=yaml.SafeLoader) if isinstance(e, yaml.AliasEvent)), None)
        if alias is not None:  # nothing here needs them, and they can make a small file endless
            at = alias.start_mark.line + 1 if alias.start_mark else None
            return None, [Problem(file, at, f"aliases are not taken (*{alias.anchor}).", "Write the value out.")]
        node = loader.get_single_node()
        data = {} if node is None else loader.construct_document(node)
    except yaml.MarkedYAMLError as e:
        mark = e.problem_mark or e.context_mark
        return None, [Problem(file, mark.line + 1 if mark else None, f"not valid YAML: {e.problem or e.context}.")]
    except (yaml.YAMLError, ValueError, RecursionError) as e:
        return None, [Problem(file, None, f"not valid YAML: {str(e).splitlines()[0]}.")]
    if not isinstance(data, dict):
        return None, [Problem(file, 1, "the file must hold keys and values.", "The smallest is: source: {url: 'sqlite:///my.db'}.")]
    lines: dict[tuple[str, ...], int] = {}
    problems = [Problem(file, line, text) for line, text in _index(node, (), lines)]
    if "name" in data:
        problems.append(Problem(file, lines.get(("name",)), "unknown key `name`.", "The name of the file is the name of the source."))
        del data["name"]
    try:
        payload = json.dumps({**data, "name": path.stem}, default=str)
        config = SourceConfig.model_validate_json(payload, strict=True)
    except ValidationError as e:
        for error in e.errors(include_url=False, include_input=True):
            where = tuple(str(part) for part in error["loc"])
            problems.append(Problem(file, _line([part for part in where if part not in FORMS], lines), *_explain(error, where)))
        return None, sorted(set(problems), key=lambda p: (p.line or 0, p.text))
    except (TypeError, ValueError, RecursionError):
        return None, [*problems, Problem(file, None, "the values cannot be read.", "Use plain text, numbers, lists and mappings.")]
    problems += [Problem(file, _line(where, lines), text, remedy) for where, text, remedy in _contradictions(config)]
    return config, sorted(problems, key=lambda p: (p.line or 0, p.text))


def _index(node: yaml.Node | None, path: tuple[str, ...], lines: dict[tuple[str, ...], int]) -> Iterator[tuple[int, str]]:
    """Fills `lines` with the line of every key and item; yields what YAML itself lets through silently."""
    import yaml

    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            here = (*path, key.value)
            line = key.start_mark.line + 1
            if here in lines:
                yield line, f"the key `{key.value}` stands here a second time."
            if key.tag in ("tag:yaml.org,2002:bool", "tag:yaml.org,2002:null", "tag:yaml.org,2002:float"):
                yield line, f"YAML does not read the key `{key.value}` as text. Put it in quotes."
            lines[here] = line
            yield from _index(value, here, lines)
    elif isinstance(node, yaml.SequenceNode):
        for number, item in enumerate(node.value):
            lines[(*path, str(number))] = item.start_mark.line + 1
            yield from _index(item, (*path, str(number)), lines)


def _line(where: Sequence[str], lines: dict[tuple[str, ...], int]) -> int | None:
    """The line of a place, or of the nearest thing around it."""
    for end in range(len(where), 0, -1):
        if tuple(where[:end]) in lines:
            return lines[tuple(where[:end])]
    return None


_KINDS = {
    "int": "a whole number", "float": "a number", "bool": "true or false", "string": "text", "tuple": "a list", "list": "a list",
    "dict": "keys and values", "model": "keys and values", "dataclass": "keys and values",
}  # fmt: skip
_GIVEN = {
    str: "text", bool: "true or false", int: "a number", float: "a fraction", list: "a list", dict: "keys and values", type(None): "nothing",
}  # fmt: skip


def _explain(error: ErrorDetails, where: tuple[str, ...]) -> tuple[str, str]:
    """What a validation error means, in the words of the file; values are not repeated, they may be secret."""
    place, kind, context = ".".join(part for part in where if part not in FORMS), error["type"], error.get("ctx", {})
    given = error["input"]
    if kind == "extra_forbidden":
        fields = _fields_at(where[:-1])
        return f"unknown key `{place}`.", closest(where[-1], fields)
    if kind == "missing":
        return f"`{place}` is missing.", "Say where the database is: source: {url: 'sqlite:///my.db'}." if place == "source" else ""
    if where == ("name",):
        return "the name of the file cannot name a source.", "Use letters, digits, '_', '-' and '.'."
    if kind == "literal_error":
        allowed = re.findall(r"'([^']*)'", context["expected"])
        return f"`{place}` must be {context['expected']}.", closest(given, allowed) if isinstance(given, str) else ""
    limits = {"greater_than": "more than", "greater_than_equal": "at least", "less_than": "less than", "less_than_equal": "at most"}
    if kind in limits:
        return f"`{place}` must be {limits[kind]} {next(iter(context.values())):g}.", ""
    wanted = _KINDS.get(kind.split("_")[0])
    if wanted:
        remedy = "Put it in quotes." if wanted == "text" and isinstance(given, (bool, int, float)) else ""
        return f"`{place}` must be {wanted}, not {_GIVEN.get(type(given), 'this')}.", remedy
    return f"`{place}`: {error['msg'].lower()}.", ""


def _fields_at(where: Sequence[str]) -> list[str]:
    """The keys that are known at a place of the file."""
    model: type[BaseModel] = SourceConfig
    for part in where:
        if part in FORMS:
            model = FORMS[part]
            continue
        field = model.model_fields.get(part)
        if field is None:
            continue  # a key of a mapping or the number of an item: the model inside was found with its field
        model = next(iter(_models(field.annotation)), model)
    return [name for name in model.model_fields if name != "name" or model is not SourceConfig]


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in typing.get_args(annotation):
        yield from _models(argument)


def _contradictions(config: SourceConfig) -> Iterator[tuple[tuple[str, ...], str, str]]:
    """What single fields cannot tell: places with what is wrong there, and the remedy."""
    for place, connection in (("source", config.source), ("export", config.export)):
        if connection is not None:
            yield from _connection_problems(place, connection)
    export, source = config.export, config.source
    if export is not None and export.schemas and not source.schemas and (export.url, export.url_env) == (source.url, source.url_env):
        text = "`export.schemas` lie in the database of the source, and `source.schemas` does not say which of it are read."
        yield ("export", "schemas"), text, "Name them, for instance: source: {schemas: [public]}."
    subset = config.subset
    if (subset.rows is None) != (subset.main_table is None):
        yield ("subset",), "`subset.rows` and `subset.main_table` belong together.", "Give both or neither."
    if subset.fraction is not None and subset.rows is not None:
        yield ("subset", "fraction"), "`subset.fraction` and `subset.rows` exclude each other.", "Give one of them."
    for table, rows in (*subset.table_max_rows.items(), *config.sample.rows.items()):
        if rows < 0:
            yield ("sample" if table in config.sample.rows else "subset",), f"the rows of table `{table}` must be at least 0.", ""
    if config.synthesizer.address is not None and config.synthesizer.backend == "loky":
        yield ("synthesizer", "address"), "`synthesizer.address` is that of a dask or ray cluster.", "Say which: backend: dask."
    for number, r in enumerate(config.relationships):
        if isinstance(r, PolymorphicConfig):
            if r.type_column == r.column:
                text = f"the relationship of {r.child} has one column as `type_column` and `column`."
                yield ("relationships", str(number)), text, "Name the column that says the table, and the one with the keys."
        elif not r.columns or len(r.columns) != len(r.parent_columns):
            text = f"the relationship {r.child} → {r.parent} names {len(r.columns)} and {len(r.parent_columns)} columns."
            yield ("relationships", str(number)), text, "Name as many `columns` as `parent_columns`."
    if config.refresh.cron is not None and len(config.refresh.cron.split()) != 5:
        yield ("refresh", "cron"), "`refresh.cron` must have five fields.", "For instance: '0 3 * * *' (every day at three)."
    if not _is_timezone(config.refresh.timezone):
        yield ("refresh", "timezone"), "`refresh.timezone` is no time zone.", "For instance: UTC or Europe/Berlin."


def _connection_problems(place: str, connection: Connection | ExportConfig) -> Iterator[tuple[tuple[str, ...], str, str]]:
    url, variable = connection.url, connection.url_env
    if (url is None) == (variable is None):
        yield (place,), f"`{place}` needs either `url` or `url_env`{', not both' if url else ''}.", "For instance: url: 'sqlite:///my.db'."
    if url is not None and holds_password(url):
        remedy = "Put the URL into an environment variable and give its name: url_env: MY_DATABASE_URL."
        yield (place, "url"), f"`{place}.url` holds a password.", remedy
    elif url is not None and "://" not in url:
        yield (place, "url"), f"`{place}.url` is no database URL.", "For instance: sqlite:///my.db or postgresql://user@host/name."
    if variable is None:
        return
    if not re.fullmatch(r"\w+", variable):  # perhaps the URL itself, so it is not repeated
        yield (place, "url_env"), f"`{place}.url_env` is no name of an environment variable.", "Give the name of the variable that holds the URL."
    elif not os.environ.get(variable):
        yield (place, "url_env"), f"the environment variable {variable} is not set.", "Set it to the URL of the database before you run."
    elif "://" not in os.environ[variable]:
        yield (place, "url_env"), f"the environment variable {variable} does not hold a database URL.", "It must look like postgresql://user@host/name."


def _is_timezone(name: str) -> bool:
    from zoneinfo import ZoneInfo

    try:
        ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        return False
    return True
