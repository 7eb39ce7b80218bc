"""The check of a deployment joins documents and objects, and finds each kind of violation."""

import io
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import typer
from PIL import Image

from common.domain.images import StoredImage
from common.domain.task import Claim, Task
from frontend_api.rescue.policy import RescuePolicy
from tests.factories import NOW, claim_of, parameters, submitted_task
from tests.pictures import png_with_an_empty_profile
from tools.integrity import __main__ as program
from tools.integrity.checker import Kind
from tools.integrity.deployment import DatedObject, Document, Parts, Report, check_deployment, object_of
from tools.integrity.evidence import StoredObject

LATER = NOW + timedelta(hours=1)
GRACE = timedelta(minutes=15)


@dataclass(kw_only=True)
class Stored:
    """The contents of a deployment, in memory."""

    tasks: dict[str, Task | None]
    found: list[DatedObject]

    def documents(self) -> Iterator[Document]:
        for task_id in sorted(self.tasks):
            yield Document(task_id=task_id, task=self.tasks[task_id])

    def objects(self) -> Iterator[DatedObject]:
        return iter(sorted(self.found, key=lambda each: each.stored.name))

    def parts(self, task_id: str) -> Parts:
        documents = [each for each in self.documents() if each.task_id == task_id]
        own = [each for each in self.objects() if each.stored.name.split("/")[1] == task_id]
        return Parts(task_id=task_id, document=documents[0] if documents else None, objects=tuple(own))


def image_of(task: Task) -> StoredObject:
    name = f"{task.folder}attempt-1/0.png"
    return StoredObject(
        name=name, size_bytes=9, sha256="abc", content_type="image/png", picture=("image/png", 64, 64)
    )


def completed_task(task_id: str) -> Task:
    queued = submitted_task(task_id=task_id, parameters=parameters(width=64, height=64, num_images=1))
    stored = image_of(queued)
    image = StoredImage(
        index=0,
        object_name=stored.name,
        width=64,
        height=64,
        seed=queued.parameters.seed,
        content_type="image/png",
        size_bytes=9,
        sha256="abc",
    )
    claim = Claim(worker_id="w", attempt=1, expires_at=NOW, claimed_at=NOW)
    finished = queued.claimed_by("w", NOW, timedelta(seconds=60)).completed(claim, (image,), NOW)
    return replace(finished, event_pending_since=None)


def stored(*tasks: Task) -> Stored:
    return Stored(
        tasks={task.id: task for task in tasks},
        found=[DatedObject(stored=image_of(task), at=NOW) for task in tasks if task.images],
    )


def report_on(contents: Stored, *, now: datetime = LATER) -> Report:
    return check_deployment(contents, rescue=RescuePolicy(), now=now, grace=GRACE)


def kinds(contents: Stored) -> list[Kind]:
    return [finding.kind for finding in report_on(contents).findings]


def test_intact_deployment_has_no_findings() -> None:
    contents = stored(
        *(completed_task(task_id) for task_id in "abc"), submitted_task(task_id="d").enqueued(NOW)
    )
    report = report_on(contents)
    assert (report.tasks, report.objects, report.findings) == (4, 3, [])


@pytest.mark.parametrize("missing", ["a", "b", "c"])
def test_object_without_a_task_is_orphaned(missing: str) -> None:
    contents = stored(*(completed_task(task_id) for task_id in "abc"))
    del contents.tasks[missing]
    (finding,) = report_on(contents).findings
    assert (finding.kind, finding.task_id) == (Kind.ORPHANED, missing)
    assert not report_on(contents, now=NOW).findings


def test_missing_image_is_corrupt() -> None:
    contents = stored(completed_task("a"), completed_task("b"))
    del contents.found[0]
    assert kinds(contents) == [Kind.CORRUPT]


def test_unreadable_document_is_corrupt() -> None:
    contents = stored(completed_task("a"))
    contents.tasks["a"] = None
    assert kinds(contents) == [Kind.CORRUPT]


def test_expired_claim_is_a_lost_task() -> None:
    contents = stored(submitted_task(task_id="a").claimed_by("w", NOW, timedelta(seconds=60)))
    assert kinds(contents) == [Kind.LOST]


@pytest.mark.parametrize("confirmed", [True, False])
def test_task_without_a_message_is_lost(confirmed: bool) -> None:
    waiting = submitted_task(task_id="a")
    contents = stored(waiting.enqueued(NOW) if confirmed else waiting)
    report = report_on(contents, now=NOW + timedelta(hours=2))
    assert [finding.kind for finding in report.findings] == [Kind.LOST]


def test_program_judges_by_the_settings_of_the_api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where messages may wait for six hours, one that waits for two is not lost."""
    queued_at = datetime.now(UTC) - timedelta(hours=2)
    waiting = submitted_task(task_id="a", now=queued_at).enqueued(queued_at)
    monkeypatch.setattr(program, "_local_contents", lambda _: stored(waiting))
    with pytest.raises(typer.Exit) as found:
        program.main(local=tmp_path)
    assert found.value.exit_code == program.VIOLATIONS_EXIT_CODE
    monkeypatch.setenv("DARKROOM_RESCUE_ENQUEUED_SECONDS", "21600")
    program.main(local=tmp_path)
    monkeypatch.setenv("DARKROOM_RESCUE_ENQUEUED_SECONDS", "soon")
    with pytest.raises(typer.Exit) as refused:
        program.main(local=tmp_path)
    assert refused.value.exit_code == program.USAGE_EXIT_CODE


def test_task_that_waits_for_its_next_worker_is_not_lost() -> None:
    """Its deadline is that of its first start. Rescue has published its message again."""
    started = submitted_task(task_id="a", start_within=timedelta(minutes=10)).claimed_by(
        "w", NOW, timedelta(seconds=60)
    )
    handed_back = started.handed_back(claim_of(started), NOW).enqueued(NOW)
    lost = replace(started, id="b", enqueued_at=NOW + timedelta(minutes=5))
    assert not kinds(stored(handed_back, lost))


def test_unpublished_event_is_untold() -> None:
    contents = stored(replace(completed_task("a"), event_pending_since=NOW))
    assert kinds(contents) == [Kind.UNTOLD]


def test_violation_that_ends_meanwhile_is_not_reported() -> None:
    class Changing(Stored):
        """Contents in which a deletion ends between the two readings."""

        def parts(self, task_id: str) -> Parts:
            return Parts(task_id=task_id, document=None, objects=())

    contents = stored(completed_task("a"))
    assert not kinds(Changing(tasks={}, found=contents.found))


def encoded(file_format: str, *, width: int = 8) -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (width, width)).save(buffer, file_format)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        encoded("EPS"),
        encoded("GIF"),
        encoded("PNG")[:-30],
        encoded("PNG", width=14_000),
        b"GIF89a",
        png_with_an_empty_profile(),
    ],
    ids=["eps", "gif", "cut", "bomb", "no picture", "damaged"],
)
def test_content_that_no_worker_writes_is_no_picture(content: bytes) -> None:
    assert object_of("tasks/a/0.png", content, "image/png").picture is None


def test_picture_of_a_worker_is_decoded() -> None:
    assert object_of("tasks/a/0.png", encoded("PNG"), "image/png").picture == ("image/png", 8, 8)
