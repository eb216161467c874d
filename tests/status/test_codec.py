from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given

from appliance.status.codec import decode, encode, from_json, to_json
from appliance.status.model import JobResult, Progress, Status
from appliance.text import T
from tests.support.status import NOW, good_result, progresses, results, simple_status, statuses


@given(statuses)
def test_a_status_survives_the_journey_through_json(status: Status) -> None:
    assert from_json(json.loads(json.dumps(to_json(status)))) == status


@given(progresses, results)
def test_parts_of_a_status_survive_too(progress: Progress, result: JobResult) -> None:
    assert decode(Progress, json.loads(json.dumps(encode(progress)))) == progress
    assert decode(JobResult, json.loads(json.dumps(encode(result)))) == result


@given(statuses)
def test_with_a_language_every_text_is_words(status: Status) -> None:
    def no_message(value: Any) -> bool:
        if isinstance(value, dict):
            return "message" not in value and all(no_message(item) for item in value.values())
        return all(no_message(item) for item in value) if isinstance(value, list) else True

    rendered = to_json(status, "ja")
    assert no_message(json.loads(json.dumps(rendered)))
    assert rendered["reason"] == status.reason.render("ja")


def test_what_a_newer_box_adds_is_passed_over() -> None:
    status = simple_status()
    assert from_json({**to_json(status), "humidity": 40}) == status


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("state", "happy"),
        ("box", 7),
        ("at", "2026-11-20T09:41:00"),
        ("at", "yesterday"),
        ("reason", "words"),
        ("reason", {"values": {}}),
        ("jobs", "none"),
        ("jobs", [{"id": "1"}]),
        ("vault", []),
    ],
)
def test_what_is_no_status_is_refused(name: str, value: Any) -> None:
    with pytest.raises(ValueError):
        from_json({**to_json(simple_status()), name: value})


def test_a_missing_field_is_named() -> None:
    data = to_json(simple_status())
    del data["reason"]
    with pytest.raises(ValueError, match="reason"):
        from_json(data)


def test_a_name_that_is_not_unicode_does_not_break_json() -> None:
    progress = Progress(T("{what} with {more}", what=T("Done."), more="caf\udce9"), item="caf\udce9")
    assert decode(Progress, json.loads(json.dumps(encode(progress)).encode("ascii"))) == progress
    shown = encode(progress, "en")
    assert (shown["phase"], shown["item"]) == ("Done. with caf?", "caf?")


def test_texts_in_texts_and_whole_rates_come_back() -> None:
    result = good_result(summary=T("{what} with {more}", what=T("Done."), more=3))
    assert decode(JobResult, encode(result)) == result
    assert encode(result, "en")["summary"] == "Done. with 3"
    assert encode(NOW) == "2026-11-20T09:41:00+00:00"
