"""Carrying out the end of a contract: what the provider gave is erased and recorded; the customer's data stays."""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from appliance.agreement import Contract
from appliance.box import Box
from appliance.contract.ending import EndPlan, Erased, Wait, plan_end
from appliance.errors import KurabakoError

logger = logging.getLogger(__name__)

ERASED = "contract.erased"
"""The state's name for what was erased at the end of a contract; also a kind of evidence."""

_KEY_SETTINGS = ("access_key_id", "secret_access_key_file")
"""They stand in `[cloud]` both or not at all."""

_CHUNK = 1024 * 1024


@dataclass(frozen=True)
class ErasedFile:
    """A file that was erased: overwritten once with zeros, and removed."""

    what: str
    path: str
    bytes: int


class EndOfContract:
    """Looks whether the end of the contract asks for something, and does it once."""

    def __init__(self, box: Box) -> None:
        self._box = box
        self._tried: int | None = None
        self._waits: Wait | None = None

    def look(self, contract: Contract) -> None:
        """Erases what is to be erased now. What cannot be is tried again after the next start."""
        if contract.entitlement is None:
            return
        plan = plan_end(contract.terms, contract.standing, self._box.agreement.directives.recorded())
        if plan.wait is not self._waits:
            self._waits = plan.wait
            if plan.wait in (Wait.CLOCK, Wait.CONFIRMATION):
                logger.info("the contract has ended, but nothing is erased yet: %s", plan.wait)
        if plan.directive is None or plan.directive == self._tried:
            return
        self._tried = plan.directive
        done = self._box.state.value(ERASED) or {}
        if done.get("directive") == plan.directive and not done.get("failed"):
            return
        self._erase(plan, contract.entitlement.contract_id)

    def _erase(self, plan: EndPlan, contract_id: str) -> None:
        erased: list[ErasedFile] = []
        failed: list[str] = []
        if Erased.CREDENTIALS in plan.erase:
            for name, taken in self._take_out_key():
                if taken:
                    erased.append(ErasedFile(Erased.CREDENTIALS.value, name, taken))
                else:
                    failed.append(name)
        for what, path in self._places(plan):
            try:
                erased += [ErasedFile(what.value, str(file), size) for file, size in erase(path)]
            except OSError as error:
                logger.error("%s cannot be erased: %s", path, error)
                failed.append(str(path))
        record = {
            "contract_id": contract_id,
            "directive": plan.directive,
            "clause": plan.clause,
            "method": "overwritten with zeros once, removed",
            "erased": [asdict(one) for one in erased],
            "failed": failed,
        }
        self._box.agreement.record(ERASED, record)
        self._box.state.set_value(ERASED, record)

    def _take_out_key(self) -> Iterator[tuple[str, int]]:
        """Takes the key's id out of the settings; yields its name and the bytes that went, 0 where it cannot be."""
        file, lines = self._box.settings.file, self._box.settings.lines
        there = {name: lines[path] for name in _KEY_SETTINGS if (path := ("cloud", name)) in lines}
        if "access_key_id" not in there:
            return
        try:
            size = take_out(file, {line: f"{name} =" for name, line in there.items()})
        except OSError as error:
            logger.error("the key's id cannot be taken out of %s: %s", file, error)
            size = 0
        yield f"{file}: access_key_id", size

    def _places(self, plan: EndPlan) -> Iterator[tuple[Erased, Path]]:
        """What is to be erased, without anything that is the box's or the customer's own."""
        settings = self._box.settings
        if Erased.CREDENTIALS in plan.erase and settings.cloud:
            for file in (settings.cloud.access_key_id_file, settings.cloud.secret_access_key_file):
                if file is not None:
                    yield Erased.CREDENTIALS, file.path()
        if Erased.SOFTWARE not in plan.erase:
            return
        for path in settings.contract.provided:
            if any(path.is_relative_to(own) or own.is_relative_to(path) for own in self._not_the_providers()):
                logger.error("%s is not erased: it is, or holds, the box's or the customer's own", path)
            else:
                yield Erased.SOFTWARE, path

    def _not_the_providers(self) -> Iterator[Path]:
        box = self._box
        yield from box.own_paths
        yield box.settings.file
        try:
            yield box.password_file().path()
        except KurabakoError:
            pass
        for designation in box.state.designations():
            kind, _, path = designation.source.id.partition(":")
            if kind == "folder":
                yield Path(path)


def erase(path: Path) -> Iterator[tuple[Path, int]]:
    """Erases a file, or a folder and all below it; yields what it erased, with its size. Follows no link. `OSError`.

    One that is not there is erased already. On flash memory the old blocks may outlast this; what was in them was
    readable by the box's own user only.
    """
    try:
        facts = path.lstat()
    except FileNotFoundError:
        return
    if stat.S_ISDIR(facts.st_mode):
        for entry in sorted(path.iterdir()):
            yield from erase(entry)
        path.rmdir()
        return
    if stat.S_ISREG(facts.st_mode) and facts.st_nlink == 1:
        _overwrite(path, facts.st_size)
    path.unlink()
    yield path, facts.st_size


def take_out(file: Path, lines: Mapping[int, str]) -> int:
    """Takes lines, numbered from 1 and each beginning as is said, out of a file; the bytes that went. `OSError`.

    The file is replaced as a whole, and what it was is overwritten. One that reads otherwise by now is left: 0.
    """
    content = file.read_bytes().splitlines(keepends=True)
    for number, begins in lines.items():
        if number > len(content) or not content[number - 1].decode("utf-8", "replace").lstrip().startswith(begins):
            return 0
    facts = file.stat()
    beside = file.with_name(f".{file.name}.new")
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as new:
        new.writelines(line for number, line in enumerate(content, 1) if number not in lines)
        os.fchmod(new.fileno(), stat.S_IMODE(facts.st_mode))
        if os.geteuid() == 0:
            os.fchown(new.fileno(), facts.st_uid, facts.st_gid)
        new.flush()
        os.fsync(new.fileno())
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "wb", buffering=0) as old:
        beside.replace(file)
        old.write(bytes(facts.st_size))
        os.fsync(old.fileno())
    return sum(len(content[number - 1]) for number in lines)


def _overwrite(path: Path, size: int) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "wb", buffering=0) as file:
        for begin in range(0, size, _CHUNK):
            file.write(bytes(min(_CHUNK, size - begin)))
        os.fsync(file.fileno())
