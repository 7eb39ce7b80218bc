"""RateLimit-Policy and RateLimit (draft-ietf-httpapi-ratelimit-headers) on the API's responses."""

from flask import Flask, Response, after_this_request, g, request

from frontend_api.http.requests import REJECTED_FOR_CONTENT, caller_id, current
from frontend_api.quotas.quotas import Policy, Quotas

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
                remaining, reset = quotas.remaining(g.user_id), quotas.seconds_to_next_window()
                answer.headers["RateLimit"] = ", ".join(
                    f'"{policy.name}";r={remaining[policy.name]}{f";t={reset}" if policy.window_seconds else ""}'
                    for policy in quotas.policies
                )
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
    # The draft has no unit for a limit without a window; this one is the nearest.
    rest = 'qu="concurrent-requests"' if policy.window_seconds is None else f"w={policy.window_seconds}"
    return f'"{policy.name}";q={policy.limit};{rest}'
