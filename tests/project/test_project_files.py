"""What a stranger relies on before reading code: workflows, hooks, contribution pages, decisions, citation."""

import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from cli_support import ROOT
from test_architecture import ARROWS

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
DECISIONS = sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md"))
PAGES = [
    *(ROOT / name for name in ("CONTRIBUTING.md", "CODE_OF_CONDUCT.md", "SECURITY.md")),
    ROOT / "docs" / "decisions" / "README.md",
    *DECISIONS,
]
#: Actions of the platform itself, PyPI's own publisher, and this repository's.
ACTIONS = {
    "./",
    "actions/checkout@v4",
    "actions/download-artifact@v4",
    "actions/setup-python@v5",
    "actions/upload-artifact@v4",
    "pypa/gh-action-pypi-publish@release/v1",
}


def load(path: Path) -> dict[str, Any]:
    # YAML 1.1 reads the key `on` as true.
    return {"on" if key is True else key: value for key, value in yaml.safe_load(path.read_text("utf-8")).items()}


def steps(workflow: dict[str, Any]) -> list[dict[str, Any]]:
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


def test_there_is_a_workflow_for_each_purpose() -> None:
    found = {path.stem: load(path) for path in WORKFLOWS}
    assert set(found) == {"tests", "gate", "newest", "release"}
    assert set(found["tests"]["on"]) == {"push", "pull_request"}
    assert found["gate"]["on"] == "pull_request"
    assert "schedule" in found["newest"]["on"]
    assert found["release"]["on"] == {"release": {"types": ["published"]}}
    assert found["tests"]["jobs"]["tests"]["strategy"]["matrix"]["python"] == ["3.11", "3.12", "3.13", "3.14"]
    assert PROJECT["requires-python"] == ">=3.11"
    assert [step["run"] for step in steps(found["tests"]) if "run" in step] == [".ci/run"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflows_may_do_little_and_use_known_actions(path: Path) -> None:
    workflow = load(path)
    assert workflow["permissions"] == {"contents": "read"}
    assert {step["uses"] for step in steps(workflow) if "uses" in step} <= ACTIONS
    for step in steps(workflow):
        if "run" in step:
            # What an event says must not become a command.
            assert "${{ github." not in step["run"]
            subprocess.run(["bash", "-n"], input=step["run"], text=True, check=True)
    writers = [job["permissions"] for job in workflow["jobs"].values() if "permissions" in job]
    assert writers == ([{"id-token": "write"}] if path.stem == "release" else [])
    assert "secrets." not in path.read_text(encoding="utf-8")


def test_the_gate_is_this_repositorys_own_action() -> None:
    (step,) = [step for step in steps(load(ROOT / ".github" / "workflows" / "gate.yml")) if step.get("uses") == "./"]
    inputs = load(ROOT / "action.yml")["inputs"]
    assert set(step["with"]) <= set(inputs)
    assert {name for name, entry in inputs.items() if entry.get("required")} <= set(step["with"])
    for name in ("suite", "baseline"):
        assert (ROOT / step["with"][name]).is_file()


def test_only_the_job_that_publishes_may_publish() -> None:
    jobs = load(ROOT / ".github" / "workflows" / "release.yml")["jobs"]
    assert jobs["publish"]["needs"] == "build"
    assert jobs["publish"]["environment"] == "pypi"
    assert not any("run" in step for step in jobs["publish"]["steps"])


def test_hooks_are_local() -> None:
    repositories = load(ROOT / ".pre-commit-config.yaml")["repos"]
    assert [repository["repo"] for repository in repositories] == ["local"]
    for hook in repositories[0]["hooks"]:
        assert hook["language"] == "system"
        assert hook["entry"].startswith(".venv/bin/")
    assert {"ruff-check", "ruff-format", "mypy"} <= {hook["id"] for hook in repositories[0]["hooks"]}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_links_lead_somewhere(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        file, _, anchor = target.partition("#")
        page = (path.parent / file).resolve()
        assert page.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}, target
    assert max(len(line) for line in text.splitlines() if not line.startswith("|")) <= 160


def test_files_that_pages_name_are_there() -> None:
    named = set()
    for path in PAGES:
        text = re.sub(r"^```.*?^```", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
        named |= set(
            re.findall(
                r"`((?:haepo_bench|tests|docs|benchmarks|studies|trials|tools|baselines|suites)/[\w./-]*)`", text
            )
        )
    assert len(named) > 15
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []


def test_contributing_names_every_room() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rooms = {room for room in ARROWS if (ROOT / "haepo_bench" / room).is_dir() and room}
    assert rooms <= set(re.findall(r"^\| `(\w+)/` \|", text, flags=re.MULTILINE))


def test_each_decision_says_what_would_change_it() -> None:
    index = (ROOT / "docs" / "decisions" / "README.md").read_text(encoding="utf-8")
    assert len(DECISIONS) >= 10
    for number, path in enumerate(DECISIONS, 1):
        text = path.read_text(encoding="utf-8")
        title, *sections = re.findall(r"^#+ (.*)$", text, flags=re.MULTILINE)
        assert sections == ["Context", "Decision", "Consequences", "What would make us change it"]
        assert path.name.startswith(f"{number:04}-")
        assert title.startswith(f"{number}. ")
        assert re.search(r"^Status: (accepted|replaced by \d+)$", text, flags=re.MULTILINE)
        assert f"| [{number}]({path.name}) | {title.partition('. ')[2]} | accepted |" in index


def test_the_citation_is_of_this_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["cff-version"] == "1.2.0"
    assert {"message", "title", "authors", "type"} <= set(citation)
    assert citation["version"] == PROJECT["version"]
    assert citation["license"] == PROJECT["license"]
    assert [author["name"] for author in citation["authors"]] == [author["name"] for author in PROJECT["authors"]]


def test_nothing_names_a_host() -> None:
    files = [*PAGES, *WORKFLOWS, ROOT / ".pre-commit-config.yaml", ROOT / "CITATION.cff"]
    for path in files:
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"https?://|[\w.]+@[\w-]+\.\w+", text), path
