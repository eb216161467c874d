"""A box as a customer has it, for the pictures in the manual and for tests that look at a whole page."""

from __future__ import annotations

from datetime import timedelta

from appliance.status.compose import compose
from appliance.status.facts import Facts
from appliance.status.model import (
    CapacityStatus,
    JobKind,
    JobResult,
    JobStatus,
    Outcome,
    PlaceStatus,
    PluginStatus,
    Progress,
    SourceStatus,
    Status,
)
from appliance.text import Text
from tests.support.status import NOW, TOKYO


def backed_up(files: int, size: str, added: str, snapshot: str) -> Text:
    """What a backup that went well says of itself."""
    return Text(
        "{files} files, {size} were backed up, {added} of it newly stored (snapshot {snapshot}).",
        {"files": files, "size": size, "added": added, "snapshot": snapshot},
    )


def ran(
    job: int,
    kind: JobKind,
    subject: str,
    hours_ago: float,
    minutes: int,
    moved: int,
    summary: Text,
    outcome: Outcome = Outcome.DONE,
) -> JobResult:
    """A run that ended so many hours ago after so many minutes."""
    ended = NOW - timedelta(hours=hours_ago)
    return JobResult(str(job), kind, subject, ended - timedelta(minutes=minutes), ended, outcome, summary, moved)


def sample_status(*, troubled: bool = True) -> Status:
    """A box in an office on a busy day: two jobs run, four sources are known.

    When `troubled`, a disk was pulled during its backup and the contract is nearly used up.
    """
    office, books, design = "smb://nas1/soumu", "folder:/srv/keiri", "disk:by-uuid/6f1c"
    cloud = "s3:https://s3.example.jp/kurabako-00417/office"

    last_of_design = (
        (
            Text(
                "The source went away in the middle: {files} files, {size} were backed up (snapshot {snapshot}).",
                {"files": 12_480, "size": "88.25 GB", "snapshot": "90d1e3aa"},
            ),
            Outcome.PARTIAL,
        )
        if troubled
        else (backed_up(41_377, "302.6 GB", "2.118 GB", "90d1e3aa"), Outcome.DONE)
    )
    checked = Text(
        "No errors in {place}: {snapshots} snapshots, {packs} packs, {size} read and verified.",
        {"place": "/srv/vault", "snapshots": 213, "packs": 24_871, "size": "402.1 GB"},
    )
    sent = Text("{snapshots} snapshots were replicated, {size}.", {"snapshots": 3, "size": "12.55 GB"})
    used = 421_806_551_040 if troubled else 341_806_551_040
    return compose(
        Facts(
            box="本社 2 階の蔵箱",
            version="0.1.0",
            started_at=NOW - timedelta(days=41, hours=3),
            jobs=(
                JobStatus(
                    "81",
                    JobKind.BACKUP,
                    office,
                    NOW - timedelta(minutes=9),
                    Progress(
                        Text("Backing up"),
                        bytes_done=48_213_442_816,
                        bytes_total=73_402_118_144,
                        files_done=21_840,
                        files_total=34_112,
                        item="見積書/2026年度/株式会社青葉商事 様/御見積書（第3版）.xlsx",
                    ),
                    rate=91_400_000.0,
                    eta_seconds=276,
                ),
                JobStatus(
                    "82",
                    JobKind.REPLICATE,
                    "",
                    NOW - timedelta(minutes=31),
                    Progress(Text("Replicating to the cloud"), bytes_done=6_812_000_000, bytes_total=9_204_551_680),
                    rate=4_310_000.0,
                    eta_seconds=555,
                ),
            ),
            results=(
                ran(
                    80,
                    JobKind.BACKUP,
                    books,
                    0.6,
                    4,
                    1_204_118_528,
                    backed_up(8_214, "1.204 GB", "96.31 MB", "5f0c1d2e"),
                ),
                ran(79, JobKind.CHECK, "vault", 4.2, 38, 402_118_551_040, checked),
                ran(78, JobKind.REPLICATE, "", 23.5, 96, 12_551_040_118, sent),
                ran(
                    77,
                    JobKind.BACKUP,
                    office,
                    24.1,
                    14,
                    73_118_442_240,
                    backed_up(34_090, "73.12 GB", "5.310 GB", "c41b77a9"),
                ),
                ran(76, JobKind.BACKUP, design, 31, 52, 88_251_400_192, *last_of_design),
            ),
            sources=(
                SourceStatus(
                    office,
                    "smb",
                    "総務部の共有フォルダー",
                    True,
                    True,
                    last_backup_at=NOW - timedelta(hours=24.1),
                    last_outcome=Outcome.DONE,
                ),
                SourceStatus(
                    books,
                    "folder",
                    "経理データ",
                    True,
                    True,
                    last_backup_at=NOW - timedelta(hours=0.6),
                    last_outcome=Outcome.DONE,
                ),
                SourceStatus(
                    design,
                    "disk",
                    "設計部 外付けディスク",
                    False,
                    True,
                    removable=True,
                    size_bytes=4_000_787_030_016,
                    last_backup_at=NOW - timedelta(hours=31),
                    last_outcome=last_of_design[1],
                ),
                SourceStatus(
                    "disk:by-uuid/1A2B-3C4D",
                    "disk",
                    "USB メモリー（KIOXIA TransMemory）",
                    True,
                    False,
                    removable=True,
                    size_bytes=31_042_043_904,
                ),
            ),
            vault=PlaceStatus("/srv/vault", True, NOW, 441_870_113_792, 214),
            cloud=PlaceStatus(cloud, True, NOW - timedelta(seconds=20), used, 211),
            capacity=CapacityStatus(500_000_000_000, used, 5_000_000_000, NOW),
            plugins=(
                PluginStatus(
                    "folder", "kurabako", "0.1.0", "active", None, ("storages", "discover_sources", "open_source")
                ),
                PluginStatus("smb", "kurabako", "0.1.0", "active", None, ("discover_sources", "open_source", "checks")),
                PluginStatus("leds", "kurabako", "0.1.0", "active", None, ("settings_sections", "status_outputs")),
            ),
            overdue_after=timedelta(hours=48),
            next_run_at=NOW + timedelta(hours=7, minutes=19),
            page_urls=("http://192.168.10.20:8080/",),
            zone=TOKYO,
        ),
        NOW,
    )


