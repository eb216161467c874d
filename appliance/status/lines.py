"""A Status as lines of text, for terminals and serial lines: 80 columns, no cursor control, no colour."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from datetime import datetime, tzinfo

from appliance.status import words
from appliance.status.model import ContractStatus, JobStatus, PlaceStatus, SourceStatus, Status
from appliance.text import T, Text
from appliance.units import format_size

WIDTH = 80
_BAR = 20
_NEVER_FIRST = "、。，．・：；？！）」』】％"
_TYPOGRAPHY = str.maketrans({"“": '"', "”": '"', "‘": "'", "’": "'", "–": "-", "—": "-", "…": "...", "·": "-"})


def columns(text: str) -> int:
    """Columns `text` takes on a terminal: wide characters two, combining ones none (Unicode UAX #11)."""
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text
    )


def wrap(text: str, width: int = WIDTH, indent: str = "") -> list[str]:
    """`text` in lines of at most `width` columns; further lines begin with `indent`.

    Breaks at spaces, and within a word only where it is Japanese or longer than a line.
    """
    lines: list[str] = []
    line, used = "", 0
    for piece in _pieces(text, width - columns(indent)):
        size = columns(piece)
        if used + size > width:
            if line.strip():
                lines.append(line.rstrip())
            line = indent if lines else ""
            piece = piece.lstrip()
            used, size = columns(line), columns(piece)
        line, used = line + piece, used + size
    return [*lines, line.rstrip()]


def _pieces(text: str, longest: int) -> Iterator[str]:
    """Parts of `text` that a line may end before; none is wider than `longest`."""
    piece = ""
    for char in text:
        breakable = char == " " or columns(char) == 2 or (piece != "" and columns(piece[-1]) == 2)
        if piece and ((breakable and char not in _NEVER_FIRST) or columns(piece + char) > longest):
            yield piece
            piece = ""
        piece += char
    if piece:
        yield piece


def to_ascii(text: str) -> str:
    """`text` for a line that carries ASCII only: typographic signs become plain ones, other characters `?`."""
    return text.translate(_TYPOGRAPHY).encode("ascii", "replace").decode("ascii")


def headline(status: Status, language: str, *, zone: tzinfo | None = None) -> str:
    """The Status in one sentence: when, which box, how it is and why. `zone` as for `status_lines`."""
    return T(
        "{moment} {box}: {state}. {reason}",
        moment=words.moment(status.at, zone or words.zone(status)),
        box=status.box,
        state=words.STATES[status.state],
        reason=status.reason,
    ).render(language)


def status_lines(status: Status, language: str, *, zone: tzinfo | None = None, ascii_only: bool = False) -> list[str]:
    """The whole Status in lines of at most 80 columns.

    `zone` is the time zone of the moments, the Status's own when None. With `ascii_only`, which English is meant
    for, a source whose title is in another script goes by its id, and what is left of other scripts is shown as
    question marks.
    """
    return _fit(_Page(status, language, zone).lines(), _ascii_names(status) if ascii_only else None)


def brief_lines(status: Status, language: str, *, zone: tzinfo | None = None, ascii_only: bool = False) -> list[str]:
    """The headline and how far the running jobs are; the arguments are those of `status_lines`."""
    return _fit(_Page(status, language, zone).brief(), _ascii_names(status) if ascii_only else None)


def _ascii_names(status: Status) -> dict[str, str]:
    """The id of each source whose title is in another script; longer titles first, as one may be in another."""
    titles = {source.title: source.id for source in status.sources if not source.title.isascii()}
    return dict(sorted(titles.items(), key=lambda item: -len(item[0])))


def _fit(lines: Iterator[str], ascii_names: dict[str, str] | None) -> list[str]:
    fitted: list[str] = []
    for line in lines:
        if ascii_names is not None:
            for title, name in ascii_names.items():
                line = line.replace(title, name)
            line = to_ascii(line)
        plain = printable(line)
        hang = " " * (len(plain) - len(plain.lstrip()) + 2)
        fitted += wrap(plain, indent=hang)
    return fitted


def contract_lines(contract: ContractStatus, language: str, zone: tzinfo | None) -> Iterator[str]:
    """How the contract stands: its state, what holds, and what is known to come; not yet wrapped."""
    yield T("State of the contract: {title}", title=contract.title).render(language)
    for one in contract.holding:
        yield "  " + T("{what} ({clause})", what=one.what, clause=one.clause).render(language)
    for one in contract.coming:
        moment = words.moment(one.at, zone)
        yield "  " + T("From {moment}: {what}", moment=moment, what=one.what).render(language)
    if not contract.clock_trusted:
        yield "  " + T("The clock is wrong: as long as it is, nothing about the contract changes.").render(language)


def printable(text: str) -> str:
    """`text` without what could steer a terminal: a file's name may hold control characters (Unicode category C)."""
    return "".join("?" if unicodedata.category(char).startswith("C") else char for char in text)


