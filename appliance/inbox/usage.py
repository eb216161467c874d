"""What a provider counts as stored, as it tells it over HTTPS: one JSON object."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import Field

from appliance.contract.document import Document, Malformed, Mistaken, Moment, joined, read_object, validated
from appliance.text import T, Text


class MalformedUsage(Malformed):
    """What the provider tells of usage cannot be used."""

    def __init__(self, *mistakes: Text) -> None:
        super().__init__(T("The provider's figure of usage cannot be used: {what}.", what=joined(mistakes)), mistakes)


class Usage(Document):
    """`stored_bytes` are stored as of `at`."""

    stored_bytes: Annotated[int, Field(ge=0, lt=2**63)]
    at: Moment


def parse_usage(document: bytes) -> tuple[int, datetime]:
    """The bytes that are stored, and as of when. Raises `MalformedUsage` with every mistake."""
    try:
        usage = validated(Usage, read_object(document))
    except Mistaken as error:
        raise MalformedUsage(*error.mistakes) from None
    return usage.stored_bytes, usage.at
