"""The Prefer header (RFC 7240): what a caller would like, which may be left undone and is never an error."""

import re

MAX_WAIT_SECONDS = 60
_WAIT = re.compile(r'wait(?:\s*=\s*"?(\d{1,9})"?)?', re.IGNORECASE)


def wait_seconds(prefer: str | None) -> int | None:
    """How long the caller would wait, at most MAX_WAIT_SECONDS and so long for `wait` alone; None for not at all.

    The first `wait` counts, as the standard has it; one that cannot be read does not.
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
