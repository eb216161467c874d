"""The settings of the box itself; docs/settings.md has a line for each. Plugins add tables of their own."""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, field_validator, model_validator

from appliance.fields import AbsolutePath, Section, Size
from appliance.plugins import DEFAULT_BUDGET
from appliance.policy.model import PolicyRules, SourcePolicy
from appliance.schedule.field import PlannedTime
from appliance.settings.alarm import AlarmSettings
from appliance.settings.directives import DirectivesSettings
from appliance.settings.lines import KeyPath
from appliance.settings.replication import JobsSettings, ReplicationSettings
from appliance.settings.retention import RetentionSettings
from appliance.settings.secret import SecretFile
from appliance.settings.usage import UsageSettings
from appliance.settings.verification import VerificationSettings
from appliance.text import T

if TYPE_CHECKING:
    from appliance.protection import Protection

_NAME = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)")


def _zone(value: object) -> str:
    if isinstance(value, str) and value:
        try:
            return ZoneInfo(value).key
        except (KeyError, ValueError, OSError):
            pass
    raise ValueError(T("write a time zone such as Asia/Tokyo or UTC"))


def _listen(value: object) -> str:
    if isinstance(value, str) and (value == "localhost" or _is_address(value)):
        return value
    raise ValueError(T("write an address of this machine such as 0.0.0.0 (every one), 127.0.0.1 or ::"))


def _is_address(value: str) -> bool:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return False
    return True


def _name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError(T("write a host name: up to 63 letters, digits and hyphens"))
    return name


def _reached_as(host: str) -> str:
    labels = host.removesuffix(".").split(".")
    if len(host) > 253 or not all(_NAME.fullmatch(label) for label in labels):
        raise ValueError(T("write a name such as kura.example.jp, without http:// and without a port"))
    return host


def _host_name() -> str:
    return socket.gethostname().partition(".")[0]


ZoneName = Annotated[str, BeforeValidator(_zone)]
"""A name of the IANA time zone database."""


class BoxSettings(Section):
    """`[box]`: the box itself."""

    name: Annotated[str, AfterValidator(_name)] = Field(default_factory=_host_name)
    language: Literal["ja", "en"] = "ja"
    timezone: ZoneName = "Asia/Tokyo"
    state_dir: AbsolutePath = Path("/var/lib/kurabako")
    run_dir: AbsolutePath = Path("/run/kurabako")
    control_socket: AbsolutePath | None = None

    @property
    def socket_path(self) -> Path:
        """The control socket, below `run_dir` unless set."""
        return self.control_socket or self.run_dir / "control.sock"


class VaultSettings(Section):
    """`[vault]`: the repository on the box's own disk."""

    path: AbsolutePath
    password_file: SecretFile | None = None


class CloudSettings(Section):
    """`[cloud]`: the contracted place. The repository password is the vault's, or `password_file` without a vault."""

    url: str
    access_key_id: str | None = None
    access_key_id_file: SecretFile | None = None
    secret_access_key_file: SecretFile | None = None
    region: str | None = None
    ca_file: AbsolutePath | None = None
    addressing: Literal["path", "virtual"] | None = None
    # From 32 MiB: packs and indexes are smaller, so none goes in parts, which take up space before they can be listed.
    part_limit: Annotated[Size, Field(ge=32 * 1024**2, le=5 * 1024**3)] = 200 * 1024**2
    upload_limit: Annotated[Size, Field(gt=0)] | None = None
    password_file: SecretFile | None = None
    object_lock: Literal["governance", "compliance"] | None = None
    object_lock_days: Annotated[int, Field(ge=2, le=36500)] = 30
    object_lock_margin: Annotated[int, Field(ge=1)] = 10

    @field_validator("url")
    @classmethod
    def _url(cls, url: str) -> str:
        if not url:
            raise ValueError(T("write where the backups go, such as s3:https://s3.example.jp/bucket/box1"))
        if urlsplit(url.partition(":")[2]).password is not None:
            raise ValueError(T("write the address without a password; keys have settings of their own"))
        return url

    @model_validator(mode="after")
    def _key_pair(self) -> CloudSettings:
        if self.access_key_id is not None and self.access_key_id_file is not None:
            raise ValueError(T("write access_key_id or access_key_id_file, not both"))
        with_id = self.access_key_id is not None or self.access_key_id_file is not None
        if with_id != (self.secret_access_key_file is not None):
            raise ValueError(T("access_key_id and secret_access_key_file belong together: set both or neither"))
        return self

    @model_validator(mode="after")
    def _margin(self) -> CloudSettings:
        if self.object_lock_margin >= self.object_lock_days:
            raise ValueError(T("object_lock_margin must be smaller than object_lock_days"))
        return self

    @property
    def protection(self) -> Protection | None:
        """How what is stored is protected from being deleted; None where it is not."""
        if self.object_lock is None:
            return None
        from appliance.protection import Protection  # reading settings stays quick
        from appliance.storage.versions import LockMode

        days, margin = timedelta(days=self.object_lock_days), timedelta(days=self.object_lock_margin)
        return Protection(LockMode(self.object_lock), days, margin)

    def key_id(self) -> str | None:
        """The access key's id, from its file where it has one; None without a key. Raises `SettingsError`."""
        if self.access_key_id_file is not None:
            return self.access_key_id_file.read().get_secret_value().strip()
        return self.access_key_id

    def key(self) -> tuple[str, str] | None:
        """The access key's id and secret; None without one, or while its file is not there."""
        files = [one for one in (self.access_key_id_file, self.secret_access_key_file) if one is not None]
        if not files or not all(one.path().exists() for one in files):
            return None
        return self.key_id() or "", files[-1].read().get_secret_value()

    def options(self) -> dict[str, Any]:
        """What `PluginManager.open_storage` is given; reads the secret, so it may raise `SettingsError`."""
        options: dict[str, Any] = {"part_limit": self.part_limit}
        for name in ("region", "ca_file", "addressing"):
            if (value := getattr(self, name)) is not None:
                options[name] = str(value)
        if self.secret_access_key_file is not None:
            options["access_key_id"] = self.key_id()
            options["secret_access_key"] = self.secret_access_key_file.read().get_secret_value()
        return options


