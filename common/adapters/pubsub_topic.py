"""A topic to which single messages are published with confirmation."""

from collections.abc import Mapping

from google.api_core import exceptions as google_errors
from google.pubsub_v1 import PublisherClient
from google.pubsub_v1.types import PubsubMessage

from common.domain.errors import DependencyUnavailableError
from common.observability.messaging import sending
from common.observability.tracing import injected


class PubSubTopic:
    """A topic this process publishes to. Thread-safe."""

    def __init__(
        self, client: PublisherClient, project_id: str, topic: str, *, timeout_seconds: float = 10.0
    ) -> None:
        self._client = client
        self._path = f"projects/{project_id}/topics/{topic}"
        self._timeout = timeout_seconds

    def publish(self, body: bytes, attributes: Mapping[str, str]) -> None:
        """Publish a message and return when Pub/Sub has confirmed it.

        The message carries the current trace context. Raises DependencyUnavailableError.
        """
        try:
            with sending(self._path):
                message = PubsubMessage(data=body, attributes=injected(attributes))
                # The client's default is to retry for 600 s; the callers handle outages better.
                self._client.publish(topic=self._path, messages=[message], retry=None, timeout=self._timeout)
        except (google_errors.GoogleAPICallError, google_errors.RetryError) as exc:
            raise DependencyUnavailableError("pubsub", f"refused a message: {type(exc).__name__}") from exc
