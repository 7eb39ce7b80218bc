"""The cloud's callers: real signatures, made with keys of the test's own."""

import datetime
import json
import time
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID
from google.auth import crypt, jwt, transport
from google.auth.exceptions import TransportError

from common.domain.errors import DependencyUnavailableError
from frontend_api.adapters.google_tokens import (
    FirebaseAuthenticator,
    OidcCallers,
    RememberedKeys,
    ServiceAccountAuthenticator,
)
from frontend_api.authentication import NamedOperators
from frontend_api.ports import NotAnOperatorError, NotAuthenticatedError

PROJECT = "darkroom-prod"
AUDIENCE = "https://darkroom.example"
ACCOUNT = "scheduler@darkroom-prod.iam.gserviceaccount.com"


class Keys(transport.Response):
    """Google's address for public keys, as far as the verifier can tell."""

    def __init__(self) -> None:
        self.private = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
        now = datetime.datetime.now(datetime.UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(self.private.public_key())
            .serial_number(1)
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .sign(self.private, hashes.SHA256())
        )
        self.body = json.dumps(
            {"key-1": certificate.public_bytes(serialization.Encoding.PEM).decode()}
        ).encode()
        self.fetched = 0
        self.away = False

    @property
    def status(self) -> int:
        return 200

    @property
    def headers(self) -> dict[str, str]:
        return {}

    @property
    def data(self) -> bytes:
        return self.body

    def __call__(self, **_: Any) -> "Keys":
        if self.away:
            raise TransportError("no route")
        self.fetched += 1
        return self

    def signed(self, **claims: Any) -> dict[str, str]:
        pem = self.private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        now = int(time.time())
        token = jwt.encode(
            crypt.RSASigner.from_string(pem, "key-1"), {"iat": now, "exp": now + 3_600, **claims}
        )
        return {"Authorization": f"Bearer {token.decode()}"}


@pytest.fixture(scope="module")
def made_keys() -> Keys:
    return Keys()


@pytest.fixture
def keys(made_keys: Keys) -> Keys:
    made_keys.fetched, made_keys.away = 0, False
    return made_keys


@pytest.fixture
def people(keys: Keys) -> FirebaseAuthenticator:
    return FirebaseAuthenticator(project_id=PROJECT, keys=RememberedKeys(keys))


@pytest.fixture
def callers(keys: Keys) -> OidcCallers:
    return OidcCallers(audience=AUDIENCE, service_account=ACCOUNT, keys=RememberedKeys(keys))


@pytest.fixture
def operators(people: FirebaseAuthenticator, keys: Keys) -> NamedOperators:
    programs = ServiceAccountAuthenticator(audience=AUDIENCE, keys=RememberedKeys(keys))
    return NamedOperators(names=frozenset({"ada", ACCOUNT}), authenticators=(people, programs))


def person(**changes: Any) -> dict[str, Any]:
    return {"iss": f"https://securetoken.google.com/{PROJECT}", "aud": PROJECT, "sub": "ada", **changes}


def machine(**changes: Any) -> dict[str, Any]:
    return {
        "iss": "https://accounts.google.com",
        "aud": AUDIENCE,
        "email": ACCOUNT,
        "email_verified": True,
        **changes,
    }


def test_a_firebase_token_names_its_user_and_keys_are_fetched_once(
    people: FirebaseAuthenticator, keys: Keys
) -> None:
    for _ in range(3):
        assert people.principal(keys.signed(**person())).user_id == "ada"
    assert keys.fetched == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": "another-project"},
        {"iss": "https://securetoken.google.com/another-project"},
        {"iss": "https://accounts.google.com"},
        {"sub": ""},
        {"sub": None},
        {"iat": 1, "exp": 2},
        {"iat": 4_000_000_000, "exp": 4_000_003_600},
    ],
)
def test_a_token_for_somebody_else_is_refused(
    people: FirebaseAuthenticator, keys: Keys, changes: dict[str, Any]
) -> None:
    with pytest.raises(NotAuthenticatedError):
        people.principal(keys.signed(**person(**changes)))


def test_a_token_that_was_tampered_with_is_refused(people: FirebaseAuthenticator, keys: Keys) -> None:
    header, _, signature = keys.signed(**person())["Authorization"].split(".")
    _, other, _ = keys.signed(**person(sub="mallory"))["Authorization"].split(".")
    with pytest.raises(NotAuthenticatedError):
        people.principal({"Authorization": f"{header}.{other}.{signature}"})


@pytest.mark.parametrize("authorization", ["Bearer x", "Bearer a.b.c", "Bearer eyJhbGciOiJub25lIn0.e30."])
def test_what_is_no_token_is_refused(people: FirebaseAuthenticator, authorization: str) -> None:
    with pytest.raises(NotAuthenticatedError):
        people.principal({"Authorization": authorization})


def test_nobody_is_nobody(people: FirebaseAuthenticator, callers: OidcCallers) -> None:
    with pytest.raises(NotAuthenticatedError):
        people.principal({})
    with pytest.raises(NotAuthenticatedError):
        callers.check({})


def test_when_the_keys_cannot_be_had_the_caller_may_try_again(
    people: FirebaseAuthenticator, keys: Keys
) -> None:
    keys.away = True
    with pytest.raises(DependencyUnavailableError):
        people.principal(keys.signed(**person()))


def test_the_scheduler_is_let_in(callers: OidcCallers, keys: Keys) -> None:
    callers.check(keys.signed(**machine()))


@pytest.mark.parametrize(
    "changes",
    [
        {"email": "somebody@else.iam.gserviceaccount.com"},
        {"email": None},
        {"email_verified": False},
        {"aud": "https://other.example"},
        {"iss": f"https://securetoken.google.com/{PROJECT}"},
    ],
)
def test_another_machine_is_not(callers: OidcCallers, keys: Keys, changes: dict[str, Any]) -> None:
    with pytest.raises(NotAuthenticatedError):
        callers.check(keys.signed(**machine(**changes)))


def test_operators_are_people_and_programs_that_are_named(operators: NamedOperators, keys: Keys) -> None:
    assert operators.check(keys.signed(**person())).user_id == "ada"
    assert operators.check(keys.signed(**machine())).user_id == ACCOUNT


def test_others_are_no_operators_however_well_they_are_known(operators: NamedOperators, keys: Keys) -> None:
    for known in (person(sub="bob"), machine(email="somebody@else.iam.gserviceaccount.com")):
        with pytest.raises(NotAnOperatorError):
            operators.check(keys.signed(**known))


@pytest.mark.parametrize(
    "changes",
    [{"email_verified": False}, {"email": None}, {"aud": "https://other.example"}, {"exp": 2, "iat": 1}],
)
def test_a_program_whose_token_is_not_for_us_is_not_known(
    operators: NamedOperators, keys: Keys, changes: dict[str, Any]
) -> None:
    with pytest.raises(NotAuthenticatedError):
        operators.check(keys.signed(**machine(**changes)))


def test_without_a_token_both_ways_in_are_named(operators: NamedOperators) -> None:
    with pytest.raises(
        NotAuthenticatedError, match=r"Firebase ID token.*OIDC token made for https://darkroom\.example"
    ):
        operators.check({})
