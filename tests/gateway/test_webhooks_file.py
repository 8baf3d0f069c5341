"""The webhooks file: what it may say, and that whatever is wrong is one error without a secret."""

from pathlib import Path

import pytest

from domain.errors import Invalid
from domain.execution.messages import ExecutionFailed
from gateway.settings import Settings, read
from gateway.webhooks_file import read_webhooks
from services.worker_handlers import handlers_of

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
WHOLE = """
webhooks:
  - name: ops
    url: https://hooks.example.com/a
    events: [ExecutionFailed]
    secret_file: ops.secret
    timeout_s: 3
    attempts: 4
"""


def written(folder: Path, text: str, secret: str = SECRET) -> Path:
    (folder / "ops.secret").write_text(secret)
    path = folder / "webhooks.yaml"
    path.write_text(text)
    return path


def refused(path: Path) -> str:
    with pytest.raises(Invalid) as caught:
        read_webhooks(path, ())
    assert caught.value.code == "handler.invalid"
    return caught.value.message


def test_a_webhook_is_a_handler(tmp_path: Path) -> None:
    (found,) = read_webhooks(written(tmp_path, WHOLE), ())
    assert (found.name, found.attempts, found.from_start) == ("ops", 4, False)
    assert found.types == {ExecutionFailed}


def test_settings_name_the_file_and_the_modules(tmp_path: Path) -> None:
    settings = read({"FLEXCORE__HANDLERS__WEBHOOKS_FILE": str(written(tmp_path, WHOLE))})
    assert [one.name for one in handlers_of(settings)] == ["ops"]
    assert handlers_of(Settings()) == []
    modules = read({"FLEXCORE__HANDLERS__MODULES": "My_company.tell, other,"}).handlers.modules
    assert modules == ("My_company.tell", "other")


def test_no_two_have_one_name(tmp_path: Path) -> None:
    twice = WHOLE + WHOLE.replace("\nwebhooks:\n", "")
    settings = read({"FLEXCORE__HANDLERS__WEBHOOKS_FILE": str(written(tmp_path, twice))})
    with pytest.raises(Invalid, match="its name 'ops' is that of webhook 'ops'"):
        handlers_of(settings)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("ExecutionFailed", "ExecutionFail", "the nearest is ExecutionFailed"),
        ("[ExecutionFailed]", "[]", "webhooks[0].events: "),
        ("https://hooks", "ftp://hooks", "http://host/… or https://host/… is required"),
        ("https://", "https://user:word@", "user's name"),
        ("name: ops", "name: a b", "must be 1 to 100"),
        ("attempts: 4", "attempts: 0", "attempts is 0"),
        ("timeout_s: 3", "timeout_s: 0", "webhooks[0].timeout_s"),
        ("timeout_s: 3", "secret: word", "webhooks[0].secret: "),
        ("webhooks:", "hooks:", "webhooks: "),
        ("webhooks:", "webhooks: [", "line "),
        ("ops.secret", "none.secret", "its secret_file cannot be read"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert said in refused(written(tmp_path, WHOLE.replace(old, new)))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert "FLEXCORE__HANDLERS__WEBHOOKS_FILE" in refused(tmp_path / "none.yaml")


@pytest.mark.parametrize("secret", ["MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_tooshort", "\x00ü"])
def test_a_secret_that_is_none_is_not_repeated(tmp_path: Path, secret: str) -> None:
    told = refused(written(tmp_path, WHOLE, secret))
    assert "ops.secret" in told
    assert secret not in told
