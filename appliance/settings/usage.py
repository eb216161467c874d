"""`[usage]`: where the provider says how much it counts."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from appliance.fields import AbsolutePath, Section
from appliance.settings.directives import HttpsUrl
from appliance.settings.secret import SecretFile


class UsageSettings(Section):
    """Where to ask what the provider counts as stored. Not set: nobody is asked."""

    url: HttpsUrl | None = None
    ca_file: AbsolutePath | None = None
    token_file: SecretFile | None = None
    every: Annotated[int, Field(ge=1, le=1440)] = 60
