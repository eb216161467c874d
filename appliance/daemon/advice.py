"""What a person should know of its sources because of the terms, although nothing is wrong with any of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from appliance.agreement import Contract
from appliance.box import Box
from appliance.contract.collection import differing_viewers
from appliance.policy import KnownSource
from appliance.status.model import Problem, Severity
from appliance.text import T


def source_advice(box: Box, contract: Contract, sources: Sequence[KnownSource]) -> Iterator[Problem]:
    """Sources that different people may see on one account, and what exists in the cloud alone."""
    if not box.has_cloud:
        return
    designated = [known for known in sources if known.designated]
    yield from _split(box, contract, designated)
    yield from _only_in_cloud(box, contract, designated)


def _split(box: Box, contract: Contract, designated: Sequence[KnownSource]) -> Iterator[Problem]:
    viewers = {known.found.title: frozenset(box.policies.of(known.found).viewers) for known in designated}
    found = differing_viewers(contract.terms, viewers)
    if found is None:
        return
    names = ", ".join(found.sources)
    yield Problem(
        "accounts.split",
        Severity.WARNING,
        T(
            "Different people may see {sources}, but all goes to one account ({clause}).",
            sources=names,
            clause=found.clause,
        ),
        box.clock(),
        safe=T("Backups go on."),
        todo=T("Split the accounts: order another one, and back up to it from a box of its own."),
    )


def _only_in_cloud(box: Box, contract: Contract, designated: Sequence[KnownSource]) -> Iterator[Problem]:
    """Without a vault, what is gone from its place is left in the cloud alone, of which the provider keeps no copy."""
    rule = contract.terms.own_copy
    if rule is None or box.has_vault:
        return
    saved = {result.subject for result in box.state.last_results() if result.bytes_done}
    for known in designated:
        if known.found.present or known.found.id not in saved:
            continue
        yield Problem(
            "source.only-in-cloud",
            Severity.WARNING,
            T("The data of {source} exists only in the cloud.", source=known.found.title),
            box.clock(),
            known.found.id,
            safe=T("The provider keeps no copy of it and restores none ({clause}).", clause=rule.clause),
            todo=T("Restore it to a disk of your own: kurabako restore"),
        )
