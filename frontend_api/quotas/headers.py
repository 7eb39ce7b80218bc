"""RateLimit-Policy and RateLimit (draft-ietf-httpapi-ratelimit-headers) on the API's responses."""

from flask import Flask, Response, after_this_request, g, request

from frontend_api.http.requests import REJECTED_FOR_CONTENT, caller_id, current
from frontend_api.quotas.limits import Policy, QuotaUse
from frontend_api.quotas.quotas import Quotas

RATE_LIMITED_PATHS = ("/v1/", "/openai/v1/")


def add_rate_limit_headers(app: Flask) -> None:
    """Add the limits to every response, and the remaining quota for an authenticated caller."""

    @app.after_request
    def add(answer: Response) -> Response:
        if not request.path.startswith(RATE_LIMITED_PATHS):
            return answer
        quotas = current(Quotas)
        if quotas.policies:
            answer.headers["RateLimit-Policy"] = ", ".join(map(_policy, quotas.policies))
            if "user_id" in g:
                answer.headers["RateLimit"] = ", ".join(map(_remaining, quotas.uses(g.user_id)))
        return answer


def limit_rejections() -> None:
    """Return 429 after too many rejections, before reading the body; count this one if rejected."""
    quotas, user_id = current(Quotas), caller_id()
    quotas.check_rejections(user_id)

    @after_this_request
    def count(answer: Response) -> Response:
        if answer.status_code in REJECTED_FOR_CONTENT:
            quotas.count_rejected(user_id)
        return answer


def _policy(policy: Policy) -> str:
    # The draft has no unit for active tasks; this one is the nearest.
    unit = policy.unit or ("concurrent-requests" if policy.window_seconds is None else None)
    quota_unit = "" if unit is None else f';qu="{unit}"'
    window = "" if policy.window_seconds is None else f";w={policy.window_seconds}"
    return f'"{policy.name}";q={policy.limit}{quota_unit}{window}'


def _remaining(use: QuotaUse) -> str:
    reset = "" if use.resets_in_seconds is None else f";t={use.resets_in_seconds}"
    return f'"{use.policy.name}";r={use.remaining}{reset}'
