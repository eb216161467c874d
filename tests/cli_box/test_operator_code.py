"""`kurabako operator-code` and what `setup` shows of it, on a real terminal and where nobody reads."""

from __future__ import annotations

import re
from pathlib import Path

import pexpect

from tests.support.daemon import KURABAKO, BoxUnderTest

CODE = re.compile(r"[2-9A-HJ-NP-Z]{4}(?:-[2-9A-HJ-NP-Z]{4}){2}")


def at_a_terminal(box: BoxUnderTest, *words: str) -> str:
    """What a command shows somebody at a terminal."""
    command = [*KURABAKO, "--config", str(box.config), *words]
    terminal = pexpect.spawn(command[0], command[1:], encoding="utf-8", timeout=60, dimensions=(24, 200))
    said: str = terminal.read()
    terminal.close()
    assert terminal.exitstatus == 0, said
    return said


def everything_written(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def test_setup_shows_a_code_once_to_a_person_and_never_to_a_log(tmp_path: Path) -> None:
    box = BoxUnderTest.make(tmp_path)
    logged = box.run("setup")
    assert "kurabako operator-code --renew" in logged.out
    assert not CODE.search(logged.out), "what the service manager sees is kept"
    assert box.json("operator-code") == {"made_at": None}
    (code,) = CODE.findall(at_a_terminal(box, "setup"))
    assert not CODE.search(at_a_terminal(box, "setup")), "it is shown once"
    assert code.encode() not in everything_written(tmp_path)
    assert box.json("operator-code")["made_at"] is not None
    assert code not in box.run("operator-code").out


def test_a_code_is_renewed_with_and_without_the_daemon(tmp_path: Path) -> None:
    box = BoxUnderTest.make(tmp_path)
    box.set_up()
    codes = [box.json("operator-code", "--renew")["code"]]
    with box.serving():
        codes.append(box.json("operator-code", "--renew")["code"])
        assert CODE.search(box.run("operator-code", "--renew").out)
    assert all(CODE.fullmatch(code) for code in codes)
    assert codes[0] != codes[1]
    assert all(code not in box.log() for code in codes)
    assert b"operator.code-made" in (tmp_path / "state" / "evidence.jsonl").read_bytes()
