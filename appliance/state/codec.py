"""The state's values as what SQLite keeps: moments as integers, facts and texts as JSON."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from appliance.sources.interface import FoundSource, Medium
from appliance.text import Text

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def to_micros(moment: datetime) -> int:
    """Microseconds since 1970 UTC, exactly; a moment without a zone is a caller's bug (`TypeError`)."""
    return (moment - _EPOCH) // _MICROSECOND


def to_moment(micros: int) -> datetime:
    """The inverse of `to_micros`."""
    return _EPOCH + micros * _MICROSECOND


def source_to_json(source: FoundSource) -> str:
    return json.dumps(
        {
            "id": source.id,
            "kind": source.kind,
            "title": source.title,
            "size_bytes": source.size_bytes,
            "removable": source.removable,
            "present": source.present,
            "collectable": source.collectable,
            "why_not": source.why_not.to_json() if source.why_not else None,
            "medium": source.medium.value,
            "details": dict(source.details),
        }
    )


def source_from_json(text: str) -> FoundSource:
    facts: dict[str, Any] = json.loads(text)
    why_not = facts.pop("why_not")
    medium = Medium(facts.pop("medium", Medium.UNKNOWN))
    return FoundSource(**facts, why_not=Text.from_json(why_not) if why_not else None, medium=medium)
