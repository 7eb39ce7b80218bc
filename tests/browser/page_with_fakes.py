"""The built page in a browser, with the API and its fakes in this process instead of a running stack.

The browser's requests are answered by Flask's test client. The connection to Firestore is replaced:
the page shows the tasks that `show` gives it.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import BrowserContext, Page, Route, expect

from common.domain.task import Task
from tests.factories import claim_of, parameters, stored_image
from tests.pictures import png
from tests.unit.frontend_api.conftest import Api

ADDRESS = "http://localhost"
_PAGE_FOLDER = Path(__file__).resolve().parents[2] / "frontend_api" / "web_client" / "dist"
_SIGN_IN_DOMAIN = "login.example.com"
_FIREBASE = {
    "apiKey": "public",
    "authDomain": _SIGN_IN_DOMAIN,
    "projectId": "demo-page",
    "appId": "1:1:web:1",
}
_CONFIGURATION = {
    "project_id": "demo-page",
    "firebase": None,
    "firestore_emulator": None,
    "user_id": "local",
    "max_share_days": 30,
}
_TASKS_FROM_THE_TEST = """
export function firebaseApp() { return {}; }
export function tasksOf() {
  return (count, listener) => {
    listener.onConnectionChange(true);
    window.showTasks = (tasks) => {
      for (const task of tasks) for (const preview of task.previews) preview.data = new Uint8Array(preview.data);
      listener.onChange(tasks.slice(0, count), tasks.length > count);
    };
    window.showTasks(window.firstTasks ?? []);
    return () => {};
  };
}
"""


class PageWithFakes:
    """A browser context whose requests `api` answers. With `signs_in`, users sign in with Firebase."""

    def __init__(self, context: BrowserContext, *, signs_in: bool = False, **options: Any) -> None:
        address = f"https://{_SIGN_IN_DOMAIN}" if signs_in else None
        self.api = Api(folder=_PAGE_FOLDER, signs_in_at=address, **options)
        self.context = context
        self.requests: list[tuple[str, str, Any]] = []
        """Method, path and JSON body of every call of the API."""
        context.route("**/*", self._answer)
        self.configuration = _CONFIGURATION | ({"firebase": _FIREBASE} if signs_in else {})
        """The content of `/config.json`."""
        context.route("**/config.json", lambda route: route.fulfill(json=self.configuration))
        if signs_in:
            return
        context.route(
            "**/assets/firestore-*.js",
            lambda route: route.fulfill(body=_TASKS_FROM_THE_TEST, content_type="text/javascript"),
        )

    def close(self) -> None:
        self.api.subscriptions.shut_down()

    def open(self, path: str = "/", *, tasks: Sequence[dict[str, Any]] = ()) -> Page:
        """Open the page with these tasks, newest first, and wait until it shows them."""
        page = self.context.new_page()
        page.add_init_script(f"window.firstTasks = {json.dumps(list(tasks))}")
        page.goto(f"{ADDRESS}{path}")
        # The page subscribes to its tasks after its load event.
        expect(page.get_by_test_id("task-list")).to_have_attribute("aria-busy", "false")
        return page

    def completed_task(self, task_id: str, **changes: Any) -> dict[str, Any]:
        """Store a completed task with all its images, and return it as the page reads it."""
        task = self.api.claimed_task(task_id=task_id, parameters=parameters(**changes))
        size = {"width": task.parameters.width, "height": task.parameters.height}
        images = []
        for index in range(task.parameters.num_images):
            picture = png(**size, shade=(40 * index) % 256)
            image = replace(
                stored_image(task, index),
                sha256=hashlib.sha256(picture).hexdigest(),
                size_bytes=len(picture),
            )
            self.api.images.objects[image.object_name] = picture
            images.append(image)
        completed = self.api.store.update(
            task_id, lambda t: t.completed(claim_of(t), tuple(images), self.api.clock.now())
        )
        return task_document(completed)

    def submissions(self) -> list[Any]:
        return [body for method, path, body in self.requests if (method, path) == ("POST", "/v1/tasks")]

    def _answer(self, route: Route) -> None:
        request = route.request
        address = urlsplit(request.url)
        path = address.path + (f"?{address.query}" if address.query else "")
        # A stream does not end, and Playwright's thread must not wait for it.
        if address.hostname != "localhost" or address.path == "/v1/tasks:events":
            route.abort()
            return
        if address.path.startswith("/v1/"):
            is_json = request.headers.get("content-type") == "application/json"
            self.requests.append((request.method, address.path, request.post_data_json if is_json else None))
        answer = self.api.app.test_client().open(
            path,
            method=request.method,
            headers={name: value for name, value in request.headers.items() if name != "accept-encoding"},
            data=request.post_data_buffer,
        )
        if "Location" in answer.headers and answer.status_code < 400 and request.is_navigation_request():
            # Playwright does not pass the request after a redirect to this method.
            target = answer.headers["Location"]
            route.fulfill(
                body=f'<meta http-equiv="refresh" content="0;url={target}">', content_type="text/html"
            )
            return
        headers = {name: value for name, value in answer.headers.items() if name != "Content-Length"}
        route.fulfill(status=answer.status_code, headers=headers, body=answer.data)


def task_document(task: Task, **changes: Any) -> dict[str, Any]:
    """Return a task as `readTaskDocument` of the page returns it."""
    parameters = task.parameters
    return {
        "id": task.id,
        "status": task.status.value,
        "prompt": parameters.prompt,
        "negativePrompt": parameters.negative_prompt or "",
        "promptSyntax": "plain",
        "model": parameters.model,
        "steps": parameters.steps,
        "guidanceScale": parameters.guidance_scale,
        "seed": str(parameters.seed),
        "sampler": parameters.sampler.value,
        "width": parameters.width,
        "height": parameters.height,
        "imageCount": parameters.num_images,
        "outputFormat": parameters.output_format.value,
        "outputQuality": parameters.output_quality,
        "metadata": parameters.metadata.value,
        "image": None,
        "maskImage": None,
        "strength": None,
        "controlImage": None,
        "controlnet": None,
        "controlScale": None,
        "referenceImage": None,
        "ipAdapter": None,
        "referenceScale": None,
        "loras": [],
        "labels": dict(task.labels),
        "createdAt": task.created_at.timestamp() * 1_000,
        "updatedAt": task.updated_at.timestamp() * 1_000,
        "finishedAt": None if task.finished_at is None else task.finished_at.timestamp() * 1_000,
        "inferenceSeconds": None,
        "attempt": task.attempt,
        "cancelRequested": False,
        "phase": task.progress.phase.value,
        "step": task.progress.step,
        "totalSteps": parameters.steps,
        "progress": 0,
        "imageProgress": [],
        "previews": [],
        "images": [
            {
                "index": image.index,
                "seed": str(image.seed),
                "contentType": image.content_type,
                "sha256": image.sha256,
            }
            for image in task.images
        ],
        "warnings": [],
        "failedImages": [],
        "failure": None if task.failure is None else task.failure.message,
        **changes,
    }
