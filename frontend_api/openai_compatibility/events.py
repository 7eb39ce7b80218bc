"""The server-sent events of a generation: previews, and each image as soon as it is stored."""

from collections import Counter
from collections.abc import Iterator

from common.domain.images import Preview
from common.domain.task import Task
from frontend_api.fair_shares import Reserve
from frontend_api.openai_compatibility.errors import ErrorAnswer, failure_of, missing_images
from frontend_api.openai_compatibility.generation import CallerGoneError, Generation
from frontend_api.openai_compatibility.rendering import RenderGeneration, base64_bytes
from frontend_api.openai_compatibility.schemas import OpenAICompletedEvent, OpenAIPartialImageEvent
from frontend_api.streams.task_stream import HEARTBEAT


class PartialImages:
    """Selects at most `limit` previews of each image, spread evenly over the steps."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._levels: Counter[int] = Counter()
        self._sent: Counter[int] = Counter()

    def due(self, task: Task) -> Iterator[tuple[Preview, int]]:
        """Yield each preview that is due, and how many of its image came before it."""
        for preview in task.previews:
            share = preview.step * (self._limit + 1) // task.parameters.computed_steps
            level = min(share, self._limit)
            if level > self._levels[preview.index]:
                self._levels[preview.index] = level
                yield preview, self._sent[preview.index]
                self._sent[preview.index] += 1


def image_events(
    generation: Generation, render: RenderGeneration, *, reserve: Reserve, heartbeat_seconds: float
) -> Iterator[str]:
    """Yield the events of a generation as text, until the task is finished or the wait ends."""
    partial, sent = PartialImages(render.asked.partial_images or 0), set[int]()
    try:
        while True:
            task = generation.task
            for preview, number in partial.due(task):
                yield _event(render.partial(task, preview, number))
            for image in task.images:
                if image.index not in sent:
                    with reserve(base64_bytes(image)):
                        yield _event(render.completed(task, image))
                    sent.add(image.index)
            if task.status.is_terminal:
                break
            while not generation.changes_within(heartbeat_seconds):
                yield HEARTBEAT
    except CallerGoneError:
        generation.connection.close()
    except Exception as error:
        yield _error(generation.answer_of(error))
    else:
        if (failure := failure_of(task) or missing_images(task)) is not None:
            yield _error(failure)


def _event(event: OpenAIPartialImageEvent | OpenAICompletedEvent) -> str:
    return f"event: {event.type}\ndata: {event.model_dump_json()}\n\n"


def _error(answer: ErrorAnswer) -> str:
    return f"event: error\ndata: {answer.body.model_dump_json()}\n\n"
