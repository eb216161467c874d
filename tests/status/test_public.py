"""What the page may show of sources that are kept off it: that there is something, and nothing else."""

from __future__ import annotations

import json
from dataclasses import replace

from hypothesis import given

from appliance.status.codec import to_json
from appliance.status.compose import compose
from appliance.status.facts import Facts
from appliance.status.model import JobKind, JobResult, JobStatus, Outcome, Progress, SourceStatus
from appliance.status.public import public
from appliance.text import T
from tests.support.status import NOW, all_facts, good_facts

SECRET, OPEN = (
    SourceStatus(f"disk:uuid/{name}", "disk", name, True, True, last_backup_at=NOW, on_page=on_page, removable=True)
    for name, on_page in (("Betriebsrat", False), ("Fotos", True))
)


def facts(**more: object) -> Facts:
    results = tuple(
        JobResult(f"job-{outcome}", JobKind.BACKUP, one.id, NOW, NOW, outcome, T("{what}", what=one.title))
        for one, outcome in ((SECRET, Outcome.FAILED), (OPEN, Outcome.PARTIAL))
    )
    jobs = tuple(
        JobStatus(f"now-{number}", JobKind.BACKUP, one.id, NOW, Progress(T("Backing up"), item=f"{one.title}.odt"))
        for number, one in enumerate((SECRET, OPEN))
    )
    return replace(good_facts(), sources=(SECRET, OPEN), results=results, jobs=jobs, **more)  # type: ignore[arg-type]


def test_a_hidden_source_has_no_name_on_the_page() -> None:
    status = compose(facts(), NOW)
    shown = public(status)
    assert "Betriebsrat" in json.dumps(to_json(status))
    for language in ("ja", "en", None):
        text = json.dumps(to_json(shown, language), ensure_ascii=False)
        assert "Betriebsrat" not in text
        assert "Fotos" in text
    assert shown.state is status.state, "that something is wrong is no secret"
    assert len(shown.problems) == len(status.problems)
    assert len(shown.jobs) == len(status.jobs)


@given(all_facts)
def test_without_hidden_sources_nothing_is_changed(facts: Facts) -> None:
    status = compose(facts, NOW)
    assert public(status) is status
