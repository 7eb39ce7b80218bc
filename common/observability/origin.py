"""The OpenTelemetry resource of a process, and whether it runs on Google Cloud."""

from dataclasses import dataclass
from importlib.metadata import version

from opentelemetry.sdk.resources import Resource, get_aggregated_resources

from common.settings import SharedSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """The attributes of a process in all its spans and metrics.

    `is_on_google_cloud` is detected on the machine.
    """

    process: str
    resource: Resource
    is_on_google_cloud: bool


def origin_of(settings: SharedSettings, *, process: str, instance_id: str) -> Origin:
    """Return the origin of this process; OTEL_RESOURCE_ATTRIBUTES add to it.

    It queries the metadata server only if the result is used: not with emulators, and not if spans
    and metrics are exported elsewhere.
    """
    resource = Resource.create(
        {
            "service.namespace": "darkroom",
            "service.name": f"darkroom-{process}",
            "service.version": version("darkroom"),
            "service.instance.id": instance_id,
        }
    )
    undecided = "auto" in (settings.trace_exporter, settings.metric_exporter) and not settings.otlp_endpoint
    asked_for = "google" in (settings.trace_exporter, settings.metric_exporter)
    if settings.uses_emulators or not (undecided or asked_for):
        return Origin(process=process, resource=resource, is_on_google_cloud=False)
    from opentelemetry.resourcedetector.gcp_resource_detector import (  # noqa: PLC0415 (needed there only)
        GoogleCloudResourceDetector,
    )

    # With this call a failing or slow detector does not stop the process from starting.
    found = get_aggregated_resources([GoogleCloudResourceDetector()], Resource.get_empty())
    project = Resource({"gcp.project_id": settings.project_id})
    return Origin(
        process=process,
        resource=found.merge(resource).merge(project),
        is_on_google_cloud="cloud.provider" in found.attributes,
    )