class ContractSettings(Section):
    """`[contract]`: what was agreed with the provider."""

    profile: str = "standard"
    capacity: Annotated[Size, Field(gt=0)] | None = None
    reserve: Size | None = None
    provider_key_file: AbsolutePath | None = None
    provided: tuple[AbsolutePath, ...] = ()

    @model_validator(mode="after")
    def _room_for_data(self) -> ContractSettings:
        if self.capacity is not None and self.reserve is not None and self.reserve >= self.capacity:
            raise ValueError(T("the reserve must be smaller than the capacity"))
        return self


class ScheduleSettings(Section):
    """`[schedule]`: when the box works by itself."""

    backup: tuple[PlannedTime, ...] = ("02:00",)
    replicate_after_backup: bool = True
    timezone: ZoneName | None = None


class WebSettings(Section):
    """`[web]`: the page. `hosts` are further names it is called by; to any other name it does not answer."""

    enabled: bool = True
    listen: Annotated[str, BeforeValidator(_listen)] = "0.0.0.0"  # noqa: S104 - the page is for the LAN
    port: Annotated[int, Field(ge=1, le=65535)] = 8080
    hosts: tuple[Annotated[str, AfterValidator(_reached_as)], ...] = ()


class PluginsSettings(Section):
    """`[plugins]`: which plugins are used. Read before the plugins, and so before their tables."""

    blocked: tuple[str, ...] = ()
    time_budget: Annotated[float, Field(gt=0, le=600)] = DEFAULT_BUDGET


CORE_SECTIONS: Mapping[str, type[BaseModel]] = {
    "box": BoxSettings,
    "vault": VaultSettings,
    "cloud": CloudSettings,
    "contract": ContractSettings,
    "directives": DirectivesSettings,
    "usage": UsageSettings,
    "schedule": ScheduleSettings,
    "policy": SourcePolicy,
    "policies": PolicyRules,
    "retention": RetentionSettings,
    "verification": VerificationSettings,
    "replication": ReplicationSettings,
    "jobs": JobsSettings,
    "alarm": AlarmSettings,
    "web": WebSettings,
    "plugins": PluginsSettings,
}
"""The box's own tables."""


@dataclass(frozen=True)
class Settings:
    """Everything the settings say, defaults filled in.

    `vault` and `cloud` are None without their table. `plugins` holds the plugins' tables by name, each an instance
    of its model. `ignored` are tables that nobody knows but that may belong to a plugin which does not work now.
    """

    file: Path
    box: BoxSettings = field(default_factory=BoxSettings)
    vault: VaultSettings | None = None
    cloud: CloudSettings | None = None
    contract: ContractSettings = field(default_factory=ContractSettings)
    directives: DirectivesSettings = field(default_factory=DirectivesSettings)
    usage: UsageSettings = field(default_factory=UsageSettings)
    schedule: ScheduleSettings = field(default_factory=ScheduleSettings)
    policy: SourcePolicy = field(default_factory=SourcePolicy)
    policies: PolicyRules = field(default_factory=PolicyRules)
    retention: RetentionSettings = field(default_factory=RetentionSettings)
    verification: VerificationSettings = field(default_factory=VerificationSettings)
    replication: ReplicationSettings = field(default_factory=ReplicationSettings)
    jobs: JobsSettings = field(default_factory=JobsSettings)
    alarm: AlarmSettings = field(default_factory=AlarmSettings)
    web: WebSettings = field(default_factory=WebSettings)
    plugin_use: PluginsSettings = field(default_factory=PluginsSettings)
    plugins: Mapping[str, BaseModel] = field(default_factory=dict)
    ignored: tuple[str, ...] = ()
    lines: Mapping[KeyPath, int] = field(default_factory=dict, repr=False)
    """Where each value stands in the file; a value that is not here is a default."""

    @property
    def password_file(self) -> SecretFile | None:
        """The file with the repositories' password: the vault's, else the cloud's."""
        places = (self.vault, self.cloud)
        return next((place.password_file for place in places if place and place.password_file), None)

    def tables(self) -> Mapping[str, BaseModel]:
        """Every table by name, the plugins' too."""
        own = {"plugins": self.plugin_use} | {
            name: getattr(self, name) for name in CORE_SECTIONS if name != "plugins" and getattr(self, name) is not None
        }
        return {name: own[name] for name in CORE_SECTIONS if name in own} | dict(self.plugins)
