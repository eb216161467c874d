"""Where a share is, as people write it: `//server/share` or `smb://user@server:port/share/folder`."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from urllib.parse import SplitResult, unquote, urlsplit

from appliance.text import T, Text

PORT = 445
PIPES = "IPC$"
"""The share that every server has, through which it is asked about itself."""

_FORBIDDEN = re.compile(r'[\x00-\x1f"*/:<>?\\|]')  # MS-FSCC 2.1.5: letters that no name on a share has
_HOST = re.compile(r"[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+(?:%[\w.-]+)?\]")
_LONGEST_NAME = 255  # [MS-FSCC] 2.1.5.2; shares have at most 80 letters, [MS-SRVS] 2.2.4.22


@dataclass(frozen=True)
class ShareAddress:
    """A folder of a share. `server` is a name or an address, IPv6 without brackets."""

    server: str
    share: str
    folder: tuple[str, ...] = ()
    port: int = PORT
    user: str = ""

    @property
    def server_id(self) -> str:
        """The server: `smb://nas`."""
        host = f"[{self.server}]" if ":" in self.server else self.server.lower()
        return f"smb://{host}" if self.port == PORT else f"smb://{host}:{self.port}"

    @property
    def id(self) -> str:
        """The share's name as a source: whoever logs in, it is the same."""
        return "/".join((self.server_id, self.share, *self.folder))

    def of_share(self, name: str) -> ShareAddress:
        """A share of the same server."""
        return replace(self, share=name, folder=())

    @property
    def title(self) -> str:
        """The share as people write it."""
        return "/".join(("/", self.server, self.share, *self.folder))

    @property
    def snapshot_path(self) -> str:
        """Where snapshots show it (repository-format 1.8)."""
        return "/".join(("/smb", self.server.lower(), self.share, *self.folder))


def parse_address(text: str) -> ShareAddress:
    """Reads an address; raises `ValueError` with a `Text` when it is none.

    `\\\\server\\share` is understood too. A password in the address is refused: settings are no place for secrets.
    """
    address, names = _parse(text, T("write a share as //server/share or smb://user@server/share/folder"))
    if not names:
        raise ValueError(T("write a share as //server/share or smb://user@server/share/folder"))
    return replace(address, share=names[0], folder=names[1:])


def parse_server(text: str) -> ShareAddress:
    """Reads a server's address, `//server` or `smb://user@server:port`: that of its pipes, the share `IPC$`.

    Raises `ValueError` with a `Text` when it is none.
    """
    address, names = _parse(text, T("write a server as //server or smb://user@server"))
    if names:
        raise ValueError(T("write a server as //server or smb://user@server"))
    return replace(address, share=PIPES)


def is_server_name(name: str) -> bool:
    """Whether a server can have the name, or the address."""
    return _HOST.fullmatch(f"[{name}]" if ":" in name else name) is not None


def is_share_name(name: str) -> bool:
    """Whether a share, or a folder on it, can have the name."""
    return 0 < len(name) <= _LONGEST_NAME and name not in (".", "..") and not _FORBIDDEN.search(name)


def _parse(text: str, usage: Text) -> tuple[ShareAddress, tuple[str, ...]]:
    """The server, and the names after it."""
    parts = _split(text.strip(), usage)
    try:
        port = PORT if parts.port is None else parts.port
    except ValueError:
        raise ValueError(T("the port of {address} is not a number from 1 to 65535", address=text)) from None
    if parts.password is not None:
        raise ValueError(T("write the share without a password; it stands in the file password_file"))
    host = parts.netloc.rpartition("@")[2]
    server = host if host.startswith("[") and host.endswith("]") else re.sub(r":\d+$", "", host)
    names = tuple(unquote(name) for name in parts.path.split("/") if name)
    if not _HOST.fullmatch(server) or parts.query or parts.fragment or not port:
        raise ValueError(usage)
    for name in names:
        if not is_share_name(name):
            raise ValueError(T("{name} cannot be the name of a share or folder", name=repr(name)))
    return ShareAddress(server.strip("[]"), "", (), port, unquote(parts.username or "")), names


def _split(text: str, usage: Text) -> SplitResult:
    """The parts of an address; `//server/share` is taken as it stands, with percent signs and number signs in it."""
    scheme, found, rest = text.partition("://")
    if found and scheme.lower() == "smb":
        return urlsplit(f"smb://{rest}")
    plain = text.replace("\\", "/")
    if not plain.startswith("//"):
        raise ValueError(usage)
    quoted = plain.replace("%", "%25").replace("#", "%23").replace("?", "%3F")
    return urlsplit(f"smb:{quoted}")
