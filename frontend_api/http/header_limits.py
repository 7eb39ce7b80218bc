"""Limits the length of single headers: parsing lists and parameters of 64 KB takes half a second."""

from flask import Flask, request

from frontend_api.http.problems import Complaint, Problem, RequestRefusedError

MAX_HEADER_CHARACTERS = 8_190
"""The default of gunicorn and of most proxies."""
_LONGER = "Cookie"
"""Browsers send the cookies of all programs on localhost. No route reads them."""


def limit_headers(app: Flask) -> None:
    """Refuse requests with a longer header, before it is parsed."""

    @app.before_request
    def check() -> None:
        for name, value in request.headers:
            if len(value) > MAX_HEADER_CHARACTERS and name != _LONGER:
                limit = f"at most {MAX_HEADER_CHARACTERS} characters"
                complaint = Complaint("header", name[:100], f"must have {limit}")
                detail = f"the header {name[:100]} must have {limit}"
                raise RequestRefusedError(Problem(code="bad_request", detail=detail, complaints=(complaint,)))
