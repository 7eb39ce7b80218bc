"""CORS: lets the pages of listed origins call the API and read its responses.

Callers send credentials in headers, never in cookies, so no response allows credentials.
"""

from collections.abc import Container

from flask import Flask, Response, request

_EXPOSED = (
    "Content-Disposition, Content-Range, ETag, Idempotency-Replayed, Location, Preference-Applied, RateLimit, "
    "RateLimit-Policy, Retry-After, WWW-Authenticate, X-Request-Id, X-Trace-Id"
)
"""Response headers that scripts may read, besides those that browsers always expose."""
_MAX_AGE_SECONDS = 7_200
"""Chromium caches a preflight for two hours at most."""


def allow_origins(app: Flask, origins: Container[str]) -> None:
    """Answer preflights before authentication, and allow the listed origins to read responses."""

    @app.before_request
    def answer_preflight() -> Response | None:
        asks = "Origin" in request.headers and "Access-Control-Request-Method" in request.headers
        return Response(status=204) if asks and request.method == "OPTIONS" else None

    @app.after_request
    def add_headers(answer: Response) -> Response:
        answer.vary.add("Origin")
        origin = request.headers.get("Origin")
        if origin is None or origin not in origins:
            return answer
        answer.headers["Access-Control-Allow-Origin"] = origin
        answer.headers["Access-Control-Expose-Headers"] = _EXPOSED
        if request.method == "OPTIONS":
            answer.headers["Access-Control-Allow-Methods"] = ", ".join(sorted(_methods(app)))
            if (wanted := request.headers.get("Access-Control-Request-Headers")) is not None:
                answer.headers["Access-Control-Allow-Headers"] = wanted
            answer.headers["Access-Control-Max-Age"] = str(_MAX_AGE_SECONDS)
            answer.vary.add("Access-Control-Request-Headers")
        return answer


def _methods(app: Flask) -> set[str]:
    return {method for rule in app.url_map.iter_rules() for method in rule.methods or ()}
