"""What goes wrong with a share, told to people. Nothing here ever holds a password."""

from __future__ import annotations

from appliance.errors import ExitCode, KurabakoError
from appliance.sources.interface import Path, SourceError, SourceNotFound
from appliance.text import T, Text
from appliance_smb.address import ShareAddress

_SAFE = T("Everything that was backed up before is safe.")

# [MS-ERREF] 2.3.1
NO_MORE_FILES = 0x80000006
END_OF_FILE = 0xC0000011
_ACCESS_DENIED = 0xC0000022
_BAD_NETWORK_NAME = 0xC00000CC
LOGON_FAILURE, LOCKED_OUT, PASSWORD_EXPIRED = 0xC000006D, 0xC0000234, 0xC0000071
_GONE = frozenset(
    {
        0xC000000F,  # NO_SUCH_FILE
        0xC0000034,  # OBJECT_NAME_NOT_FOUND
        0xC000003A,  # OBJECT_PATH_NOT_FOUND
        0xC0000056,  # DELETE_PENDING
        0xC0000123,  # FILE_DELETED
    }
)
_OTHER_KIND = frozenset({0xC00000BA, 0xC0000103, 0x8000002D})  # is, or is not, a directory; STOPPED_ON_SYMLINK
LOST = frozenset(
    {
        0xC00000C9,  # NETWORK_NAME_DELETED: the share was taken away
        0xC0000203,  # USER_SESSION_DELETED
        0xC000035C,  # NETWORK_SESSION_EXPIRED
        0xC000013B,  # LOCAL_DISCONNECT
        0xC000013C,  # REMOTE_DISCONNECT
        0xC000020C,  # CONNECTION_DISCONNECTED
        0xC0000466,  # SERVER_UNAVAILABLE
    }
)
"""The session or the share is there no more; a new connection may bring them back."""


class ShareUnreachable(SourceNotFound):
    """The server does not answer, or not as an SMB server does."""

    code = "smb.unreachable"


class LoginRefused(KurabakoError):
    """The server does not let the user in."""

    code = "smb.login-refused"


class ShareNotFound(SourceNotFound):
    """The server has no such share or folder."""

    code = "smb.no-such-share"


class ShareForbidden(KurabakoError):
    """The user may log in, but not open the share."""

    code = "smb.access-denied"


class KerberosFailed(KurabakoError):
    """Kerberos was asked for, and something else than the password stands in its way."""

    code = "smb.kerberos"


class PasswordMissing(KurabakoError):
    """A URL names a user, and nothing says the password."""

    code = "smb.no-password"
    exit_code = ExitCode.USAGE


def password_missing(address: ShareAddress) -> PasswordMissing:
    return PasswordMissing(
        T("There is no password for {user} on {server}.", user=address.user, server=address.server),
        todo=T("Set KURABAKO_SMB_PASSWORD, or leave the user out to log in as a guest."),
    )


class Denied(SourceError):
    """The user may not do this with one path."""


def unreachable(address: ShareAddress, why: Text) -> ShareUnreachable:
    """The server could not be talked to."""
    return ShareUnreachable(
        T("The server {server} cannot be reached: {why}.", server=address.server, why=why),
        safe=_SAFE,
        todo=T("Check that it is switched on, on the network, and shares folders through SMB 2 or newer."),
    )


def login_refused(address: ShareAddress, user: str, status: int) -> LoginRefused:
    """The server refused the user; it was asked once only, so that the account is not locked by us."""
    why, todo = _login(status)
    return LoginRefused(
        T(
            "The server {server} does not let {user} in: {why}.",
            server=address.server,
            user=user or T("guest"),
            why=why,
        ),
        safe=_SAFE,
        todo=todo,
    )


def _login(status: int) -> tuple[Text, Text]:
    match status:
        case 0xC0000234:
            return T("the account is locked"), T("Unlock it on the server; check password_file before the next run.")
        case 0xC0000072 | 0xC0000193:
            return T("the account is disabled or has expired"), T("Enable it on the server.")
        case 0xC0000071 | 0xC0000224:
            return T("the password has expired"), T("Set a new one on the server and in password_file.")
        case 0xC000006F | 0xC0000070:
            return T("the account may not log in now or from here"), T("Allow it on the server.")
        case 0xC000015B:
            return T("the account may not log in over the network"), T("Allow it on the server.")
        case _:
            return T("user name or password is wrong"), T("Correct username and password_file in the settings.")


