"""Readiness probes of Firestore and Pub/Sub: one cheap call each, with a timeout of two seconds."""

from dataclasses import dataclass

from google.api_core import exceptions as google_errors
from google.cloud import firestore
from google.pubsub_v1.services.publisher import PublisherClient

from common.domain.errors import DependencyUnavailableError

_TIMEOUT_SECONDS = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FirestoreProbe:
    """Reads one document, which need not exist."""

    client: firestore.Client
    name: str = "firestore"

    def check(self) -> None:
        try:
            self.client.document("probes/ready").get(retry=None, timeout=_TIMEOUT_SECONDS)
        except google_errors.GoogleAPIError as exc:
            raise DependencyUnavailableError(self.name) from exc


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
