"""Every hook, implemented by somebody who knows nothing but docs/plugins.md."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, SecretStr

from appliance.contract.files import load_profiles
from appliance.contract.profile import ServiceProfile
from appliance.hookspecs import (
    Check,
    CheckResult,
    CommandGroup,
    OnDocument,
    OnOrder,
    PlaceKind,
    PluginContext,
    SettingsSection,
    WebExtension,
    hookimpl,
)
from appliance.sources.interface import FoundSource, OnSourceEvent, Source, SourceEvent, Watch
from appliance.status.model import Severity, Status
from appliance.status.outputs import Notice, NotificationChannel, StatusOutput
from appliance.storage.interface import Buffer, ObjectInfo, ObjectNotFound, StorageKind, check_key
from appliance.targets.interface import RestoreTarget
from appliance.text import T
from kurabako_shed.tools import ToolBox


class ShedSettings(BaseModel):
    """`[shed]`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    shelf: str = "top"
    lock_code: SecretStr = SecretStr("")


class ShedStorage:
    """Keeps objects in memory, which is enough to see that the box uses it."""

    def __init__(self, location: str) -> None:
        self.location = location
        self._objects: dict[str, bytes] = {}

    def put(self, key: str, data: Buffer) -> None:
        check_key(key)
        self._objects[key] = bytes(data)

    def get(self, key: str, offset: int = 0, length: int | None = None) -> bytes:
        if key not in self._objects:
            raise ObjectNotFound(self.location, key)
        return self._objects[key][offset : None if length is None else offset + length]

    def stat(self, key: str) -> ObjectInfo:
        return ObjectInfo(key, len(self.get(key)))

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        return (self.stat(key) for key in list(self._objects) if key.startswith(prefix))

    def delete(self, key: str) -> None:
        self._objects.pop(key, None)

    def close(self) -> None:
        self._objects.clear()


class Wall:
    """A status output: chalk on the shed's wall."""

    name = "shed wall"

    def __init__(self, file: Path) -> None:
        self._file = file

    def show(self, status: Status) -> None:
        self._file.write_text(status.state.value, encoding="utf-8")

    def close(self) -> None:
        self._file.unlink(missing_ok=True)


class Neighbour:
    """A notification channel: somebody over the fence."""

    name = "neighbour"

    def __init__(self) -> None:
        self.heard: list[Notice] = []

    def send(self, notice: Notice) -> None:
        self.heard.append(notice)


class DoorWatch:
    def close(self) -> None:
        """Nothing runs."""


TOOLS = FoundSource(id="shed:tools", kind="shed", title="Tools", size_bytes=5)


@hookimpl
def settings_sections() -> Iterable[SettingsSection]:
    yield SettingsSection("shed", ShedSettings)


@hookimpl
def storages() -> Iterable[StorageKind]:
    def open_shed(place: str, options: dict[str, Any]) -> ShedStorage:
        if not place:
            raise ValueError(T("say which shed"))
        return ShedStorage(f"shed:{place}")

    yield StorageKind("shed", T("Garden shed"), open_shed)


@hookimpl
def discover_sources(context: PluginContext) -> Iterable[FoundSource]:
    yield TOOLS


@hookimpl
def open_source(source: FoundSource) -> Source | None:
    return ToolBox() if source.kind == "shed" else None


@hookimpl
def watch_sources(on_event: OnSourceEvent) -> Watch:
    on_event(SourceEvent("add", TOOLS))
    return DoorWatch()


@hookimpl
def places() -> Iterable[PlaceKind]:
    def open_target(url: str, password: SecretStr | None) -> RestoreTarget:
        raise ValueError(T("say which shed"))

    yield PlaceKind("shed", T("Garden shed"), lambda url, password: ToolBox(), open_target)


@hookimpl
def watch_directives(on_document: OnDocument, on_order: OnOrder) -> Watch:
    on_document("a note on the door", "shed")
    on_order("stop", "no code", "shed")
    return DoorWatch()


@hookimpl
def status_outputs(context: PluginContext) -> Iterable[StatusOutput]:
    yield Wall(context.run_dir / "shed-wall")


@hookimpl
def notification_channels(context: PluginContext) -> Iterable[NotificationChannel]:
    yield Neighbour()


@hookimpl
def service_profiles() -> Iterable[ServiceProfile]:
    return load_profiles(Path(__file__).parent / "profiles")


@hookimpl
def checks(context: PluginContext) -> Iterable[Check]:
    settings = context.settings["shed"]
    assert isinstance(settings, ShedSettings)
    others = sorted(set(context.settings) - {"shed"})

    def look() -> CheckResult:
        if others:
            return CheckResult(False, T("sees {others}", others=", ".join(others)), Severity.FAULT)
        return CheckResult(True, T("The {shelf} shelf is dry.", shelf=settings.shelf))

    yield Check("shed.dry", T("Is the shed dry?"), look)


@hookimpl
def commands() -> Iterable[CommandGroup]:
    from kurabako_shed.commands import app

    yield CommandGroup("shed", app, T("The garden shed."))


@hookimpl
def web_extensions(context: PluginContext) -> Iterable[WebExtension]:
    from fastapi import APIRouter

    router = APIRouter()
    router.add_api_route("/door", lambda: {"open": False})
    yield WebExtension("shed", router, T("Garden shed"))
