"""AllowedUsers: the users that a deployment admits, by email address, domain or user id. Pure."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from frontend_api.identity.ports import NotAllowedError

EVERYONE = "*"
_ADDRESS = re.compile(r"[^@\s\"'\\]+@[a-z0-9.-]+\.[a-z]{2,}")
_DOMAIN = re.compile(r"([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,}")


@dataclass(frozen=True, slots=True, kw_only=True)
class AllowedUsers:
    """Admits the listed users, and every operator. `terraform/firestore.rules` has the same rules."""

    everyone: bool = False
    emails: frozenset[str] = frozenset()
    domains: frozenset[str] = frozenset()
    user_ids: frozenset[str] = frozenset()
    """The operators."""

    @classmethod
    def parse(cls, entries: Iterable[str], *, operators: Iterable[str] = ()) -> Self:
        """Read a list of email addresses, domains, or `*`. Raises ValueError."""
        entries = frozenset(entry.lower() for entry in entries)
        for entry in entries - {EVERYONE}:
            if not (_ADDRESS if "@" in entry else _DOMAIN).fullmatch(entry):
                raise ValueError(
                    f"{entry!r} must be an email address, a domain such as example.com, or {EVERYONE!r} alone"
                )
        if EVERYONE in entries and len(entries) > 1:
            raise ValueError(f"{EVERYONE!r} must be the only entry, because it admits every signed-in user")
        return cls(
            everyone=EVERYONE in entries,
            emails=frozenset(entry for entry in entries if "@" in entry),
            domains=frozenset(entry for entry in entries - {EVERYONE} if "@" not in entry),
            user_ids=frozenset(operators),
        )

    def check(self, user_id: str, email: str | None) -> None:
        """Return if the user is admitted. `email` is None unless it is verified. Raises NotAllowedError."""
        if self.everyone or user_id in self.user_ids:
            return
        address = (email or "").lower()
        _, at, domain = address.rpartition("@")
        if address not in self.emails and not (at and domain in self.domains):
            account = "this account" if email is None else f"the account {email}"
            raise NotAllowedError(
                f"{account} is not admitted to this service. Ask its operator to add your email "
                f"address to the allowed users (your user id is {user_id})."
            )
