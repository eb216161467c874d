"""Sources whose snapshots stay in the vault because the contract does not let them be sent: which, and who is told."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from appliance.agreement import Contract
from appliance.box import Box
from appliance.contract.collection import Refused
from appliance.contracted import held_sources
from appliance.daemon.forgotten import Forgotten
from appliance.repository import Snapshot
from appliance.status.model import Problem, Severity
from appliance.text import T

_NOTED = "sources.held"
"""The state's name for the sources that were held back at the last look; also a kind of evidence."""


def held_now(box: Box, contract: Contract) -> Mapping[str, Refused]:
    """The sources that are held back now, by id; none without both a vault and a cloud. Raises `StateError`."""
    if not (box.has_vault and box.has_cloud):
        return {}
    return held_sources(contract, box.policies, box.state)


def that_stay(box: Box) -> Callable[[Snapshot], bool]:
    """Whether a snapshot stays in the vault. While any source is held back, so is what nobody knows the source of."""
    held, known = held_now(box, box.contract), Forgotten(box.state)

    def stays(snapshot: Snapshot) -> bool:
        source_id = known.source_of(snapshot.paths)
        return source_id in held or source_id is None

    return stays if held else lambda _: False


def held_problems(box: Box, contract: Contract) -> Iterator[Problem]:
    """That a source that is backed up has no copy in the cloud, each with the clause."""
    designated = {one.source.id: one.source for one in box.state.designations()}
    for source_id, refused in held_now(box, contract).items():
        if source_id in designated:
            yield Problem(
                "source.held-back",
                Severity.WARNING,
                T("{source} is not sent to the cloud. {why}", source=designated[source_id].title, why=refused.sentence),
                box.clock(),
                subject=source_id,
                safe=T("It is backed up into the vault, and other sources go to the cloud."),
                todo=T("Keep in mind that the vault has its only copy; ask your service provider what is possible."),
            )


class HeldWatch:
    """Tells when other sources are held back than before; each change is evidence."""

    def __init__(self, box: Box) -> None:
        self._box = box
        self.held = frozenset(held_now(box, box.contract))

    def changed(self, contract: Contract) -> bool:
        """Whether other sources are held back than at the last look. Raises `StateError`."""
        held = held_now(self._box, contract)
        noted = {source_id: refused.clause for source_id, refused in held.items()}
        if noted != self._box.state.value(_NOTED, {}):
            sources = [{"source": source_id, "clause": clause} for source_id, clause in sorted(noted.items())]
            self._box.agreement.record(_NOTED, {"sources": sources})
            self._box.state.set_value(_NOTED, noted)
        before, self.held = self.held, frozenset(held)
        return before != self.held
