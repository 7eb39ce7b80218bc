"""Conversion of Listen's messages between the web client's JSON and gRPC's bytes."""

import json
from functools import lru_cache
from typing import Any

import grpc
from google.cloud.firestore_v1.types import firestore as calls
from google.protobuf import json_format

_ListenRequest, _ListenResponse = calls.ListenRequest.pb(), calls.ListenResponse.pb()


class InvalidListenRequestError(ValueError):
    """Raised for a message that is not a ListenRequest."""


def request_bytes(text: str) -> bytes:
    """Return the wire form of a request. Raises InvalidListenRequestError."""
    request: Any = _ListenRequest()
    try:
        json_format.Parse(text, request, ignore_unknown_fields=True)
    except json_format.ParseError as error:
        raise InvalidListenRequestError(str(error)) from error
    return bytes(request.SerializeToString())


@lru_cache(maxsize=512)  # the same change goes to every page that watches the same query
def response_json(response: bytes) -> str:
    """Return a response as JSON in ASCII, in the array that the web client expects."""
    return json.dumps(
        [json_format.MessageToDict(_ListenResponse.FromString(response))], separators=(",", ":")
    )


def error_json(code: grpc.StatusCode, message: str) -> str:
    """Return an error that ends a stream, in the format that the web client expects."""
    error = {"code": code.value[0], "message": message, "status": code.name}
    return json.dumps([{"error": error}], separators=(",", ":"))
