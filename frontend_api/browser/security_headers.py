"""Security headers for browsers on every response; pages get a policy that allows them to work."""

from collections.abc import Mapping

from flask import Flask, Response

from frontend_api.browser.package import WebPage

_EVERYWHERE = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    # Not plain same-origin: Firebase signs in through a window that reports to its opener.
    "Cross-Origin-Opener-Policy": "same-origin-allow-popups",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}


_HTTPS_ONLY = {"Strict-Transport-Security": "max-age=31536000"}
"""For a year, browsers use https for this host. Other hosts of the domain are not included."""


def add_security_headers(app: Flask, *, https_only: bool = False) -> None:
    """Set the headers on every response that has not set its own."""
    headers = _EVERYWHERE | (_HTTPS_ONLY if https_only else {})

    @app.after_request
    def add(answer: Response) -> Response:
        own = {name.lower() for name, _ in answer.headers}
        answer.headers.extend([(name, value) for name, value in headers.items() if name.lower() not in own])
        return answer


def page_policy(page: WebPage) -> str:
    """Return the Content-Security-Policy of the page and the operator page.

    Scripts are this server's files, and no text becomes a script (Trusted Types). Where Firebase
    signs in, it loads a script of Google's, and sets the addresses of scripts as plain text.
    """
    signs_in_at = page.signs_in_at
    return _policy(
        {
            "script-src": "'self'" if signs_in_at is None else "'self' https://apis.google.com",
            "style-src": "'self'",
            "img-src": " ".join(("'self' data: blob:", *page.images_from)),
            "connect-src": " ".join(("'self'", *page.connects_to)),
            "frame-src": signs_in_at or "'none'",
        }
        | ({} if signs_in_at is not None else _NO_TEXT_AS_SCRIPT | {"trusted-types": "'none'"})
    )


def reference_policy() -> str:
    """Return the policy of the API reference.

    Its viewer sets inline styles, and renders with lit. The page's default policy removes the markup
    of every other text.
    """
    return _policy(
        {
            "script-src": "'self'",
            "style-src": "'self' 'unsafe-inline'",
            "img-src": "'self' data:",
            "connect-src": "'self'",
            "trusted-types": "lit-html default",
        }
        | _NO_TEXT_AS_SCRIPT
    )


_NO_TEXT_AS_SCRIPT = {"require-trusted-types-for": "'script'"}


def _policy(directives: Mapping[str, str]) -> str:
    closed = {
        "default-src": "'none'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    return "; ".join(f"{name} {value}" for name, value in (closed | dict(directives)).items())
