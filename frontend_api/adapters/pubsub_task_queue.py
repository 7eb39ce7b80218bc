"""PubSubTaskQueue: tasks as Pub/Sub messages.

`publish` returns after Pub/Sub has confirmed the message.
"""

from collections.abc import Mapping
from typing import Any

from google.api_core import exceptions as google_errors
from google.api_core.gapic_v1 import routing_header
from google.api_core.grpc_helpers import wrap_errors
from google.api_core.retry import Retry, if_exception_type
from google.pubsub_v1.services.publisher import PublisherClient
from google.pubsub_v1.types import PublishRequest, PublishResponse

from common.domain.errors import DependencyUnavailableError
from common.domain.task import Task
from common.observability.messaging import sending
from common.observability.tracing import injected
from common.wire_formats.task_message import encode_task_message, task_message_attributes

_TRANSIENT = (google_errors.ServiceUnavailable, google_errors.Aborted, google_errors.InternalServerError)
_FIRST_RETRY_SECONDS = 0.1
_LONGEST_RETRY_PAUSE_SECONDS = 1.0
_Request, _Response = PublishRequest.pb(), PublishResponse.pb()


class PubSubTaskQueue:
    """The TaskQueue of production and, through the emulator, of the local stack. Thread-safe.

    It calls Publish over the client's channel directly. The client would wrap each message in
    Python objects, which costs as much CPU time as the call.
    """

    def __init__(
        self,
        client: PublisherClient,
        *,
        project_id: str,
        topic: str,
        images_bucket: str,
        timeout_seconds: float,
        pools: Mapping[str, str] | None = None,
    ) -> None:
        """Create the queue.

        `pools` maps a model to the pool whose subscription receives its messages.
        """
        self._topic = f"projects/{project_id}/topics/{topic}"
        self._images_bucket = images_bucket
        self._timeout = timeout_seconds
        self._pools = pools or {}
        self._metadata = [routing_header.to_grpc_metadata((("topic", self._topic),))]
        transport: Any = client.transport
        call = transport.grpc_channel.unary_unary(
            "/google.pubsub.v1.Publisher/Publish",
            request_serializer=_Request.SerializeToString,
            response_deserializer=_Response.FromString,
        )
        patiently = Retry(
            predicate=if_exception_type(*_TRANSIENT),
            initial=_FIRST_RETRY_SECONDS,
            maximum=_LONGEST_RETRY_PAUSE_SECONDS,
            timeout=timeout_seconds,
        )
        self._call = patiently(wrap_errors(call))

    def publish(self, *tasks: Task) -> None:
        try:
            with sending(self._topic, messages=len(tasks)):
                request = _Request(topic=self._topic, messages=[self._message(task) for task in tasks])
                self._call(request, timeout=self._timeout, metadata=self._metadata)
        except google_errors.GoogleAPIError as exc:
            # Also for a missing or forbidden topic: rescue publishes the task later.
            raise DependencyUnavailableError("pubsub") from exc

    def _message(self, task: Task) -> Mapping[str, Any]:
        return {
            "data": encode_task_message(task, result_bucket=self._images_bucket),
            "attributes": task_message_attributes(task, pool=self._pools.get(task.parameters.model))
            | injected({}),
        }
