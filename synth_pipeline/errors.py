"""The exceptions of the package: each names the thing at fault and what the user should do next.

Every error that a user can cause derives from `SynthPipelineError`, carries a `remedy`, and knows the exit code that
the command line returns for it. Programming errors stay what Python calls them and do not belong here. Messages never
hold a password or a value read from a source database.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar


class SynthPipelineError(Exception):
    """Base of all expected errors.

    Attributes:
        problem: one line that says what is wrong and names the thing.
        remedy: one line that says what to do about it.
        exit_code: what the command line returns (1 a check failed, 2 bad configuration or usage, 3 unreachable).
    """

    exit_code: ClassVar[int] = 2

    def __init__(self, problem: str, remedy: str = "") -> None:
        self.problem = problem
        self.remedy = remedy
        super().__init__(f"{problem} {remedy}".strip())

    def __reduce__(self) -> tuple[object, ...]:
        # Workers raise these across process borders; subclasses differ in their signatures.
        return _restore, (type(self), self.problem, self.remedy, self.__dict__)


def _restore(cls: type[SynthPipelineError], problem: str, remedy: str, state: dict[str, object]) -> SynthPipelineError:
    error = cls.__new__(cls)
    SynthPipelineError.__init__(error, problem, remedy)
    error.__dict__.update(state)
    return error


class ConfigError(SynthPipelineError):
    """A configuration file is missing, malformed, or contradicts itself or the database."""


class UsageError(SynthPipelineError):
    """A command or a function was called with something that it cannot take."""


class MissingExtraError(SynthPipelineError):
    """A driver or an engine is not installed; the remedy names the extra that brings it."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(
            f"{purpose} needs the package {package!r}, which is not installed.",
            f"Install it with: pip install 'synth-pipeline[{extra}]'.",
        )
        self.package = package
        self.extra = extra


class SourceError(SynthPipelineError):
    """The source database can be reached but not used: no database, no tables, a lost snapshot."""


class UnreachableError(SynthPipelineError):
    """A database does not answer, refuses the login, or its file does not exist."""

    exit_code: ClassVar[int] = 3


class DanglingReferenceError(SourceError):
    """The source holds child rows without a parent, and the policy is `error`."""


class ArtifactError(SynthPipelineError):
    """An artifact is missing, damaged, or was made by a version that cannot be read."""


class SchemaMismatchError(ArtifactError):
    """An artifact was made from another schema than the one in use."""

    def __init__(self, artifact: str, found: str, expected: str, stage: str) -> None:
        super().__init__(
            f"{artifact} was made from schema {found[:12]}, but the schema is now {expected[:12]}.",
            f"Run the stage {stage!r} again, or everything with `synth-pipeline run`.",
        )
        self.found = found
        self.expected = expected
        self.stage = stage


class SynthesisError(SynthPipelineError):
    """A synthesizer cannot take this schema, these parameters or these data."""


class ExportError(SynthPipelineError):
    """The target cannot be written; whatever it held before is untouched."""


class CheckFailedError(SynthPipelineError):
    """An integrity, quality or privacy check failed."""

    exit_code: ClassVar[int] = 1


def closest(name: str, known: Iterable[str]) -> str:
    """A did-you-mean sentence for a name that is not among the known ones, or a list of those."""
    import difflib

    names = list(known)
    near = difflib.get_close_matches(name.lower(), [n.lower() for n in names], n=1)
    if near:
        return f"Did you mean {next(n for n in names if n.lower() == near[0])!r}?"
    listed = ", ".join(names[:8])
    return f"Known: {listed}{' …' if len(names) > 8 else ''}."
