"""FakeImageLinks: links that look signed, or none."""

from common.domain.images import StoredImage
from frontend_api.images.ports import SignedLink
from tests.factories import NOW


class FakeImageLinks:
    """ImageLinks for tests: none unless `can_sign`."""

    def __init__(self) -> None:
        self.can_sign = False
        self.expires_at = NOW
        self.origin = "https://storage.test"

    def signed(self, image: StoredImage) -> SignedLink | None:
        if not self.can_sign:
            return None
        return SignedLink(url=f"{self.origin}/{image.object_name}?signed", expires_at=self.expires_at)
