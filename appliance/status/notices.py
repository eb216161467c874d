"""What a person is told once: problems that begin, grow worse or end. Only the edges, never the state."""

from __future__ import annotations

from appliance.status.compose import SEVERITIES
from appliance.status.model import Outcome, Problem, Severity, Status
from appliance.status.outputs import Notice
from appliance.text import T, Text

TOLD = "directive.told"
"""The code of what the provider made known, which a person is told of although nothing is wrong."""

_SCALES = {
    "capacity": (
        "capacity.forecast",
        "capacity.warning",
        "capacity.full",
        "capacity.reached",
        "capacity.waiting",
        "capacity.exceeded",
    ),
    "ending": (),
}
"""Topics (a code's first word) whose problems are steps of one scale: a higher step is news, a lower one is not,
and the end is told when none is left."""


def notices(previous: Status | None, current: Status) -> list[Notice]:
    """What became a problem, or a worse one, and what no longer is one. `previous` is None when nothing is known."""
    before = _highest(previous) if previous else {}
    after = _highest(current)
    told = [
        _begun(current, problem)
        for key, problem in after.items()
        if _is_news(problem) and (key not in before or _step(problem) > _step(before[key]))
    ]
    ended = [
        _ended(current, problem)
        for key, problem in before.items()
        if problem.severity is not Severity.INFO and key not in after
    ]
    return told + ended


def _is_news(problem: Problem) -> bool:
    return problem.severity is not Severity.INFO or problem.code == TOLD


def may_unplug(status: Status, source_id: str, outcome: Outcome) -> list[Notice]:
    """That a disk's backup on its arrival has ended; nothing when it was unplugged already, or is still read."""
    source = next((one for one in status.sources if one.id == source_id and one.may_unplug), None)
    if source is None:
        return []
    what = (
        T("{disk} has been backed up and may be unplugged.", disk=source.title)
        if outcome is Outcome.DONE
        else T("{disk} may be unplugged, but its backup is not complete.", disk=source.title)
    )
    return [
        Notice(
            box=status.box,
            code="source.may-unplug",
            severity=Severity.INFO,
            subject=T("{box}: {what}", box=status.box, what=what),
            body=_paragraphs(what, status.reason),
            at=status.at,
        )
    ]


def _highest(status: Status) -> dict[tuple[str, str], Problem]:
    """The problems by what they are told as: one per code and subject, and one per scale, its highest step."""
    highest: dict[tuple[str, str], Problem] = {}
    for problem in status.problems:
        topic = problem.code.partition(".")[0]
        key = (topic, "") if topic in _SCALES else (problem.code, problem.subject)
        if key not in highest or _step(problem) > _step(highest[key]):
            highest[key] = problem
    return highest


def _step(problem: Problem) -> tuple[int, int, str]:
    steps = _SCALES.get(problem.code.partition(".")[0], ())
    step = steps.index(problem.code) if problem.code in steps else 0
    return SEVERITIES.index(problem.severity), step, problem.subject


def _begun(status: Status, problem: Problem) -> Notice:
    return Notice(
        box=status.box,
        code=problem.code,
        severity=problem.severity,
        subject=T("{box}: {what}", box=status.box, what=problem.what),
        body=_paragraphs(problem.what, problem.safe, problem.todo),
        at=status.at,
    )


def _ended(status: Status, problem: Problem) -> Notice:
    what = T("Solved: {what}", what=problem.what)
    return Notice(
        box=status.box,
        code=problem.code,
        severity=Severity.INFO,
        subject=T("{box}: {what}", box=status.box, what=what),
        body=_paragraphs(what, status.reason),
        at=status.at,
    )


def _paragraphs(*sentences: Text | None) -> Text:
    """The sentences, one a line. The message is made of places only: there is nothing to translate."""
    values = {f"line{number}": sentence for number, sentence in enumerate(sentences) if sentence is not None}
    return Text("\n".join(f"{{{name}}}" for name in values), values)
