"""Rules of the house that a reader would otherwise have to trust; the layers are import-linter's to check."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = [ROOT / "appliance", ROOT / "plugins", ROOT / "hw"]

LONGER_WITH_A_REASON: dict[str, str] = {}
"""Modules beyond 400 lines, each with the reason why it is one room and not two."""

REGISTRY_HOSTS = re.compile(
    r"pypi\.org|pythonhosted\.org|npmjs\.(?:org|com)|deb\.debian\.org|crates\.io|proxy\.golang\.org"
)


def _tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    return [ROOT / name.decode() for name in listed.split(b"\0") if name]


def test_no_module_outgrows_its_room() -> None:
    long = {
        str(module.relative_to(ROOT)): lines
        for package in PACKAGES
        for module in package.rglob("*.py")
        if (lines := module.read_text().count("\n")) > 400
    }
    assert set(long) == set(LONGER_WITH_A_REASON), long


def test_no_file_names_a_package_registry() -> None:
    naming = []
    for path in _tracked():
        if path == Path(__file__) or not path.is_file():
            continue
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue
        if REGISTRY_HOSTS.search(text):
            naming.append(str(path.relative_to(ROOT)))
    assert naming == []


def test_every_dependency_has_its_reason() -> None:
    """docs/dependencies.md has a row for each, so that none is added without saying why."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *(d for ds in project["optional-dependencies"].values() for d in ds)]
    names = {re.split(r"[\[><=~ ]", requirement)[0] for requirement in wanted} - {"kurabako"}
    rows = re.findall(r"^\| `([^`]+)`", (ROOT / "docs" / "dependencies.md").read_text(), re.MULTILINE)
    assert sorted(rows) == sorted(names)


def test_every_runtime_dependency_is_imported() -> None:
    """A dependency that nothing imports earns nothing."""
    modules = {"pyserial": "serial", "requests-aws4auth": "requests_aws4auth", "smbprotocol": "smb(?:client|protocol)"}
    source = "\n".join(module.read_text() for package in PACKAGES for module in package.rglob("*.py"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for requirement in project["dependencies"]:
        name = re.split(r"[\[><=~ ]", requirement)[0]
        module = modules.get(name, name.replace("-", "_"))
        assert re.search(rf"^\s*(?:import|from) {module}\b", source, re.MULTILINE), name


def test_the_readmes_name_the_two_commands() -> None:
    for name in ("README.md", "README.ja.md"):
        text = (ROOT / name).read_text()
        assert "make run" in text
        assert "make test" in text
