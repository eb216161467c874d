"""What the page on the LAN may show: everything but the sources whose policy keeps them off it.

What is hidden still counts: the box's state, its jobs and its problems are there, without a name.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from appliance.status.model import JobResult, JobStatus, Problem, Status
from appliance.status.words import OUTCOMES
from appliance.text import T, Text

_HIDDEN = T("This is about a source that is not shown here. At the box, type: kurabako status")


def public(status: Status) -> Status:
    """The Status without a word about hidden sources."""
    hidden = [source for source in status.sources if not source.on_page]
    if not hidden:
        return status
    ids = {source.id for source in hidden}
    names = ids | {source.title for source in hidden}

    def job(one: JobStatus) -> JobStatus:
        return replace(one, subject="", progress=replace(one.progress, item="")) if one.subject in ids else one

    def result(one: JobResult) -> JobResult:
        return replace(one, subject="", summary=OUTCOMES[one.outcome]) if one.subject in ids else one

    def problem(one: Problem) -> Problem:
        if one.subject not in ids and not _names(one.what, names):
            return one
        return replace(one, subject="", what=_HIDDEN, safe=None, todo=None)

    about_hidden = _names(status.reason, names)
    return replace(
        status,
        reason=_HIDDEN if about_hidden else status.reason,
        todo=None if about_hidden else status.todo,
        sources=tuple(source for source in status.sources if source.on_page),
        jobs=tuple(map(job, status.jobs)),
        results=tuple(map(result, status.results)),
        problems=tuple(map(problem, status.problems)),
    )


def _names(text: Text, names: Collection[str]) -> bool:
    """Whether any of the names stands in the text's values."""
    return any(
        _names(value, names) if isinstance(value, Text) else any(name in str(value) for name in names)
        for value in text.values.values()
    )
