"""The processes of a stack: their ports, models and environments."""

import json
import os
import re
import shlex
import socket
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from common.wire_formats.task_message import task_message_attributes
from frontend_api.settings import ApiSettings
from local_stack.composition import FIRESTORE_BROWSER_PORT, Composition
from local_stack.data_directory import DataDirectory
from local_stack.errors import ModelCatalogError
from local_stack.provisioning import ResourceNames
from local_stack.pubsub_proxy.subscription_filter import parse_filter
from local_stack.settings import LOCAL_DEFAULTS, StackSettings
from local_stack.views.shell_exports import shell_exports
from tests.factories import parameters, submitted_task

SETTINGS = Path(__file__).parents[3] / "docs" / "operating" / "settings.md"
WIRING = {
    "DARKROOM_DEAD_LETTER_TOPIC",
    "DARKROOM_EVENTS_TOPIC",
    "DARKROOM_FIRESTORE_BROWSER_HOST",
    "DARKROOM_HEALTH_HOST",
    "DARKROOM_HEALTH_PORT",
    "DARKROOM_IMAGES_BUCKET",
    "DARKROOM_INTERNAL_TOKEN",
    "DARKROOM_MODEL_POOLS",
    "DARKROOM_PROJECT_ID",
    "DARKROOM_SUBSCRIPTION",
    "DARKROOM_TASKS_TOPIC",
    "DARKROOM_TRACE_EXPORTER",  # only for a stack started with --observe
    "DARKROOM_TRACE_FOLDER",
    "FIRESTORE_EMULATOR_HOST",
    "GOOGLE_CLOUD_PROJECT",
    "OTEL_EXPORTER_PROMETHEUS_PORT",
    "PUBSUB_EMULATOR_HOST",
    "STORAGE_EMULATOR_HOST",
}
DEFAULTS = set(LOCAL_DEFAULTS)

_WORKERS_OWN = {"PORT", "DARKROOM_MODELS"}  # the page's port, and the models that the worker's pool serves


def compose(tmp_path: Path, caller: dict[str, str], **settings: object) -> Composition:
    wanted = StackSettings(
        data_directory=tmp_path,
        writes_traces=True,
        caller_environment=caller,
        **settings,  # type: ignore[arg-type]
    )
    return Composition(wanted, DataDirectory(tmp_path), lambda _: None)


def child_environment(composition: Composition) -> dict[str, str]:
    return {**composition.api().environment, **composition.worker(0).environment}


def test_every_variable_is_a_default_or_fixed(tmp_path: Path) -> None:
    assert set(child_environment(compose(tmp_path, {}))) - _WORKERS_OWN == WIRING | DEFAULTS


def test_local_defaults_are_documented() -> None:
    section = SETTINGS.read_text().partition("## Local stack")[2].partition("\n## ")[0]
    assert set(re.findall(r"DARKROOM_\w+", section)) >= DEFAULTS


@pytest.mark.parametrize("name", sorted(DEFAULTS))
def test_caller_overrides_a_default(name: str, tmp_path: Path) -> None:
    composition = compose(tmp_path, {name: "the caller's"})
    assert child_environment(composition)[name] == "the caller's"
    assert composition.ignored_variables == ()


@pytest.mark.parametrize("name", sorted(WIRING))
def test_fixed_variable_overrides_the_caller_and_is_reported(name: str, tmp_path: Path) -> None:
    composition = compose(tmp_path, {name: "the caller's"})
    assert child_environment(composition)[name] != "the caller's"
    assert composition.ignored_variables == (name,)


@pytest.fixture
def catalog(tmp_path: Path) -> Path:
    """A model catalog with three models, with a path relative to the working directory."""
    path = tmp_path / "models.json"
    models = [
        {"name": name, "title": name, "family": "stable_diffusion", "source": "owner/name"}
        for name in ("tiny-a", "tiny-b", "tiny-xl")
    ]
    path.write_text(json.dumps({"models": models}))
    return Path(os.path.relpath(path))