def every_kind_of_source() -> tuple[SourceStatus, ...]:
    """Sources of every kind that the plugins offer, with what they say of those that something is the matter with."""
    unclean = Text(
        "It was not ejected properly: the journal of its file system ({kind}) holds changes that were not carried out. "
        "The box writes nothing to it, so what was changed last may be missing from the backup. Connect it to its "
        "computer and eject it there.",
        {"kind": "ext4"},
    )
    announced = Text(
        "It announced itself on the network. To be offered its shares, name it in [[smb.servers]]: //{server}",
        {"server": "LS520D7A1"},
    )
    backed_up_at, last = NOW - timedelta(hours=7), Outcome.DONE
    good = (True, True, True, None, None, False, backed_up_at, last)
    return (
        SourceStatus("smb://fs01/keiri", "smb", "fs01 の keiri", *good),
        SourceStatus("smb://fs01/eigyo", "smb", "fs01 の eigyo", *good),
        SourceStatus(
            "smb://nas2/archive", "smb", "nas2 の archive", True, False, note=Text("it does not answer")
        ),
        SourceStatus("smb-server:ls520d7a1.local", "smb-server", "LS520D7A1", True, False, False, announced),
        SourceStatus("samba:kyoyu", "samba", "本機の共有フォルダー kyoyu", True, False),
        SourceStatus(
            "disk:uuid/6f1c", "disk", "IODATA HDJA-UT（ext4）", True, True, True, None, 8_001_563_222_016, True,
            backed_up_at, Outcome.PARTIAL, start="both", note=unclean, may_unplug=False,
        ),
        SourceStatus(
            "disk:uuid/41bd", "disk", "BUFFALO SSD-PGU3", True, False, False,
            Text("It is encrypted with BitLocker and locked."), 960_197_124_096, True, may_unplug=True,
        ),
        SourceStatus(
            "disk:uuid/2019-04-01", "disk", "設計図 2018（DVD、ISO 9660）", True, True, True, None, 4_607_442_944, True,
            NOW - timedelta(days=3), last, start="arrival", may_unplug=True,
        ),
        SourceStatus("folder:/srv/kyuyo", "folder", "給与データ", True, True),
    )  # fmt: skip
