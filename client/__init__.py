"""Python client and command line for the darkroom API.

It depends on the documented API only and imports no server code.

from client import Client

with Client("https://darkroom.example") as darkroom:
    for image in darkroom.generate("a large red circle").images:
        image.save("pictures")
"""

from client.api_key import ApiKey, CreatedApiKey
from client.async_client import AsyncClient
from client.credentials import DEFAULT_URL
from client.dead_letter import DeadLetter
from client.errors import (
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
from client.estimate import Estimate
from client.generation import Generation
from client.image_file import ImageFile
from client.image_record import ImageRecord, read_image_record
from client.model_spec import ModelSpec
from client.problem_errors import (
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
from client.provenance import Environment, Provenance, Resume
from client.queue_standing import QueueStanding
from client.retrying import RetryPolicy
from client.submission import Submission, SubmissionFields
from client.sync_client import Client
from client.task import GenerationParameters, Progress, StoredImage, Task, TaskStatus
from client.usage import UsageReport
from client.verification import Difference, RecordDifference, Verification
from client.webhooks import WebhookEvent, verify_webhook

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
