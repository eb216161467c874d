"""A share's tree as a source, read with SMB alone: nothing is mounted, nobody needs to be root."""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Sequence

from smbprotocol.connection import Request
from smbprotocol.exceptions import SMBResponseException
from smbprotocol.file_info import FileInformationClass
from smbprotocol.ioctl import CtlCode, IOCTLFlags, SMB2IOCTLRequest
from smbprotocol.open import (
    CreateDisposition,
    CreateOptions,
    DirectoryAccessMask,
    FilePipePrinterAccessMask,
    ImpersonationLevel,
    ShareAccess,
    SMB2CloseRequest,
    SMB2CreateRequest,
    SMB2QueryDirectoryRequest,
    SMB2QueryInfoRequest,
    SMB2ReadRequest,
)

from appliance.sources.interface import Entry, EntryType, OtherFileSystem, Path, SourceError
from appliance.text import T
from appliance_smb import errors, wire
from appliance_smb.link import Link

_AHEAD = 4
"""Reads under way per file: enough to keep a fast line busy while the bytes before are worked on."""

_REMEMBERED = 10_000
"""Directories whose identity is remembered for noticing loops; those on the way to the current ones always are."""

_FILE_NETWORK_OPEN_INFORMATION = 34
_FILE_INFO = 1  # [MS-SMB2] 2.2.37, InfoType
_LONGEST_LINK = 16 * 1024  # [MS-FSCC] 2.1.2: the largest reparse point
_READ = FilePipePrinterAccessMask.FILE_READ_DATA | FilePipePrinterAccessMask.FILE_READ_ATTRIBUTES
_LIST = DirectoryAccessMask.FILE_LIST_DIRECTORY | DirectoryAccessMask.FILE_READ_ATTRIBUTES


class InCircle(OtherFileSystem):
    """A directory that is one of those above it; what it holds is backed up there, and nothing is missing."""

    code = "smb.in-circle"


class SmbFile:
    """An open file of a share, with some reads under way ahead of the reader.

    It ends where it ended when it was opened; what was appended since is seen by `changed`.
    """

    def __init__(self, link: Link, path: Path, handle: bytes, facts: wire.Facts) -> None:
        self._link = link
        self._path = path
        self._handle = handle
        self._facts = facts
        self._asked = 0
        self._under_way: deque[tuple[Request, int]] = deque()
        self._rest = memoryview(b"")

    def readinto(self, buffer: memoryview) -> int:
        if not self._rest:
            self._rest = self._next()
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count

    def changed(self) -> bool:
        message = SMB2QueryInfoRequest()
        message["info_type"] = _FILE_INFO
        message["file_info_class"] = _FILE_NETWORK_OPEN_INFORMATION
        message["output_buffer_length"] = 56
        message["file_id"] = self._handle
        try:
            now = wire.parse_network_open(wire.parse_output(self._link.request(message)))
        except SMBResponseException as error:
            raise errors.path_error(self._path, error.status) from error
        return (now.size, now.written) != (self._facts.size, self._facts.written)

    def close(self) -> None:
        try:
            self._forget()
            close_handle(self._link, self._handle)
        except SourceError:
            pass  # the server is away, and the handle with it

    def _next(self) -> memoryview:
        """The next bytes of the file; none at its end."""
        self._ask()
        if not self._under_way:
            return memoryview(b"")
        request, length = self._under_way.popleft()
        try:
            data = wire.parse_read(self._link.receive(request))
        except SMBResponseException as error:
            if error.status != errors.END_OF_FILE:
                raise errors.path_error(self._path, error.status) from error
            data = memoryview(b"")
        if len(data) < length:  # it was cut short meanwhile
            self._asked = self._facts.size
            self._forget()
        self._ask()
        return data

    def _ask(self) -> None:
        """Sends reads ahead, as many as there is room for."""
        while len(self._under_way) < _AHEAD and self._asked < self._facts.size:
            length = min(self._link.payload, self._facts.size - self._asked)
            message = SMB2ReadRequest()
            message["length"] = length
            message["offset"] = self._asked
            message["file_id"] = self._handle
            message["padding"] = b"\x50"
            request = self._link.send(message, length, wait=not self._under_way)
            if request is None:
                return
            self._asked += length
            self._under_way.append((request, length))

    def _forget(self) -> None:
        """Takes the answers that nobody reads any more."""
        while self._under_way:
            request, _ = self._under_way.popleft()
            try:
                self._link.receive(request)
            except SMBResponseException:
                pass


