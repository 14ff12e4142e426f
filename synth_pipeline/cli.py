"""The command line: parses, calls `pipeline`, and turns every outcome into an exit code and a clear line.

Exit codes: 0 done, 1 a check failed, 2 bad configuration or usage, 3 a database cannot be reached, 70 a fault of the
program, 130 interrupted. What is printed at the end is made by `terminal`; no stage of the work belongs here. Only the
standard library is imported before a command runs, so that `--help` answers at once.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from synth_pipeline.arguments import Parser, count, natural, positive
from synth_pipeline.errors import ConfigError, SynthPipelineError, UsageError

if TYPE_CHECKING:
    from synth_pipeline.artifacts import ArtifactStore
    from synth_pipeline.config import SourceConfig
    from synth_pipeline.progress import Progress

STAGES = {
    "reflect": "read the structure of the source: tables, keys, constraints",
    "infer": "find out what the columns mean, with evidence",
    "subset": "take a referentially complete random subset to learn from",
    "fit": "learn the database",
    "sample": "draw a synthetic database",
    "report": "measure quality, integrity and privacy",
    "export": "write the synthetic database with the schema of the source",
}
_FAULT, _INTERRUPTED, _TERMINATED, _CHECK_FAILED = 70, 130, 143, 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code; nothing but usage errors of the parser leaves by SystemExit."""
    options = _parser().parse_args(arguments)
    try:
        _prepare(options)
        code: int = options.command(options)
        sys.stdout.flush()
        return code
    except SynthPipelineError as error:
        if options.debug:
            raise
        return _failed(options, error.problem, error.remedy, error.exit_code)
    except KeyboardInterrupt:
        return _failed(options, "Interrupted.", "What was published before is whole; run the command again to go on.", _INTERRUPTED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # so that closing stdout does not complain again
        return 0
    except Exception as error:
        if options.debug:
            raise
        problem = f"Unexpected {type(error).__name__} in {_place(error)}."
        return _failed(options, problem, "Run it again with --debug, and report what it shows.", _FAULT)


# --- commands ----------------------------------------------------------------------------------------------------------


def _run(options: argparse.Namespace) -> int:
    return _execute(options, _config(options), options.first, options.last)


def _stage(options: argparse.Namespace) -> int:
    config = _config(options)
    if options.name == "subset" and options.plan:
        return _plan(options, config)
    if options.name == "export" and options.dry_run:
        return _dry_run(options, config)
    return _execute(options, config, options.name, options.name)


def _report(options: argparse.Namespace) -> int:
    if options.synthetic is None:
        unused = [flag for flag in ("real", "holdout", "metadata", "quality_min", "privacy_max_nearer") if getattr(options, flag) is not None]
        if unused:
            raise UsageError(f"--{unused[0].replace('_', '-')} is for a pair of databases.", "Give --synthetic URL too.")
        if options.config is None:
            raise UsageError("There is nothing to report on.", "Name a CONFIG, or a pair of databases: --real URL --synthetic URL.")
        return _stage(options)
    if (options.config is None) == (options.real is None):
        raise UsageError("The real database is needed once.", "Give --real URL, or a CONFIG whose `source` it is.")
    return _compare(options)


def _compare(options: argparse.Namespace) -> int:
    """Any pair of databases, whoever made the synthetic one."""
    from synth_pipeline import terminal
    from synth_pipeline.comparison import compare
    from synth_pipeline.comparison.compare import adhoc, summarised
    from synth_pipeline.config_files import connection

    given = {key: value for key in ("quality_min", "privacy_max_nearer") if (value := getattr(options, key)) is not None}
    config = _config(options) if options.real is None else _overridden(adhoc(connection(options.real, "--real")), options)
    config = adhoc(config.source, config, checks=given, metadata=options.metadata)
    synthetic, holdout = connection(options.synthetic, "--synthetic"), options.holdout and connection(options.holdout, "--holdout")
    report = compare(config, synthetic, options.out, holdout=holdout or None, progress=_progress(options))
    summary = summarised(report, config.name, options.out)
    if options.json:
        _print_json(summary.to_dict())
    else:
        terminal.show_summary(summary)
    return _CHECK_FAILED if summary.failed else 0


def _demo(options: argparse.Namespace) -> int:
    from synth_pipeline import demo
    from synth_pipeline.config import Connection, ExportConfig, SourceConfig
    from synth_pipeline.config_files import config_names

    config = SourceConfig(
        name="demo", description="Telecom operator", source=Connection(url="sqlite:///data/telecom.db"),
        export=ExportConfig(url="sqlite:///out/telecom_synthetic.db"),
    )  # fmt: skip
    source = Path("data/telecom.db")
    if "demo" in config_names(options.configs):
        options.config = "demo"
        config = _config(options)
        if not (config.source.url or "").startswith("sqlite:///"):
            raise ConfigError("demo: `source.url` is no SQLite file, so the demo cannot be built there.", "Use url: 'sqlite:///data/telecom.db'.")
        source = Path((config.source.url or "").removeprefix("sqlite:///"))
    progress = _progress(options)
    rows = demo.build(source)
    progress.note(f"built {source} with {sum(rows.values()):,} rows")
    if options.build_only:
        return _print_json({"source": str(source), "rows": rows}) if options.json else 0
    return _execute(options, _overridden(config, options), "reflect", "export")


def _validate(options: argparse.Namespace) -> int:
    from dataclasses import asdict

    from synth_pipeline.config_files import config_names, validate

    files = options.files or config_names(options.configs)
    if not files:
        raise UsageError(f"There is no configuration in {options.configs}/.", "Name a file, or another folder with --configs.")
    found = {file: validate(file, options.configs) for file in files}
    problems = [problem for several in found.values() for problem in several]
    if options.json:
        _print_json({file: [asdict(p) for p in several] for file, several in found.items()})
    else:
        for file, several in found.items():
            _print("\n".join(str(p) for p in several) or f"{file}: ok")
    return ConfigError.exit_code if problems else 0


def _diff(options: argparse.Namespace) -> int:
    from synth_pipeline import pipeline, stored

    config = _config(options)
    before = stored.load_schema(_store(options).open(config.name, "reflected_schema"))
    changes = before.diff(pipeline.reflect(config))
    if options.json:
        _print_json({"source": config.name, "changes": changes})
    else:
        _print("\n".join(changes) or f"{config.name}: the schema is as it was at the last run.")
    return _CHECK_FAILED if changes and options.exit_code else 0


def _generations(options: argparse.Namespace) -> int:
    from dataclasses import asdict

    from synth_pipeline import terminal

    config = _config(options)
    made = _store(options).generations(config.name, options.limit)
    if options.json:
        return _print_json([asdict(g) for g in made])
    if not made:
        _print(f"{config.name}: no synthetic database was made yet.")
    else:
        terminal.show_generations(made)
    return 0


def _expectations(options: argparse.Namespace) -> int:
    from dataclasses import asdict

    from synth_pipeline import pipeline, terminal

    found = pipeline.expectations(_config(options), _store(options), options.rows, options.docs)
    if options.json:
        _print_json([{**asdict(r), "rule": {"kind": r.rule.kind, "table": r.rule.table, "text": r.rule.text}} for r in found])
    else:
        terminal.show_expectations(found)
        if options.docs is not None:
            _print(f"pages: {options.docs / 'index.html'}")
    return 0 if all(r.success for r in found) else _CHECK_FAILED


def _plan(options: argparse.Namespace, config: SourceConfig) -> int:
    """What `subset` would take, without reading rows."""
    from synth_pipeline import pipeline, stored, terminal

    store = _store(options)
    reflected = stored.load_schema(store.open(config.name, "reflected_schema"))
    metadata = stored.load_metadata(store.open(config.name, "inferred_metadata"))
    working = pipeline.working_schema(config, reflected, metadata)
    plan = pipeline.plan(config, working, metadata)
    if options.json:
        return _print_json(plan.to_dict())
    terminal.show_plan(plan)
    return 0


def _dry_run(options: argparse.Namespace, config: SourceConfig) -> int:
    """What `export` would write, and what the target would not hold, without writing."""
    from synth_pipeline import pipeline, stored, terminal

    store = _store(options)
    reflected = stored.load_schema(store.open(config.name, "reflected_schema"))
    working = pipeline.working_schema(config, reflected, stored.load_metadata(store.open(config.name, "inferred_metadata")))
    plan = pipeline.require_target(config, reflected, working)
    if options.json:
        return _print_json(plan.to_dict())
    terminal.show_export_plan(plan)
    return 0


def _execute(options: argparse.Namespace, config: SourceConfig, first: str, last: str) -> int:
    from synth_pipeline import pipeline, terminal

    store = _store(options)
    summary = pipeline.run(config, store, first=first, last=last, generation=options.generation, progress=_progress(options))
    if options.json:
        _print_json(summary.to_dict())
    else:
        terminal.show_stage(store, config.name, last if first == last else None)
        terminal.show_summary(summary)
    return _CHECK_FAILED if summary.failed else 0


# --- options -----------------------------------------------------------------------------------------------------------


def _parser() -> argparse.ArgumentParser:
    from synth_pipeline import __version__

    common = argparse.ArgumentParser(add_help=False)
    given = os.environ.get
    configs = given("SYNTH_PIPELINE_CONFIGS") or "configs"
    common.add_argument("--configs", type=Path, default=configs, metavar="DIR", help="folder of the configurations (configs)")
    common.add_argument("--json", action="store_true", help="print one JSON document instead of text")
    common.add_argument("--quiet", action="store_true", help="show no progress")
    common.add_argument("--debug", action="store_true", help="show where an error comes from")
    stored = argparse.ArgumentParser(add_help=False)
    artifacts = given("SYNTH_PIPELINE_ARTIFACTS") or "artifacts"
    stored.add_argument("--artifacts", default=artifacts, metavar="DIR", help="folder of the artifacts, or s3://bucket/folder (artifacts)")
    stored.add_argument("--keep", type=count, default=given("SYNTH_PIPELINE_KEEP") or "2", metavar="N", help="versions of each stage to keep (2)")
    chosen = argparse.ArgumentParser(add_help=False)
    chosen.add_argument("--seed", type=natural, metavar="N", help="seed of subset, fit and sample")
    chosen.add_argument("--scale", type=positive, metavar="X", help="synthetic rows as a multiple of the source's")
    chosen.add_argument("--identifier", metavar="NAME", help="a name for the generation, in report and log")
    chosen.add_argument("--generation", metavar="NAME", help="report or export an earlier generation: its identifier, or how its content hash begins")
    one = argparse.ArgumentParser(add_help=False)
    one.add_argument("config", metavar="CONFIG", help="a YAML file, or the name of one in the folder of configurations")

    parser = Parser(
        prog="synth-pipeline", description="Point it at a database; get a synthetic database with the same schema.",
        epilog="exit codes: 0 done, 1 a check failed, 2 bad configuration or usage, 3 a database cannot be reached",
    )  # fmt: skip
    parser.add_argument("--version", action="version", version=f"synth-pipeline {__version__}")
    commands: Any = parser.add_subparsers(metavar="COMMAND", required=True, parser_class=Parser)

    def add(name: str, text: str, function: Callable[[argparse.Namespace], int], *parents: argparse.ArgumentParser) -> argparse.ArgumentParser:
        sentence = f"{text[0].upper()}{text[1:]}."
        command: argparse.ArgumentParser = commands.add_parser(name, help=text, description=sentence, parents=[*parents, common])
        command.set_defaults(command=function, name=name, parser=command)
        return command

    run = add("run", "take a source through all stages, or some of them", _run, one, stored, chosen)
    run.add_argument("--from", dest="first", choices=list(STAGES), default="reflect", metavar="STAGE", help=f"first stage: {', '.join(STAGES)}")
    run.add_argument("--to", dest="last", choices=list(STAGES), default="export", metavar="STAGE", help="last stage")
    for name, text in STAGES.items():
        if name == "report":
            _add_report(add(name, text, _report, stored, chosen))
            continue
        stage = add(name, text, _stage, one, stored, chosen)
        if name == "subset":
            stage.add_argument("--plan", action="store_true", help="only show what would be taken")
        if name == "export":
            stage.add_argument("--dry-run", action="store_true", help="only show what would be written, and what the target cannot hold")
    validate = add("validate", "tell every problem of configurations, with its line", _validate)
    validate.add_argument("files", nargs="*", metavar="CONFIG", help="all of the folder if none is named")
    diff = add("diff", "compare the schema of the source with the last run", _diff, one, stored)
    diff.add_argument("--exit-code", action="store_true", help="exit with 1 where something changed")
    expectations = add("expectations", "check the rules of the schema with Great Expectations, one suite per table", _expectations, one, stored)
    expectations.add_argument("--rows", choices=["synthetic", "subset"], default="synthetic", help="which rows: synthetic (the rule) or subset")
    expectations.add_argument("--docs", type=Path, metavar="DIR", help="write the pages of Great Expectations into this folder")
    generations = add("generations", "list the synthetic databases that were made of a source, newest first", _generations, one, stored)
    generations.add_argument("--limit", type=count, default=20, metavar="N", help="how many at most (20)")
    demo = add("demo", "build the telecom demo and run it", _demo, stored, chosen)
    demo.add_argument("--build-only", action="store_true", help="only build the source")
    return parser


def _add_report(command: argparse.ArgumentParser) -> None:
    command.add_argument("config", metavar="CONFIG", nargs="?", help="a source that was run, or the real one of a pair")
    pair = command.add_argument_group("any pair of databases", "URL may be env:NAME, the environment variable that holds it")
    pair.add_argument("--real", metavar="URL", help="the real database, where no CONFIG names it")
    pair.add_argument("--synthetic", metavar="URL", help="the database to be judged, whoever made it")
    pair.add_argument("--holdout", metavar="URL", help="real rows that its maker never saw: the ceilings and privacy are measured by them")
    pair.add_argument("--metadata", type=Path, metavar="FILE", help="SDV's metadata, or metadata.json of `infer`, instead of inference alone")
    pair.add_argument("--out", type=Path, default=Path("report"), metavar="DIR", help="folder of the report (report)")
    pair.add_argument("--quality-min", type=_share, metavar="X", help="exit with 1 below this quality (0 to 1)")
    pair.add_argument("--privacy-max-nearer", type=_share, metavar="X", help="exit with 1 where a larger share of a table is nearer to the real rows")


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 0 to 1")
    return value


def _config(options: argparse.Namespace) -> SourceConfig:
    from synth_pipeline.config_files import load_config

    return _overridden(load_config(options.config, options.configs), options)


def _overridden(config: SourceConfig, options: argparse.Namespace) -> SourceConfig:
    from synth_pipeline.config import overridden

    given = {name: getattr(options, name, None) for name in ("seed", "scale", "identifier")}
    return overridden(config, **given)


def _store(options: argparse.Namespace) -> ArtifactStore:
    from synth_pipeline.artifacts import ArtifactStore

    return ArtifactStore(options.artifacts, options.keep)


def _progress(options: argparse.Namespace) -> Progress:
    import logging

    from synth_pipeline.progress import Bars, LogLines, Silent

    if options.quiet:
        return Silent()
    return Bars() if sys.stderr.isatty() else LogLines(logging.getLogger("synth_pipeline.progress"))


# --- outcomes ----------------------------------------------------------------------------------------------------------


def _prepare(options: argparse.Namespace) -> None:
    """Logging and warnings as a user wants them: the program's own lines, and nothing that libraries mutter."""
    import logging
    import signal
    import warnings

    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(message)s")
    logging.getLogger("synth_pipeline.progress").setLevel(logging.INFO)
    if options.debug:
        logging.getLogger("synth_pipeline").setLevel(logging.DEBUG)
    else:
        warnings.simplefilter("ignore")
    signal.signal(signal.SIGTERM, _terminate)


def _terminate(*_: object) -> NoReturn:
    sys.exit(_TERMINATED)  # unwinds, so that staging directories and locks go


def _failed(options: argparse.Namespace, problem: str, remedy: str, code: int) -> int:
    if options.json:
        _print_json({"error": problem, "remedy": remedy, "exit_code": code})
    lines = f"{problem} {remedy}".strip().splitlines()
    for line in lines:
        sys.stderr.write(f"synth-pipeline: {line}\n")
    return code


def _place(error: BaseException) -> str:
    """The innermost line of this package that an error passed through; messages of libraries may hold values of the source."""
    import traceback

    frames = [f for f in traceback.extract_tb(error.__traceback__) if f"{os.sep}synth_pipeline{os.sep}" in f.filename]
    return f"{Path(frames[-1].filename).stem} (line {frames[-1].lineno})" if frames else "a library"


def _print(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def _print_json(payload: Any) -> int:
    import json

    _print(json.dumps(payload, indent=1, ensure_ascii=False))
    return 0


if __name__ == "__main__":
    sys.exit(main())
