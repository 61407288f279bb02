"""The committed lock: complete, within what pyproject.toml allows, and used by every command that installs."""

import re
import tomllib
from typing import Any

import pytest
from cli_support import ROOT
from packaging.requirements import Requirement

PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]
DIRECT = [
    Requirement(text) for text in [*PROJECT["dependencies"], *(text for extra in EXTRAS.values() for text in extra)]
]


def locked() -> list[Requirement]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.parametrize("requirement", DIRECT, ids=str)
def test_the_lock_has_a_version_that_pyproject_allows(requirement: Requirement) -> None:
    if requirement.name == "haepo-bench":  # an extra that takes in others
        assert requirement.extras <= EXTRAS.keys()
        return
    pins = [pin for pin in locked() if normal(pin.name) == normal(requirement.name)]
    assert pins, "run nox -s lock"
    for pin in pins:
        (version,) = pin.specifier
        assert version.operator == "=="
        assert requirement.specifier.contains(version.version), "run nox -s lock"


def test_pip_takes_the_lock_as_constraints() -> None:
    """pip refuses constraints with extras, hashes or addresses."""
    for pin in locked():
        assert not pin.extras
        assert pin.url is None


def test_what_the_readme_and_the_checks_install_is_locked() -> None:
    for name in ("README.md", ".ci/run", "CONTRIBUTING.md"):
        path = ROOT / name
        if not path.is_file():
            continue
        commands = re.findall(r"pip install [^`&\n]*", path.read_text(encoding="utf-8"))
        ours = [command for command in commands if re.search(r" '?\.(\[|'| |$)", command)]
        assert ours
        for command in ours:
            assert "-c constraints.txt" in command or command == "pip install .", command
