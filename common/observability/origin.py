"""Origin: which process speaks, as OpenTelemetry's resource, and whether it does so on Google Cloud."""

from dataclasses import dataclass
from importlib.metadata import version

from opentelemetry.sdk.resources import Resource, get_aggregated_resources

from common.settings import SharedSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What every span and metric of a process says of it. `is_on_google_cloud` is told by the machine itself."""

    process: str
    resource: Resource
    is_on_google_cloud: bool


def origin_of(settings: SharedSettings, *, process: str, instance_id: str) -> Origin:
    """The origin of this process; OTEL_RESOURCE_ATTRIBUTES add to it.

    Asks the machine's metadata server, but only where that decides or describes something: with emulators, and
    where everything goes elsewhere, nobody is asked.
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

    # Asked like this a detector may fail or be slow, and the process starts all the same.
    found = get_aggregated_resources([GoogleCloudResourceDetector()], Resource.get_empty())
    project = Resource({"gcp.project_id": settings.project_id})
    return Origin(
        process=process,
        resource=found.merge(resource).merge(project),
        is_on_google_cloud="cloud.provider" in found.attributes,
    )
