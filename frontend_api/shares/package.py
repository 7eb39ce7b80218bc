"""The package as one record."""

from dataclasses import dataclass

from frontend_api.identity.caller_address import TrustedProxies
from frontend_api.identity.request_rate import RequestRate
from frontend_api.shares.shares import Shares


@dataclass(frozen=True, slots=True, kw_only=True)
class Sharing:
    shares: Shares
    visits: RequestRate
    """Requests for links of one network address. They have no credentials."""
    proxies: TrustedProxies
    origin: str | None
    """Where visitors reach the API; None: where their request does."""
