"""A repository of the Hugging Face Hub: its files with their hashes, read over HTTP."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import RawIOBase
from pathlib import PurePosixPath
from typing import BinaryIO, cast

from httpx2 import HTTPError
from huggingface_hub import HfApi, hf_hub_url
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.file_download import http_get
from huggingface_hub.utils import (  # type: ignore[attr-defined]  # exported at run time only
    build_hf_headers,
    hf_raise_for_status,
    http_stream_backoff,
)

from gpu_subscriber.model_download.digests import Digest


class ModelDownloadError(Exception):
    """The model was not downloaded; the text gives the reason, and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HubFile:
    """One file of a repository."""

    name: str
    """Its path in the repository."""
    size: int
    digest: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class HubRepository:
    """The files of a model at one commit."""

    model: str
    commit: str
    files: tuple[HubFile, ...]
    endpoint: str | None = None
    token: str | None = None

    @classmethod
    def open(
        cls, model: str, *, revision: str | None = None, endpoint: str | None = None, token: str | None = None
    ) -> "HubRepository":
        """List the repository of a model. `HF_ENDPOINT` and `HF_TOKEN` are the defaults.

        Raises ModelDownloadError.
        """
        with _translated_errors(model):
            found = HfApi(endpoint=endpoint, token=token).model_info(
                model, revision=revision, files_metadata=True
            )
        files = []
        for each in found.siblings or ():
            _check_name(each.rfilename)
            if each.size is None or (each.lfs is None and each.blob_id is None):
                raise ModelDownloadError(f"{model}: the hub states no size or hash of {each.rfilename}")
            digest = (
                Digest("sha256", each.lfs.sha256)
                if each.lfs is not None
                else Digest("git", str(each.blob_id))
            )
            files.append(HubFile(name=each.rfilename, size=each.size, digest=digest))
        return cls(model=model, commit=str(found.sha), files=tuple(files), endpoint=endpoint, token=token)

    def read_start(self, file: HubFile, length: int) -> bytes:
        """Read up to this many bytes at the start of a file. Raises ModelDownloadError."""
        wanted = min(length, file.size)
        content = b""
        if not wanted:
            return content
        headers = {**self._headers(), "Range": f"bytes=0-{wanted - 1}"}
        with (
            _translated_errors(self.model),
            http_stream_backoff("GET", self._url(file), headers=headers) as response,
        ):
            hf_raise_for_status(response)
            for chunk in response.iter_bytes():
                content += chunk
                if len(content) >= wanted:
                    break
        return content[:wanted]

    def copy(self, file: HubFile, target: RawIOBase, *, received: int = 0) -> None:
        """Write a file to `target`, which has its first `received` bytes.

        A connection that breaks is resumed at the same byte. Raises ModelDownloadError.
        """
        with _translated_errors(self.model):
            http_get(
                self._url(file),
                cast("BinaryIO", target),  # only `write` is called
                resume_size=received,
                headers=self._headers(),
                expected_size=file.size,
                displayed_filename=file.name,
            )

    def _url(self, file: HubFile) -> str:
        return hf_hub_url(self.model, file.name, revision=self.commit, endpoint=self.endpoint)

    def _headers(self) -> dict[str, str]:
        # The hub compresses text on request; the hash is of the plain content.
        return {**build_hf_headers(token=self.token), "Accept-Encoding": "identity"}


def _check_name(name: str) -> None:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or not path.parts:
        raise ModelDownloadError(
            f"the repository has a file with the name {name!r}, which is no path inside it"
        )


@contextmanager
def _translated_errors(model: str) -> Iterator[None]:
    try:
        yield
    except GatedRepoError as error:
        raise ModelDownloadError(
            f"{model} is gated. Accept its terms on the hub, and set HF_TOKEN to a token of the same user with "
            "read access to gated repositories"
        ) from error
    except RevisionNotFoundError as error:
        raise ModelDownloadError(f"{model} has no such revision") from error
    except RepositoryNotFoundError as error:
        raise ModelDownloadError(
            f"the hub has no model {model}, or it is private and HF_TOKEN is not set or may not read it"
        ) from error
    except HFValidationError as error:
        raise ModelDownloadError(f"{model!r} is no name of a model such as owner/name") from error
    except (HfHubHTTPError, HTTPError, OSError, ValueError) as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ModelDownloadError(f"{model} was not downloaded: {first}. Run the command again") from error
