"""create_app builds the Flask application from given dependencies, without settings or clients."""

from collections.abc import Sequence

from flask import Flask

from frontend_api.api_keys.routes import blueprint as keys
from frontend_api.autoscaling.routes import blueprint as autoscaling
from frontend_api.batches.routes import blueprint as batches
from frontend_api.browser.cors import allow_origins
from frontend_api.browser.origin_check import reject_foreign_requests
from frontend_api.browser.routes import blueprint as web_page
from frontend_api.browser.security_headers import add_security_headers
from frontend_api.dead_letters.routes import blueprint as dead_letters
from frontend_api.dependencies import Dependencies
from frontend_api.estimates.routes import blueprint as estimates
from frontend_api.health.routes import blueprint as health
from frontend_api.history.routes import blueprint as history
from frontend_api.http.compression import compress_responses
from frontend_api.http.concurrency_limiter import limit_concurrency
from frontend_api.http.header_limits import limit_headers
from frontend_api.http.json_body import MAX_BODY_BYTES
from frontend_api.http.problem_responses import handle_errors
from frontend_api.http.request_log import HEALTH_PATHS, log_requests, trace_requests
from frontend_api.http.requests import provide
from frontend_api.http.response_memory import limit_response_memory
from frontend_api.images.routes import blueprint as images
from frontend_api.images.routes import previews
from frontend_api.inputs.routes import blueprint as inputs
from frontend_api.inputs.routes import resumable as resumable_uploads
from frontend_api.internal.routes import blueprint as internal
from frontend_api.models.routes import blueprint as models
from frontend_api.openai_compatibility.errors import ERROR_SHAPES
from frontend_api.openai_compatibility.routes import blueprint as openai
from frontend_api.openapi.routes import blueprint as documentation
from frontend_api.operations.routes import blueprint as operations
from frontend_api.operations.routes import count_responses
from frontend_api.public_address import PublicAddress, mount
from frontend_api.quotas.headers import add_rate_limit_headers
from frontend_api.shares.routes import blueprint as shares
from frontend_api.shares.routes import links
from frontend_api.stats.routes import blueprint as queue
from frontend_api.streams.routes import events, lists, sockets
from frontend_api.tasks.routes import blueprint as tasks
from frontend_api.tasks.routes import results
from frontend_api.usage.routes import blueprint as usage
from frontend_api.webhooks.routes import blueprint as webhooks


def create_app(
    dependencies: Dependencies,
    *,
    trusted_hosts: Sequence[str] = (),
    cors_origins: Sequence[str] = (),
    address: PublicAddress = PublicAddress(),  # noqa: B008 (frozen)
) -> Flask:
    """Create the application with all its routes.

    `openapi.py` describes the routes that carry an Operation. With `trusted_hosts`, the application
    accepts only these host names and rejects requests from pages of other origins than its public
    address and `cors_origins`.
    """
    app = Flask("frontend_api", static_folder=None)
    # One byte more than the limit: Werkzeug reads at most this much of a body without a length and
    # silently drops the rest.
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES + 1
    app.url_map.strict_slashes = True
    app.extensions["darkroom"] = dependencies
    provide(app, dependencies)
    compress_responses(app)
    trace_requests(app)
    log_requests(app)
    count_responses(app, dependencies.history.responses.add, exempt_paths=HEALTH_PATHS)
    limit_headers(app)
    limit_concurrency(app, dependencies.http, exempt_paths=HEALTH_PATHS)
    add_security_headers(app, https_only=(address.origin or "").startswith("https://"))
    add_rate_limit_headers(app)
    handle_errors(app, ERROR_SHAPES)
    if trusted_hosts:
        own = () if address.origin is None else (address.origin,)
        reject_foreign_requests(app, trusted_hosts, origins=(*own, *cors_origins))
    if cors_origins:
        allow_origins(app, cors_origins)
    limit_response_memory(app, dependencies.http)
    if address.base_path:
        mount(app, address)
    for resource in (
        tasks, batches, estimates, events, lists, sockets, results, webhooks, images, previews,
        shares, links, inputs, resumable_uploads, models, openai, queue,
        usage, keys, dead_letters, operations, history, internal, autoscaling, health, documentation, web_page,
    ):  # fmt: skip
        app.register_blueprint(resource)
    return app
