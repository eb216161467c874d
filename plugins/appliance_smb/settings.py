"""The settings table `[smb]` with its shares, `[[smb.shares]]`."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from appliance.settings import SecretFile, Section
from appliance.text import T
from appliance_smb.address import ShareAddress, parse_address


def _share(text: str) -> str:
    parse_address(text)
    return text


class ShareSettings(Section):
    """A share that may be collected."""

    url: Annotated[str, AfterValidator(_share)] = Field(
        description="The share: //server/share, or smb://user@server:port/share/folder."
    )
    username: str = Field(default="", description="Who logs in; a guest when neither this nor url names a user.")
    password_file: SecretFile | None = Field(default=None, description="The file that holds the password.")
    domain: str = Field(default="", description="The user's domain; empty on a server of its own.")
    encrypt: bool = Field(default=False, description="Whether to insist on encryption, which needs SMB 3.")
    title: str = Field(default="", description="What people call it; the share's name when empty.")

    @model_validator(mode="after")
    def _user_has_password(self) -> ShareSettings:
        if bool(self.user) != bool(self.password_file):
            raise ValueError(T("username and password_file belong together; leave out both to log in as a guest"))
        return self

    @property
    def address(self) -> ShareAddress:
        """Where the share is."""
        return parse_address(self.url)

    @property
    def user(self) -> str:
        """Who logs in, or an empty string for a guest."""
        return self.username or self.address.user


class SmbSettings(Section):
    """Shares of other machines, read through SMB 2 and 3."""

    shares: tuple[ShareSettings, ...] = Field(default=(), description="The shares that may be collected.")
    timeout: Annotated[float, Field(ge=1, le=600)] = Field(
        default=30.0, description="Seconds without an answer after which a server is taken to be away."
    )
    patience: Annotated[float, Field(ge=0, le=3600)] = Field(
        default=120.0, description="Seconds for which a server that went away in the middle is waited for."
    )
    sessions: Annotated[int, Field(ge=1, le=16)] = Field(
        default=4, description="Sessions with one server at most; each reads files of its own."
    )

    @model_validator(mode="after")
    def _distinct(self) -> SmbSettings:
        ids = [share.address.id for share in self.shares]
        for share in self.shares:
            if ids.count(share.address.id) > 1:
                raise ValueError(T("the share {share} is listed twice", share=share.url))
        return self
