"""Composition root of the worker: settings → adapters → Worker. Only this module creates adapters.

python -m gpu_subscriber        exits 0 after a complete drain, 1 on failure, 78 if misconfigured
"""

import os
import socket
import sys
import threading
import uuid
from collections.abc import Callable
from datetime import timedelta

import structlog
from pydantic import ValidationError

from common.adapters.firestore_client import firestore_client
from common.adapters.firestore_clock import FirestoreClock
from common.adapters.firestore_task_store import FirestoreTaskStore
from common.adapters.firestore_worker_reports import FirestoreWorkerReports
from common.adapters.grpc_channels import publisher_client
from common.adapters.pubsub_event_publisher import PubSubEventPublisher
from common.adapters.pubsub_topic import PubSubTopic
from common.adapters.system_clock import SystemClock
from common.domain.errors import UnknownModelError
from common.observability.gpu_cost import GpuCost
from common.observability.telemetry import configure_telemetry, hand_over_telemetry
from common.settings import SettingsError
from common.shutdown_signals import on_shutdown_signals
from gpu_subscriber.adapters.gcs_bucket import open_bucket
from gpu_subscriber.adapters.gcs_checkpoint_store import GcsCheckpointStore
from gpu_subscriber.adapters.gcs_image_writer import GcsImageWriter
from gpu_subscriber.adapters.gcs_input_reader import GcsInputReader
from gpu_subscriber.adapters.kubernetes_pod import KubernetesPod
from gpu_subscriber.adapters.nvml_gpus import register_gpu_gauges
from gpu_subscriber.adapters.pubsub_dead_letters import PubSubDeadLetters
from gpu_subscriber.adapters.pubsub_deliveries import PubSubDeliveries
from gpu_subscriber.adapters.pubsub_subscriber import subscriber_client
from gpu_subscriber.attempt.active_task import Pace
from gpu_subscriber.attempt.checkpoints import CheckpointKeeper
from gpu_subscriber.attempt.claim_takeover import ClaimTakeover
from gpu_subscriber.attempt.deleted_tasks import DeletedTasks
from gpu_subscriber.attempt.heartbeat import Heartbeat
from gpu_subscriber.attempt.process_task import ProcessTask
from gpu_subscriber.attempt.progress_events import ProgressEvents
from gpu_subscriber.attempt.timing_stats import TimingStats
from gpu_subscriber.dependency_retry import DependencyRetry
from gpu_subscriber.engine.engine_settings import EngineSettings
from gpu_subscriber.engine_host.client import EngineClient
from gpu_subscriber.engine_host.process import EngineProcess
from gpu_subscriber.engine_host.watchdog import AllowedSilence
from gpu_subscriber.images.inputs import TaskInputs
from gpu_subscriber.images.storage import ImageStorage
from gpu_subscriber.settings import WorkerSettings
from gpu_subscriber.worker.health import HealthServer
from gpu_subscriber.worker.metrics import register_worker_gauges
from gpu_subscriber.worker.pod_deletion_cost import PodDeletionCost
from gpu_subscriber.worker.reporter import Reporter
from gpu_subscriber.worker.served_models import ServedModelsOnly
from gpu_subscriber.worker.worker import Worker

_log = structlog.get_logger(__name__)
ENGINE_ENTRY_POINT = "gpu_subscriber.engine.engine_process:run_engine"
EXIT_MISCONFIGURED = 78  # EX_CONFIG of sysexits.h
_FLUSH_SECONDS = 1.0
"""Limit for the flush of the last spans and metrics, since a pod has little time left to end."""


def main() -> int:
    """Run the worker until it ends; return its exit code."""
    # Not only the pod's name: a container that restarts in the same pod is another worker.
    worker_id = f"{socket.gethostname()}-{uuid.uuid4().hex[:12]}"
    try:
        settings = WorkerSettings()
        engine_settings = engine_settings_of(settings)
        configure_telemetry(settings, process="worker", instance_id=worker_id)
    except (ValidationError, SettingsError) as error:
        print(f"darkroom worker: {error}", file=sys.stderr)  # noqa: T201 (logging is not set up yet)
        return EXIT_MISCONFIGURED
    structlog.contextvars.bind_contextvars(worker_id=worker_id)
    worker = build_worker(
        settings,
        lambda: EngineProcess.spawned(ENGINE_ENTRY_POINT, engine_settings),
        worker_id=worker_id,
    )
    register_worker_gauges(lambda: worker.state, subscription=settings.subscription)
    register_gpu_gauges()
    on_shutdown_signals(worker.request_drain)
    health = HealthServer(settings.health_host, settings.health_port, lambda: worker.state)
    threading.Thread(target=health.serve_forever, name="health", daemon=True).start()
    if settings.pod_name is not None:
        pod = KubernetesPod(name=settings.pod_name, namespace=settings.pod_namespace)
        pod_deletion_cost = PodDeletionCost(pod, lambda: worker.state.active_tasks)
        threading.Thread(target=pod_deletion_cost.run, name="pod-deletion-cost", daemon=True).start()
    _log.info("worker_started", subscription=settings.subscription, health_port=health.server_port)
    exit_code = worker.run()
    _log.info("worker_ended", exit_code=exit_code)
    hand_over_telemetry(within_seconds=_FLUSH_SECONDS)
    return exit_code


