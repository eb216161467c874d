"""What the daemon does when it is asked over the control socket."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from appliance.daemon.background import in_thread
from appliance.daemon.control import Answer, BadRequest, Command, argument_text
from appliance.daemon.jobs import JobReport, progress_to_json, report_to_json
from appliance.daemon.requests import (
    BackupJob,
    CheckJob,
    JobRequest,
    RepairJob,
    ReplicateJob,
    RestoreJob,
    UpkeepJob,
    VerifyJob,
)
from appliance.daemon.supervisor import Job
from appliance.daemon.work import require_sensible
from appliance.directives import COMMAND, taken_to_json
from appliance.sources.interface import SourceNotFound
from appliance.status import codec
from appliance.text import T

if TYPE_CHECKING:
    from appliance.daemon.service import Daemon


class Commands:
    """The daemon's commands by name. Each answers with `{"progress": …}` messages and one last `{"result": …}`."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon

    def table(self) -> dict[str, Command]:
        """Every command there is."""
        return {
            "status": self.status,
            "sources": self.sources,
            "designate": self.designate,
            "undesignate": self.undesignate,
            "set_policy": self.set_policy,
            "backup": self.backup,
            "replicate": self.replicate,
            "restore": self.restore,
            "check": self.check,
            "repair": self.repair,
            "upkeep": self.upkeep,
            "verify": self.verify,
            "pause": self.pause,
            "resume": self.resume,
            "stop_transfers": self.stop_transfers,
            "cancel": self.cancel,
            "plugins": self.plugins,
            "renew_operator_code": self.renew_operator_code,
            "install_entitlement": self.install_entitlement,
            "take_directive": self.take_directive,
        }

    async def status(self, _: Mapping[str, Any]) -> Answer:
        """The Status of this very moment, texts unrendered."""
        self._daemon.publish()
        yield {"result": codec.to_json(self._daemon.board.current())}

    async def sources(self, _: Mapping[str, Any]) -> Answer:
        """Looks for sources and tells them."""
        await self._daemon.watcher.look()
        yield {"result": codec.encode(self._daemon.source_statuses())}

    async def designate(self, arguments: Mapping[str, Any]) -> Answer:
        """Marks the source `id` for backing up."""
        source_id = argument_text(arguments, "id")
        found = await in_thread(lambda: self._daemon.box.designate(source_id), "designate")
        await self._daemon.watcher.look()
        yield {"result": {"id": found.id, "title": found.title}}

    async def undesignate(self, arguments: Mapping[str, Any]) -> Answer:
        """Ends backing up the source `id`."""
        source_id = argument_text(arguments, "id")
        await in_thread(lambda: self._daemon.box.undesignate(source_id), "undesignate")
        await self._daemon.watcher.look()
        yield {"result": {"id": source_id}}

    async def set_policy(self, arguments: Mapping[str, Any]) -> Answer:
        """Sets the value `name` of the policy of the source `id` to `words`; null lets the settings decide again."""
        source_id, name = argument_text(arguments, "id"), argument_text(arguments, "name")
        words = arguments.get("words")
        if words is not None and not (isinstance(words, list) and all(isinstance(one, str) for one in words)):
            raise BadRequest(T("The request lacks {name}, or it has the wrong form.", name="words"))
        await in_thread(lambda: self._daemon.box.set_policy(source_id, name, words), "set a policy")
        await self._daemon.watcher.look()
        yield {"result": {"id": source_id}}

    async def backup(self, arguments: Mapping[str, Any]) -> Answer:
        """Backs up `sources`, or all that are designated, and replicates if the settings say so."""
        wanted = arguments.get("sources", [])
        if not isinstance(wanted, list) or not all(isinstance(one, str) and one for one in wanted):
            raise BadRequest(T("The request lacks {name}, or it has the wrong form.", name="sources"))
        await self._daemon.watcher.look()
        await self._require_sensible(*(BackupJob(source_id) for source_id in wanted))
        jobs = self._daemon.start_backup(wanted)
        if not jobs:
            if not self._daemon.box.has_vault:
                await self._require_sensible(ReplicateJob())
            raise nothing_designated()
        async for message in self._follow(jobs):
            yield message

    async def replicate(self, arguments: Mapping[str, Any]) -> Answer:
        """Brings to the cloud what it has not; the arguments are those of a `ReplicateJob`."""
        async for message in self._do(_arguments(arguments, ReplicateJob)):
            yield message

    async def restore(self, arguments: Mapping[str, Any]) -> Answer:
        """Restores; the arguments are those of a `RestoreJob`."""
        request = _arguments(arguments, RestoreJob)
        async for message in self._do(request):
            yield message

    async def check(self, arguments: Mapping[str, Any]) -> Answer:
        """Checks; the arguments are those of a `CheckJob`."""
        request = _arguments(arguments, CheckJob)
        async for message in self._do(request):
            yield message

    async def repair(self, arguments: Mapping[str, Any]) -> Answer:
        """Repairs; the arguments are those of a `RepairJob`."""
        async for message in self._do(_arguments(arguments, RepairJob)):
            yield message

    async def upkeep(self, arguments: Mapping[str, Any]) -> Answer:
        """Forgets and prunes; the arguments are those of an `UpkeepJob`."""
        request = _arguments(arguments, UpkeepJob)
        async for message in self._do(request):
            yield message

    async def verify(self, arguments: Mapping[str, Any]) -> Answer:
        """Verifies; the arguments are those of a `VerifyJob`."""
        async for message in self._do(_arguments(arguments, VerifyJob)):
            yield message

    async def pause(self, arguments: Mapping[str, Any]) -> Answer:
        """Pauses transfers, `until` a moment (RFC 3339) or, null, until they are resumed."""
        until = arguments.get("until")
        try:
            moment = datetime.fromisoformat(until) if until is not None else None
        except (TypeError, ValueError):
            raise BadRequest(T("The request lacks {name}, or it has the wrong form.", name="until")) from None
        self._daemon.holds.pause(moment)
        yield {"result": {}}

    async def stop_transfers(self, _: Mapping[str, Any]) -> Answer:
        """Stops every transfer to and from the cloud."""
        self._daemon.holds.stop()
        yield {"result": {}}

    async def resume(self, _: Mapping[str, Any]) -> Answer:
        """Lets transfers go on, and tells whether they were `held`."""
        held = self._daemon.holds.release()
        yield {"result": {"held": held}}

    async def cancel(self, arguments: Mapping[str, Any]) -> Answer:
        """Stops the job `job`, or all jobs, and tells which; each ends in order, in its own time."""
        job_id = arguments.get("job")
        if job_id is not None and not isinstance(job_id, str):
            raise BadRequest(T("The request lacks {name}, or it has the wrong form.", name="job"))
        yield {"result": [job.id for job in self._daemon.supervisor.cancel(job_id)]}

    async def plugins(self, _: Mapping[str, Any]) -> Answer:
        """The plugins and what became of each, in this process."""
        yield {"result": codec.encode(self._daemon.box.plugins.statuses())}

    async def renew_operator_code(self, _: Mapping[str, Any]) -> Answer:
        """Makes an operator code in place of the one before, and tells it."""
        code = await in_thread(self._daemon.box.agreement.operator_code.renew, "renew the operator code")
        yield {"result": {"code": code}}

    async def install_entitlement(self, arguments: Mapping[str, Any]) -> Answer:
        """Puts the signed entitlement `document` in force, and tells which it is and whether it is `new`."""
        document = argument_text(arguments, "document")
        entitlements = self._daemon.box.agreement.entitlements
        done = await in_thread(lambda: entitlements.install(document), "install an entitlement")
        self._daemon.contract.look()
        self._daemon.publish()
        one = done.entitlement
        yield {"result": {"contract_id": one.contract_id, "serial": one.serial, "new": done.new}}

    async def take_directive(self, arguments: Mapping[str, Any]) -> Answer:
        """Takes the signed directive `document`, and tells which it is and from when it counts."""
        taken = await self._daemon.contract.take(argument_text(arguments, "document"), COMMAND)
        yield {"result": taken_to_json(taken)}

    async def _do(self, request: JobRequest) -> Answer:
        await self._require_sensible(request)
        async for message in self._follow([self._daemon.supervisor.submit(request)]):
            yield message

    async def _require_sensible(self, *requests: JobRequest) -> None:
        for request in requests:
            await in_thread(partial(require_sensible, self._daemon.box, request), "look at a request")

    async def _follow(self, jobs: Sequence[Job]) -> Answer:
        """Tells which jobs they are, then their progress, one after the other, then all reports."""
        yield {"progress": {"jobs": [job_to_json(job) for job in jobs]}}
        ended = []
        for job in jobs:
            async for news in job.follow():
                if isinstance(news, JobReport):
                    ended.append({**job_to_json(job), "report": report_to_json(news)})
                else:
                    yield {"progress": {**job_to_json(job), "progress": progress_to_json(news)}}
        yield {"result": ended}


def job_to_json(job: Job) -> dict[str, Any]:
    """Which job it is."""
    return {"job": job.id, "kind": job.request.kind.value, "subject": job.request.subject}


def nothing_designated() -> SourceNotFound:
    """What to say when there is nothing to back up."""
    return SourceNotFound(
        T("No source is designated, so there is nothing to back up."),
        todo=T("“kurabako sources” lists what is there; “kurabako sources designate ID” chooses one."),
    )


def _arguments(arguments: Mapping[str, Any], kind: type[msgspec.Struct]) -> Any:
    """A request of `kind` from a client's arguments; `BadRequest` says what is wrong with them."""
    try:
        return msgspec.convert({**arguments, "kind": kind.__struct_config__.tag}, kind)
    except msgspec.ValidationError as error:
        raise BadRequest(T("The request is not understood: {why}.", why=str(error))) from error
