"""The composition root: settings, plugins and state become a Box, from which every job is handed what it needs."""

from __future__ import annotations

import getpass
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from zoneinfo import ZoneInfo

from appliance.agreement import Agreement, Contract
from appliance.capacity import GatedStorage, GatedTries, Ledger
from appliance.cloud_memory import heed_cloud
from appliance.contract.box_state import Action
from appliance.contract.collection import part_limit
from appliance.contract.profile import ServiceProfile
from appliance.contracted import as_contracted
from appliance.hardware import find_board
from appliance.hookspecs import PluginContext
from appliance.outbound import GUARD
from appliance.plugins import PluginManager
from appliance.policy import KnownSource, NotCollectable, NotDesignated, Policies, ResolvedPolicy
from appliance.protection import LettingGo
from appliance.recovery_key import new_recovery_key, write_recovery_key
from appliance.repository import NotARepository, Repository
from appliance.schedule import RateSchedule
from appliance.setting_up import NotSetUp as NotSetUp
from appliance.setting_up import SetUp, home_gone, require_object_lock
from appliance.settings import CloudSettings, SecretFile, Settings, load_settings, read_plugins_settings
from appliance.sources.interface import FoundSource, OpenOptions, Source, SourceNotFound
from appliance.sources.throttled import throttled
from appliance.state import State, StateError
from appliance.storage import RetryingStorage, RetryPolicy, ThrottledStorage
from appliance.storage.interface import ObjectNotFound, PlaceNotFound, Storage
from appliance.text import T
from appliance.transfers import Line, Mode, SwitchedStorage, Transfers, least

HOME_KEY = "home"
"""The state's name for the repository that was set up, so that an unmounted disk is not taken for a new one."""

PLUGINS_OFF = "plugins.off"
"""The state's name for the plugins that the provider had switched off."""

GREETING = RetryPolicy(give_up_after=10.0)
"""How long a place is asked for when a job begins: nobody waits a quarter of an hour to hear of a mistyped host."""


def utc_now() -> datetime:
    """The real clock."""
    return datetime.now(UTC)