def build_worker(
    settings: WorkerSettings,
    spawn_engine: Callable[[], EngineProcess],
    *,
    worker_id: str,
) -> Worker:
    """Create the worker with its adapters."""
    clock = FirestoreClock(SystemClock())
    draining = threading.Event()
    dependency_retry = DependencyRetry(seconds=settings.patience_seconds, draining=draining)
    claim_ttl = timedelta(seconds=settings.claim_ttl_seconds)
    heartbeat = Heartbeat(clock=clock, claim_ttl=claim_ttl, pace=_pace_of(settings))
    engine = EngineClient(
        spawn_engine,
        attempt_timeout_seconds=settings.attempt_timeout_seconds,
        allowed_silence=_allowed_silence_of(settings),
    )
    firestore = firestore_client(settings.project_id, emulator_host=settings.firestore_emulator_host)
    publisher = publisher_client(emulator_host=settings.pubsub_emulator_host)
    bucket = open_bucket(settings.project_id, settings.images_bucket, connections=2 * settings.slots)
    events = PubSubEventPublisher(PubSubTopic(publisher, settings.project_id, settings.events_topic))
    timing_stats = TimingStats()
    reporting = Reporter(
        worker_id=worker_id,
        reports=FirestoreWorkerReports(firestore, timeout_seconds=settings.report_interval_seconds),
        timing_stats=timing_stats,
        clock=clock,
        interval_seconds=settings.report_interval_seconds,
    )
    store = FirestoreTaskStore(firestore, clock=clock)
    images = ImageStorage(writer=GcsImageWriter(bucket), dependency_retry=dependency_retry)
    checkpoints = CheckpointKeeper(GcsCheckpointStore(bucket))
    process_task = ProcessTask(
        worker_id=worker_id,
        claim_ttl=claim_ttl,
        store=store,
        generator=engine,
        inputs=TaskInputs(
            reader=GcsInputReader(bucket),
            dependency_retry=dependency_retry,
            max_bytes=settings.max_input_bytes,
            max_pixels=settings.max_input_pixels,
        ),
        images=images,
        checkpoints=checkpoints,
        deleted_tasks=DeletedTasks(images=images, checkpoints=checkpoints),
        events=events,
        progress_events=ProgressEvents(events, clock=clock, progress_seconds=settings.progress_event_seconds),
        dead_letters=PubSubDeadLetters(
            PubSubTopic(publisher, settings.project_id, settings.dead_letter_topic),
            subscription=settings.subscription,
        ),
        heartbeat=heartbeat,
        dependency_retry=dependency_retry,
        claim_takeover=ClaimTakeover(
            seconds=settings.holder_silence_seconds,
            again_after_seconds=settings.claim_ttl_seconds,
            draining=draining,
        ),
        timing_stats=timing_stats,
        clock=clock,
        gpu_cost=GpuCost(price_per_second=settings.price_per_gpu_second, currency=settings.price_currency),
    )
    source = PubSubDeliveries(
        subscriber_client(emulator_host=settings.pubsub_emulator_host),
        settings.project_id,
        settings.subscription,
        lease_seconds=settings.lease_seconds,
        attempt_timeout_seconds=settings.attempt_timeout_seconds,
    )
    return Worker(
        source=source,
        process=ServedModelsOnly(
            elsewhere=models_served_elsewhere(settings), store=store, process=process_task
        ),
        engine=engine,
        heartbeat=heartbeat,
        reporting=reporting,
        draining=draining,
        clock=clock,
        drain_deadline_seconds=settings.drain_deadline_seconds,
    )


def models_served_elsewhere(settings: WorkerSettings) -> frozenset[str]:
    """Return the catalog's models that other workers serve."""
    offered = frozenset(model.name for model in settings.load_catalog().models)
    return offered - frozenset(settings.models) if settings.models else frozenset()


def engine_settings_of(settings: WorkerSettings) -> EngineSettings:
    """Return the settings of the engine process; raises SettingsError if the catalog lacks a model."""
    catalog = settings.load_catalog()
    try:
        models = tuple(catalog.get(name) for name in settings.models) or catalog.models
    except UnknownModelError as error:
        raise SettingsError(f"DARKROOM_MODELS: {error}") from error
    return EngineSettings(
        models=models,
        device=settings.device,
        dtype=settings.dtype,
        max_batch=settings.slots,
        preview_interval_seconds=settings.progress_interval_seconds,
        checkpoint_interval_seconds=settings.checkpoint_interval_seconds,
        loaded_models=settings.loaded_models,
        host_cache_bytes=settings.host_cache_bytes,
        compile_denoiser=settings.compile_denoiser,
        cuda_graphs=settings.cuda_graphs,
        measure_at_start=settings.measure_at_start,
        cpu_threads=settings.cpu_threads,
        niceness=settings.engine_niceness,
        image_classifier=settings.image_classifier,
    )


def _pace_of(settings: WorkerSettings) -> Pace:
    return Pace(
        renewal_seconds=settings.heartbeat_interval_seconds,
        poll_seconds=settings.cancellation_look_seconds,
        progress_seconds=settings.progress_interval_seconds,
    )


def _allowed_silence_of(settings: WorkerSettings) -> AllowedSilence:
    loading = settings.engine_loading_seconds
    # A compiled network may be recompiled for a new size, during a step.
    generation = loading if settings.compile_denoiser else settings.engine_silence_seconds
    return AllowedSilence(generation_seconds=generation, loading_seconds=loading)


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    # Not sys.exit: the thread of a stuck delivery would keep the interpreter from ending.
    os._exit(code)
