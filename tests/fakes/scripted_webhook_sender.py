"""ScriptedWebhookSender: records requests, and returns the outcomes that a test sets."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from frontend_api.webhooks.delivery_log import Outcome
from frontend_api.webhooks.url_policy import CallbackUrl


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """One request."""

    url: CallbackUrl
    headers: Mapping[str, str]
    body: bytes


class ScriptedWebhookSender:
    """A WebhookSender for tests. The next outcomes come from `outcomes`, then always 200."""

    def __init__(self) -> None:
        self.sent: list[Sent] = []
        self.outcomes: list[Outcome] = []
        self.answers = threading.Event()
        """While a test has cleared it, the receiver accepts requests but does not answer."""
        self.answers.set()
        self.arrived = threading.Semaphore(0)
        """Released at each arrival."""

        self.meanwhile: Callable[[], object] = lambda: None
        """Called during each request."""

    def send(self, url: CallbackUrl, *, headers: Mapping[str, str], body: bytes, user_id: str) -> Outcome:
        self.sent.append(Sent(url=url, headers=dict(headers), body=body))
        self.meanwhile()
        self.arrived.release()
        assert self.answers.wait(30)
        return self.outcomes.pop(0) if self.outcomes else Outcome(status=200, duration_seconds=0.25)
