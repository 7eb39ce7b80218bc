"""The package as one record."""

from dataclasses import dataclass

from frontend_api.identity.ports import Authenticator, InternalCallers, Operators


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Identifies each kind of caller."""

    authenticator: Authenticator
    operators: Operators
    internal_callers: InternalCallers
    autoscaling_callers: InternalCallers
