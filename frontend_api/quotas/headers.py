"""RateLimit-Policy and RateLimit (draft-ietf-httpapi-ratelimit-headers) on responses below /v1."""

from flask import Flask, Response, g, request

from frontend_api.http.current import current
from frontend_api.quotas.quotas import Policy, Quotas, Standing

_BELOW = "/v1/"


def add_rate_limit_headers(app: Flask) -> None:
    """Add the limits to every response, and the remaining quota for an authenticated caller."""

    @app.after_request
    def add(answer: Response) -> Response:
        if not request.path.startswith(_BELOW):
            return answer
        quotas = current(Quotas)
        if quotas.policies:
            answer.headers["RateLimit-Policy"] = ", ".join(map(_policy, quotas.policies))
            if "user_id" in g:
                answer.headers["RateLimit"] = ", ".join(map(_standing, quotas.standings(g.user_id)))
        return answer


def _policy(policy: Policy) -> str:
    # The draft has no unit for a limit without a window; this one is the nearest.
    rest = 'qu="concurrent-requests"' if policy.window_seconds is None else f"w={policy.window_seconds}"
    return f'"{policy.name}";q={policy.limit};{rest}'


def _standing(standing: Standing) -> str:
    reset = "" if standing.resets_in_seconds is None else f";t={standing.resets_in_seconds}"
    return f'"{standing.policy}";r={standing.left}{reset}'
