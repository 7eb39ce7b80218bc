"""The Prefer header (RFC 7240): optional preferences, which are never an error."""

import re

MAX_WAIT_SECONDS = 60
_WAIT = re.compile(r'wait(?:\s*=\s*"?(\d{1,9})"?)?', re.IGNORECASE)


def wait_seconds(prefer: str | None) -> int | None:
    """Return how long the caller wants to wait, at most MAX_WAIT_SECONDS; None for no wait.

    `wait` without a value means MAX_WAIT_SECONDS. The first `wait` counts, as RFC 7240 requires; an
    invalid one is ignored.
    """
    for preference in (prefer or "").split(","):
        name_and_value = preference.partition(";")[0].strip()
        if re.match(r"wait\b(?![-\w])", name_and_value, re.IGNORECASE):
            found = _WAIT.fullmatch(name_and_value)
            if found is None:
                return None
            asked = MAX_WAIT_SECONDS if found[1] is None else int(found[1])
            return min(asked, MAX_WAIT_SECONDS) or None
    return None
