"""What could be wrong with this box: the core's own checks, and those of its plugins."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing

from appliance.box import Box
from appliance.daemon.client import ControlClient
from appliance.errors import KurabakoError
from appliance.hookspecs import Check, CheckResult
from appliance.status.model import Severity
from appliance.storage.interface import ObjectNotFound, Storage
from appliance.text import T, Text


def diagnoses(box: Box) -> list[Check]:
    """The checks that make sense for this box, the core's first. Each answers within seconds."""
    checks = [
        Check("daemon.running", T("The box's service"), lambda: _daemon_runs(box)),
        Check("password.readable", T("The recovery key"), lambda: _tried(lambda: _password(box))),
    ]
    if box.settings.contract.provider_key_file is not None:
        checks.append(Check("contract.verified", T("The entitlement"), lambda: _tried(lambda: _contract_holds(box))))
    checks.append(Check("evidence.sound", T("The evidence"), lambda: _tried(lambda: _evidence_sound(box))))
    if box.has_vault:
        checks.append(Check("vault.opens", T("The vault"), lambda: _tried(lambda: _vault_opens(box))))
    if box.has_cloud:
        checks.append(Check("cloud.answers", T("The cloud"), lambda: _tried(lambda: _cloud_answers(box))))
    return [*checks, *box.plugins.checks(box.context)]


def _tried(look: Callable[[], Text]) -> CheckResult:
    """`look`'s finding when it raises nothing; its error is a problem found."""
    try:
        return CheckResult(ok=True, what=look())
    except KurabakoError as error:
        return CheckResult(ok=False, what=error.what, severity=Severity.ATTENTION, todo=error.todo)


def _daemon_runs(box: Box) -> CheckResult:
    try:
        client = ControlClient.connect(box.settings.box.socket_path)
    except KurabakoError as error:
        return CheckResult(ok=False, what=error.what, severity=Severity.WARNING, todo=error.todo)
    if client is None:
        return CheckResult(
            ok=False,
            what=T("It is not running, so no planned backup starts."),
            severity=Severity.ATTENTION,
            todo=T("Start it: systemctl start kurabako (or, in a terminal, kurabako serve)."),
        )
    client.close()
    return CheckResult(ok=True, what=T("It is running and answers."))


def _password(box: Box) -> Text:
    box.password()
    return T("It can be read, by its owner alone.")


def _contract_holds(box: Box) -> Text:
    contract = box.contract
    if contract.refusal is not None:
        raise contract.refusal
    return T("It is the provider's, and this box's.")


def _evidence_sound(box: Box) -> Text:
    head = box.agreement.evidence.verify(box.agreement.evidence_head)
    return T("All {count} entries are as they were written.", count=head.sequence)


def _vault_opens(box: Box) -> Text:
    with closing(box.open_home().storage):
        return T("It opens with the recovery key.")


def _cloud_answers(box: Box) -> Text:
    storage: Storage
    with closing(box.raw_cloud_storage()) as storage:
        try:
            storage.stat("config")
        except ObjectNotFound:
            return T("It answers. Nothing was sent there yet.")
    return T("It answers.")
