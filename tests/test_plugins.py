"""The plugin manager: guards, budgets, promises, and who sees what."""

from __future__ import annotations

import signal
import sys
import threading
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import EntryPoint
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from pydantic import BaseModel

from appliance import text
from appliance.errors import KurabakoError
from appliance.hookspecs import PluginContext
from appliance.plugins import Hung, PluginFailed, PluginManager, Quit, StorageKindUnknown, Worker, within
from appliance.sources.interface import FoundSource, SourceEvent, SourceNotFound
from appliance.status.model import PluginStatus, Severity, State, Status
from appliance.status.outputs import Notice
from appliance.text import T

NOW = datetime(2026, 11, 20, tzinfo=UTC)
STATUS = Status("kura", "1", State.IDLE, T("Idle."), NOW, NOW)
NOTICE = Notice("kura", "x", Severity.INFO, T("Subject"), T("Body"), NOW)

HEAD = """
import threading
from appliance.errors import KurabakoError
from appliance.hookspecs import *
from appliance.hookspecs import hookimpl
from appliance.sources.interface import FoundSource, SourceEvent
from appliance.storage.interface import StorageKind
from appliance.text import T
class Away(KurabakoError):
    code = "test.away"
"""

Make = Callable[..., PluginManager]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Make:
    """Makes a manager of plugins given as source code by name."""
    monkeypatch.syspath_prepend(tmp_path)
    unique = zlib.crc32(request.node.nodeid.encode())

    def made(budget: float = 10, **sources: str) -> PluginManager:
        points = []
        for name, source in sources.items():
            module = f"plugin_{name}_{unique}"
            (tmp_path / f"{module}.py").write_text(HEAD + dedent(source), encoding="utf-8")
            points.append(EntryPoint(name.replace("_", "-"), module, "kurabako.plugins"))
        return PluginManager.load(budget=budget, entry_points=points)

    return made


def context(manager: PluginManager, tmp_path: Path, **sections: BaseModel) -> PluginContext:
    return manager.context(sections, tmp_path, tmp_path)


def why(manager: PluginManager, name: str) -> tuple[str, str]:
    (status,) = (status for status in manager.statuses() if status.name == name)
    return status.state, str(status.why)


# The guard