def test_catalog_path_in_the_environment_is_absolute(tmp_path: Path, catalog: Path) -> None:
    composition = compose(tmp_path, {"DARKROOM_MODEL_CATALOG": str(catalog)})
    for process in (composition.api(), composition.worker(0)):
        assert process.environment["DARKROOM_MODEL_CATALOG"] == str(catalog.absolute())
    assert composition.worker(0).environment["DARKROOM_MODELS"] == "tiny-a,tiny-b,tiny-xl"
    assert composition.notices == ()


@pytest.mark.parametrize("source", ["nowhere", "./models/nowhere", "/no/such/folder"])
def test_start_is_rejected_for_an_invalid_model_source(tmp_path: Path, catalog: Path, source: str) -> None:
    catalog.write_text(catalog.read_text().replace("owner/name", source, 1))
    with pytest.raises(ModelCatalogError, match=f"models/0: `source` must be an existing folder.*'{source}'"):
        compose(tmp_path, {}, model_catalog=catalog)


def test_notice_names_models_without_a_worker(tmp_path: Path, catalog: Path) -> None:
    composition = compose(tmp_path, {}, model_catalog=catalog, worker_models="tiny-b;tiny-xl")
    shares = [composition.worker(number).environment for number in range(composition.worker_count)]
    assert [share["DARKROOM_MODELS"] for share in shares] == ["tiny-b", "tiny-xl"]
    assert [share["DARKROOM_SUBSCRIPTION"] for share in shares] == [
        "darkroom-tasks-tiny-b",
        "darkroom-tasks-tiny-xl",
    ]
    assert composition.notices == ("No worker serves tiny-a: their tasks wait.",)


def test_messages_reach_the_pool_of_their_model(
    tmp_path: Path, catalog: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    composition = compose(tmp_path, {}, model_catalog=catalog, worker_models="tiny-b,tiny-xl")
    for name, value in composition.api().environment.items():
        monkeypatch.setenv(name, value)
    settings = ApiSettings()
    settings.check()
    pool_of = settings.pool_of_each_model()
    for model in settings.load_catalog().models:
        task = submitted_task(parameters=parameters(model=model.name))
        attributes = task_message_attributes(task, pool=pool_of.get(model.name))
        takers = [
            pool
            for pool in composition.pools
            if parse_filter(pool.subscription_filter(composition.pools))(attributes)
        ]
        assert [model.name in pool.models for pool in takers] == [True]
    assert set(pool_of) == {"tiny-a", "tiny-b", "tiny-xl"}


def test_workers_serve_only_the_callers_models(tmp_path: Path, catalog: Path) -> None:
    composition = compose(tmp_path, {"DARKROOM_MODELS": "tiny-xl, tiny-a"}, model_catalog=catalog)
    assert composition.worker(0).environment["DARKROOM_MODELS"] == "tiny-xl,tiny-a"
    assert composition.notices == ("No worker serves tiny-b: their tasks wait.",)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [(None, "cannot be read"), ('{"models": []}', "DARKROOM_MODEL_CATALOG: models: ")],
)
def test_invalid_catalog_raises_a_message(tmp_path: Path, content: str | None, complaint: str) -> None:
    path = tmp_path / "models.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ModelCatalogError, match=complaint):
        compose(tmp_path, {}, model_catalog=path)


def test_extra_environment_overrides_the_caller(tmp_path: Path) -> None:
    composition = compose(tmp_path, {"DARKROOM_SLOTS": "4"}, extra_environment={"DARKROOM_SLOTS": "2"})
    assert child_environment(composition)["DARKROOM_SLOTS"] == "2"
    assert composition.ignored_variables == ()


def test_shell_exports_round_trip_through_a_shell(tmp_path: Path) -> None:
    values = {"DARKROOM_OPERATORS": '["local", "it\'s me"]', "DARKROOM_WEBHOOK_KEY": "two words; $HOME `id`"}
    script = "\n".join([*shell_exports(values), *(f'printf "%s\\n" "${name}"' for name in values)])
    shown = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert shown.stdout.splitlines() == list(values.values())


def test_shell_exports_omit_the_token() -> None:
    (line,) = shell_exports({"DARKROOM_INTERNAL_TOKEN": "secret", "A": "b c"})
    assert shlex.split(line) == ["export", "A=b c"]


