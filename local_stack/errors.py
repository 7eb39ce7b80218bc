"""Errors of the local stack. Their messages are complete sentences for the user."""

from pathlib import Path


class LocalStackError(Exception):
    """The base class of errors that are shown to the user as a message, without a traceback."""


class StackAlreadyRunningError(LocalStackError):
    """Another stack uses the data directory."""


class DataDirectoryUnusableError(LocalStackError):
    """The folder for state and logs cannot be created or written to."""


class StartInterruptedError(LocalStackError):
    """A signal requested a stop before everything was ready."""


class PortTakenError(LocalStackError):
    """Another process listens on the page's port."""


class JavaMissingError(LocalStackError):
    """No sufficiently new Java was found."""


class EmulatorMissingError(LocalStackError):
    """An emulator's jar was not found and could not be downloaded."""


class DownloadError(LocalStackError):
    """A pinned file could not be downloaded, or its checksum does not match."""


class ProvisioningError(LocalStackError):
    """An emulator refused to create a topic, a subscription or a bucket."""


class WorkerModelsError(LocalStackError):
    """The workers' models are not in the model catalog, or conflict."""


class ModelCatalogError(LocalStackError):
    """The model catalog is missing or invalid."""


class ProcessFailedError(LocalStackError):
    """A process exited or did not become ready. The message has the end of its log."""

    def __init__(self, *, name: str, reason: str, log_path: Path, log_tail: tuple[str, ...]) -> None:
        self.name = name
        self.reason = reason
        self.log_path = log_path
        self.log_tail = log_tail
        shown = "\n".join(f"    {line}" for line in log_tail) or "    (the log is empty)"
        super().__init__(f"{self.summary} The last lines of {log_path}:\n{shown}")

    @property
    def summary(self) -> str:
        """The message without the log."""
        return f"{self.name} {self.reason}."
