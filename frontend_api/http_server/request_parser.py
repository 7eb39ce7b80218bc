"""ReceivedParser: gunicorn's parser of a request that has arrived."""

from typing import Any

from gunicorn.http.errors import (
    ConfigurationProblem,
    LimitRequestHeaders,
    LimitRequestLine,
    NoMoreData,
    ParseException,
)
from gunicorn.http.parser import RequestParser

from frontend_api.http_server.incoming_request import IncomingRequest


class InvalidRequestError(Exception):
    """gunicorn's parser rejects the head of a request to `path`."""

    def __init__(self, path: str, error: Exception) -> None:
        # Other messages quote the request, and the log would contain its secrets.
        has_limit = isinstance(error, LimitRequestLine | LimitRequestHeaders)
        super().__init__(str(error) if has_limit else "the head is malformed")
        self.path = path


class ReceivedParser(RequestParser):  # type: ignore[misc]
    """gunicorn's parser; its errors know the request's path, on which the form of the response depends."""

    def __init__(self, cfg: Any, incoming: IncomingRequest, address: Any) -> None:
        # An iterator instead of the socket, so that gunicorn never waits for more bytes.
        super().__init__(cfg, incoming.released_pieces(), address)
        self._path = incoming.path or ""
        self._is_put_back = False

    def put_back(self) -> None:
        """Return the current request, whose body is unread, once more."""
        self._is_put_back = True

    def __next__(self) -> Any:
        if self._is_put_back:
            self._is_put_back = False
            return self.mesg
        try:
            return super().__next__()
        except ConfigurationProblem:
            raise
        except (ParseException, NoMoreData) as error:
            raise InvalidRequestError(self._path, error) from error
