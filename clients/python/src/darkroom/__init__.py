"""Python client and command line for the darkroom API.

It depends on the documented API only and imports no server code.

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
    DamagedImageError,
    EditedImageError,
    NoImageRecordError,
    TaskCancelledError,
    TaskDeletedError,
    TaskFailedError,
    TaskNotCompletedError,
    UnexpectedAnswerError,
    UnreachableError,
    WaitTimeoutError,
    WebhookRejectedError,
)
from darkroom.image_file import ImageFile
from darkroom.image_record import ImageRecord, read_image_record
from darkroom.models.api_key import ApiKey, CreatedApiKey
from darkroom.models.dead_letter import DeadLetter
from darkroom.models.estimate import Estimate
from darkroom.models.model_spec import ModelSpec
from darkroom.models.provenance import Environment, Provenance, Resume
from darkroom.models.queue_standing import QueueStanding
from darkroom.models.task import GenerationParameters, Progress, StoredImage, Task, TaskStatus
from darkroom.models.usage import UsageReport
from darkroom.problem_errors import (
    Complaint,
    ConflictError,
    DeadLetterNotFoundError,
    ForbiddenError,
    IdempotencyKeyReusedError,
    ImageNotFoundError,
    InvalidTransitionError,
    ModelNotFoundError,
    NotFoundError,
    ParametersRejectedError,
    ProblemError,
    RequestRefusedError,
    TaskNotFoundError,
    TooManyRequestsError,
    UnauthenticatedError,
    UnavailableError,
    UnknownModelError,
)
from darkroom.resources.generation import Generation
from darkroom.retrying import RetryPolicy
from darkroom.submission import Submission, SubmissionFields
from darkroom.sync_client import Client
from darkroom.verification import Difference, RecordDifference, Verification
from darkroom.webhooks import WebhookEvent, verify_webhook

__all__ = [
    "DEFAULT_URL",
    "ApiKey",
    "AsyncClient",
    "Client",
    "ClientError",
    "Complaint",
    "ConfigurationError",
    "ConflictError",
    "CreatedApiKey",
    "DamagedImageError",
    "DeadLetter",
    "DeadLetterNotFoundError",
    "Difference",
    "EditedImageError",
    "Environment",
    "Estimate",
    "ForbiddenError",
    "Generation",
    "GenerationParameters",
    "IdempotencyKeyReusedError",
    "ImageFile",
    "ImageNotFoundError",
    "ImageRecord",
    "InvalidTransitionError",
    "ModelNotFoundError",
    "ModelSpec",
    "NoImageRecordError",
    "NotFoundError",
    "ParametersRejectedError",
    "ProblemError",
    "Progress",
    "Provenance",
    "QueueStanding",
    "RecordDifference",
    "RequestRefusedError",
    "Resume",
    "RetryPolicy",
    "StoredImage",
    "Submission",
    "SubmissionFields",
    "Task",
    "TaskCancelledError",
    "TaskDeletedError",
    "TaskFailedError",
    "TaskNotCompletedError",
    "TaskNotFoundError",
    "TaskStatus",
    "TooManyRequestsError",
    "UnauthenticatedError",
    "UnavailableError",
    "UnexpectedAnswerError",
    "UnknownModelError",
    "UnreachableError",
    "UsageReport",
    "Verification",
    "WaitTimeoutError",
    "WebhookEvent",
    "WebhookRejectedError",
    "read_image_record",
    "verify_webhook",
]
