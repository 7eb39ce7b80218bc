"""Security headers for browsers on every response; pages get a policy that allows them to work."""

from collections.abc import Iterable

from flask import Flask, Response

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


def add_security_headers(app: Flask) -> None:
    """Set the headers on every response that has not set its own."""

    @app.after_request
    def add(answer: Response) -> Response:
        own = {name.lower() for name, _ in answer.headers}
        answer.headers.extend(
            [(name, value) for name, value in _EVERYWHERE.items() if name.lower() not in own]
        )
        return answer


def page_policy(connects_to: Iterable[str] = ()) -> str:
    """Return the Content-Security-Policy of a page that may connect to these other origins.

    `style-src` permits inline styles, because each progress bar sets a width. Scripts must be this
    server's files, or the one that Firebase's sign-in window loads.
    """
    others = " ".join(connects_to)
    signs_in = any("googleapis.com" in origin for origin in connects_to)
    directives = {
        "default-src": "'self'",
        "connect-src": f"'self' {others}".strip(),
        "img-src": "'self' data: blob: https://storage.googleapis.com",
        "style-src": "'self' 'unsafe-inline'",
        "script-src": "'self' https://apis.google.com" if signs_in else "'self'",
        "frame-src": "https://*.firebaseapp.com" if signs_in else "'none'",
        "object-src": "'none'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    return "; ".join(f"{name} {value}" for name, value in directives.items())
