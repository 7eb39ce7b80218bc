"""Each event arrives although a webhook's receiver fails and the API crashes."""

import pytest

from tests.chaos.rig import Rig
from tests.chaos.waiting import pause
from tests.fakes.webhook_receiver import WebhookReceiver

pytestmark = pytest.mark.chaos
FAILURES = (500, 301, 0, 429)
"""The responses to the first arrivals of an event; 0 closes the connection."""
SILENT_SECONDS = 5
"""Longer than the local stack's timeout of an attempt."""


@pytest.mark.parametrize("away_seconds", [5, pytest.param(60, marks=pytest.mark.chaos_long)])
def test_failing_receiver_gets_every_event(rig: Rig, away_seconds: int) -> None:
    rig.start_worker()
    with WebhookReceiver(
        rig.client.webhook_secrets(),
        lambda _id, arrival: FAILURES[arrival - 1] if arrival <= len(FAILURES) else 204,
    ) as receiver:
        link = rig.site.network.link(lambda: receiver.port)
        link.refuse()
        task_ids = [rig.submit(callback_url=f"http://{link.host}/hook") for _ in range(4)]
        assert rig.site.mailbox.wait_for(task_ids, timeout_seconds=60)
        pause(away_seconds)
        link.stall()
        pause(SILENT_SECONDS)
        rig.site.stack.restart("api")
        link.restore()
        assert receiver.wait_until(lambda: len(receiver.taken) == len(task_ids), timeout_seconds=120)
        received = {event_id: body["data"]["id"] for event_id, body in receiver.taken.items()}
    assert received == {event.id: event.task_id for event in rig.site.mailbox.events_of(task_ids)}
    assert sorted(received.values()) == sorted(task_ids)
    assert receiver.forged == 0
    rig.verify()


def test_gone_receiver_is_called_once_and_delays_no_other(rig: Rig) -> None:
    rig.start_worker()
    secrets = rig.client.webhook_secrets()
    with WebhookReceiver(secrets, lambda *_: 410) as gone, WebhookReceiver(secrets) as other:
        first = rig.submit(callback_url=gone.url)
        assert gone.wait_until(lambda: bool(gone.arrivals))
        second = rig.submit(callback_url=other.url)
        assert other.wait_until(lambda: bool(other.taken))
        pause(2)  # after a second the emulator would push an event again that was not accepted
        assert list(gone.arrivals.values()) == [1]
    log = rig.client.http.get(f"/v1/tasks/{first}/webhook-deliveries").raise_for_status().json()
    assert [one["status"] for delivery in log["deliveries"] for one in delivery["tries"]] == [410]
    assert set(rig.verify()) == {first, second}
