"""Errors of the local stack. Every message is a complete sentence for the user at the terminal.

LocalStackError
├── StackAlreadyRunningError   the same data directory is in use
├── DataDirectoryUnusableError the data directory cannot be created or written to
├── StartInterruptedError      a signal came before everything was ready
├── ProcessFailedError         a process exited, or never became ready
├── PortTakenError             the page's port is not free
├── JavaMissingError           no Java that can run the emulators
├── EmulatorMissingError       no jar: neither given, nor installed, nor downloadable
├── WorkerModelsError          WORKER_MODELS or DARKROOM_MODELS does not fit the model catalog
├── ModelCatalogError          the file that DARKROOM_MODEL_CATALOG names cannot be used
├── DownloadError              a pinned file could not be downloaded, or its checksum does not match
└── ProvisioningError          a topic, subscription or bucket could not be created
"""

from pathlib import Path


class LocalStackError(Exception):
    """The base class of errors that are shown to the user as a message, without a traceback."""


class StackAlreadyRunningError(LocalStackError):
    """Two stacks on one data directory would overwrite each other's state."""


class DataDirectoryUnusableError(LocalStackError):
    """The folder for state and logs cannot be created or written to."""


class StartInterruptedError(LocalStackError):
    """A signal requested a stop before everything was ready."""


class PortTakenError(LocalStackError):
    """Another process listens on the page's port."""


class JavaMissingError(LocalStackError):
    """The emulators are Java programs, and no sufficiently new Java was found."""


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
    """A process exited or did not become ready.

    The message contains its name and the end of its log.
    """

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
