"""The GitHub Action: its shell steps, run as a runner runs them."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from cli_support import ROOT, run_apart

ACTION: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
INSTALL, GATE = ACTION["runs"]["steps"]

SUITE = """
name: tiny
seeds: 20
evaluation: {episodes: 2, every: 20}
tasks: [{id: bandit/pi-squared, budget: {env_steps: 40}}]
algorithms: [{use: reinforce, params: {trajectories: 4, hidden: [8]}}]
execution: {workers: 1}
"""


class Runner:
    """A runner's files and variables.

    Args:
        folder: working directory of the job.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.summary, self.output = folder, folder / "summary", folder / "output"
        self.temporary = folder / "temporary files"
        self.temporary.mkdir(exist_ok=True)

    def step(self, step: dict[str, Any], **inputs: str) -> "subprocess.CompletedProcess[str]":
        """Runs one step; inputs that are not given have their defaults."""
        assert step["shell"] == "bash"
        self.summary.write_text("")
        self.output.write_text("")
        values = {name: entry.get("default", "") for name, entry in ACTION["inputs"].items()} | inputs
        variables = {name: re.sub(r"\$\{\{ inputs\.([\w-]+) \}\}", lambda m: values[m[1]], text)
                     for name, text in step["env"].items()}  # fmt: skip
        return subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
            cwd=self.folder,
            env={
                **os.environ, "PYTHONPATH": str(ROOT), "RUNNER_TEMP": str(self.temporary), **variables,
                "GITHUB_STEP_SUMMARY": str(self.summary), "GITHUB_OUTPUT": str(self.output),
                "GITHUB_ACTION_PATH": "/actions/haepo bench",
            },
            capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip

    def outputs(self) -> dict[str, str]:
        return dict(line.split("=", 1) for line in self.output.read_text().splitlines())


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Runner:
    """With a tiny suite and two baselines: of the code as it is, and one that nothing can reach."""
    folder = tmp_path_factory.mktemp("job")
    (folder / "tiny.yaml").write_text(SUITE)
    assert run_apart("run", "tiny.yaml", "--quiet", cwd=folder).code == 0
    record = ("baseline", "results/tiny", "--out", "right.json", "--reason", "for a test", "--min-seeds", "20")
    assert run_apart(*record, "--allow-dirty", cwd=folder).code == 0
    document = json.loads((folder / "right.json").read_text())
    for run in document["cells"][0]["runs"]:
        run["area"] += 1.0
        run["digest"] = "0" * 16
    (folder / "high.json").write_text(json.dumps(document))
    return Runner(folder)


def test_every_input_and_output_is_used_and_declared() -> None:
    text = (ROOT / "action.yml").read_text(encoding="utf-8")
    assert set(re.findall(r"inputs\.([\w-]+)", text)) == set(ACTION["inputs"])
    assert {entry["value"] for entry in ACTION["outputs"].values()} == {
        f"${{{{ steps.gate.outputs.{name} }}}}" for name in ACTION["outputs"]
    }
    assert all("${{" not in step["run"] for step in ACTION["runs"]["steps"])


def test_an_unchanged_tree_is_green(runner: Runner) -> None:
    done = runner.step(GATE, suite="tiny.yaml", baseline="right.json", python=sys.executable, arguments="--quiet")
    assert done.returncode == 0, done.stdout + done.stderr
    outputs = runner.outputs()
    assert outputs["exit-code"] == "0"
    assert runner.summary.read_text() == Path(outputs["markdown"]).read_text()
    assert "no regression: 1 identical" in runner.summary.read_text()
    assert json.loads(Path(outputs["json"]).read_text())["exit_code"] == 0
    assert Path(outputs["junit"]).read_text().startswith("<?xml")


@pytest.mark.slow
def test_a_regression_fails_the_step_and_is_shown(runner: Runner) -> None:
    done = runner.step(GATE, suite="tiny.yaml", baseline="high.json", python=sys.executable, results="results/high")
    assert done.returncode == 1, done.stdout + done.stderr
    assert runner.outputs()["exit-code"] == "1"
    assert "regression: 1 worse" in runner.summary.read_text()
    assert "::error title=worse%3A reinforce on bandit/pi-squared::" in done.stdout


def test_a_mistake_reaches_the_summary_too(runner: Runner) -> None:
    done = runner.step(GATE, suite="tiny.yaml", baseline="none.json", python=sys.executable)
    assert done.returncode == 4
    assert "no verdict (exit code 4)" in runner.summary.read_text()
    assert "there is no such file" in done.stderr


@pytest.mark.parametrize(
    ("install", "words"),
    [
        ("", ["-c", "/actions/haepo bench/constraints.txt", "/actions/haepo bench"]),
        ("haepo-bench==1.0 my-plugin", ["haepo-bench==1.0", "my-plugin"]),
    ],
)
def test_what_is_installed(tmp_path: Path, install: str, words: list[str]) -> None:
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    python.chmod(0o755)
    done = Runner(tmp_path).step(INSTALL, python=str(python), install=install)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["-m", "pip", "install", "--disable-pip-version-check", *words]


FAKES = {
    "pip": "exit 0",
    "haepo-bench": 'echo "$@" > arguments; echo "### regression" > verdict.md; exit 1',
    "curl": 'for each in "$@"; do echo "$each"; done > posted; exit 22',
}


def test_the_gitlab_job_posts_the_verdict_and_fails_with_its_exit_code(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "how-to" / "regression.md").read_text(encoding="utf-8")
    job = yaml.safe_load(text[text.index("gate:\n  image:") :].partition("```")[0])["gate"]
    tools = tmp_path / "bin"
    tools.mkdir()
    for name, script in FAKES.items():
        (tools / name).write_text(f"#!/bin/sh\n{script}\n")
        (tools / name).chmod(0o755)
    variables = {"CI_API_V4_URL": "https://git.example/api/v4", "CI_PROJECT_ID": "7", "CI_MERGE_REQUEST_IID": "5"}

    def run(token: str) -> int:
        path = os.pathsep.join([str(tools), os.environ["PATH"]])
        done = subprocess.run(
            ["bash", "-eo", "pipefail", "-c", "\n".join(job["script"])],
            cwd=tmp_path,
            env={**os.environ, **variables, "PATH": path, "GATE_TOKEN": token, "HAEPO_BENCH": "."},
            capture_output=True,
            check=False,
        )
        return done.returncode

    assert run("") == 1
    assert not (tmp_path / "posted").exists()
    assert run("secret") == 1  # a note that cannot be posted changes no verdict
    posted = (tmp_path / "posted").read_text().splitlines()
    assert "body=<verdict.md" in posted
    assert posted[-1] == "https://git.example/api/v4/projects/7/merge_requests/5/notes"
    written = (tmp_path / "arguments").read_text().split()
    assert {*job["artifacts"]["paths"], job["artifacts"]["reports"]["junit"]} <= set(written)
