"""A stranger's plugin and broken ones, installed with pip and met by the real command line."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from appliance.hookspecs import KurabakoSpec
from tests.support.strangers import Installed, broken, stranger

__all__ = ["broken", "stranger"]

pytestmark = [pytest.mark.xdist_group("strangers")]

BUDGET = 2
WHY = {
    "absent-module": "it cannot be imported (ModuleNotFoundError: No module named 'kurabako_broken.no_such_module')",
    "import-error": "it cannot be imported (ModuleNotFoundError: No module named 'a_module_that_nobody_has')",
    "import-exits": "it cannot be imported (SystemExit: 7)",
    "import-hangs": f"its import did not end within {BUDGET} s",
    "raises": "storages failed (ZeroDivisionError: one by nothing)",
    "raises-late": "storages failed (LookupError: and no more)",
    "exits": "service_profiles failed (SystemExit: enough)",
    "hangs": f"settings_sections did not answer within {BUDGET} s",
    "hangs-late": f"commands did not answer within {BUDGET} s",
    "misspelt": "there is no hook discover_source; is discover_sources meant?",
    "wrong-value": "storages handed out something it must not (storages must be StorageKind, not dict)",
    "wrong-field": "settings_sections handed out something it must not "
    "(settings_sections: SettingsSection.model must be type[pydantic.main.BaseModel], not type)",
    "wrapper": "storages is a hook wrapper, which Kurabako does not call",
    "no-hook": "it implements no hook",
    "copycat": "storages hands out s3, which s3 has already",
}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Settings with a short budget; the built-in plugins but one are blocked, as importing them is not the matter."""
    file = tmp_path / "config.toml"
    file.write_text(
        f"""
        [box]
        state_dir = "{tmp_path}/state"
        run_dir = "{tmp_path}/run"
        [plugins]
        time_budget = {BUDGET}
        blocked = ["console", "disks", "folder", "leds", "smb", "webhook"]
        """
    )
    return file


def test_a_strangers_plugin_is_found_and_all_its_hooks_are_known(stranger: Installed) -> None:
    answer = stranger.kurabako("plugins", "--json")
    assert (answer.code, answer.stderr) == (0, "")
    (shed,) = (plugin for plugin in answer.json()["plugins"] if plugin["name"] == "shed")
    assert shed == {
        "name": "shed",
        "distribution": "kurabako-shed",
        "version": "2.5",
        "state": "active",
        "hooks": sorted(hook for hook in vars(KurabakoSpec) if not hook.startswith("_")),
        "why": None,
    }


def test_a_strangers_plugin_does_what_it_promises(stranger: Installed, tmp_path: Path) -> None:
    script = textwrap.dedent(
        """
        import sys
        from datetime import UTC, datetime
        from pathlib import Path
        from appliance.plugins import PluginManager
        from appliance.sources.interface import Source, SourceEvent
        from appliance.settings import load_settings
        from appliance.status.model import State, Status
        from appliance.text import T

        manager = PluginManager.load()
        settings = load_settings(Path(sys.argv[1]), manager.settings_sections())
        context = manager.context(settings.plugins, settings.box.state_dir, settings.box.run_dir)

        storage = manager.open_storage("shed:garden")
        storage.put("config", b"spade")
        print(storage.location, storage.get("config", 1, 3))

        (found,) = (one for one in manager.discover_sources(context) if one.kind == "shed")
        source = manager.open_source(context, found)
        (entry,) = source.scandir(())
        buffer = bytearray(9)
        read = source.open((entry.name,), entry).readinto(memoryview(buffer))
        print(entry.name, bytes(buffer[:read]))

        events = []
        manager.watch_sources(context, events.append).close()
        print([event.source.id for event in events if event.source.kind == "shed"])

        tools = manager.open_place(context, "shed", lambda place: place.open_source("shed://garden", None), Source)
        print([entry.name for entry in tools.scandir(())])

        documents = []
        taker = lambda *one: documents.append(one) or T("Taken.")
        manager.watch_directives(context, taker, taker).close()
        print(documents)

        (check,) = (one for one in manager.checks(context) if one.name == "shed.dry")
        result = check.run()
        print(result.ok, result.what.render("en"), result.what.render("ja"))

        settings.box.run_dir.mkdir()
        (wall,) = (one for one in manager.status_outputs(context) if one.name == "shed wall")
        now = datetime.now(UTC)
        wall.show(Status("kura", "1", State.IDLE, T("Idle."), now, now))
        print((settings.box.run_dir / "shed-wall").read_text())
        wall.close()

        print("shed" in manager.profiles(), "shed" in [one.name for one in manager.web_extensions(context)])
        print([status.state for status in manager.statuses() if status.name == "shed"])
        """
    )
    config = tmp_path / "config.toml"
    config.write_text(f'[box]\nrun_dir = "{tmp_path}/run"\n[shed]\nshelf = "lower"\n')
    answer = stranger.python("-c", script, str(config))
    assert answer.stdout.splitlines() == [
        "shed:garden b'pad'",
        "b'spade.txt' b'spade'",
        "['shed:tools']",
        "[b'spade.txt']",
        "[('a note on the door', 'shed'), ('stop', 'no code', 'shed')]",
        "True The lower shelf is dry. lower の棚は乾いています。",
        "idle",
        "True True",
        "['active']",
    ], answer.stderr


