"""The settings table `[smb]` with its shares, `[[smb.shares]]`, and servers, `[[smb.servers]]`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from appliance.settings import SecretFile, Section
from appliance.text import T
from appliance_smb.address import ShareAddress, parse_address, parse_server


def _share(text: str) -> str:
    parse_address(text)
    return text


def _server(text: str) -> str:
    parse_server(text)
    return text


class Account(Section):
    """Who logs in to a server, and how."""

    username: str = Field(default="", description="Who logs in; may stand in url instead.")
    password_file: SecretFile | None = Field(default=None, description="The file that holds the password.")
    domain: str = Field(default="", description="The user's domain, or Kerberos realm; empty on a server of its own.")
    kerberos: bool = Field(default=False, description="Whether to log in with Kerberos, and in no other way.")
    keytab: Path | None = Field(default=None, description="A file of Kerberos keys, instead of a password.")
    guest: bool = Field(default=False, description="Whether to read as a guest, without a user.")
    encrypt: bool = Field(default=False, description="Whether to insist on encryption, which needs SMB 3.")

    @model_validator(mode="after")
    def _one_way_in(self) -> Account:
        if self.guest:
            if self.user or self.password_file or self.kerberos or self.keytab:
                raise ValueError(T("a guest has no user, password or Kerberos; leave them out, or leave out guest"))
        elif self.keytab and not self.kerberos:
            raise ValueError(T("a keytab is for Kerberos; add kerberos = true"))
        elif self.password_file and self.keytab:
            raise ValueError(T("password_file and keytab are two ways to log in; leave one out"))
        elif not (self.user and (self.password_file or self.keytab)):
            raise ValueError(T("say who logs in, with username and password_file, or write guest = true"))
        elif self.kerberos and not (self.domain or "@" in self.user):
            raise ValueError(T("Kerberos needs the realm: write it as domain, or in username as user@REALM"))
        return self

    @property
    def address(self) -> ShareAddress:
        """Where the share is, or the server's pipes."""
        raise NotImplementedError

    @property
    def user(self) -> str:
        """Who logs in, or an empty string for a guest."""
        return self.username or self.address.user


class ShareSettings(Account):
    """A share that may be collected."""

    url: Annotated[str, AfterValidator(_share)] = Field(
        description="The share: //server/share, or smb://user@server:port/share/folder."
    )
    title: str = Field(default="", description="What people call it; the share's name when empty.")

    @property
    def address(self) -> ShareAddress:
        return parse_address(self.url)


class ServerSettings(Account):
    """A server whose shares may all be collected."""

    url: Annotated[str, AfterValidator(_server)] = Field(description="The server: //server, or smb://user@server:port.")
    hidden: bool = Field(default=False, description="Whether shares that Windows hides (C$ …) are offered, too.")

    @property
    def address(self) -> ShareAddress:
        return parse_server(self.url)


class SmbSettings(Section):
    """Shares of other machines, read through SMB 2 and 3."""

    shares: tuple[ShareSettings, ...] = Field(default=(), description="The shares that may be collected.")
    servers: tuple[ServerSettings, ...] = Field(default=(), description="The servers whose shares are offered.")
    discover: bool = Field(
        default=True, description="Whether to listen for the servers that announce themselves on the network."
    )
    own_shares: bool = Field(
        default=True, description="Whether the folders that a Samba server on the box itself shares are offered."
    )
    timeout: Annotated[float, Field(ge=1, le=600)] = Field(
        default=30.0, description="Seconds without an answer after which a server is taken to be away."
    )
    patience: Annotated[float, Field(ge=0, le=1200)] = Field(
        default=120.0, description="Seconds for which a server that went away in the middle is waited for."
    )
    sessions: Annotated[int, Field(ge=1, le=16)] = Field(
        default=4, description="Sessions with one server at most; each reads files of its own."
    )

    @model_validator(mode="after")
    def _distinct(self) -> SmbSettings:
        if twice := _twice([share.address.id for share in self.shares]):
            raise ValueError(T("the share {share} is listed twice", share=twice))
        if twice := _twice([server.address.server_id for server in self.servers]):
            raise ValueError(T("the server {server} is listed twice", server=twice))
        return self


def _twice(ids: Sequence[str]) -> str | None:
    return next((one for one in ids if ids.count(one) > 1), None)
