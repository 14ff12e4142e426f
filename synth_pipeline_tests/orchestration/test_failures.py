"""What reaches the event log when something goes wrong, and the message about it."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import dagster as dg
import pytest

from synth_pipeline.errors import ConfigError, UnreachableError
from synth_pipeline.orchestration.alerts import build_failure_sensor, message, post
from synth_pipeline.orchestration.failures import reported
from synth_pipeline.orchestration.settings import WEBHOOK

LOG = logging.getLogger("test")


def _raise(error: Exception) -> dg.Failure:
    with pytest.raises(dg.Failure) as caught, reported(LOG, "making x of shop"):
        raise error
    return caught.value


def test_an_expected_error_is_told_with_its_remedy_and_not_retried() -> None:
    failure = _raise(ConfigError("There is no table 'x'.", "Known: y."))
    assert failure.description == "There is no table 'x'. Known: y." and not failure.allow_retries
    assert failure.metadata["remedy"].value == "Known: y."


def test_a_database_that_does_not_answer_is_asked_again() -> None:
    assert _raise(UnreachableError("crm does not answer.", "Start it.")).allow_retries


def test_the_message_of_a_library_is_not_kept() -> None:
    """Drivers quote rows in their messages; neither text nor cause may reach the event log."""
    failure = _raise(ValueError("could not convert 'Ada Lovelace, 079-05-1120'"))
    kept = f"{failure.description} {failure.metadata} {failure.__cause__}"
    assert "Ada" not in kept and "ValueError" in kept and not failure.allow_retries and failure.__suppress_context__


def test_a_cause_with_a_message_is_cut_off_too() -> None:
    with pytest.raises(dg.Failure) as caught, reported(LOG, "making x"):
        try:
            raise ValueError("Ada Lovelace")
        except ValueError as e:
            raise ConfigError("Wrong.") from e
    from dagster._utils.error import serializable_error_info_from_exc_info

    assert "Ada" not in serializable_error_info_from_exc_info((type(caught.value), caught.value, caught.value.__traceback__)).to_string()


class _Receiver(BaseHTTPRequestHandler):
    received: list[dict[str, object]] = []
    answer = 200

    def do_POST(self) -> None:
        type(self).received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(self.answer)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def webhook() -> Iterator[str]:
    _Receiver.received, _Receiver.answer = [], 200
    with HTTPServer(("127.0.0.1", 0), _Receiver) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/secret-token"
        server.shutdown()


def test_a_failed_run_posts_one_message(webhook: str, monkeypatch: pytest.MonkeyPatch, instance: dg.DagsterInstance) -> None:
    monkeypatch.setenv(WEBHOOK, webhook)

    @dg.op
    def stage() -> None:
        with reported(LOG, "making rfs_subset of shop"):
            raise UnreachableError("shop does not answer.", "Start it.")

    @dg.job
    def refresh() -> None:
        stage()

    result = refresh.execute_in_process(instance=instance, raise_on_error=False, tags={"dagster/partition": "shop"})
    context = dg.build_run_status_sensor_context(
        sensor_name="failed_runs", dagster_event=result.get_run_failure_event(), dagster_instance=instance, dagster_run=result.dagster_run
    ).for_run_failure()
    build_failure_sensor(dg.DefaultSensorStatus.STOPPED, "http://ui:3000")(context)
    (posted,) = _Receiver.received
    assert posted["source"] == "shop" and posted["problem"] == "shop does not answer. Start it."
    assert posted["url"] == f"http://ui:3000/runs/{result.run_id}" and str(posted["text"]).startswith("Refreshing shop failed: ")


def test_without_an_address_nothing_is_posted(monkeypatch: pytest.MonkeyPatch, instance: dg.DagsterInstance) -> None:
    monkeypatch.delenv(WEBHOOK, raising=False)

    @dg.op
    def stage() -> None:
        raise dg.Failure("no")

    @dg.job
    def refresh() -> None:
        stage()

    result = refresh.execute_in_process(instance=instance, raise_on_error=False)
    context = dg.build_run_status_sensor_context(
        sensor_name="failed_runs", dagster_event=result.get_run_failure_event(), dagster_instance=instance, dagster_run=result.dagster_run
    ).for_run_failure()
    skipped = build_failure_sensor(dg.DefaultSensorStatus.STOPPED, None)(context)
    assert isinstance(skipped, dg.SkipReason) and WEBHOOK in str(skipped.skip_message)


def test_an_address_that_refuses_is_told_without_the_address(webhook: str) -> None:
    """The address of a webhook is a secret."""
    _Receiver.answer = 500
    payload = message(dg.DagsterRun("refresh"), "no", None)
    for address, said in (
        (webhook, "answered 500"),
        ("http://127.0.0.1:1/secret-token", "could not be reached"),
        ("secret-token", "could not be reached"),
    ):
        with pytest.raises(RuntimeError, match=said) as caught:
            post(address, payload)
        assert "secret-token" not in str(caught.value)


def test_a_defect_of_the_program_is_named() -> None:
    """Messages that can only name code are kept, for they help and quote nothing."""
    assert "no module named x" in str(_raise(ImportError("no module named x")).description)