def test_a_call_answers_raises_or_is_given_up() -> None:
    assert within(5, lambda: 3) == 3
    with pytest.raises(ZeroDivisionError):
        within(5, lambda: 1 // 0)
    with pytest.raises(Quit, match="SystemExit: 7"):
        within(5, lambda: sys.exit(7))
    released = threading.Event()
    with pytest.raises(Hung, match=r"0\.05 s"):
        within(0.05, released.wait)
    released.set()


def test_ctrl_c_while_a_plugin_is_waited_for_is_no_fault_of_the_plugin(make: Make, tmp_path: Path) -> None:
    manager = make(
        slow="""
            import os, signal
            @hookimpl
            def discover_sources(context):
                os.kill(os.getpid(), signal.SIGINT)
                threading.Event().wait()
        """
    )
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            manager.discover_sources(context(manager, tmp_path))
    finally:
        signal.signal(signal.SIGINT, before)
    assert why(manager, "slow") == ("active", "None")


def test_a_worker_makes_its_calls_in_one_thread() -> None:
    worker = Worker("test")
    assert len({worker.call(threading.get_ident, 5) for _ in range(3)} | {threading.get_ident()}) == 2
    worker.close()


# Calls


def test_one_that_raises_is_set_aside_and_the_others_are_heard(make: Make, tmp_path: Path) -> None:
    found = """
        @hookimpl
        def discover_sources(context):
            yield FoundSource("{0}:1", "{0}", "{0}")
    """
    manager = make(
        good=found.format("good"),
        bad="""
            @hookimpl
            def discover_sources(context):
                yield FoundSource("bad:1", "bad", "bad")
                raise ValueError("password=4711")
        """,
        other=found.format("other"),
    )
    seen = context(manager, tmp_path)
    assert sorted(source.id for source in manager.discover_sources(seen)) == ["good:1", "other:1"]
    state, said = why(manager, "bad")
    assert state == "set-aside"
    assert said.startswith("discover_sources failed (ValueError in plugin_bad_")
    assert "4711" not in said, "a plugin that has seen settings may quote them"
    assert why(manager, "good") == ("active", "None")


def test_an_error_of_the_world_outside_is_no_failure_of_the_plugin(make: Make, tmp_path: Path) -> None:
    manager = make(
        nas="""
            away = [True]
            @hookimpl
            def discover_sources(context):
                if away:
                    away.clear()
                    raise Away(T("The server is away."))
                return [FoundSource("nas:1", "nas", "nas")]
        """
    )
    seen = context(manager, tmp_path)
    assert manager.discover_sources(seen) == []
    assert why(manager, "nas") == ("active", "The server is away.")
    assert [source.id for source in manager.discover_sources(seen)] == ["nas:1"]
    assert why(manager, "nas") == ("active", "None")


def test_one_that_hangs_is_not_called_again(make: Make, tmp_path: Path) -> None:
    manager = make(
        budget=0.5,
        stuck="""
            @hookimpl
            def discover_sources(context):
                with (context.run_dir / "calls").open("a") as file:
                    file.write("called ")
                threading.Event().wait()
        """,
    )
    seen = context(manager, tmp_path)
    assert manager.discover_sources(seen) == []
    assert why(manager, "stuck") == ("set-aside", "discover_sources did not answer within 0.5 s")
    assert manager.discover_sources(seen) == []
    assert (tmp_path / "calls").read_text() == "called "


def test_each_plugin_sees_its_own_settings_only(make: Make, tmp_path: Path) -> None:
    class Table(BaseModel):
        secret: str = ""

    plugin = """
        from pydantic import BaseModel
        class Table(BaseModel):
            secret: str = ""
        @hookimpl
        def settings_sections():
            return [SettingsSection("{0}", Table)]
        @hookimpl
        def discover_sources(context):
            return [FoundSource(f"{0}:{{name}}", "{0}", "x") for name in context.settings]
    """
    manager = make(a=plugin.format("a"), b=plugin.format("b"))
    seen = context(manager, tmp_path, a=Table(secret="1"), b=Table(secret="2"), web=Table(secret="3"))
    assert sorted(source.id for source in manager.discover_sources(seen)) == ["a:a", "b:b"]


def test_a_name_may_be_claimed_once(make: Make, tmp_path: Path) -> None:
    plugin = """
        @hookimpl{1}
        def checks(context):
            return [Check("same", T("{0}"), lambda: CheckResult(True, T("{0}")))]
    """
    manager = make(first=plugin.format("first", ""), second=plugin.format("second", "(tryfirst=True)"))
    (check,) = manager.checks(context(manager, tmp_path))
    assert check.run().what == T("second")
    assert why(manager, "first") == ("set-aside", "checks hands out same, which second has already")


def test_a_blocked_plugin_is_not_even_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "blocked_plugin_under_test.py").write_text("raise SystemError")
    point = EntryPoint("unwanted", "blocked_plugin_under_test", "kurabako.plugins")
    manager = PluginManager.load(blocked=["unwanted", "not-installed"], entry_points=[point])
    assert manager.statuses() == (PluginStatus("unwanted", "", "", "blocked", T("blocked by the settings"), ()),)
    assert manager.any_set_aside


def test_two_plugins_of_one_name_are_not_mixed_up(make: Make, tmp_path: Path) -> None:
    plugin = "@hookimpl\ndef service_profiles():\n    return ()\n"
    twin = PluginManager.load(
        entry_points=[
            EntryPoint("same", _module(tmp_path, "twin_one", plugin), "kurabako.plugins"),
            EntryPoint("same", _module(tmp_path, "twin_two", plugin), "kurabako.plugins"),
        ]
    )
    assert sorted(status.state for status in twin.statuses()) == ["active", "set-aside"]


def _module(folder: Path, name: str, source: str) -> str:
    (folder / f"{name}.py").write_text(HEAD + source)
    return name


# Storages


@pytest.fixture
def storages(make: Make) -> PluginManager:
    return make(
        tape="""
            def opened(place, options):
                if place == "sense":
                    raise ValueError(T("say which tape"))
                if place == "away":
                    raise Away(T("The tape is away."))
                if place == "none":
                    return None
                raise RuntimeError(options["secret_access_key"])
            @hookimpl
            def storages():
                return [StorageKind("tape", T("Tape"), opened)]
        """
    )


def test_a_storage_nobody_opens(storages: PluginManager) -> None:
    for url in ("disk:x", "/a/path", "./tape:x"):
        with pytest.raises(StorageKindUnknown, match=r"No plugin opens .* one of: tape:\."):
            storages.open_storage(url)


def test_an_address_that_makes_no_sense_is_said_in_the_plugins_words(storages: PluginManager) -> None:
    with pytest.raises(StorageKindUnknown, match=r"cannot be opened: say which tape\."):
        storages.open_storage("tape:sense")
    with pytest.raises(KurabakoError, match="The tape is away"):
        storages.open_storage("tape:away")
    assert why(storages, "tape")[0] == "active"


