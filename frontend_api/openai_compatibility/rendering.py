"""The bodies and events that carry a task's images."""

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

from common.domain.images import Preview, StoredImage
from common.domain.task import Task
from frontend_api.images.ports import Images
from frontend_api.openai_compatibility.schemas import (
    OpenAICompletedEvent,
    OpenAIImage,
    OpenAIImageRequest,
    OpenAIImagesResponse,
    OpenAIPartialImageEvent,
    size_of,
)
from frontend_api.tasks.responses import WarningResponse, task_path

EventPrefix: TypeAlias = Literal["image_generation", "image_edit"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderGeneration:
    """Renders the tasks of one request. Reads images from the bucket."""

    asked: OpenAIImageRequest
    images: Images
    api_address: str
    """Where the caller reaches the API, without a slash at the end."""
    event_prefix: EventPrefix = "image_generation"

    def response(self, task: Task) -> OpenAIImagesResponse:
        """Render all images of a finished task. Raises ImageGoneError, DependencyUnavailableError."""
        finished = sorted(task.images, key=lambda image: image.index)
        return OpenAIImagesResponse(
            created=int(task.updated_at.timestamp()),
            data=tuple(self._image(task, image) for image in finished),
            output_format=task.parameters.output_format,
            size=size_of(task.parameters),
            task_id=task.id,
            warnings=(*self._warnings(task), *_failed_images(task)),
        )

    def size_bytes(self, task: Task) -> int:
        """Return about how large the response for a finished task is."""
        if self.asked.response_format == "url":
            return 0
        return sum(map(base64_bytes, task.images))

    def partial(self, task: Task, preview: Preview, number: int) -> OpenAIPartialImageEvent:
        return OpenAIPartialImageEvent(
            type=f"{self.event_prefix}.partial_image",
            b64_json=_base64(preview.jpeg),
            created_at=int(task.updated_at.timestamp()),
            quality=self.asked.quality or "auto",
            size=size_of(task.parameters),
            partial_image_index=number,
            image_index=preview.index,
            task_id=task.id,
        )

    def completed(self, task: Task, image: StoredImage) -> OpenAICompletedEvent:
        """Render one image. Raises ImageGoneError, DependencyUnavailableError."""
        return OpenAICompletedEvent(
            type=f"{self.event_prefix}.completed",
            b64_json=_base64(self.images.bucket.read(image)),
            created_at=int(task.updated_at.timestamp()),
            quality=self.asked.quality or "auto",
            size=size_of(task.parameters),
            output_format=task.parameters.output_format,
            image_index=image.index,
            seed=image.seed,
            task_id=task.id,
            warnings=tuple(self._warnings(task)),
        )

    def _image(self, task: Task, image: StoredImage) -> OpenAIImage:
        if self.asked.response_format != "url":
            return OpenAIImage(b64_json=_base64(self.images.bucket.read(image)), seed=image.seed)
        link = self.images.links.signed(image)
        own = f"{self.api_address}{task_path(task.id)}/images/{image.index}"
        return OpenAIImage(url=own if link is None else link.url, seed=image.seed)

    def _warnings(self, task: Task) -> Iterator[WarningResponse]:
        yield from map(WarningResponse.model_validate, task.warnings)
        yield from self.asked.warnings()


def _failed_images(task: Task) -> Iterator[WarningResponse]:
    for failed in task.failed_images:
        detail = f"image {failed.index} could not be generated: {failed.message}"
        yield WarningResponse(code=failed.code, pointer="/n", detail=detail)


def base64_bytes(image: StoredImage) -> int:
    """Return the size of an image in a body or an event."""
    return image.size_bytes * 4 // 3


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()
