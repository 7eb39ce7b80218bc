"""PubSubTaskQueue: tasks as Pub/Sub messages, each confirmed before `publish` returns."""

from google.api_core import exceptions as google_errors
from google.api_core.retry import Retry, if_exception_type
from google.pubsub_v1.services.publisher import PublisherClient
from google.pubsub_v1.types import PubsubMessage

from common.domain.errors import DependencyUnavailableError
from common.domain.task import Task
from common.observability import tracing
from common.wire_formats.task_message import encode_task_message, task_message_attributes

_TRANSIENT = (google_errors.ServiceUnavailable, google_errors.Aborted, google_errors.InternalServerError)
_FIRST_RETRY_SECONDS = 0.1
_LONGEST_RETRY_PAUSE_SECONDS = 1.0


class PubSubTaskQueue:
    """The TaskQueue of production and, through the emulator, of the local stack. Safe to share between threads."""

    def __init__(
        self,
        client: PublisherClient,
        *,
        project_id: str,
        topic: str,
        images_bucket: str,
        timeout_seconds: float,
    ) -> None:
        self._client = client
        self._topic = f"projects/{project_id}/topics/{topic}"
        self._images_bucket = images_bucket
        self._timeout = timeout_seconds
        self._retry = Retry(
            predicate=if_exception_type(*_TRANSIENT),
            initial=_FIRST_RETRY_SECONDS,
            maximum=_LONGEST_RETRY_PAUSE_SECONDS,
            timeout=timeout_seconds,
        )

    def publish(self, task: Task) -> None:
        """See TaskQueue.publish."""
        message = PubsubMessage(
            data=encode_task_message(task, result_bucket=self._images_bucket),
            attributes=tracing.injected(task_message_attributes(task)),
        )
        try:
            self._client.publish(
                topic=self._topic, messages=[message], retry=self._retry, timeout=self._timeout
            )
        except google_errors.GoogleAPIError as exc:
            # All of them: a topic that is missing or forbidden is an outage to the caller, and rescue will see to it.
            raise DependencyUnavailableError("pubsub") from exc
