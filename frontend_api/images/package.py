"""The package as one record."""

from dataclasses import dataclass

from frontend_api.images.ports import ImageBucket, ImageLinks


@dataclass(frozen=True, slots=True, kw_only=True)
class Images:
    bucket: ImageBucket
    links: ImageLinks