def test_a_strangers_settings_and_commands_are_part_of_the_box(stranger: Installed, tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text('[shed]\nlock_code = "4711"\n')
    shown = stranger.kurabako("--config", str(config), "settings", "show", "--json")
    assert shown.code == 0, shown.stderr
    settings = {setting["key"]: setting for setting in shown.json()["settings"]}
    assert settings["shed.shelf"] == {"key": "shed.shelf", "value": "top", "line": None}
    assert settings["shed.lock_code"] == {"key": "shed.lock_code", "value": "********", "line": 2}
    assert "4711" not in shown.stdout

    config.write_text("[shed]\nshelv = 3\n")
    wrong = stranger.kurabako("--config", str(config), "settings", "check")
    assert wrong.code == 1
    assert wrong.stderr.startswith(f"{config}, line 2: there is no setting shed.shelv; is shed.shelf meant?\n")

    config.write_text("")
    assert stranger.kurabako("--config", str(config), "shed", "door").stdout == "The door is shut.\n"
    assert "The garden shed." in stranger.kurabako("--config", str(config), "--help").stdout
    assert "庭の物置です。" in stranger.kurabako("--config", str(config), "--lang", "ja", "--help").stdout

    fallen = stranger.kurabako("--config", str(config), "shed", "door", "--broken")
    assert fallen.code == 1
    assert fallen.stderr.startswith("Something went wrong inside Kurabako that should not have (RuntimeError).\n")
    assert "4711" not in fallen.stderr
    assert "Traceback" not in fallen.stderr


def test_a_strangers_service_is_a_file_and_its_contract_can_be_previewed(stranger: Installed) -> None:
    words = ("--service", "shed", "--contract-date", "2026-08-31", "--units", "3", "--json")
    assert stranger.kurabako("contract", "preview", *words).json() == {
        "expires_on": {"value": "2027-02-28", "clause": "3"},
        "next_expires_on": {"value": "2027-08-30", "clause": "4"},
        "capacity_bytes": {"value": 150_000_000_000, "clause": "2"},
    }


@pytest.mark.slow
@pytest.mark.needs("machine-id")
def test_a_strangers_service_is_kept_by_the_whole_box(stranger: Installed, tmp_path: Path) -> None:
    """Each table of its file, through the jobs and the memory that the box uses for our own services."""
    script = textwrap.dedent(
        """
        import json, sys
        from datetime import UTC, datetime
        from pathlib import Path
        from appliance.box import Box
        from appliance.contract import directive, entitlement
        from appliance.contract.collection import part_limit
        from appliance.contract.ending import plan_end
        from appliance.contract.signature import new_key_pair, sign
        from appliance.daemon.collecting import Collecting
        from appliance.daemon.planner import Planner
        from appliance.daemon.registered import addressed
        from appliance.daemon.requests import BackupJob, ReplicateJob
        from appliance.daemon.standalone import do_job
        from appliance.daemon.starts import PlannedRun
        from appliance.identity import box_id
        from appliance.schedule import Schedule
        from appliance.status.model import Severity
        from appliance.status.outputs import Notice
        from appliance.text import T

        folder, now = Path(sys.argv[1]), datetime(2026, 6, 10, tzinfo=UTC)
        secret, public = new_key_pair()
        (folder / "provider.pub").write_bytes(public)
        (folder / "cloud").mkdir()
        for name in ("open", "numbers"):
            (folder / name).mkdir()
            (folder / name / "plan.txt").write_text(name)
        (folder / "open" / "what?.txt").write_text("a name the service does not take")
        config = folder / "contracted.toml"
        config.write_text(
            f'[box]\\nstate_dir = "{folder}/state"\\nrun_dir = "{folder}/run"\\n'
            f'[vault]\\npath = "{folder}/vault"\\npassword_file = "{folder}/password"\\n'
            f'[cloud]\\nurl = "{folder}/cloud"\\n[plugins]\\nblocked = ["disks"]\\n'
            f'[contract]\\nprovider_key_file = "{folder}/provider.pub"\\n'
            f'[[folders]]\\npath = "{folder}/open"\\n[[folders]]\\npath = "{folder}/numbers"\\n'
        )
        box = Box.open(config, clock=lambda: now)
        common = {"format": 1, "issued_at": "2026-05-20T09:00:00+09:00", "box": box_id(), "contract_id": "S-1"}
        bought = entitlement.validate({
            **common, "serial": 1, "holder": "花田", "profile": "shed", "contract_date": "2026-05-20",
            "service_start": "2026-05-20", "units": 3,
            "contacts": [{"role": "responsible_person", "name": "花田", "mail": "hanada@example.co.jp"}],
        })
        box.agreement.entitlements.install(sign(bought.encode(), secret, entitlement.KIND))

        def told(kind, number, **says):
            document = directive.validate({**common, "kind": kind, "number": number, **says})
            box.agreement.directives.take(sign(document.encode(), secret, directive.KIND), "test")

        def do(request):
            return do_job(box, request, lambda _: None, lambda: False)[1]

        box.set_up()
        sources = {name: f"folder:{folder}/{name}" for name in ("open", "numbers")}
        for source in sources.values():
            box.designate(source)
        box.policies.choose(box.find_source(sources["numbers"]).found, "my_number", ["contained"])
        report = do(BackupJob(sources["open"]))
        print(report.outcome.value, [Path(one["path"]).name for one in report.details["unreadable"]])
        print(do(BackupJob(sources["numbers"])).outcome.value, do(ReplicateJob()).details["held_count"])
        contract = box.contract
        print(contract.capacity, contract.limit, contract.profile.meter.value, part_limit(contract.terms, 10**9))
        (notice,) = addressed([Notice("kura1", "x", Severity.INFO, T("x"), T("x"), now)], contract)
        print(notice.to)
        told("suspension", 1, suspension="operational", starts_at=now.isoformat())
        planner = Planner(Schedule(("09:00",), "Asia/Tokyo"), box.state)
        Collecting(box, PlannedRun(planner, now, (sources["open"],))).ended("", [])
        (slot,) = box.state.slots("backup")
        print(slot.outcome.value, slot.clause)
        told("termination", 2, by="provider", effective_on="2026-06-01")
        plan = plan_end(box.contract.terms, box.contract.standing, box.agreement.directives.recorded())
        print(*plan.erase, plan.clause)
        """
    )
    done = stranger.python("-c", script, str(tmp_path))
    assert done.code == 0, done.stderr
    assert done.stdout.splitlines() == [
        "partial ['what?.txt']",
        "done 1",
        "150000000000 None collected 50000000",
        "('hanada@example.co.jp',)",
        "missed_no_recollect 7-1",
        "credentials software 10",
    ]


@pytest.mark.slow
def test_each_broken_plugin_is_named_with_what_it_did_and_the_box_goes_on(broken: Installed, config: Path) -> None:
    answer = broken.kurabako("--config", str(config), "plugins", "--json")
    assert (answer.code, answer.stderr) == (0, "")
    plugins = {plugin["name"]: plugin for plugin in answer.json()["plugins"]}
    ours = {name: plugin for name, plugin in plugins.items() if plugin["distribution"] == "kurabako-broken"}
    assert ours.pop("wrong-router")["state"] == "active", "nobody has asked for its routes yet"
    assert {plugin["state"] for plugin in ours.values()} == {"set-aside"}
    reasons = {name: plugin["why"] for name, plugin in ours.items()}
    assert "settings" in reasons.pop("wrong-arguments")
    assert reasons == WHY
    assert (plugins["s3"]["state"], plugins["services"]["state"]) == ("active", "active")
    assert plugins["folder"]["state"] == "blocked"


@pytest.mark.slow
def test_a_router_that_is_none_is_found_before_the_page_meets_it(broken: Installed, config: Path) -> None:
    script = textwrap.dedent(
        """
        import sys
        from pathlib import Path
        import fastapi  # beforehand: its import is not to count against the plugin's short budget
        from appliance.box import Box

        box = Box.open(Path(sys.argv[1]))
        extensions = box.plugins.web_extensions(box.context)
        print(extensions, [str(status.why) for status in box.plugins.statuses() if status.name == "wrong-router"])
        """
    )
    answer = broken.python("-c", script, str(config))
    assert answer.stdout.strip() == (
        "[] ['web_extensions handed out something it must not "
        "(web_extensions: WebExtension.router must be APIRouter, not function)']"
    ), answer.stderr
    assert answer.code == 0


@pytest.mark.slow
def test_settings_that_may_be_a_broken_plugins_do_not_stop_the_box(broken: Installed, config: Path) -> None:
    with config.open("a") as file:
        file.write("\n[tape]\nspeed = 3\n")
    answer = broken.kurabako("--config", str(config), "settings", "check")
    assert answer.code == 0, answer.stderr
    assert answer.stdout == (
        f"The settings in {config} are right.\nThe table [tape] is not read: no plugin that works now knows it.\n"
    )