class Box:
    """One box: what its settings say, its plugins and its memory. `close` ends what it opened.

    Opening a box reads the settings and the state and contacts nobody.
    """

    def __init__(self, settings: Settings, plugins: PluginManager, *, clock: Callable[[], datetime] = utc_now) -> None:
        self.settings = settings
        self.plugins = plugins
        self.clock = clock
        self.line = Line(lambda sent, received: self.agreement.metering.note_traffic(clock(), sent, received))

    @classmethod
    def open(cls, config: Path, *, clock: Callable[[], datetime] = utc_now) -> Box:
        """The box that the settings file `config` describes. Raises `SettingsError`."""
        use = read_plugins_settings(config)
        plugins = PluginManager.load(blocked=use.blocked, budget=use.time_budget)
        settings = load_settings(config, plugins.settings_sections(), allow_unknown_tables=plugins.any_set_aside)
        box = cls(settings, plugins, clock=clock)
        if settings.contract.provider_key_file is not None and (settings.box.state_dir / "state.db").exists():
            plugins.switch_off(box.state.value(PLUGINS_OFF, []))
        return box

    def close(self) -> None:
        """Closes the state, if it was opened."""
        self.line.flush()
        GUARD.permit(None)
        if "state" in self.__dict__:
            self.state.close()

    def require_sound(self) -> None:
        """Raises what makes these settings impossible to work with, so that nothing is started by halves."""
        self.profile  # noqa: B018 - raises when no plugin knows it
        self.context  # noqa: B018 - raises when the board's file is broken
        if self.home:
            self.password_file()

    @cached_property
    def state(self) -> State:
        """The box's memory; made when it is first needed, so that asking for help writes nothing. `StateError`."""
        return State(self.settings.box.state_dir / "state.db", clock=self.clock)

    @cached_property
    def transfers(self) -> Transfers:
        """Whether transfers to the cloud are paused or stopped."""
        return Transfers(self.state, self.clock, self.agreement.record)

    @property
    def name(self) -> str:
        """The box's name, which snapshots carry as their host."""
        return self.settings.box.name

    @property
    def zone(self) -> ZoneInfo:
        """The box's time zone."""
        return ZoneInfo(self.settings.box.timezone)

    @cached_property
    def context(self) -> PluginContext:
        """What plugins are given."""
        box = self.settings.box
        return replace(
            self.plugins.context(self.settings.plugins, box.state_dir, box.run_dir),
            board=find_board(),
            own_paths=self.own_paths,
            timezone=self.settings.box.timezone,
        )

    @property
    def own_paths(self) -> tuple[Path, ...]:
        """The folders that hold the box's own data, which is never backed up: state, vault, a cloud on this machine."""
        places = (self.vault_location, self.cloud_location)
        return (self.settings.box.state_dir, *(Path(place) for place in places if place.startswith("/")))

    @cached_property
    def agreement(self) -> Agreement:
        """The contract: in the settings or signed by the provider, with its evidence."""
        return Agreement(
            self.settings.contract,
            self.settings.box.state_dir,
            state=lambda: self.state,
            profiles=self.plugins.profiles,
            clock=self.clock,
            cloud=self.cloud_location,
            key=lambda: self.settings.cloud.key() if self.settings.cloud is not None else None,
        )

    @property
    def contract(self) -> Contract:
        """What is agreed now, verified anew each time. Raises `UnknownProfile`."""
        return self.agreement.contract

    @property
    def profile(self) -> ServiceProfile:
        """The provider's terms that the contract names; `UnknownProfile` when no plugin knows them."""
        return self.contract.profile

    # Places

    @property
    def has_vault(self) -> bool:
        """Whether backups go to a disk of the box first; otherwise straight to the cloud."""
        return self.settings.vault is not None

    @property
    def has_cloud(self) -> bool:
        return self.settings.cloud is not None

    @property
    def home(self) -> str:
        """The place backups are written to, as a person knows it."""
        return self.vault_location or self.cloud_location

    @property
    def vault_location(self) -> str:
        """The vault's folder; empty without a vault."""
        return str(self.settings.vault.path) if self.settings.vault is not None else ""

    @property
    def cloud_location(self) -> str:
        """The cloud's address; empty without a cloud."""
        return self.settings.cloud.url if self.settings.cloud is not None else ""

    def password_file(self) -> SecretFile:
        """Where the password of vault and cloud is kept; `NotSetUp` when the settings do not say."""
        if self.settings.password_file is not None:
            return self.settings.password_file
        raise NotSetUp(
            T("The settings name no place for backups, or no password file for it."),
            todo=T("Write path and password_file in [vault]; see docs/settings.md."),
        )

    def password(self) -> str:
        """The password of vault and cloud. Never logged, never in an error. Raises `NotSetUp`, `SettingsError`.

        Without the space around it, as stock restic takes it from the same file.
        """
        return self.password_file().read().get_secret_value().strip()

    def vault_storage(self, *, create: bool = False) -> Storage:
        """The vault's storage; with `create` its folder may be made. `NotSetUp` without a vault."""
        if self.settings.vault is None:
            raise NotSetUp(
                T("The settings name no vault."),
                todo=T("Write the folder that is to hold the backups as path in [vault]."),
            )
        return self.plugins.open_storage(str(self.settings.vault.path), {"create": create})

    def require_cloud(self) -> CloudSettings:
        """The cloud's settings; `NotSetUp` without a cloud."""
        if self.settings.cloud is None:
            raise NotSetUp(
                T("The settings name no cloud."),
                todo=T("Write the address and the credentials of the cloud in [cloud]."),
            )
        return self.settings.cloud

    def upload_rate(self) -> int | None:
        """Bytes a second that may be sent at this moment; None without any limit."""
        windows = RateSchedule(self.settings.replication.limits, self.settings.box.timezone)
        agreed, planned = self.contract.standing.rate, windows.rate_at(self.clock())
        return least(self.require_cloud().upload_limit, agreed, planned, self.line.limit)

    def raw_cloud_storage(self) -> Storage:
        """The cloud's storage as its plugin opens it: each request once. Opening contacts nobody. `NotSetUp`."""
        cloud = self.require_cloud()
        self.agreement.guard_line(self.contract)
        limit = part_limit(self.contract.terms, cloud.part_limit)
        lock = {"object_lock": cloud.protection.object_lock(self.clock)} if cloud.protection is not None else {}
        options = {**cloud.options(), **lock, "part_limit": limit, "hosts": self.contract.hosts}
        storage = self.plugins.open_storage(cloud.url, options)
        return SwitchedStorage(storage, lambda: self.transfers.require(Mode.STOPPED), self.line)

    def cloud_storage(self) -> RetryingStorage:
        """The cloud's storage, patient and within the upload limit, but without the capacity gate: to read from."""
        return RetryingStorage(ThrottledStorage(self.raw_cloud_storage(), upload_limit=self.upload_rate))

    def reached_cloud(self) -> RetryingStorage:
        """`cloud_storage()`, once it has answered: a job that goes on waits for its line, one that begins does not."""
        with suppress(ObjectNotFound):
            RetryingStorage(self.raw_cloud_storage(), GREETING).stat("config")
        return self.cloud_storage()

    def gated_cloud(self) -> GatedStorage:
        """The cloud behind the capacity gate: the only way to write there. What it holds is measured first."""
        contract = self.contract
        contract.require(Action.UPLOAD, self.cloud_location)
        storage = self.reached_cloud()
        inner = storage.inner
        if self.require_cloud().protection is not None:
            storage.require_object_lock()
            inner = LettingGo(inner, lambda key: self.state.note_let_go(self.cloud_location, key))
        ledger = Ledger.measure(storage, capacity=contract.limit, reserve=contract.reserve)
        cloud = GatedStorage(RetryingStorage(GatedTries(inner, ledger)), ledger)
        return heed_cloud(self.agreement, self.state, cloud, self.password)

    def open_home(self) -> Repository:
        """The repository that backups are written to: the vault's, or the gated cloud's on a box without a vault.

        Raises `NotSetUp` where none is yet, `SettingsError` for the password file, `WrongPassword`, `StorageError`.
        """
        password = self.password()
        storage = self.vault_storage() if self.has_vault else self.gated_cloud()
        try:
            return Repository.open(storage, password)
        except (NotARepository, PlaceNotFound) as error:
            if not self._known_home():
                raise self.not_set_up() from error
            raise home_gone(self.home, in_cloud=self.has_vault and self.has_cloud) from error

    def open_cloud(self) -> Repository:
        """The cloud's repository, to read from. Raises as `open_home` does, and `NotARepository` while it is empty."""
        self.contract.require(Action.CLOUD_RESTORE, self.cloud_location)
        return Repository.open(self.reached_cloud(), self.password())

    def set_up(self, entropy: Callable[[int], bytes] = os.urandom) -> SetUp:
        """Makes what is missing: the password file with a new recovery key, and the repository. May be repeated."""
        path = self.password_file().path()
        if self.settings.cloud is not None and self.settings.cloud.protection is not None:
            require_object_lock(self.reached_cloud, must_answer=not self.has_vault)
        made_key = not path.exists()
        if made_key:
            if self._known_home():
                raise NotSetUp(
                    T("The password file {path} is gone, but there are backups that need it.", path=str(path)),
                    safe=T("Nothing was changed."),
                    todo=T("Put the recovery key back into it from where you keep it."),
                )
            write_recovery_key(path, new_recovery_key(entropy))
        password = self.password()
        storage = self.vault_storage(create=True) if self.has_vault else self.gated_cloud()
        made_repository = False
        try:
            repository = Repository.open(storage, password)
        except NotARepository:
            if self._known_home():
                raise home_gone(self.home, in_cloud=self.has_vault and self.has_cloud) from None
            repository = Repository.create(
                storage, password, hostname=self.name, username=getpass.getuser(), now=self.clock, entropy=entropy
            )
            made_repository = True
        known = self.state.value(HOME_KEY) or {"at": self.clock().isoformat()}
        self.state.set_value(HOME_KEY, {**known, "repository": repository.id, "place": self.home})
        return SetUp(path, made_key, self.home, repository.id, made_repository)

    def not_set_up(self) -> NotSetUp:
        """What to say where a command needs a place that was never set up."""
        return NotSetUp(
            T("The place for backups, {place}, has not been set up yet.", place=self.home),
            safe=T("Nothing was changed."),
            todo=T("Run “kurabako setup” once."),
        )

    def _known_home(self) -> bool:
        """Whether a repository was set up in this very place before."""
        home = self.state.value(HOME_KEY)
        return home is not None and home["place"] == self.home

    # Sources

    @cached_property
    def policies(self) -> Policies:
        """What is decided about each source, in the settings and on this box."""
        return Policies(self.settings.policy, self.settings.policies, lambda: self.state)

    def known_sources(self) -> list[KnownSource]:
        """Every source that is there now, and every designated one, there or not; by id. Asks the plugins."""
        designated = {designation.source.id: designation for designation in self.state.designations()}
        known, now, contract = dict[str, KnownSource](), self.clock(), self.contract
        for seen in self.plugins.discover_sources(self.context):
            with suppress(StateError):  # a memory that is full hides no source
                if seen.collectable:  # what is not may be any number: anybody can announce a server
                    self.state.saw(seen, now)
            places = {"has_vault": self.has_vault, "has_cloud": self.has_cloud}
            found = as_contracted(seen, self.policies.of(seen), contract, self.state, **places)
            designation = designated.pop(found.id, None)
            known[found.id] = KnownSource(found, designation.at if designation else None)
        for designation in designated.values():
            known[designation.source.id] = KnownSource(replace(designation.source, present=False), designation.at)
        return [known[source_id] for source_id in sorted(known)]

    def find_source(self, source_id: str) -> KnownSource:
        """The source with this id; `SourceNotFound` when it is neither there nor designated."""
        for known in self.known_sources():
            if known.found.id == source_id:
                return known
        raise SourceNotFound(
            T("There is no source {source}.", source=source_id),
            todo=T("“kurabako sources” lists the sources that are there, with their IDs."),
        )

    def designate(self, source_id: str) -> FoundSource:
        """Marks a source for backing up; `SourceNotFound` or `NotCollectable` when that makes no sense."""
        found = self.find_source(source_id).found
        self._require_collectable(found)
        self.state.designate(found, self.clock())
        return found

    def _require_collectable(self, found: FoundSource) -> None:
        if not found.collectable:
            raise NotCollectable(
                T("{source} cannot be backed up: {why}", source=found.title, why=found.why_not or ""),
                safe=T("Nothing was changed."),
            )

    def undesignate(self, source_id: str) -> None:
        """Ends backing up a source; its snapshots stay."""
        if not self.state.undesignate(source_id):
            raise SourceNotFound(
                T("{source} is not designated.", source=source_id),
                todo=T("“kurabako sources” lists the sources and which of them are designated."),
            )

    def set_policy(self, source_id: str, name: str, words: Sequence[str] | None) -> ResolvedPolicy:
        """Sets a value of a source's policy, or with None takes it back. Raises `PolicyMistake`, `SourceNotFound`."""
        found = self.find_source(source_id).found
        return self.policies.take_back(found, name) if words is None else self.policies.choose(found, name, words)

    def require_designated(self, source_id: str) -> KnownSource:
        """The designated source with this id, there or not; `SourceNotFound`, `NotDesignated`."""
        known = self.find_source(source_id)
        if not known.designated:
            raise NotDesignated(
                T("{source} is not designated, so it is not backed up.", source=known.found.title),
                safe=T("Nothing of it was read."),
                todo=T("Type: kurabako sources designate '{source}'", source=source_id),
            )
        return known

    def open_source(self, source_id: str) -> Source:
        """Opens a designated source for reading, as its policy says; raises when it is not designated or not there."""
        known = self.require_designated(source_id)
        if not known.found.present:
            raise SourceNotFound(
                T("{source} is not there.", source=known.found.title),
                safe=T("Its earlier snapshots are unharmed."),
                todo=T("Plug the disk in, or start the server that has the share, and run the backup again."),
            )
        self._require_collectable(known.found)
        policy = self.policies.of(known.found)
        options = OpenOptions(policy.cross_file_systems, policy.previous_versions, policy.permissions)
        source = self.plugins.open_source(self.context, known.found, options)
        return throttled(source, policy.read_limit) if policy.read_limit else source
