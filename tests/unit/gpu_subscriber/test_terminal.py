"""Messages of the worker's commands."""

import pytest

from gpu_subscriber.terminal import report


def test_texts_of_files_do_not_control_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    report("owner/größe: class \x1b]0;title\x07\x1b[2J\u202e")
    assert capsys.readouterr().err == "owner/größe: class \\x1b]0;title\\x07\\x1b[2J\\u202e\n"
