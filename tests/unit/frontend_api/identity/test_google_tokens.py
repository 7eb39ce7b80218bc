"""Callers in the cloud: real signatures with test keys, which a test server publishes."""

import base64
import datetime
import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID
from google.auth import crypt

from common.domain.errors import DependencyUnavailableError
from frontend_api.adapters.google_tokens import (
    CLOCK_SKEW_SECONDS,
    KEYS_MAX_AGE,
    KEYS_TTL,
    FirebaseAuthenticator,
    GoogleKeys,
    OidcCallers,
    ServiceAccountAuthenticator,
)
from frontend_api.api_keys.authenticator import KeyOrTokenAuthenticator
from frontend_api.identity.allowed_users import AllowedUsers
from frontend_api.identity.emulator_tokens import InternalToken, NamedOperators
from frontend_api.identity.ports import NotAllowedError, NotAnOperatorError, NotAuthenticatedError
from local_stack.loopback import free_port
from tests.fakes.fake_clock import FakeClock
from tests.fakes.in_memory_api_keys import InMemoryApiKeys

PROJECT = "darkroom-prod"
AUDIENCE = "https://darkroom.example"
ACCOUNT = "scheduler@darkroom-prod.iam.gserviceaccount.com"
MARGIN_SECONDS = 5


class SigningKey:
    """A private key, and its certificate as Google publishes them."""

    def __init__(self, key_id: str) -> None:
        self.key_id = key_id
        self._private = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
        now = datetime.datetime.now(datetime.UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(self._private.public_key())
            .serial_number(1)
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .sign(self._private, hashes.SHA256())
        )
        self.certificate = certificate.public_bytes(serialization.Encoding.PEM).decode()

    def token(self, claims: dict[str, Any], **header: Any) -> dict[str, str]:
        """Return headers with a token; `header` changes the token's header, None removes a member."""
        pem = self._private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        full_header = {"alg": "RS256", "kid": self.key_id, **header}
        parts = [
            {name: value for name, value in part.items() if value is not None}
            for part in (full_header, claims)
        ]
        signed = b".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in parts)
        signature = crypt.RSASigner.from_string(pem).sign(signed)
        token = signed + b"." + base64.urlsafe_b64encode(signature).rstrip(b"=")
        return {"Authorization": f"Bearer {token.decode()}"}

    def signed(self, **claims: Any) -> dict[str, str]:
        now = int(time.time())
        return self.token({"iat": now, "exp": now + 3_600, **claims})


class KeyServer(ThreadingHTTPServer):
    """Google's address for public keys, served on this machine."""

    def __init__(self, *keys: SigningKey) -> None:
        super().__init__(("127.0.0.1", 0), _Publishes)
        self.body = json.dumps({key.key_id: key.certificate for key in keys}).encode()
        self.status = 200
        self.asked = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/certs"


class _Publishes(BaseHTTPRequestHandler):
    server: KeyServer

    def do_GET(self) -> None:
        self.server.asked += 1
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(self.server.body)))
        self.end_headers()
        self.wfile.write(self.server.body)

    def log_message(self, *_: Any) -> None:
        """Suppress the access log."""


@pytest.fixture(scope="module")
def keys() -> SigningKey:
    return SigningKey("key-1")


