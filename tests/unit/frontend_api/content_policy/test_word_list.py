"""WordList: what an entry matches, and which texts and routes it applies to."""

import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.domain.models.traits import PromptSyntax
from frontend_api.content_policy.ports import ContentPolicyError
from frontend_api.content_policy.word_list import MAX_WORDS, WordList, WordListError
from frontend_api.quotas.limits import QuotaLimits
from tests.factories import parameters
from tests.unit.frontend_api.conftest import Api

PROMPT = "a portrait of a gorgon"


def allows(entry: str, prompt: str, **asked: Any) -> bool:
    try:
        WordList([entry]).check(parameters().model_copy(update={"prompt": prompt, **asked}))
    except ContentPolicyError:
        return False
    return True


def written(folder: Path, content: str | bytes) -> Path:
    path = folder / "words.txt"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize(
    ("entry", "prompt"),
    [
        ("gorgon", "GORGON"),
        ("Gorgon", "a gorgon, drawn"),
        ("gorgon", "(gorgon:1.3) and a_gorgon"),
        ("gorgon", "ｇｏｒｇｏｎ"),  # full-width letters
        ("gorgon", "gor\u200bgon"),  # a zero-width space
        ("gorgon", "gor\u00adgon"),  # a soft hyphen
        ("gorgon", "gor\u034fgon"),  # a grapheme joiner
        ("gorgon", "gor\ufe0fgon"),  # a variation selector
        ("gorgon", "gor\u3164gon"),  # a Hangul filler
        ("straße", "STRASSE"),
        ("café", "cafe\u0301"),
        ("İstanbul", "i\u0307stanbul"),
        ("two words", "exactly TWO\n  words"),
        ("x-rated", "x rated"),
        ("禁止", "これは禁止です"),
        ("हिन्दी", "एक हिन्दी शब्द"),
    ],
)
def test_entry_matches_whole_words_in_any_form(entry: str, prompt: str) -> None:
    assert not allows(entry, prompt)


@pytest.mark.parametrize(
    ("entry", "prompt"),
    [
        ("gorgon", "gorgonzola"),
        ("gorgon", "a polygorgon"),
        ("two words", "two other words"),
        ("two words", "words two"),
        ("cafe", "café"),
        ("ass", "a class of grass"),
        ("हिन", "एक हिन्दी शब्द"),
    ],
)
def test_entry_does_not_match_parts_of_words(entry: str, prompt: str) -> None:
    assert allows(entry, prompt)


@given(
    words=st.lists(st.sampled_from(["gorgon", "gorg", "on", "medusa"]), min_size=1, max_size=12),
    form=st.sampled_from(["NFC", "NFD", "NFKC", "NFKD"]),
    separator=st.sampled_from([" ", ", ", "\t", "_", " (("]),
)
def test_word_list_finds_exactly_the_listed_words(words: list[str], form: Any, separator: str) -> None:
    prompt = unicodedata.normalize(form, separator.join(words).title())
    assert allows("gorgon", prompt) == ("gorgon" not in words)


@pytest.mark.parametrize("prompt", ["gor()gon", "(gor:1)gon", "go(rg:1.2)on", "a g[]orgon", "(gorgon)s"])
def test_brackets_of_weights_do_not_separate_words(prompt: str) -> None:
    """The model reads "gorgon", or the word beside another one."""
    assert not allows("gorgon", prompt, prompt_syntax=PromptSyntax.WEIGHTED)
    assert allows("gorgon", prompt.replace("(gorgon)s", "gorgons"), prompt_syntax=PromptSyntax.PLAIN)


@pytest.mark.parametrize(("scale", "off_at"), [(7.5, 1.0), (1.0, 1.0), (0.5, 1.0), (0.5, 0.0)])
def test_negative_prompt_may_name_what_must_not_be_shown(scale: float, off_at: float) -> None:
    asked = {"negative_prompt": "gorgon", "guidance_scale": scale, "guidance_off_at": off_at}
    assert allows("gorgon", "a portrait", **asked)


