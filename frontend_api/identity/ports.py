"""Ports that identify callers: users, operators and machines."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from frontend_api.identity.request_rate import RequestRate


class Scope(StrEnum):
    """A permission of a caller. No scope implies another."""

    READ = "read"
    """Read tasks, images, models, the queue and the usage."""
    SUBMIT = "submit"
    """Submit and delete tasks. Together with `read`, also change and share them."""
    ADMIN = "admin"
    """Manage API keys, and dead letters if the owner is an operator."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """The authenticated caller. `user_id` owns the tasks that it submits and sees no others."""

    user_id: str
    email: str | None = None
    """The user's verified email address; for an API key, its owner's when the key was created."""
    scopes: frozenset[Scope] = frozenset(Scope)
    """The caller's permissions: all, unless it uses an API key with fewer."""
    good_until: datetime | None = None
    """Expiry of the API key that the caller uses, if any."""
    api_key_id: str | None = None
    """Id of that key: logs contain it, so that the actions of a leaked key can be found."""


class NotAuthenticatedError(Exception):
    """The request has no credentials, or invalid ones; the message names which, without details."""


class NotAllowedError(Exception):
    """The user is authenticated, but the deployment does not admit them."""


class Authenticator(Protocol):
    """Identifies the caller from a request's headers."""

    def principal(self, headers: Mapping[str, str]) -> Principal:
        """Return the caller.

        Raises NotAuthenticatedError, NotAllowedError, and DependencyUnavailableError when keys
        cannot be read.
        """


class InternalCallers(Protocol):
    """Identifies the machines, such as the scheduler, that may call `/internal`."""

    def check(self, headers: Mapping[str, str]) -> None:
        """Return if the caller is one of them. Raises as Authenticator.principal does."""


class NotAnOperatorError(Exception):
    """The caller is authenticated, but not an operator."""


class Operators(Protocol):
    """Identifies the operators, who manage what no user owns, such as dead letters."""

    def check(self, headers: Mapping[str, str]) -> Principal:
        """Return the caller if it is an operator.

        Raises NotAnOperatorError, and as Authenticator.principal does.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    authenticator: Authenticator
    operators: Operators
    internal_callers: InternalCallers
    autoscaling_callers: InternalCallers
    request_rate: RequestRate