@pytest.fixture
def server(keys: SigningKey) -> Iterator[KeyServer]:
    with KeyServer(keys) as serving:
        thread = threading.Thread(target=serving.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield serving
        serving.shutdown()
        thread.join()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def published(server: KeyServer, clock: FakeClock) -> GoogleKeys:
    return GoogleKeys(server.url, clock=clock)


@pytest.fixture
def people(published: GoogleKeys) -> FirebaseAuthenticator:
    return FirebaseAuthenticator(project_id=PROJECT, keys=published, allowed=AllowedUsers(everyone=True))


@pytest.fixture
def programs(published: GoogleKeys) -> ServiceAccountAuthenticator:
    return ServiceAccountAuthenticator(audience=AUDIENCE, keys=published)


@pytest.fixture
def callers(programs: ServiceAccountAuthenticator) -> OidcCallers:
    return OidcCallers(accounts=programs, service_account=ACCOUNT)


@pytest.fixture
def operators(people: FirebaseAuthenticator, programs: ServiceAccountAuthenticator) -> NamedOperators:
    return NamedOperators(names=frozenset({"ada", ACCOUNT}), authenticators=(people, programs))


def person(**changes: Any) -> dict[str, Any]:
    return {
        "iss": f"https://securetoken.google.com/{PROJECT}",
        "aud": PROJECT,
        "sub": "ada",
        "auth_time": int(time.time()) - 3_600,
        **changes,
    }


def machine(**changes: Any) -> dict[str, Any]:
    return {
        "iss": "https://accounts.google.com",
        "aud": AUDIENCE,
        "email": ACCOUNT,
        "email_verified": True,
        **changes,
    }


def test_firebase_token_identifies_its_user_with_keys_fetched_once(
    people: FirebaseAuthenticator, keys: SigningKey, server: KeyServer
) -> None:
    for _ in range(3):
        assert people.principal(keys.signed(**person())).user_id == "ada"
    assert server.asked == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": "another-project"},
        {"iss": "https://securetoken.google.com/another-project"},
        {"iss": "https://accounts.google.com"},
        {"sub": ""},
        {"sub": None},
        {"sub": 7},
        {"sub": "x" * 129},
        {"aud": [PROJECT, "another-project"]},
        {"aud": None},
        {"iss": None},
        {"iat": 1, "exp": 2},
        {"iat": 4_000_000_000, "exp": 4_000_003_600},
        {"iat": None},
        {"exp": None},
        {"exp": "tomorrow"},
        {"auth_time": None},
        {"auth_time": "yesterday"},
        {"auth_time": True},
        {"auth_time": 4_000_000_000},
    ],
)
def test_firebase_token_is_rejected_with_an_invalid_claim(
    people: FirebaseAuthenticator, keys: SigningKey, changes: dict[str, Any]
) -> None:
    with pytest.raises(NotAuthenticatedError):
        people.principal(keys.signed(**person(**changes)))


def test_token_is_rejected_with_other_claims_than_were_signed(
    people: FirebaseAuthenticator, keys: SigningKey
) -> None:
    header, _, signature = keys.signed(**person())["Authorization"].split(".")
    _, other, _ = keys.signed(**person(sub="mallory"))["Authorization"].split(".")
    with pytest.raises(NotAuthenticatedError):
        people.principal({"Authorization": f"{header}.{other}.{signature}"})


DEEPLY_NESTED = base64.urlsafe_b64encode(b"[" * 6_000).decode()
MALFORMED = {
    "one part": "Bearer x",
    "not base64": "Bearer a.b.c",
    "unsigned": "Bearer eyJhbGciOiJub25lIn0.e30.",
    "not ASCII": "Bearer é.é.é",
    "deep nesting": f"Bearer {DEEPLY_NESTED}.{DEEPLY_NESTED}.",
}


@pytest.mark.parametrize("authorization", MALFORMED.values(), ids=MALFORMED)
def test_malformed_token_is_rejected(people: FirebaseAuthenticator, authorization: str) -> None:
    with pytest.raises(NotAuthenticatedError):
        people.principal({"Authorization": authorization})


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "none"},
        {"alg": "HS256"},
        {"alg": "ES256"},
        {"alg": "RS512"},
        {"alg": None},
        {"kid": None},
        {"kid": "key-2"},
        {"kid": ["key-1"]},
    ],
)
def test_token_is_rejected_unless_signed_by_rs256_and_a_published_key(
    people: FirebaseAuthenticator, keys: SigningKey, header: dict[str, Any]
) -> None:
    now = int(time.time())
    claims = person(iat=now, exp=now + 3_600)
    assert people.principal(keys.token(claims)).user_id == "ada"
    with pytest.raises(NotAuthenticatedError):
        people.principal(keys.token(claims, **header))


