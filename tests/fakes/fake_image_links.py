"""FakeImageLinks: links that look signed, or none."""

from common.domain.errors import DependencyUnavailableError
from common.domain.images import StoredImage
from frontend_api.images.ports import SignedLink
from tests.factories import NOW


class FakeImageLinks:
    """ImageLinks for tests: none unless `can_sign`."""

    def __init__(self) -> None:
        self.can_sign = False
        self.unavailable = False
        self.expires_at = NOW

    def signed(self, image: StoredImage) -> SignedLink | None:
        if self.unavailable:
            raise DependencyUnavailableError("iam")
        if not self.can_sign:
            return None
        return SignedLink(url=f"https://storage.test/{image.object_name}?signed", expires_at=self.expires_at)
