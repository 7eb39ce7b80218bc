"""The undocumented internals of gunicorn's threaded worker that the buffering worker uses."""

import inspect
from importlib.metadata import version

import pytest
from gunicorn.http.parser import RequestParser
from gunicorn.http.unreader import IterUnreader
from gunicorn.workers.gthread import TConn, ThreadWorker

from frontend_api.http_server.buffering_worker import BufferingWorker

OVERRIDDEN = sorted(
    name for name, value in vars(BufferingWorker).items() if callable(value) and not name.startswith("_")
)
HAND_OVER_UNREAD = {"accept", "finish_request", "on_client_socket_readable", "on_pending_socket_readable"}
"""Methods of gunicorn that give a thread a connection without a complete request."""


def test_gunicorn_has_the_supported_version() -> None:
    assert version("gunicorn").split(".")[0] == "27", (
        "read frontend_api/http_server/buffering_worker.py before this changes"
    )


@pytest.mark.parametrize("name", OVERRIDDEN)
def test_overridden_methods_have_gunicorns_signatures(name: str) -> None:
    own, gunicorns = getattr(BufferingWorker, name), getattr(ThreadWorker, name)
    assert list(inspect.signature(own).parameters) == list(inspect.signature(gunicorns).parameters)


def test_gunicorns_loop_calls_the_overridden_methods() -> None:
    loop = inspect.getsource(ThreadWorker.run) + inspect.getsource(ThreadWorker.set_accept_enabled)
    for call in ("self.accept)", "self.murder_pending()", "self.murder_keepalived()", "self.nr_conns"):
        assert call in loop
    assert "self.handle_request(req, conn)" in inspect.getsource(ThreadWorker.handle)


def test_no_used_method_gives_a_thread_an_incomplete_request() -> None:
    hands_over = {
        name
        for name, value in vars(ThreadWorker).items()
        if inspect.isfunction(value) and "self.enqueue_req(" in inspect.getsource(value)
    }
    assert hands_over <= HAND_OVER_UNREAD
    assert hands_over - {"on_pending_socket_readable"} <= set(OVERRIDDEN)
    deferring = inspect.getsource(ThreadWorker.handle).partition("return _DEFER")[0]
    assert "if not conn.initialized and not conn.data_ready:" in deferring


def test_prepared_connection_keeps_its_parser() -> None:
    assert inspect.getsource(TConn.init).index("if self.initialized:") < inspect.getsource(TConn.init).index(
        "parser"
    )
    assert isinstance(RequestParser(None, iter([b"x"]), None).unreader, IterUnreader)