def test_token_is_rejected_when_signed_by_another_key_of_the_same_id(people: FirebaseAuthenticator) -> None:
    with pytest.raises(NotAuthenticatedError):
        people.principal(SigningKey("key-1").signed(**person()))


@pytest.mark.parametrize("claim", ["iat", "auth_time", "exp"])
def test_token_times_may_differ_by_the_clock_skew_only(
    people: FirebaseAuthenticator, keys: SigningKey, claim: str
) -> None:
    def moment(apart: float) -> dict[str, float]:
        return {claim: time.time() + (-apart if claim == "exp" else apart)}

    near, far = CLOCK_SKEW_SECONDS - MARGIN_SECONDS, CLOCK_SKEW_SECONDS + MARGIN_SECONDS
    assert people.principal(keys.signed(**person(**moment(near)))).user_id == "ada"
    with pytest.raises(NotAuthenticatedError):
        people.principal(keys.signed(**person(**moment(far))))


def test_keys_are_fetched_again_after_the_ttl(
    published: GoogleKeys, server: KeyServer, clock: FakeClock
) -> None:
    known = published()
    clock.advance(KEYS_TTL.total_seconds() - 1)
    assert (published(), server.asked) == (known, 1)
    clock.advance(1)
    assert (published(), server.asked) == (known, 2)


def test_rotated_keys_replace_the_old_ones(
    people: FirebaseAuthenticator, keys: SigningKey, server: KeyServer, clock: FakeClock
) -> None:
    people.principal(keys.signed(**person()))
    successor = SigningKey("key-2")
    server.body = json.dumps({"key-2": successor.certificate}).encode()
    clock.advance(KEYS_TTL.total_seconds())
    assert people.principal(successor.signed(**person())).user_id == "ada"
    with pytest.raises(NotAuthenticatedError):
        people.principal(keys.signed(**person()))


def test_keys_stay_in_use_up_to_their_maximum_age_when_the_server_fails(
    published: GoogleKeys, server: KeyServer, clock: FakeClock
) -> None:
    known = published()
    server.status = 503
    clock.advance(KEYS_TTL.total_seconds())
    assert [published(), published()] == [known, known]
    assert server.asked == 2  # not once per request
    clock.advance(2)
    assert (published(), server.asked) == (known, 3)
    clock.advance((KEYS_MAX_AGE - KEYS_TTL).total_seconds())
    with pytest.raises(DependencyUnavailableError):
        published()
    server.status = 200
    clock.advance(2)
    assert published() == known


def test_requests_without_a_token_are_rejected(people: FirebaseAuthenticator, callers: OidcCallers) -> None:
    with pytest.raises(NotAuthenticatedError):
        people.principal({})
    with pytest.raises(NotAuthenticatedError):
        callers.check({})


@pytest.mark.parametrize("body", [b"<html>busy</html>", b"[]", b'{"key-1": 1}'])
def test_authentication_raises_unavailable_when_keys_cannot_be_read(
    people: FirebaseAuthenticator, keys: SigningKey, server: KeyServer, body: bytes
) -> None:
    server.body = body
    with pytest.raises(DependencyUnavailableError):
        people.principal(keys.signed(**person()))


def test_authentication_raises_unavailable_when_the_key_server_is_unreachable(keys: SigningKey) -> None:
    keys_server = GoogleKeys(f"http://127.0.0.1:{free_port()}")
    people = FirebaseAuthenticator(project_id=PROJECT, keys=keys_server, allowed=AllowedUsers(everyone=True))
    with pytest.raises(DependencyUnavailableError):
        people.principal(keys.signed(**person()))


