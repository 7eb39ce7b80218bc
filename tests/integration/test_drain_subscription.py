"""scripts/drain_subscription moves a retired pool's messages to the pools of their models, on Pub/Sub's emulator."""

import json
import os
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from tests.emulators import Emulators
from tests.fakes.own_resources import OwnResources

pytestmark = pytest.mark.emulator

SCRIPT = Path(__file__).parents[2] / "scripts" / "drain_subscription"
MODEL_POOLS = {"large": ["sdxl", "flux"], "small": ["demo"]}
TIMEOUT_SECONDS = 120.0


class Pools:
    """A tasks topic with the subscription of a retired pool and those of two pools in use."""

    def __init__(self, emulators: Emulators) -> None:
        self.own = OwnResources(emulators)
        self.topic = self.own.names.tasks_topic
        self.old = f"{self.topic}-old"
        for pool in ("old", *MODEL_POOLS):
            self.own.subscriber.create_subscription(
                request={
                    "name": self.path(f"{self.topic}-{pool}"),
                    "topic": f"projects/{self.own.names.project_id}/topics/{self.topic}",
                    "filter": f'attributes.pool = "{pool}"',
                    "ack_deadline_seconds": 60,
                }
            )

    def path(self, subscription: str) -> str:
        return f"projects/{self.own.names.project_id}/subscriptions/{subscription}"

    def publish(self, model: str, *, count: int = 1) -> list[bytes]:
        """Publish messages as the API did while the retired pool had the model."""
        bodies = [uuid.uuid4().hex.encode() for _ in range(count)]
        for body in bodies:
            self.own.publish(self.topic, body, {"model": model, "pool": "old", "lane": "batch"})
        return bodies

    def drain_command(self, *, quiet_seconds: float, subscription: str | None = None) -> list[str]:
        return [
            sys.executable, str(SCRIPT),
            "--project", self.own.names.project_id,
            "--model-pools", json.dumps(MODEL_POOLS),
            "--quiet-seconds", str(quiet_seconds),
            subscription or self.old,
        ]  # fmt: skip

    def start_draining(
        self, *, quiet_seconds: float, subscription: str | None = None
    ) -> subprocess.Popen[str]:
        command = self.drain_command(quiet_seconds=quiet_seconds, subscription=subscription)
        environment = {**os.environ, "PUBSUB_EMULATOR_HOST": self.own.emulators.pubsub_host}
        return subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )


@pytest.fixture
def pools(emulators: Emulators) -> Pools:
    return Pools(emulators)


def test_drain_subscription_moves_every_message_to_its_models_pool(pools: Pools) -> None:
    large = [*pools.publish("sdxl", count=120), *pools.publish("flux", count=5)]
    small = pools.publish("demo", count=3)

    with pools.start_draining(quiet_seconds=10) as drain:
        said, complained = drain.communicate(timeout=TIMEOUT_SECONDS)

    assert (drain.returncode, complained) == (0, "")
    assert said.splitlines()[-1] == "messages moved: 128 (125 to large, 3 to small)"
    moved = pools.own.pull(f"{pools.topic}-large", count=len(large))
    assert sorted(message.body for message in moved) == sorted(large)
    assert {message.attributes["pool"] for message in moved} == {"large"}
    assert {message.attributes["model"] for message in moved} == {"sdxl", "flux"}
    assert {message.attributes["lane"] for message in moved} == {"batch"}
    assert sorted(message.body for message in pools.own.pull(f"{pools.topic}-small", count=3)) == sorted(
        small
    )


def test_drain_subscription_moves_a_message_that_a_worker_returns(pools: Pools) -> None:
    held = pools.publish("sdxl")
    path = pools.path(pools.old)
    (delivery,) = pools.own.subscriber.pull(
        subscription=path, max_messages=1, timeout=TIMEOUT_SECONDS
    ).received_messages
    waiting = pools.publish("flux")

    with pools.start_draining(quiet_seconds=600) as drain:
        assert [message.body for message in pools.own.pull(f"{pools.topic}-large")] == waiting
        pools.own.subscriber.modify_ack_deadline(
            subscription=path, ack_ids=[delivery.ack_id], ack_deadline_seconds=0
        )
        assert [message.body for message in pools.own.pull(f"{pools.topic}-large")] == held
        drain.terminate()


def test_drain_subscription_leaves_a_message_whose_model_is_in_no_pool(pools: Pools) -> None:
    pools.publish("gone", count=2)
    pools.publish("demo")

    with pools.start_draining(quiet_seconds=10) as drain:
        said, complained = drain.communicate(timeout=TIMEOUT_SECONDS)

    assert drain.returncode == 1
    assert said.splitlines()[-1] == "messages moved: 1 (1 to small)"
    assert f"messages left in {pools.old}: 2. No pool of --model-pools has their models: gone." in complained


def test_drain_subscription_refuses_a_pool_in_use(pools: Pools) -> None:
    with pools.start_draining(quiet_seconds=1, subscription=f"{pools.topic}-large") as drain:
        _, complained = drain.communicate(timeout=TIMEOUT_SECONDS)

    assert drain.returncode == 2
    assert "is the subscription of the pool 'large' in --model-pools" in complained
