"""create_app builds the Flask application from given dependencies, without settings or clients."""

from collections.abc import Sequence

from flask import Flask

from frontend_api.dependencies import EXTENSION, Dependencies
from frontend_api.foreign_requests import refuse_foreign_requests
from frontend_api.json_body import MAX_BODY_BYTES
from frontend_api.problem_answers import answer_problems
from frontend_api.rate_limit_headers import add_rate_limit_headers
from frontend_api.request_gate import gate_requests
from frontend_api.request_log import HEALTH_PATHS, log_requests, trace_requests
from frontend_api.routes import (
    autoscaling,
    batches,
    dead_letters,
    documentation,
    estimates,
    events,
    health,
    images,
    internal,
    keys,
    models,
    operations,
    previews,
    queue,
    results,
    sockets,
    tasks,
    usage,
    web_page,
    webhooks,
)
from frontend_api.security_headers import add_security_headers


def create_app(dependencies: Dependencies, *, trusted_hosts: Sequence[str] = ()) -> Flask:
    """Create the application with all its routes.

    `openapi.py` describes the routes that carry an Operation. With `trusted_hosts`, the application
    accepts only these host names and rejects requests from pages of other origins.
    """
    app = Flask("frontend_api", static_folder=None)
    # One byte more than the limit: Werkzeug reads at most this much of a body without a length and
    # silently drops the rest.
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES + 1
    app.url_map.strict_slashes = True
    app.extensions[EXTENSION] = dependencies
    trace_requests(app)
    log_requests(app)
    gate_requests(app, dependencies.request_gate, exempt_paths=HEALTH_PATHS)
    add_security_headers(app)
    add_rate_limit_headers(app)
    answer_problems(app)
    if trusted_hosts:
        refuse_foreign_requests(app, trusted_hosts)
    for resource in (
        tasks, batches, estimates, events, sockets, results, webhooks, images, previews, models, queue, usage, keys,
        dead_letters, operations, internal, autoscaling, health, documentation, web_page,
    ):  # fmt: skip
        app.register_blueprint(resource.blueprint)
    return app
