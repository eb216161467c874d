"""The command line as a whole: usage, languages, errors, and that nothing ever ends in a traceback."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from appliance.cli import main
from appliance.cli.lazy import registered
from appliance.cli.main import run
from appliance.cli.repo import RepoGroup
from appliance.errors import ExitCode, KurabakoError
from appliance.text import T


@dataclass
class Said:
    code: int
    stdout: str
    stderr: str

    def json(self) -> Any:
        return json.loads(self.stdout)


Call = Callable[..., Said]


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Call:
    """Runs a command line in this process, without a settings file."""

    def called(*words: str, lang: str = "C", config: str | None = None) -> Said:
        file = tmp_path / "config.toml"
        if config is not None:
            file.write_text(config, encoding="utf-8")
        code = run(["--config", str(file), *words], {"LC_ALL": lang})
        captured = capsys.readouterr()
        return Said(code, captured.out, captured.err)

    return called


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Callable[[BaseException], None]:
    """Makes `kurabako plugins` raise."""

    def made(error: BaseException) -> None:
        def raises(_: object) -> None:
            raise error

        monkeypatch.setattr("appliance.cli.plugins.load", raises)

    return made


def test_help_lists_every_command_and_its_own_language(call: Call) -> None:
    english, japanese = call("--help"), call("--help", lang="ja_JP.UTF-8")
    assert (english.code, english.stderr) == (0, "")
    for command in ("repo", "settings", "plugins"):
        assert f" {command} " in english.stdout
    assert "Plugins: which are installed, and whether they work." in english.stdout
    assert "プラグインの一覧と状態を表示します。" in japanese.stdout
    assert "RESTIC_PASSWORD" not in english.stdout, "the list has a line for the group; its own help tells the rest"
    assert "--config" in call().stdout, "without a command, help is what is wanted"


def test_the_help_of_a_group_and_of_its_commands_is_translated(call: Call) -> None:
    assert "本機の設定なしで、restic 形式のリポジトリを操作します。" in call("--help", lang="ja_JP.UTF-8").stdout
    assert "設定を確認・表示します。" in call("settings", "--help", lang="ja_JP.UTF-8").stdout
    assert "結果を一つの JSON で出力します。" in call("settings", "check", "--help", lang="ja_JP.UTF-8").stdout


def test_the_version(call: Call) -> None:
    from importlib.metadata import version

    assert call("--version").stdout == f"kurabako {version('kurabako')}\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["bogus"], "No such command 'bogus'"),
        (["--bogus"], "No such option: --bogus"),
        (["settings", "bogus"], "No such command 'bogus'"),
        (["settings", "check", "more"], "unexpected extra argument"),
        (["--lang", "fr", "plugins"], "There is no language fr; choose ja or en."),
    ],
)
def test_a_wrong_command_line_is_one_sentence_and_exit_2(call: Call, words: list[str], said: str) -> None:
    answer = call(*words)
    assert (answer.code, answer.stdout) == (ExitCode.USAGE, "")
    assert said in answer.stderr
    assert "╭" not in answer.stderr


def test_a_wrong_command_line_with_json(call: Call) -> None:
    answer = call("plugins", "--json", "--bogus")
    assert (answer.code, answer.stderr) == (2, "")
    assert answer.json()["error"]["code"] == "usage"
    assert answer.json()["error"]["todo"] == "See “kurabako plugins --help”."


def test_an_error_is_what_is_safe_and_what_to_do(call: Call, failing: Callable[[BaseException], None]) -> None:
    class Full(KurabakoError):
        code = "test.full"
        exit_code = ExitCode.CAPACITY_REFUSED

    failing(Full(T("It is full of {what}.", what="\x1b[31mred"), safe=T("All is safe."), todo=T("Interrupted.")))
    answer = call("plugins")
    assert (answer.code, answer.stdout) == (28, "")
    assert answer.stderr == "It is full of \\x1b[31mred.\nAll is safe.\nInterrupted.\n"
    answer = call("plugins", "--json", lang="ja_JP.UTF-8")
    assert (answer.code, answer.stderr) == (28, "")
    assert answer.json() == {
        "error": {
            "code": "test.full",
            "exit_code": 28,
            "what": r"It is full of \x1b[31mred.",
            "safe": "All is safe.",
            "todo": "中断しました。",
        }
    }


def test_an_exception_nobody_expected_is_a_sentence_and_its_words_go_to_the_log(
    call: Call, failing: Callable[[BaseException], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    logged: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = logged.append  # type: ignore[method-assign]
    monkeypatch.setattr(main.log, "handlers", [handler])
    failing(ValueError("the password is 4711"))
    answer = call("plugins")
    assert answer.code == 1
    assert answer.stderr.startswith("Something went wrong inside Kurabako that should not have (ValueError).\n")
    assert "4711" not in answer.stderr + answer.stdout
    assert [record.levelname for record in logged] == ["ERROR"]
    assert call("plugins", "--json").json()["error"]["code"] == "internal"


@pytest.mark.parametrize("error", [KeyboardInterrupt(), EOFError()])
def test_ctrl_c_is_a_sentence_and_exit_130(
    call: Call, failing: Callable[[BaseException], None], error: BaseException
) -> None:
    failing(error)
    answer = call("plugins")
    assert answer.code == ExitCode.INTERRUPTED
    assert "Interrupted." in answer.stderr


def test_the_language_is_asked_for_then_the_shells_then_the_boxs(call: Call) -> None:
    ja, en = "設定に問題はありません。", "are right."
    box = '[box]\nlanguage = "ja"\n'
    for words, lang, config, expected in (
        ([], "C", "", en),
        ([], "C", box, ja),
        ([], "en_US.UTF-8", box, en),
        ([], "ja_JP.UTF-8", "", ja),
        (["--lang", "en"], "ja_JP.UTF-8", box, en),
        (["--lang=ja"], "en_US.UTF-8", "", ja),
    ):
        assert expected in call(*words, "settings", "check", lang=lang, config=config).stdout


@pytest.mark.parametrize("words", [("settings", "check"), ("plugins",), ("status",)])
@pytest.mark.parametrize(
    "config",
    [f"a = {'[' * 3000}{']' * 3000}", f"[web]\nport = {'9' * 6000}", "x" * 5000],
    ids=["too deep", "too long a number", "no toml"],
)
def test_senseless_settings_are_a_sentence_whatever_they_are(call: Call, words: tuple[str, ...], config: str) -> None:
    answer = call(*words, config=config)
    assert answer.code == 1
    assert "config.toml" in answer.stderr
    assert "should not have" not in answer.stderr


@pytest.mark.needs("root", "setpriv")
@pytest.mark.parametrize("words", [("status",), ("settings", "check"), ("plugins",), ("--help",), ("repo", "--help")])
def test_a_user_who_may_not_look_into_the_settings_folder_is_told_so(tmp_path: Path, words: tuple[str, ...]) -> None:
    closed = tmp_path / "closed"
    closed.mkdir()
    (closed / "config.toml").write_text("[box]\n")
    closed.chmod(0)
    try:
        done = subprocess.run(
            [
                *("setpriv", "--bounding-set", "-dac_override,-dac_read_search"),
                *(sys.executable, "-c", "from appliance.cli.main import main; main()"),
                *("--config", str(closed / "config.toml"), *words),
            ],
            env={**os.environ, "LC_ALL": "C"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    finally:
        closed.chmod(0o700)
    assert "Traceback" not in done.stderr
    if words[-1] == "--help":
        assert (done.returncode, done.stderr) == (0, "")
    else:
        assert done.returncode == 1
        assert "config.toml cannot be read" in done.stderr


def test_broken_settings_stop_what_needs_them_but_not_help(call: Call) -> None:
    broken = "[plugins]\nblocked = 3\n"
    assert call("--help", config=broken).code == 0
    answer = call("plugins", config=broken)
    assert answer.code == 1
    assert "line 2: plugins.blocked = 3: write a list in brackets" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_global_options_are_looked_for_before_the_command_only(call: Call) -> None:
    answer = call("settings", "check", "--lang", "ja", config="")
    assert (answer.code, answer.stdout) == (2, "")
    assert "No such option: --lang" in answer.stderr


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_has_gone_is_no_reason_for_a_traceback(unbuffered: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-c", "from appliance.cli.main import main; main()", "plugins", "--json"],
        stdout=writing,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
        timeout=60,
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, b"")


def test_repo_names_every_command_of_its_modules() -> None:
    """A command that a module registers and the group does not name could not be called."""
    parts = RepoGroup.parts
    for module in set(parts.values()):
        assert set(registered(module)) == {name for name, its_module in parts.items() if its_module == module}
