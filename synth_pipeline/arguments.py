"""A parser of arguments that says what is wrong in one line, and the kinds of values that it takes.

Which commands there are belongs to `cli`.
"""

from __future__ import annotations

import argparse
from typing import Any, NoReturn

from synth_pipeline.errors import UsageError, closest


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, with the nearest word that exists; never guesses from the first letters."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **{**options, "allow_abbrev": False})

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        options, unknown = self.parse_known_args(args, namespace)
        if unknown:
            known = [word for action in getattr(options, "parser", self)._actions for word in action.option_strings]
            near = closest(unknown[0], known) if unknown[0].startswith("-") else ""
            getattr(options, "parser", self).error(f"unknown argument {unknown[0]!r}. {near}".strip())
        return options

    def error(self, message: str) -> NoReturn:
        end = "" if message.endswith((".", "?")) else "."
        self.exit(UsageError.exit_code, f"{self.prog}: {message}{end} See `{self.prog} --help`.\n")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            raise argparse.ArgumentError(action, f"there is no {value!r}. {closest(str(value), map(str, action.choices))}")


def natural(text: str) -> int:
    """A whole number from 0 on."""
    if not text.isdecimal() or int(text) >= 2**63:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 0 on")
    return int(text)


def count(text: str) -> int:
    """A whole number from 1 on."""
    if not text.isdecimal() or not 0 < int(text) < 2**31:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 1 on")
    return int(text)


def positive(text: str) -> float:
    """A number above 0 and up to 1000."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 1000:
        raise argparse.ArgumentTypeError(f"{text!r} is no number above 0 and up to 1000")
    return value
