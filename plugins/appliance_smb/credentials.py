"""What a login is to the library that logs in: NTLM and nothing else, or Kerberos and nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import spnego
from pydantic import SecretStr
from spnego._ntlm_raw.md4 import md4
from spnego.exceptions import SpnegoError

from appliance.errors import KurabakoError
from appliance.text import T
from appliance_smb import errors
from appliance_smb.address import ShareAddress


@dataclass(frozen=True)
class Login:
    """Who logs in, and what is insisted on. Its `repr` holds no password."""

    user: str = ""
    """Empty for a guest."""
    password: SecretStr | None = None
    domain: str = ""
    encrypt: bool = False
    timeout: float = 30.0
    kerberos: bool = False
    keytab: Path | None = None
    at: str = ""
    """The address at which the server announced itself, for a name that is not known otherwise."""

    @property
    def principal(self) -> str:
        """The user as Kerberos writes it; realms are in capitals."""
        return self.user if "@" in self.user else f"{self.user}@{self.domain.upper()}"


def protocol(login: Login) -> str:
    """How smbprotocol is to log in; NTLM travels inside a negotiation, which some servers insist on."""
    return "kerberos" if login.kerberos else "negotiate"


def credential(login: Login) -> spnego.Password | spnego.NTLMHash | spnego.KerberosKeytab:
    """The credential for `protocol`. Raises `KerberosFailed` where the box has no Kerberos.

    For NTLM it is what NTLM makes of the password ([MS-NLMP] 3.3.1): with the password itself, Kerberos would be tried
    first wherever the box has it, two attempts where one is meant.
    """
    password = login.password.get_secret_value() if login.password else ""
    if not login.kerberos:
        user = f"{login.domain}\\{login.user}" if login.domain else login.user or "guest"
        return spnego.NTLMHash(user, nt_hash=md4(password.encode("utf-16-le", "surrogatepass")).hex())
    if find_spec("gssapi") is None or find_spec("krb5") is None:
        raise errors.kerberos_missing()
    if login.keytab is not None:
        return spnego.KerberosKeytab(str(login.keytab), login.principal)
    return spnego.Password(login.principal, password)


# MIT krb5's own numbers of the errors of RFC 4120 7.5.9 and of its library: krb5.h, ERROR_TABLE_BASE_krb5
_BASE = -1765328384
_UNKNOWN_USER, _LOCKED, _KEY_EXPIRED, _WRONG_PASSWORD, _INTEGRITY = (_BASE + code for code in (6, 18, 23, 24, 31))
_UNKNOWN_SERVER, _SKEW = (_BASE + code for code in (7, 37))
_NO_REALM, _NO_KDC = (_BASE + code for code in (154, 156))
_NO_KEY = _BASE + 181  # KRB5_KT_NOTFOUND


def kerberos_refused(address: ShareAddress, login: Login, error: BaseException) -> KurabakoError:
    """What stands in the way of a Kerberos login.

    A refusal by the key server is a `LoginRefused`, after which is waited; what concerns no password is none.
    """
    match _number(error):
        case code if code in (_UNKNOWN_USER, _WRONG_PASSWORD, _INTEGRITY):
            return errors.login_refused(address, login.user, 0)
        case code if code == _LOCKED:
            return errors.login_refused(address, login.user, errors.LOCKED_OUT)
        case code if code == _KEY_EXPIRED:
            return errors.login_refused(address, login.user, errors.PASSWORD_EXPIRED)
        case code if code == _UNKNOWN_SERVER:
            return errors.kerberos_failed(
                address,
                T("the realm knows no server of this name"),
                T("Write the server in url as the domain knows it, by its full name and not by its address."),
            )
        case code if code == _SKEW:
            return errors.kerberos_failed(
                address, T("the clocks differ too much"), T("Set the box's clock: Kerberos bears five minutes.")
            )
        case code if code in (_NO_REALM, _NO_KDC):
            return errors.kerberos_failed(
                address,
                T("no key server of the realm answers"),
                T("Check the realm's name, and that the box uses the domain's name server or has /etc/krb5.conf."),
            )
        case code if code == _NO_KEY:
            return errors.kerberos_failed(
                address, T("the keytab holds no key of this user"), T("Export a new keytab for the user.")
            )
        case _:
            return errors.kerberos_failed(
                address, T("Kerberos says: {words}", words=_words(error)), T("Correct username, domain or keytab.")
            )


def is_of_kerberos(error: BaseException) -> bool:
    """Whether it is an error of the Kerberos library: some reach us as they are."""
    return type(error).__module__.partition(".")[0] in ("krb5", "gssapi")


def _number(error: BaseException) -> int | None:
    """The library's number of the error, from the chain of what was raised."""
    seen: BaseException | None = error
    while seen is not None:
        for one in (seen, getattr(seen, "base_error", None)):
            number = getattr(one, "err_code", None) or getattr(one, "min_code", None)
            if isinstance(number, int) and number:
                return number - (1 << 32) if number >= 1 << 31 else number
        seen = seen.__cause__ or seen.__context__
    return None


def _words(error: BaseException) -> str:
    cause = error.__cause__ if isinstance(error.__cause__, SpnegoError) else error
    base = getattr(cause, "base_error", None)
    return str(base or cause).splitlines()[0][:200]
