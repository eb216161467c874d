"""Makes the table in `docs/services.md` from the tests' names: `python -m tests.contract.services_table`.

`test_KSG_01_…` anywhere below `tests/` shows row KSG-01; `test_KSG_02_days_…` shows the days and sums of its row only.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

TESTS = Path(__file__).parents[1]
DOCUMENT = TESTS.parent / "docs" / "services.md"
ROWS: Mapping[str, Mapping[str, str]] = tomllib.loads((TESTS / "contract" / "rows.toml").read_text("utf-8"))
HOLDS, DAYS, OPEN = "holds", "days and sums hold", "open"

_NAMES = re.compile(r"^(?:async )?def (test_(KSG|NO1|MJS|KNT|DNT)_(\d\d)_(days_)?\w+)", re.MULTILINE)
_SERVICES = {"KSG": "`ksg`", "NO1": "`no1`", "MJS": "`mjs`", "KNT": "`knet`", "DNT": "`dnet`"}
_BEGIN = "<!-- made by tests/contract/services_table.py -->\n"


def shown() -> dict[str, str]:
    """What is shown of each row that some test is named for."""
    rows: dict[str, str] = {}
    for path in sorted(TESTS.rglob("test_*.py")):
        for _, service, number, days in _NAMES.findall(path.read_text("utf-8")):
            row = f"{service}-{number}"
            if not days or row not in rows:
                rows[row] = DAYS if days else HOLDS
    return rows


def table() -> Iterator[str]:
    """The table's lines, and a count per service before them."""
    found = shown()
    yield "| service | rows | hold | days and sums hold | open |"
    yield "|---|---|---|---|---|"
    for prefix, name in _SERVICES.items():
        states = [found.get(row, OPEN) for row in ROWS if row.startswith(prefix)]
        yield f"| {name} | {len(states)} | " + " | ".join(str(states.count(one)) for one in (HOLDS, DAYS, OPEN)) + " |"
    yield ""
    yield "| row | when | clause | |"
    yield "|---|---|---|---|"
    for row, about in ROWS.items():
        yield f"| {row} | {about['when']} | {about['clause']} | {found.get(row, OPEN)} |"


def claimed() -> dict[str, str]:
    """What the document says of each row."""
    return dict(re.findall(r"^\| (\w{3}-\d\d) \| .* \| ([^|]+) \|$", DOCUMENT.read_text("utf-8"), re.MULTILINE))


def main() -> None:
    """Writes the table below the mark, to the end of the document."""
    text = DOCUMENT.read_text("utf-8")
    head, mark, _ = text.partition(_BEGIN)
    if not mark:
        raise SystemExit(f"{DOCUMENT} has no line {_BEGIN!r}")
    DOCUMENT.write_text(head + mark + "\n" + "\n".join(table()) + "\n", "utf-8")


if __name__ == "__main__":
    main()
