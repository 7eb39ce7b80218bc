"""The addresses of the emulators, and the resources that are provisioned on them."""

from collections.abc import Mapping
from dataclasses import dataclass

from local_stack.provisioning import ResourceNames


@dataclass(frozen=True, slots=True, kw_only=True)
class Emulators:
    """Addresses are `host:port`; `firestore_rest_host` is the emulator itself, which also serves
    REST.

    `storage_url` is a URL. The environment variables of Google's clients are set, too.
    """

    firestore_host: str
    firestore_rest_host: str
    pubsub_host: str
    storage_url: str
    names: ResourceNames
    environment: Mapping[str, str]
