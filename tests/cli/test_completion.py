"""What `flexcore completion` prints completes, in the shell that can be run here."""

import subprocess
from pathlib import Path

import pytest

from services import cli


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["pipe"], {"pipeline"}),
        (["pipeline", "a"], {"activate", "archive"}),
        (["execution", "list", "--oldest"], {"--oldest-first"}),
    ],
)
def test_bash_completes_words_and_options(
    words: list[str],
    expected: set[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.run(["completion", "bash"]) == 0
    script = tmp_path / "flexcore.bash"
    script.write_text(capsys.readouterr().out)
    line = " ".join(["flexcore", *words])
    asked = (
        f"source {script}; COMP_WORDS=({line}); COMP_CWORD={len(words)}; COMP_LINE='{line}'; "
        "_flexcore; printf '%s\\n' \"${COMPREPLY[@]}\""
    )
    ran = subprocess.run(["bash", "-c", asked], capture_output=True, text=True, check=True)
    assert set(ran.stdout.split()) == expected


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_get_a_script_that_names_every_command(
    shell: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert [command.name for command in cli.COMMANDS if command.name not in script] == []


def test_a_shell_that_is_not_known_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["completion", "cmd"]) == cli.USAGE
    assert "error[usage]" in capsys.readouterr().err