def kerberos_missing() -> KerberosFailed:
    """The settings ask for Kerberos, and nobody installed it."""
    return KerberosFailed(
        T("Kerberos is not installed on this box."),
        safe=_SAFE,
        todo=T("Install the Debian package libkrb5-dev, then Kurabako with its extra “kerberos”."),
    )


def kerberos_failed(address: ShareAddress, why: Text, todo: Text) -> KerberosFailed:
    """Nobody logged in, and no password was found wrong."""
    return KerberosFailed(
        T("Logging in to {server} with Kerberos failed: {why}.", server=address.server, why=why), safe=_SAFE, todo=todo
    )


def ticket_refused(address: ShareAddress) -> KerberosFailed:
    """The realm knows the user, and the server does not."""
    return kerberos_failed(
        address,
        T("the server does not accept the ticket"),
        T("Check that the server belongs to the realm and knows the user."),
    )


def guest_only(address: ShareAddress, user: str) -> LoginRefused:
    """The server took the user for a guest, whose connection nobody protects."""
    return LoginRefused(
        T("The server {server} does not know {user} and offers guest access only.", server=address.server, user=user),
        safe=_SAFE,
        todo=T("Create the user on the server, or leave out username and password_file to read as a guest."),
    )


def no_encryption(address: ShareAddress) -> ShareUnreachable:
    """Encryption is insisted on, and the server has none."""
    return unreachable(address, T("it offers no encryption, which the settings insist on"))


def share_refused(address: ShareAddress, user: str, status: int) -> KurabakoError:
    """The share, or the folder in it, could not be opened after logging in."""
    if status == _ACCESS_DENIED:
        return ShareForbidden(
            T("{user} may not open {share}.", user=user or T("guest"), share=address.title),
            safe=_SAFE,
            todo=T("Give the user the right to read it, on the server."),
        )
    if status == _BAD_NETWORK_NAME or status in _GONE or status in _OTHER_KIND:
        return ShareNotFound(
            T("There is no {share} on the server.", share=address.title),
            safe=_SAFE,
            todo=T("Check the names of the share and its folders."),
        )
    return unreachable(address, _answer(status))


def lost(address: ShareAddress, why: KurabakoError | None = None) -> SourceError:
    """The server, or what it let us have, went away while it was read; `why` it could not be had again."""
    if why is None or isinstance(why, ShareUnreachable):
        return SourceError(
            T("The server {server} went away while {share} was read.", server=address.server, share=address.title),
            safe=_SAFE,
            todo=T("Start the backup once more when the server is back; it goes on from there."),
            lost=True,
        )
    return SourceError(
        T("Reading {share} broke off. {why}", share=address.title, why=why.what), safe=_SAFE, todo=why.todo, lost=True
    )


def path_error(path: Path, status: int) -> SourceError:
    """The server refused one path."""
    shown = display(path)
    if status in _GONE:
        return SourceError(T("{path} vanished while the backup was running.", path=shown), gone=True)
    if status in _OTHER_KIND:
        return SourceError(T("{path} became something else while the backup was running.", path=shown), gone=True)
    match status:
        case 0xC0000022 | 0xC00000CA:
            return Denied(
                T("{path} cannot be read: the server denies access.", path=shown),
                todo=T("Give the user the right to read it, on the server."),
            )
        case 0xC0000043:
            return SourceError(
                T("{path} cannot be read: a program has opened it for itself alone.", path=shown),
                todo=T("Close it there, or let the backup run when nobody works."),
                busy=True,
            )
        case 0xC0000054:
            return SourceError(
                T("{path} cannot be read: a program has locked a part of it.", path=shown),
                todo=T("Close it there, or let the backup run when nobody works."),
                busy=True,
            )
        case 0xC0000257:
            return SourceError(
                T("{path} leads to another server (DFS) and was not backed up with this share.", path=shown),
                todo=T("Add that server's share as a source of its own."),
            )
        case _:
            return SourceError(T("{path} cannot be read: {why}.", path=shown, why=_answer(status)))


def _answer(status: int) -> Text:
    return T("the server answers with error {number}", number=f"0x{status:08X}")


def display(path: Path) -> str:
    """The path as a person sees it."""
    return b"/".join(path).decode("utf-8", "backslashreplace") or "/"
