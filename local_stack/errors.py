"""What can go wrong while the local stack starts or runs. Every message is a sentence for the person at the terminal.

LocalStackError
├── StackAlreadyRunningError   the same data directory is in use
├── DataDirectoryUnusableError the data directory cannot be made, or written to
├── StartInterruptedError      a signal came before everything was ready
├── ProcessFailedError         a process ended by itself, or never became ready
├── PortTakenError             the page's port is not free
├── JavaMissingError           no Java that can run the emulators
├── EmulatorMissingError       no jar: neither given, nor installed, nor downloadable
├── WorkerModelsError          WORKER_MODELS or DARKROOM_MODELS does not fit the model catalog
├── ModelCatalogError          the file that DARKROOM_MODEL_CATALOG names cannot be used
├── DownloadError              a pinned file could not be fetched whole and true
└── ProvisioningError          a topic, subscription or bucket could not be created
"""

from pathlib import Path


class LocalStackError(Exception):
    """The root of everything that is reported to the user as a sentence, without a traceback."""


class StackAlreadyRunningError(LocalStackError):
    """Two stacks on one data directory would write over each other's state."""


class DataDirectoryUnusableError(LocalStackError):
    """The folder for state and logs cannot be made, or not be written to."""


class StartInterruptedError(LocalStackError):
    """A signal asked for an end before everything was ready."""


class PortTakenError(LocalStackError):
    """Somebody else listens on the port the page is to have."""


class JavaMissingError(LocalStackError):
    """The emulators are Java programs and no Java new enough was found."""


class EmulatorMissingError(LocalStackError):
    """An emulator's jar was not found and could not be downloaded."""


class DownloadError(LocalStackError):
    """A pinned file could not be fetched, or is not the file that was pinned."""


class ProvisioningError(LocalStackError):
    """An emulator refused to create a topic, a subscription or a bucket."""


class WorkerModelsError(LocalStackError):
    """The models that the workers are to serve do not fit the model catalog, or one another."""


class ModelCatalogError(LocalStackError):
    """The model catalog is missing or not valid."""


class ProcessFailedError(LocalStackError):
    """A process ended by itself or did not become ready; names it and shows the end of its log."""

    def __init__(self, *, name: str, reason: str, log_path: Path, log_tail: tuple[str, ...]) -> None:
        self.name = name
        self.reason = reason
        self.log_path = log_path
        self.log_tail = log_tail
        shown = "\n".join(f"    {line}" for line in log_tail) or "    (the log is empty)"
        super().__init__(f"{self.summary} The last lines of {log_path}:\n{shown}")

    @property
    def summary(self) -> str:
        """The sentence without the log."""
        return f"{self.name} {self.reason}."