class _Page:
    def __init__(self, status: Status, language: str, zone: tzinfo | None) -> None:
        self._status = status
        self._language = language
        self._zone = zone or words.zone(status)

    def lines(self) -> Iterator[str]:
        status = self._status
        yield headline(status, self._language, zone=self._zone)
        decisive = next((problem for problem in status.problems if problem.what == status.reason), None)
        if decisive is not None and decisive.safe is not None:
            yield self._say(decisive.safe)
        if status.todo is not None:
            yield self._say(T("What to do: {todo}", todo=status.todo))
        for problem in status.problems:
            if problem.what != status.reason:
                yield self._say(T("{severity}: {what}", severity=words.SEVERITIES[problem.severity], what=problem.what))
                yield from (f"  {self._say(text)}" for text in (problem.safe, problem.todo) if text is not None)
        for job in status.jobs:
            yield self._job(job)
        yield from self._stores()
        if status.contract is not None:
            yield from contract_lines(status.contract, self._language, self._zone)
        if status.sources:
            yield self._say(T("Sources:"))
            yield from (f"  {self._source(source)}" for source in status.sources)
        if status.next_run_at is not None:
            yield self._say(T("Next planned run: {moment}", moment=self._moment(status.next_run_at)))
        for url in status.page_urls:
            yield self._say(T("Status page: {url}", url=url))

    def brief(self) -> Iterator[str]:
        yield headline(self._status, self._language, zone=self._zone)
        for job in self._status.jobs:
            yield self._job(job)

    def _say(self, text: Text) -> str:
        return text.render(self._language)

    def _moment(self, at: datetime) -> str:
        return words.moment(at, self._zone)

    def _job(self, job: JobStatus) -> str:
        subject = self._say(words.subject(job.subject, self._status.sources))
        parts = [" ".join(filter(None, [self._say(words.JOBS[job.kind]), subject])) + ":"]
        share = words.share(job)
        if share is not None:
            full = int(share * _BAR)
            parts.append(f"[{'#' * full}{'-' * (_BAR - full)}] {words.percent(share)}")
        parts.append(self._say(words.amount(job)))
        if job.rate:
            parts.append(f"{format_size(round(job.rate))}/s")
        if job.eta_seconds is not None:
            parts.append(self._say(T("{time} left", time=words.duration(job.eta_seconds))))
        return "  ".join(parts)

    def _stores(self) -> Iterator[str]:
        status = self._status
        if status.vault is not None:
            yield self._place(T("Vault"), status.vault)
        if status.cloud is not None:
            yield self._place(T("Cloud"), status.cloud)
        if status.transfers is not None:
            yield self._say(words.transfers(status.transfers, self._zone))
        if status.capacity is not None:
            capacity = status.capacity
            yield self._say(
                T(
                    "Capacity: {used} of {capacity} used, {left} left",
                    used=format_size(capacity.used_bytes),
                    capacity=format_size(capacity.capacity_bytes),
                    left=format_size(capacity.left_bytes),
                )
            )
            if capacity.full_on is not None:
                yield self._say(words.forecast(capacity))
            if capacity.contract:
                yield self._say(T("Contract: {contract}, signed by the provider", contract=capacity.contract))

        if status.verification is not None:
            verification = status.verification
            yield self._say(
                T(
                    "Read back: {verified} of {total} within the time set, last on {moment}",
                    verified=format_size(verification.verified_bytes),
                    total=format_size(verification.total_bytes),
                    moment=self._moment(verification.at),
                )
            )

    def _place(self, name: Text, place: PlaceStatus) -> str:
        answer = (
            T("not tried yet") if place.reachable is None else T("ready") if place.reachable else T("does not answer")
        )
        parts = [self._say(T("{name}: {place} – {answer}", name=name, place=place.location, answer=answer))]
        if place.stored_bytes is not None:
            parts.append(format_size(place.stored_bytes))
        if place.snapshots is not None:
            parts.append(self._say(T("snapshots: {count}", count=place.snapshots)))
        return self._say(T(", ")).join(parts)

    def _source(self, source: SourceStatus) -> str:
        parts = [self._say(words.source_kind(source.kind)), source.title]
        if not source.present:
            parts.append(self._say(T("not there")))
        if not source.designated:
            parts.append(self._say(T("not designated")))
        elif source.last_backup_at is None:
            parts.append(self._say(T("no backup yet")))
        else:
            parts.append(self._say(T("last backup: {moment}", moment=self._moment(source.last_backup_at))))
        if source.may_unplug is not None:
            parts.append(self._say(words.unplug(source.may_unplug)))
        line = self._say(T(", ")).join(parts)
        for text in (source.why_not, source.note):
            if text is not None:
                line = self._say(T("{source}. {more}", source=line, more=text))
        return line
