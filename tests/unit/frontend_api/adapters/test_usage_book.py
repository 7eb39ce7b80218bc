"""FirestoreUsageBook: the reports of one caller do not delay those of others."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

from google.cloud.firestore_v1.base_query import FieldFilter

from frontend_api.adapters.firestore.usage_book import FirestoreUsageBook
from frontend_api.usage.ports import NO_USAGE
from tests.factories import NOW

DAYS = [NOW.date() + timedelta(days=number) for number in range(31)]


class HeldFirestore:
    """A Firestore client, collection and query. The queries about one user wait for an event."""

    def __init__(self, held_user: str) -> None:
        self._held_user = held_user
        self.begun, self.goes_on = threading.Semaphore(0), threading.Event()

    def collection(self, _name: str) -> "HeldFirestore":
        return self

    def document(self, name: str) -> str:
        return name

    def get_all(self, documents: list[str], **_options: Any) -> list[SimpleNamespace]:
        return [SimpleNamespace(id=name, exists=False, read_time=NOW) for name in documents]

    def where(self, *, filter: FieldFilter) -> "_Query":
        return _Query(self, is_held=filter.value == self._held_user)


class _Query:
    def __init__(self, firestore: HeldFirestore, *, is_held: bool) -> None:
        self._firestore = firestore
        self._is_held = is_held

    def __getattr__(self, _name: str) -> Any:
        return lambda *_arguments, **_options: self

    def get(self, **_options: Any) -> list[list[SimpleNamespace]]:
        if self._is_held:
            self._firestore.begun.release()
            assert self._firestore.goes_on.wait(60)
        aliases = ("tasks", "gpu_seconds", "wasted_gpu_seconds")
        return [[SimpleNamespace(alias=alias, value=0) for alias in aliases]]


def test_reports_of_one_caller_do_not_delay_those_of_others() -> None:
    firestore: Any = HeldFirestore("mal")
    book = FirestoreUsageBook(firestore, timeout_seconds=5)
    with ThreadPoolExecutor(9) as pool:
        reports = [pool.submit(book.totals_of, "mal", DAYS) for _ in range(8)]
        try:
            assert all(firestore.begun.acquire(timeout=60) for _ in range(8))
            other = pool.submit(book.totals_of, "vic", DAYS[:7])
            assert other.result(20) == (NO_USAGE,) * 7
        finally:
            firestore.goes_on.set()
        assert [report.result(60) for report in reports] == [(NO_USAGE,) * 31] * 8


def test_report_has_few_queries_at_once() -> None:
    firestore: Any = HeldFirestore("mal")
    book = FirestoreUsageBook(firestore, timeout_seconds=5)
    with ThreadPoolExecutor(1) as pool:
        report = pool.submit(book.totals_of, "mal", DAYS)
        begun = [firestore.begun.acquire(timeout=seconds) for seconds in (60, 60, 0.2)]
        firestore.goes_on.set()
        assert report.result(60) == (NO_USAGE,) * 31
    assert begun == [True, True, False]
