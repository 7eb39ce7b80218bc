"""Readiness probes of Firestore and Pub/Sub: one cheap call each, with a timeout of two seconds."""

from dataclasses import dataclass

from google.api_core import exceptions as google_errors
from google.cloud import firestore
from google.pubsub_v1.services.publisher import PublisherClient

from common.adapters.firestore_clock import FirestoreClock
from common.domain.errors import DependencyUnavailableError

_TIMEOUT_SECONDS = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FirestoreProbe:
    """Reads one document, which need not exist. The time in the reply corrects the clock."""

    client: firestore.Client
    clock: FirestoreClock
    name: str = "firestore"

    def check(self) -> None:
        sent_at = self.clock.timer()
        try:
            snapshot = self.client.document("probes/ready").get(retry=None, timeout=_TIMEOUT_SECONDS)
        except google_errors.GoogleAPIError as exc:
            raise DependencyUnavailableError(self.name) from exc
        self.clock.observe(snapshot.read_time, sent_at=sent_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class PubSubProbe:
    """Reads the topic that tasks are published to."""

    client: PublisherClient
    topic_path: str
    name: str = "pubsub"

    def check(self) -> None:
        """ "Permission denied" counts as reachable: publishing needs no permission to read the topic."""
        try:
            self.client.get_topic(topic=self.topic_path, retry=None, timeout=_TIMEOUT_SECONDS)
        except google_errors.PermissionDenied:
            return
        except google_errors.GoogleAPIError as exc:
            raise DependencyUnavailableError(self.name) from exc