@pytest.mark.parametrize("place", ["none", "broken"])
def test_a_storage_that_breaks_its_promise(storages: PluginManager, place: str) -> None:
    with pytest.raises(PluginFailed) as caught:
        storages.open_storage(f"tape:{place}", {"secret_access_key": "4711"})
    assert "4711" not in str(caught.value)
    assert why(storages, "tape")[0] == "set-aside"
    assert storages.storage_kinds() == {}
    with pytest.raises(PluginFailed, match="The plugin tape failed"):
        storages.open_storage("tape:sense")


# Sources


def test_a_source_is_opened_by_whom_it_belongs_to(make: Make, tmp_path: Path) -> None:
    manager = make(
        crashes="""
            @hookimpl(tryfirst=True)
            def open_source(context, source):
                if source.kind == "tape":
                    raise RuntimeError
        """,
        disks="""
            class Disk:
                id = snapshot_path = "disk"
                trusts_inode = True
                def root(self): ...
                def scandir(self, path): ...
                def complete(self, path, entry): ...
                def open(self, path, entry): ...
                def close(self): ...
            @hookimpl
            def open_source(context, source):
                if source.kind == "away":
                    raise Away(T("The disk is away."))
                if source.kind == "disk":
                    return Disk()
        """,
    )
    seen = context(manager, tmp_path)
    assert manager.open_source(seen, FoundSource("disk:1", "disk", "Disk")).id == "disk"
    with pytest.raises(SourceNotFound):
        manager.open_source(seen, FoundSource("cd:1", "cd", "CD"))
    with pytest.raises(KurabakoError, match="The disk is away"):
        manager.open_source(seen, FoundSource("away:1", "away", "Away"))
    with pytest.raises(PluginFailed):
        manager.open_source(seen, FoundSource("tape:1", "tape", "Tape"))
    assert manager.open_source(seen, FoundSource("disk:1", "disk", "Disk")).id == "disk"


def test_a_watch_reports_sound_events_only_and_the_boxs_mistakes_stay_its_own(make: Make, tmp_path: Path) -> None:
    manager = make(
        door="""
            class Watch:
                def close(self):
                    raise OSError
            @hookimpl
            def watch_sources(context, on_event):
                on_event(SourceEvent("add", FoundSource("door:1", "door", "Door")))
                return Watch()
        """,
        liar="""
            class Watch:
                def close(self): ...
            @hookimpl
            def watch_sources(context, on_event):
                on_event("a disk came")
                on_event(SourceEvent("add", FoundSource("liar:1", "liar", "Liar")))
                return Watch()
        """,
    )
    heard: list[SourceEvent] = []

    def on_event(event: SourceEvent) -> None:
        heard.append(event)
        raise RuntimeError("the box's own mistake")

    watch = manager.watch_sources(context(manager, tmp_path), on_event)
    assert [event.source.id for event in heard] == ["door:1"]
    assert why(manager, "liar") == ("set-aside", "watch_sources reports something that is no event")
    assert why(manager, "door") == ("active", "None")
    watch.close()
    assert why(manager, "door")[0] == "set-aside"


# Outputs, channels, checks

OUTPUT = """
class Output:
    name = "lamp"
    calls = []
    def show(self, status):
        self.calls.append(threading.get_ident())
        {show}
    def close(self):
        self.calls.append("closed")
        raise OSError
@hookimpl
def status_outputs(context):
    yield Output()
"""


@pytest.fixture
def shown(make: Make, tmp_path: Path) -> Iterator[Callable[..., tuple[PluginManager, Any]]]:
    def build(show: str, **options: Any) -> tuple[PluginManager, Any]:
        manager = make(lamp=OUTPUT.format(show=show), **options)
        (output,) = manager.status_outputs(context(manager, tmp_path))
        return manager, output

    yield build


def test_an_output_is_called_from_one_thread_and_closed(shown: Callable[..., tuple[PluginManager, Any]]) -> None:
    manager, output = shown("pass")
    for _ in range(3):
        output.show(STATUS)
    output.close()
    calls = output._output.calls
    assert len(set(calls[:-1])) == 1
    assert calls[-1] == "closed"
    assert why(manager, "lamp") == ("active", "None")


def test_an_output_may_fail_now_and_then_but_not_always(shown: Callable[..., tuple[PluginManager, Any]]) -> None:
    manager, output = shown("if len(self.calls) != 3: raise OSError('port 4711')")
    states = []
    for _ in range(7):
        output.show(STATUS)
        states.append(why(manager, "lamp")[0])
    assert states == ["active"] * 5 + ["set-aside"] * 2
    assert len(output._output.calls) == 6, "one that is set aside is not called"
    assert "4711" not in why(manager, "lamp")[1]


