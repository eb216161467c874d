"""Where a share is, as people write it: `//server/share` or `smb://user@server:port/share/folder`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import SplitResult, unquote, urlsplit

from appliance.text import T

PORT = 445
_FORBIDDEN = re.compile(r'[\x00-\x1f"*:<>?\\|]')  # MS-FSCC 2.1.5: letters that no name on a share has
_HOST = re.compile(r"[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+(?:%[\w.-]+)?\]")


@dataclass(frozen=True)
class ShareAddress:
    """A folder of a share. `server` is a name or an address, IPv6 without brackets."""

    server: str
    share: str
    folder: tuple[str, ...] = ()
    port: int = PORT
    user: str = ""

    @property
    def id(self) -> str:
        """The share's name as a source: whoever logs in, it is the same."""
        host = f"[{self.server}]" if ":" in self.server else self.server.lower()
        place = host if self.port == PORT else f"{host}:{self.port}"
        return "/".join(("smb:/", place, self.share, *self.folder))

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
    parts = _split(text.strip())
    try:
        port = PORT if parts.port is None else parts.port
    except ValueError:
        raise ValueError(T("the port of {address} is not a number from 1 to 65535", address=text)) from None
    if parts.password is not None:
        raise ValueError(T("write the share without a password; it stands in the file password_file"))
    host = parts.netloc.rpartition("@")[2]
    server = host if host.startswith("[") and host.endswith("]") else re.sub(r":\d+$", "", host)
    names = tuple(unquote(name) for name in parts.path.split("/") if name)
    if not _HOST.fullmatch(server) or not names or parts.query or parts.fragment or not port:
        raise ValueError(T("write a share as //server/share or smb://user@server/share/folder"))
    for name in names:
        if name in (".", "..") or _FORBIDDEN.search(name) or "/" in name:
            raise ValueError(T("{name} cannot be the name of a share or folder", name=repr(name)))
    return ShareAddress(server.strip("[]"), names[0], names[1:], port, unquote(parts.username or ""))


def _split(text: str) -> SplitResult:
    """The parts of an address; `//server/share` is taken as it stands, with percent signs and number signs in it."""
    scheme, found, rest = text.partition("://")
    if found and scheme.lower() == "smb":
        return urlsplit(f"smb://{rest}")
    plain = text.replace("\\", "/")
    if not plain.startswith("//"):
        raise ValueError(T("write a share as //server/share or smb://user@server/share/folder"))
    quoted = plain.replace("%", "%25").replace("#", "%23").replace("?", "%3F")
    return urlsplit(f"smb:{quoted}")