def test_each_process_has_a_separate_port(tmp_path: Path) -> None:
    composition = compose(tmp_path, {}, port=18123)
    environments = [composition.api().environment, *(composition.worker(n).environment for n in range(3))]
    assert environments[0]["PORT"] == "18123"
    assert len({composition.ports[name] for name in composition.ports}) == len(composition.ports) == 12
    assert composition.page_url == "http://localhost:18123/"
    assert composition.host("api") == composition.host("api") == "127.0.0.1:18123"


def browser_port(composition: Composition) -> int:
    return int(composition.host(FIRESTORE_BROWSER_PORT).partition(":")[2])


def test_port_of_firestore_for_pages_survives_a_restart(tmp_path: Path) -> None:
    first = compose(tmp_path, {})
    port = browser_port(first)
    DataDirectory(tmp_path).write_browser_port(port)
    assert browser_port(compose(tmp_path, {})) != port  # reserved by the first
    first.release_ports()
    second = compose(tmp_path, {})
    assert browser_port(second) == port
    second.release_ports()
    with socket.create_server(("127.0.0.1", port)):
        assert browser_port(compose(tmp_path, {})) != port


@pytest.mark.parametrize("content", ["", "none", "70000", "-1"])
def test_invalid_stored_port_is_ignored(tmp_path: Path, content: str) -> None:
    (tmp_path / "browser-port").write_text(content)
    assert 20_000 <= browser_port(compose(tmp_path, {})) <= 32_000


def test_no_page_can_guess_the_firestore_emulators_address(tmp_path: Path) -> None:
    """It answers every page, whatever its Origin and Host."""
    stacks = [compose(tmp_path, {}) for _ in range(2)]
    hosts = {stack.host("firestore-emulator").partition(":")[0] for stack in stacks}
    assert len(hosts) == 2
    assert all(host.startswith("127.") and host != "127.0.0.1" for host in hosts)
    for name in ("pubsub-proxy", "firestore-proxy", "bucket-server", "api"):
        assert stacks[0].host(name).startswith("127.0.0.1:")


def test_push_endpoints_do_not_contain_the_token(tmp_path: Path) -> None:
    """Every program can read them from the subscriptions, and from the emulator's log."""
    composition = compose(tmp_path, {})
    token, endpoints = composition.environment["DARKROOM_INTERNAL_TOKEN"], composition.push_endpoints
    assert endpoints is not None
    assert token not in repr(endpoints)
    assert "?" not in endpoints.events + endpoints.dead_letters
    assert endpoints.events.startswith(f"http://{composition.host('pubsub-pushes')}/")


def test_environment_contains_names_addresses_and_the_token(tmp_path: Path) -> None:
    names = ResourceNames(project_id="demo-other", tasks_topic="t")
    composition = compose(tmp_path, {}, names=names, extra_environment={"DARKROOM_SLOTS": "2"})
    environment = composition.worker(0).environment
    assert environment["DARKROOM_PROJECT_ID"] == environment["GOOGLE_CLOUD_PROJECT"] == "demo-other"
    assert environment["DARKROOM_SUBSCRIPTION"] == "t-demo"
    assert environment["PUBSUB_EMULATOR_HOST"] == composition.host("pubsub-proxy")
    assert environment["STORAGE_EMULATOR_HOST"].startswith("http://127.0.0.1:")
    assert environment["DARKROOM_SLOTS"] == "2"
    assert environment["DARKROOM_HEALTH_PORT"] == str(composition.ports["worker-0"])
    tick = composition.scheduler(queue_created_at=datetime(2026, 1, 1, tzinfo=UTC))
    assert tick.environment["DARKROOM_INTERNAL_TOKEN"] == environment["DARKROOM_INTERNAL_TOKEN"]
    assert all(environment["DARKROOM_INTERNAL_TOKEN"] not in word for word in tick.argv)
    assert tick.argv[-1] == "2026-01-01T00:00:00+00:00"


def test_stack_has_no_page_without_an_api(tmp_path: Path) -> None:
    assert compose(tmp_path, {}, serves_api=False).page_url is None
