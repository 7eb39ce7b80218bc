"""The pictures that a task is generated from: downloaded, decoded and resized."""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from weakref import WeakValueDictionary

from opentelemetry.trace import SpanKind

from common.domain.failures import FailureCode
from common.domain.inputs import input_object_name
from common.domain.parameters import GenerationParameters
from common.domain.task import Task
from common.observability.tracing import spanned
from gpu_subscriber.dependency_retry import DependencyRetry
from gpu_subscriber.engine.messages import Inputs
from gpu_subscriber.errors import GenerationFailedError, UnreadableImageError
from gpu_subscriber.images.decoding import decoded_image, decoded_mask, decoded_reference
from gpu_subscriber.ports import InputReader

_DECODERS = {
    "image": decoded_image,
    "mask_image": decoded_mask,
    "control_image": decoded_image,
    "reference_image": decoded_reference,
}
"""How the picture of each parameter is decoded."""


class DecoderLock:
    """Lets one picture be decoded at a time: it takes four bytes of memory per pixel.

    One picture of each caller waits for the decoder, and the caller's other ones wait for that one. So
    no caller waits for all pictures of another one.
    """

    def __init__(self) -> None:
        self._decoder = threading.Lock()
        self._adding = threading.Lock()
        self._callers: WeakValueDictionary[str, threading.Lock] = WeakValueDictionary()

    @contextmanager
    def held_for(self, user_id: str) -> Iterator[None]:
        """Hold the lock for a picture of this caller."""
        with self._adding:
            caller = self._callers.setdefault(user_id, threading.Lock())
        with caller, self._decoder:
            yield


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskInputs:
    """Reads the inputs of tasks. Thread-safe."""

    reader: InputReader
    dependency_retry: DependencyRetry
    max_bytes: int
    max_pixels: int
    decoder_lock: DecoderLock = field(default_factory=DecoderLock)

    def of(self, task: Task) -> Inputs:
        """Return the pictures of a task.

        Raises GenerationFailedError if one is missing or cannot be decoded, which no other attempt
        changes, and DependencyUnavailableError after all retries.
        """

        def read(_name: str, picture_id: str) -> bytes:
            object_name = input_object_name(task.user_id, picture_id)
            with spanned("read input", kind=SpanKind.CLIENT):
                data = self.dependency_retry(lambda: self.reader.read(object_name, max_bytes=self.max_bytes))
            if data is None:
                raise UnreadableImageError("the picture was deleted; upload it again")
            return data

        try:
            return decoded_inputs(
                task.parameters,
                read,
                max_pixels=self.max_pixels,
                lock=lambda: self.decoder_lock.held_for(task.user_id),
            )
        except UnreadableImageError as error:
            raise GenerationFailedError(FailureCode.INVALID_INPUT.failure(str(error))) from error


def decoded_inputs(
    parameters: GenerationParameters,
    read: Callable[[str, str], bytes],
    *,
    max_pixels: int,
    lock: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> Inputs:
    """Return the pictures of these parameters; `read` returns a file by its parameter's name and its id.

    Each picture is decoded under `lock`.

    Raises UnreadableImageError, which names the parameter.
    """
    size, found = (parameters.width, parameters.height), {}
    for name, decode in _DECODERS.items():
        picture_id = getattr(parameters, name)
        if picture_id is None:
            continue
        try:
            data = read(name, picture_id)
            with lock():
                found[name] = decode(data, size, max_pixels=max_pixels)
        except UnreadableImageError as error:
            raise UnreadableImageError(f"`{name}`: {error}") from error
    return found
