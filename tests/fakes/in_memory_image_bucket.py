"""InMemoryImageBucket: an ImageBucket in a dictionary."""

from common.domain.images import StoredImage
from frontend_api.images.ports import ImageGoneError
from tests.fakes.outage import Outage


class InMemoryImageBucket(Outage):
    """An ImageBucket for tests; `objects` holds bytes by object name."""

    service = "storage"

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    def read(self, image: StoredImage) -> bytes:
        self._check()
        try:
            return self.objects[image.object_name]
        except KeyError:
            raise ImageGoneError(image.object_name) from None

    def remove_folder(self, folder: str) -> None:
        self._check()
        for name in [name for name in self.objects if name.startswith(folder)]:
            del self.objects[name]