class SmbSource:
    """The tree of a share, or of a folder in it.

    A share knows no Unix owners, modes and inodes: entries have none, files belong to who restores them, and
    creation time and file attributes go along as generic attributes. Links and junctions are kept as links and never
    followed; what the server itself follows in a circle is noticed and read once.
    """

    def __init__(self, link: Link, user: str) -> None:
        self._link = link
        self._top = (*link.prefix, *(name.encode() for name in link.address.folder))
        self._known: OrderedDict[Path, tuple[int, int]] = OrderedDict()
        self._lock = threading.Lock()
        try:
            handle, self._root = self._create((), _LIST, CreateOptions.FILE_DIRECTORY_FILE)
        except SMBResponseException as error:
            raise errors.share_refused(link.address, user, error) from error
        close_handle(link, handle)

    @property
    def id(self) -> str:
        return self._link.address.id

    @property
    def snapshot_path(self) -> str:
        return self._link.address.snapshot_path

    @property
    def trusts_inode(self) -> bool:
        """False: servers make up file ids, and change times are not kept by all."""
        return False

    def root(self) -> Entry:
        return _entry(b"", self._root)

    def scandir(self, path: Path) -> Sequence[Entry]:
        try:
            return self._scan(path)
        except SMBResponseException as error:
            raise errors.path_error(path, error.status) from error
        except ValueError as error:
            raise SourceError(
                T("{path} cannot be listed: the server's answer makes no sense.", path=errors.display(path)),
                todo=T("Check the server for updates and its disk for errors."),
            ) from error

    def complete(self, path: Path, entry: Entry) -> None:
        if entry.type is not EntryType.SYMLINK:
            return
        try:
            target = self._link_target(path)
        except SMBResponseException as error:
            raise errors.path_error(path, error.status) from error
        if target is None:
            raise SourceError(
                T("{path} stands for something else in a way that only Windows knows.", path=errors.display(path))
            )
        entry.link_target = target

    def open(self, path: Path, entry: Entry) -> SmbFile:  # noqa: ARG002 - the server refuses what is no file
        try:
            handle, facts = self._create(
                path, _READ, CreateOptions.FILE_NON_DIRECTORY_FILE | CreateOptions.FILE_SEQUENTIAL_ONLY
            )
        except SMBResponseException as error:
            raise errors.path_error(path, error.status) from error
        return SmbFile(self._link, path, handle, facts)

    def close(self) -> None:
        self._link.close()

    def _create(self, path: Path, access: int, options: int) -> tuple[bytes, wire.Facts]:
        """Opens what is at `path`; whoever else has it open may go on reading, writing and deleting it."""
        message = SMB2CreateRequest()
        message["impersonation_level"] = ImpersonationLevel.Impersonation
        message["desired_access"] = access
        message["share_access"] = (
            ShareAccess.FILE_SHARE_READ | ShareAccess.FILE_SHARE_WRITE | ShareAccess.FILE_SHARE_DELETE
        )
        message["create_disposition"] = CreateDisposition.FILE_OPEN
        # With the backup right, a user may read what its own rights do not allow; without it this changes nothing.
        message["create_options"] = options | CreateOptions.FILE_OPEN_FOR_BACKUP_INTENT
        message["buffer_path"] = wire.encode_path((*self._top, *path)) or b"\0\0"
        return wire.parse_created(self._link.request(message))

    def _scan(self, path: Path) -> list[Entry]:
        handle, _ = self._create(path, _LIST, CreateOptions.FILE_DIRECTORY_FILE)
        entries = []
        try:
            for name, facts in self._list(handle):
                if name == b".":
                    self._notice_loop(path, facts)
                elif name != b"..":
                    if not wire.is_name(name):
                        raise ValueError("a name that cannot be one")
                    entries.append(_entry(name, facts))
        finally:
            close_handle(self._link, handle)
        return entries

    def _list(self, handle: bytes) -> Sequence[tuple[bytes, wire.Facts]]:
        found: list[tuple[bytes, wire.Facts]] = []
        while True:
            message = SMB2QueryDirectoryRequest()
            message["file_information_class"] = FileInformationClass.FILE_ID_FULL_DIRECTORY_INFORMATION
            message["file_id"] = handle
            message["output_buffer_length"] = self._link.payload
            message["buffer"] = "*".encode("utf-16-le")
            try:
                answer = self._link.request(message, self._link.payload)
            except SMBResponseException as error:
                if error.status == errors.NO_MORE_FILES:
                    return found
                raise
            found += wire.parse_listing(wire.parse_output(answer))

    def _notice_loop(self, path: Path, facts: wire.Facts) -> None:
        """Raises `InCircle` when the directory at `path` is one of those above it.

        Servers on Unix follow symbolic links themselves, and show a directory that contains itself.
        """
        if not facts.file_id:
            return
        identity = (facts.file_id, facts.created)
        with self._lock:
            above = [path[:depth] for depth in range(len(path))]
            for place in above:
                if self._known.get(place) == identity:
                    raise InCircle(
                        T(
                            "{path} is {same} once more, by a link on the server; it was read there only.",
                            path=errors.display(path),
                            same=errors.display(place),
                        )
                    )
                if place in self._known:
                    self._known.move_to_end(place)
            self._known[path] = identity
            if len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)

    def _link_target(self, path: Path) -> bytes | None:
        options = CreateOptions.FILE_OPEN_REPARSE_POINT
        handle, _ = self._create(path, FilePipePrinterAccessMask.FILE_READ_ATTRIBUTES, options)
        try:
            message = SMB2IOCTLRequest()
            message["ctl_code"] = CtlCode.FSCTL_GET_REPARSE_POINT
            message["file_id"] = handle
            message["max_output_response"] = _LONGEST_LINK
            message["flags"] = IOCTLFlags.SMB2_0_IOCTL_IS_FSCTL
            return wire.parse_link(wire.parse_ioctl(self._link.request(message, _LONGEST_LINK)))
        finally:
            close_handle(self._link, handle)


def close_handle(link: Link, handle: bytes) -> None:
    """Closes a handle; one that the server has closed itself is as good."""
    message = SMB2CloseRequest()
    message["file_id"] = handle
    try:
        link.request(message)
    except SMBResponseException:
        pass


def _entry(name: bytes, facts: wire.Facts) -> Entry:
    if facts.is_link:
        kind, mode = EntryType.SYMLINK, 0o777
    elif facts.is_directory:
        kind, mode = EntryType.DIR, 0o700
    else:
        kind, mode = EntryType.FILE, 0o400 if facts.attributes & wire.READ_ONLY else 0o600
    return Entry(
        name,
        kind,
        mode,
        size=facts.size if kind is EntryType.FILE else 0,
        mtime_ns=wire.unix_ns(facts.written),
        atime_ns=wire.unix_ns(facts.accessed),
        ctime_ns=wire.unix_ns(facts.changed),
        generic_attributes=wire.windows_attributes(facts),
    )
