"""Python SDK for darkroom. It uses the documented REST API only.

from darkroom import Client

with Client("https://darkroom.example") as darkroom:
    for image in darkroom.generate("a large red circle").images:
        image.save("pictures")
"""

from darkroom.async_client import AsyncClient
from darkroom.credentials import DEFAULT_URL
from darkroom.errors import (
    ClientError,
    ConfigurationError,
    ConflictError,
    ContentPolicyError,
    DamagedImageError,
    DeadLetterNotFoundError,
    EditedImageError,
    FieldError,
    ForbiddenError,
    IdempotencyKeyReusedError,
    ImageNotFoundError,
    InvalidRequestError,
    InvalidTransitionError,
    ModelNotFoundError,
    NoImageRecordError,
    NotFoundError,
    ParametersRejectedError,
    ProblemError,
    TaskCancelledError,
    TaskDeletedError,
    TaskFailedError,
    TaskNotCompletedError,
    TaskNotFoundError,
    TooManyRequestsError,
    UnauthenticatedError,
    UnavailableError,
    UnexpectedResponseError,
    UnknownModelError,
    UnreachableError,
    WaitTimeoutError,
    WebhookRejectedError,
)
from darkroom.image_files import ImageFile, ImageRecord, read_image_record
from darkroom.models.account import ApiKey, CreatedApiKey, UsageReport
from darkroom.models.catalog import ModelSpec
from darkroom.models.dead_letter import DeadLetter
from darkroom.models.estimate import Estimate
from darkroom.models.provenance import Environment, Provenance, Resume
from darkroom.models.queue import QueueStatus
from darkroom.models.share import CreatedShare, Share
from darkroom.models.stored_input import Input
from darkroom.models.task import GenerationParameters, Progress, StoredImage, Task, TaskStatus
from darkroom.models.webhook import WebhookDeliveries, WebhookDelivery, WebhookSecret, WebhookTry
from darkroom.resources.diagnosis import Check
from darkroom.resources.generation import Generation
from darkroom.resources.tasks import TaskFilters
from darkroom.retrying import RetryPolicy
from darkroom.submission import Submission, SubmissionFields
from darkroom.sync_client import Client
from darkroom.verification import Difference, RecordDifference, Verification
from darkroom.webhooks import WebhookEvent, verify_webhook

__all__ = [
    "DEFAULT_URL",
    "ApiKey",
    "AsyncClient",
    "Check",
    "Client",
    "ClientError",
    "ConfigurationError",
    "ConflictError",
    "ContentPolicyError",
    "CreatedApiKey",
    "CreatedShare",
    "DamagedImageError",
    "DeadLetter",
    "DeadLetterNotFoundError",
    "Difference",
    "EditedImageError",
    "Environment",
    "Estimate",
    "FieldError",
    "ForbiddenError",
    "Generation",
    "GenerationParameters",
    "IdempotencyKeyReusedError",
    "ImageFile",
    "ImageNotFoundError",
    "ImageRecord",
    "Input",
    "InvalidRequestError",
    "InvalidTransitionError",
    "ModelNotFoundError",
    "ModelSpec",
    "NoImageRecordError",
    "NotFoundError",
    "ParametersRejectedError",
    "ProblemError",
    "Progress",
    "Provenance",
    "QueueStatus",
    "RecordDifference",
    "Resume",
    "RetryPolicy",
    "Share",
    "StoredImage",
    "Submission",
    "SubmissionFields",
    "Task",
    "TaskCancelledError",
    "TaskDeletedError",
    "TaskFailedError",
    "TaskFilters",
    "TaskNotCompletedError",
    "TaskNotFoundError",
    "TaskStatus",
    "TooManyRequestsError",
    "UnauthenticatedError",
    "UnavailableError",
    "UnexpectedResponseError",
    "UnknownModelError",
    "UnreachableError",
    "UsageReport",
    "Verification",
    "WaitTimeoutError",
    "WebhookDeliveries",
    "WebhookDelivery",
    "WebhookEvent",
    "WebhookRejectedError",
    "WebhookSecret",
    "WebhookTry",
    "read_image_record",
    "verify_webhook",
]
