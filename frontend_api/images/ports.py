"""Ports of the images: the bucket, and links into it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from common.domain.errors import DomainError
from common.domain.images import StoredImage


class ImageGoneError(DomainError):
    code = "image_not_found"

    def __init__(self, object_name: str) -> None:
        super().__init__("the image is no longer stored")
        self.object_name = object_name


class ImageBucket(Protocol):
    """Read and delete access to the bucket in which workers store images."""

    def read(self, image: StoredImage) -> bytes:
        """Return the object's bytes, whole. Raises ImageGoneError, DependencyUnavailableError."""

    def remove_folder(self, folder: str) -> None:
        """Delete all objects of a task, of every attempt, including checkpoints. Idempotent.

        Raises DependencyUnavailableError, and can then be called again.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedLink:
    """A URL that works for any holder until it expires."""

    url: str
    expires_at: datetime


class ImageLinks(Protocol):
    """Creates links with which a browser fetches an image directly from the bucket."""

    def signed(self, image: StoredImage) -> SignedLink | None:
        """Return a link to the object, or None if none can be signed, ever or now.

        Without a link, the API sends the bytes.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Images:
    bucket: ImageBucket
    links: ImageLinks