def test_an_output_whose_device_is_away_is_tried_again_for_ever(
    shown: Callable[..., tuple[PluginManager, Any]],
) -> None:
    manager, output = shown("if len(self.calls) < 9: raise Away(T('The lamp is out.'))")
    for _ in range(8):
        output.show(STATUS)
    assert why(manager, "lamp") == ("active", "The lamp is out.")
    output.show(STATUS)
    assert why(manager, "lamp") == ("active", "None")


def test_an_output_that_hangs_is_set_aside_at_once(shown: Callable[..., tuple[PluginManager, Any]]) -> None:
    manager, output = shown("threading.Event().wait()", budget=0.5)
    output.show(STATUS)
    assert why(manager, "lamp") == ("set-aside", "output lamp did not answer within 0.5 s")
    output.close()
    assert "closed" not in output._output.calls, "its thread is still busy"


def test_a_channel_raises_sentences_only(make: Make, tmp_path: Path) -> None:
    manager = make(
        post="""
            class Post:
                name = "post"
                def send(self, notice):
                    if notice.code == "away":
                        raise Away(T("The postman is away."))
                    raise RuntimeError
            @hookimpl
            def notification_channels(context):
                return [Post()]
        """
    )
    (channel,) = manager.channels(context(manager, tmp_path))
    with pytest.raises(KurabakoError, match="The postman is away"):
        channel.send(replace(NOTICE, code="away"))
    with pytest.raises(PluginFailed):
        channel.send(NOTICE)
    assert why(manager, "post")[0] == "set-aside"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("raise RuntimeError('4711')", "check post.paid failed (RuntimeError in"),
        ("return 'fine'", "check post.paid must be CheckResult, not str"),
        ("raise Away(T('Nobody knows.'))", "Nobody knows."),
    ],
)
def test_a_check_that_fails_is_a_problem_found(make: Make, tmp_path: Path, answer: str, said: str) -> None:
    manager = make(
        post=f"""
            def run():
                {answer}
            @hookimpl
            def checks(context):
                return [Check("post.paid", T("Paid?"), run)]
        """
    )
    (check,) = manager.checks(context(manager, tmp_path))
    result = check.run()
    assert not result.ok
    assert said in str(result.what)
    assert "4711" not in str(result.what)


def test_built_in_plugins_work_and_their_names_are_known() -> None:
    statuses = {status.name: status for status in PluginManager.load().examine()}
    assert set(statuses) >= {"folder", "s3", "smb", "services", "webhook", "disks", "leds", "console"}
    assert {name: str(one.why) for name, one in statuses.items() if one.state != "active"} == {}


@pytest.mark.parametrize("catalogue", [b"\xff\xfe\x00", b'msgid "a\nmsgstr', b"no catalogue at all\n"])
def test_a_plugins_broken_catalogue_leaves_everybody_elses_texts_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], catalogue: bytes
) -> None:
    monkeypatch.setattr("appliance.text._folders", list(text._folders))
    package = tmp_path / f"broken_catalogue_{zlib.crc32(catalogue)}"
    (package / "locale" / "ja").mkdir(parents=True)
    (package / "locale" / "ja" / "texts.po").write_bytes(catalogue)
    (package / "__init__.py").write_text(HEAD + "@hookimpl\ndef service_profiles():\n    return ()\n")
    monkeypatch.syspath_prepend(tmp_path)
    manager = PluginManager.load(entry_points=[EntryPoint("odd", package.name, "kurabako.plugins")])
    assert [status.state for status in manager.statuses()] == ["active"]
    assert text._folders[-1] == package / "locale"
    assert T("Interrupted.").render("ja") == "中断しました。"
    assert capsys.readouterr().out == "", "standard output carries results only"
    text._catalogue.cache_clear()


@pytest.mark.parametrize("name", ["", "a/", "../api", "tape drive", "{path}", "テープ"])
def test_a_web_extension_whose_name_is_no_part_of_a_path_is_set_aside(make: Make, tmp_path: Path, name: str) -> None:
    manager = make(
        odd=f"""
            from fastapi import APIRouter
            @hookimpl
            def web_extensions(context):
                return [WebExtension({name!r}, APIRouter())]
        """,
        sound="""
            from fastapi import APIRouter
            @hookimpl
            def web_extensions(context):
                return [WebExtension("tape-2_b", APIRouter())]
        """,
    )
    assert [one.name for one in manager.web_extensions(context(manager, tmp_path))] == ["tape-2_b"]
    state, reason = why(manager, "odd")
    assert state == "set-aside"
    assert f"the name {name!r}, which is not" in reason
