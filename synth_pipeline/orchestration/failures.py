"""How errors reach Dagster: what a user can mend is said in one line, and no message of a library is kept.

Messages of database drivers and data libraries quote rows. The event log is read by more people than the source is, so
of an unexpected exception only its type and the places in the code are recorded. Which step is tried again, and when,
is said here too.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from logging import Logger

import dagster as dg

from synth_pipeline.errors import SynthPipelineError, UnreachableError

RETRY_DATABASE = dg.RetryPolicy(max_retries=3, delay=10, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.PLUS_MINUS)
"""For steps that talk to a database. Only `UnreachableError` is worth another attempt; all else would fail again."""

_QUOTES_CODE_ONLY = (ImportError, AttributeError, NameError, NotImplementedError, RecursionError)


@contextmanager
def reported(log: Logger, doing: str) -> Iterator[None]:
    """Turns exceptions of the block into `dagster.Failure`; `doing` names the stage and the source.

    Raises:
        dagster.Failure: with the problem and the remedy, retried only where the database did not answer.
    """
    try:
        yield
    except SynthPipelineError as e:
        log.debug("Raised at:\n%s", _places(e))
        raise dg.Failure(
            description=str(e),
            metadata={"problem": e.problem, "remedy": e.remedy or "–", "kind": type(e).__name__},
            allow_retries=isinstance(e, UnreachableError),
        ) from None
    except dg.Failure:
        raise
    except Exception as e:
        kind = f"{type(e).__module__}.{type(e).__qualname__}".removeprefix("builtins.")
        if isinstance(e, _QUOTES_CODE_ONLY):
            kind, remedy = f"{kind} ({e})", "This is a defect of the program or of its installation."
        else:
            remedy = "Run the stage from a shell to see its message, which may quote data and is not kept here."
        raise dg.Failure(
            description=f"Unexpected {kind} while {doing}. {remedy}",
            metadata={"problem": f"Unexpected {kind}", "remedy": remedy, "kind": kind, "places": dg.MetadataValue.md(f"```\n{_places(e)}```")},
            allow_retries=False,
        ) from None


def _places(error: BaseException) -> str:
    """The frames of a traceback: files, lines and code, no values."""
    return "".join(traceback.format_tb(error.__traceback__)[-12:])
