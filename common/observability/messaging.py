"""Spans and metrics of messages, by OpenTelemetry's messaging conventions."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from opentelemetry.trace import Link, Span, SpanKind

from common.observability.metrics import (
    MESSAGES_CONSUMED,
    MESSAGES_SENT,
    PROCESS_SECONDS,
    SEND_SECONDS,
    counter,
    histogram,
)
from common.observability.tracing import error_type_of, extracted, mark_failed, spanned

_SYSTEM = {"messaging.system": "gcp_pubsub"}
_sent = counter(MESSAGES_SENT)
_send_seconds = histogram(SEND_SECONDS)
_consumed = counter(MESSAGES_CONSUMED)
_process_seconds = histogram(PROCESS_SECONDS)


@contextmanager
def sending(topic: str, *, messages: int = 1) -> Iterator[None]:
    """Wrap one publish call: inside, the current trace context is the one to attach to messages.

    `topic` may be its full path.
    """
    labels = _SYSTEM | {
        "messaging.operation.name": "send",
        "messaging.destination.name": topic.rpartition("/")[2],
    }
    began = time.perf_counter()
    try:
        with spanned(
            f"send {labels['messaging.destination.name']}",
            kind=SpanKind.PRODUCER,
            attributes={
                **labels,
                "messaging.operation.type": "send",
                "messaging.batch.message_count": messages,
            },
        ):
            yield
    except Exception as error:
        labels["error.type"] = error_type_of(error)
        raise
    finally:
        _sent.add(messages, labels)
        _send_seconds.record(time.perf_counter() - began, labels)


@dataclass(slots=True)
class Processing:
    """The processing of one delivery.

    `returned_because` is set to a code if the delivery will be redelivered.
    """

    span: Span
    returned_because: str | None = None


@contextmanager
def processing(
    subscription: str,
    *,
    message_id: str,
    attributes: Mapping[str, str],
    delivery_attempt: int | None = None,
    links: Sequence[Link] = (),
) -> Iterator[Processing]:
    """Wrap the processing of one delivery, in the trace of the message.

    `subscription` may be a full path.
    """
    labels = _SYSTEM | {
        "messaging.operation.name": "process",
        "messaging.destination.subscription.name": subscription.rpartition("/")[2],
    }
    began = time.perf_counter()
    _consumed.add(1, labels)
    with spanned(
        f"process {labels['messaging.destination.subscription.name']}",
        kind=SpanKind.CONSUMER,
        parent=extracted(attributes),
        links=links,
        attributes={
            **labels,
            "messaging.operation.type": "process",
            "messaging.message.id": message_id,
            "messaging.gcp_pubsub.message.delivery_attempt": delivery_attempt or 1,
        },
    ) as span:
        work = Processing(span)
        try:
            yield work
        except Exception as error:
            work.returned_because = error_type_of(error)
            raise
        finally:
            if work.returned_because is not None:
                mark_failed(span, work.returned_because)
                labels["error.type"] = work.returned_because
            _process_seconds.record(time.perf_counter() - began, labels)