def test_file_has_comments_and_empty_lines(tmp_path: Path) -> None:
    file = written(tmp_path, "\ufeff# refused\n\nGorgon  # a monster\r\ntwo words\n")
    policy = WordList.read(file)
    for prompt in (PROMPT, "two words"):
        with pytest.raises(ContentPolicyError):
            policy.check(parameters(prompt=prompt))
    policy.check(parameters(prompt="a monster, refused"))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\xff\xfe", "must be UTF-8 text"),
        ("# nothing\n", r"must have 1 to 100,000 entries \(has 0\)"),
        ("gorgon\n!!\n", "line 2: an entry must have 1 to 8 words"),
        ("word " * (MAX_WORDS + 1), "line 1: an entry must have 1 to 8 words"),
    ],
)
def test_unusable_file_is_refused_with_its_line(tmp_path: Path, content: Any, reason: str) -> None:
    with pytest.raises(WordListError, match=reason):
        WordList.read(written(tmp_path, content))


def test_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WordListError, match="cannot be read"):
        WordList.read(tmp_path / "words.txt")


@pytest.fixture
def strict(tmp_path: Path) -> Api:
    return Api(folder=tmp_path, content_policy=WordList(["gorgon"]))


def test_refused_prompt_is_a_problem_with_a_pointer(strict: Api) -> None:
    answer = strict.submit(prompt=PROMPT)
    body = answer.get_json()
    assert (answer.status_code, body["code"], body["retryable"]) == (422, "content_policy_violation", False)
    assert body["errors"] == [
        {"pointer": "/prompt", "detail": "must not contain 'gorgon', which the content policy refuses"}
    ]
    assert strict.has_taken_nothing()
    assert strict.submit().status_code == 202


@pytest.mark.parametrize("path", ["/v1/tasks", "/v1/tasks:estimate"])
def test_prompt_is_refused_on_native_routes(strict: Api, path: str) -> None:
    answer = strict.client.post(path, json={"prompt": PROMPT})
    assert (answer.status_code, answer.get_json()["code"]) == (422, "content_policy_violation")


def test_batch_refuses_the_prompts_and_accepts_the_others(strict: Api) -> None:
    items = [{"prompt": "a circle"}, {"prompt": PROMPT}]
    results = strict.client.post("/v1/tasks:batch", json={"tasks": items}).get_json()["results"]
    assert [result["status"] for result in results] == [202, 422]
    assert results[1]["problem"]["errors"][0]["pointer"] == "/prompt"


def test_openai_route_refuses_a_prompt_as_openai_does(strict: Api) -> None:
    answer = strict.client.post("/openai/v1/images/generations", json={"prompt": PROMPT})
    error = answer.get_json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (400, "content_policy_violation", "prompt")
    assert strict.has_taken_nothing()


def test_retry_of_a_prompt_that_is_refused_now_is_refused(strict: Api) -> None:
    task = strict.stored_task(parameters=parameters(prompt=PROMPT))
    strict.client.post(f"/v1/tasks/{task.id}/cancel")
    answer = strict.client.post(f"/v1/tasks/{task.id}/retry")
    assert (answer.status_code, answer.get_json()["code"]) == (422, "content_policy_violation")
    assert strict.stored(task.id).status == "cancelled"


def test_replay_returns_the_task_that_was_accepted_earlier(tmp_path: Path) -> None:
    before = Api(folder=tmp_path)
    strict = Api(folder=tmp_path, content_policy=WordList(["gorgon"]), store=before.store)
    sent: dict[str, Any] = {"json": {"prompt": PROMPT}, "headers": {"Idempotency-Key": "order-1815"}}
    accepted = before.client.post("/v1/tasks", **sent)
    replayed = strict.client.post("/v1/tasks", **sent)
    assert (replayed.status_code, replayed.get_json()["id"]) == (200, accepted.get_json()["id"])


def test_refused_prompts_count_as_rejected_submissions(tmp_path: Path) -> None:
    limits = QuotaLimits(refused_per_minute=2)
    api = Api(folder=tmp_path, content_policy=WordList(["gorgon"]), quota_limits=limits)
    assert [api.submit(prompt=PROMPT).status_code for _ in range(3)] == [422, 422, 429]
