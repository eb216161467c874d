"""`[mail]`: the server that carries the box's notices."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from appliance.settings import AbsolutePath, SecretFile, Section
from appliance.text import T

Address = Annotated[str, Field(max_length=254, pattern=r"^[^@\s<>,;]+@[^@\s<>,;]+$")]


class MailSettings(Section):
    """No mail is sent until `server` is set. The line to it is always encrypted, from the start or by STARTTLS."""

    server: Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[A-Za-z0-9.:-]+$")] | None = None
    port: Annotated[int, Field(ge=1, le=65535)] | None = None
    security: Literal["tls", "starttls"] = "tls"
    sender: Address | None = None
    to: Annotated[tuple[Address, ...], Field(max_length=20)] = ()
    registered: bool = True
    language: Literal["ja", "en"] = "ja"
    username: str | None = None
    password_file: SecretFile | None = None
    ca_file: AbsolutePath | None = None
    timeout: Annotated[float, Field(ge=1, le=60)] = 20.0

    @model_validator(mode="after")
    def _together(self) -> MailSettings:
        if self.server is not None and self.sender is None:
            raise ValueError(T("server needs sender, the address that mails come from"))
        if (self.username is None) != (self.password_file is None):
            raise ValueError(T("username and password_file belong together: set both or neither"))
        return self