def test_user_is_admitted_by_verified_email_only(published: GoogleKeys, keys: SigningKey) -> None:
    allowed = AllowedUsers.parse(["ada@example.com"])
    people = FirebaseAuthenticator(project_id=PROJECT, keys=published, allowed=allowed)
    admitted = people.principal(keys.signed(**person(email="Ada@example.com", email_verified=True)))
    assert (admitted.user_id, admitted.email) == ("ada", "Ada@example.com")
    for claims in (
        {"email": "ada@example.com"},
        {"email": "ada@example.com", "email_verified": "true"},
        {"email": "bob@example.com", "email_verified": True},
        {},
    ):
        with pytest.raises(NotAllowedError):
            people.principal(keys.signed(**person(**claims)))


def test_internal_callers_accept_the_configured_service_account(
    callers: OidcCallers, keys: SigningKey
) -> None:
    callers.check(keys.signed(**machine()))


@pytest.mark.parametrize(
    "changes",
    [
        {"email": "somebody@else.iam.gserviceaccount.com"},
        {"email": None},
        {"email_verified": False},
        {"email_verified": "false"},
        {"email_verified": None},
        {"aud": "https://other.example"},
        {"iss": None},
        {"iss": f"https://securetoken.google.com/{PROJECT}"},
    ],
)
def test_internal_callers_reject_other_service_account_tokens(
    callers: OidcCallers, keys: SigningKey, changes: dict[str, Any]
) -> None:
    with pytest.raises(NotAuthenticatedError):
        callers.check(keys.signed(**machine(**changes)))


def test_operators_accept_named_users_and_service_accounts(
    operators: NamedOperators, keys: SigningKey
) -> None:
    assert operators.check(keys.signed(**person())).user_id == "ada"
    assert operators.check(keys.signed(**machine())).user_id == ACCOUNT


BAD_KEY = "drk_" + "0" * 54


@pytest.mark.parametrize("name", ["X-API-Key", "x-api-key", "X-Api-Key"])
@pytest.mark.parametrize("key", [BAD_KEY, "", "no key"])
def test_valid_token_is_rejected_beside_an_api_key(
    people: FirebaseAuthenticator,
    programs: ServiceAccountAuthenticator,
    callers: OidcCallers,
    keys: SigningKey,
    name: str,
    key: str,
) -> None:
    """Otherwise a route with two kinds of callers accepts one credential and ignores the other."""
    by_key = KeyOrTokenAuthenticator(
        keys=InMemoryApiKeys(), others=people, clock=FakeClock(), allowed=AllowedUsers(everyone=True)
    )
    both = NamedOperators(names=frozenset({"ada", ACCOUNT}), authenticators=(by_key, programs))
    for claims in (person(), machine()):
        headers = {**keys.signed(**claims), name: key}
        checks: tuple[Callable[[dict[str, str]], object], ...] = (
            people.principal,
            programs.principal,
            by_key.principal,
            both.check,
            callers.check,
            InternalToken(token=headers["Authorization"].removeprefix("Bearer ")).check,
        )
        for check in checks:
            with pytest.raises(NotAuthenticatedError):
                check(headers)


def test_operators_reject_authenticated_callers_that_are_not_named(
    operators: NamedOperators, keys: SigningKey
) -> None:
    for known in (person(sub="bob"), machine(email="somebody@else.iam.gserviceaccount.com")):
        with pytest.raises(NotAnOperatorError):
            operators.check(keys.signed(**known))


@pytest.mark.parametrize(
    "changes",
    [{"email_verified": False}, {"email": None}, {"aud": "https://other.example"}, {"exp": 2, "iat": 1}],
)
def test_operators_reject_service_account_tokens_with_invalid_claims(
    operators: NamedOperators, keys: SigningKey, changes: dict[str, Any]
) -> None:
    with pytest.raises(NotAuthenticatedError):
        operators.check(keys.signed(**machine(**changes)))


def test_operators_name_both_kinds_of_credentials_without_a_token(operators: NamedOperators) -> None:
    with pytest.raises(
        NotAuthenticatedError, match=r"Firebase ID token.*OIDC token for https://darkroom\.example"
    ):
        operators.check({})
