"""The recovery sheet (復旧シート): all that a person needs to restore everything without the box, on paper.

It holds the recovery key, so it is never served: the page stands on a LAN without a login and without encryption.
A command of the box's own user or of root writes it into a file that only they can read.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from datetime import datetime, tzinfo
from pathlib import Path

from appliance.text import LANGUAGES, T
from appliance.web.render import Renderer

_STYLE = Path(__file__).parent / "static" / "sheet.css"

_NOT_HERE = "…"


@dataclass(frozen=True)
class RecoverySheet:
    """What stands on a sheet. `url` is the repository's address as restic takes it; `secret` only when asked for."""

    box: str
    repository: str
    url: str
    key: str
    made_at: datetime
    access_key_id: str = ""
    secret: str = ""
    region: str = ""
    ca_file: str = ""
    virtual_addressing: bool = False

    def __repr__(self) -> str:
        return f"RecoverySheet({self.url!r})"

    @property
    def in_cloud(self) -> bool:
        """Whether it is about a cloud; a vault is a folder on a disk."""
        return not self.url.startswith("/")

    @property
    def endpoint(self) -> str:
        """`https://host[:port]` of an S3 address; empty for others."""
        return "/".join(self.url.removeprefix("s3:").split("/")[:3]) if self.url.startswith("s3:") else ""

    @property
    def bucket(self) -> str:
        """The bucket and the path in it."""
        return "/".join(self.url.removeprefix("s3:").split("/")[3:]) if self.url.startswith("s3:") else ""


def restic_commands(sheet: RecoverySheet) -> list[str]:
    """The lines that restore everything with stock restic in a POSIX shell."""
    lines = []
    if sheet.in_cloud:
        if sheet.access_key_id:
            lines.append(f"export AWS_ACCESS_KEY_ID={shlex.quote(sheet.access_key_id)}")
            lines.append(f"export AWS_SECRET_ACCESS_KEY={shlex.quote(sheet.secret or _NOT_HERE)}")
        if sheet.region:
            lines.append(f"export AWS_DEFAULT_REGION={shlex.quote(sheet.region)}")
    lines.append(f"export RESTIC_REPOSITORY={shlex.quote(sheet.url)}")
    lines.append(f"export RESTIC_PASSWORD={shlex.quote(sheet.key)}")
    restic = "restic"
    if sheet.ca_file:
        restic += f" --cacert {shlex.quote(sheet.ca_file)}"
    if sheet.virtual_addressing:
        restic += " -o s3.bucket-lookup=dns"
    lines += [f"{restic} snapshots", f"{restic} check", f"{restic} restore latest --target restored"]
    return lines


def render_recovery_sheet(sheet: RecoverySheet, zone: tzinfo) -> str:
    """The sheet as one HTML file, in both languages, that needs nothing else to be shown and printed."""
    renderer = Renderer(zone=zone)
    commands = "\n".join(restic_commands(sheet))
    title = " / ".join(T("Recovery sheet of {box}", box=sheet.box).render(language) for language in LANGUAGES)
    warning = " ".join(
        T("Keep it locked up, away from the box. Whoever has it can read the backups.").render(language)
        for language in LANGUAGES
    )
    facts = [
        ("エンドポイント / Endpoint", sheet.endpoint),
        ("バケット / Bucket", sheet.bucket),
        ("リージョン / Region", sheet.region),
        ("アクセスキー ID / Access key ID", sheet.access_key_id),
        ("シークレットアクセスキー / Secret access key", sheet.secret),
        ("リポジトリ / Repository", sheet.repository),
        ("作成日 / Made", sheet.made_at.astimezone(zone).strftime("%Y-%m-%d %H:%M")),
    ]
    return renderer.sheet(
        "recovery_sheet.html",
        "ja",
        sheet=sheet,
        title=title,
        warning=warning,
        facts=[(name, value) for name, value in facts if value],
        style=_STYLE.read_text("utf-8"),
        codes={"key": _code(sheet.key), "place": _code(sheet.url)},
        instructions={
            language: renderer.sheet("recovery_instructions.html", language, sheet=sheet, commands=commands)
            for language in LANGUAGES
        },
    )


def _code(text: str) -> str:
    """A QR code as SVG."""
    import segno

    return str(segno.make(text, error="m", micro=False).svg_inline(scale=4, border=4))
