"""What messages say of mistakes that people make: something true, and something that helps."""

from pathlib import Path

import pytest
from cli_support import run_here

GOOD = {
    "name": "name: mine",
    "seeds": "seeds: 1",
    "budget": "budget: {env_steps: 100}",
    "tasks": "tasks: [bandit/10-arm]",
    "algorithms": "algorithms: [reinforce]",
}

#: Lines in place of those above, and what must and must not be said.
MISTAKES: dict[str, tuple[dict[str, str], list[str], str]] = {
    "a task alone": (
        {"tasks": "tasks: bandit/10-arm"},
        ["4: tasks: must be a list", "write tasks: [bandit/10-arm]"],
        "",
    ),
    "a task with a comma alone": (
        {"tasks": "tasks: noise(bandit/10-arm,1)"},
        ["write tasks: ['noise(bandit/10-arm,1)']"],
        "",
    ),
    "algorithms as a mapping": (
        {"algorithms": "algorithms: {reinforce: {epochs: 2}}"},
        ["5: algorithms: must be a list", "such as - reinforce"],
        "",
    ),
    "hyper-parameters beside the name": (
        {"algorithms": "algorithms: [{use: reinforce, epochs: 2}]"},
        ["5: algorithms[0].epochs: unknown key", "belong below params, as in params: {epochs: ...}"],
        "",
    ),
    "hyper-parameters of a task beside params": (
        {"algorithms": "algorithms: [{use: reinforce, per_task: {bandit/10-arm: {epochs: 2}}}]"},
        ["as in params: {epochs: ...}"],
        "",
    ),
    "a budget as a number": ({"budget": "budget: 100"}, ["3: budget: must be", "write budget: {env_steps: 100}"], ""),
    "a key of another section": (
        {"budget": "env_steps: 100"},
        ["3: env_steps: unknown key", "it is a key of budget and of tasks.budget"],
        "",
    ),
    "workers at the top": ({"workers": "workers: 2"}, ["it is a key of execution"], ""),
    "a section as a number": ({"e": "evaluation: 10"}, ["6: evaluation: must be", "its keys are every, episodes"], ""),
    "a candidate that is not there": (
        {"claims": "claims: {candidate: haepo}"},
        ["the suite has no algorithm 'haepo'", "known algorithms: reinforce"],
        "did you mean",
    ),
    "a decimal comma": (
        {"algorithms": "algorithms: [{use: reinforce, params: {learning_rate: 0,001}}]"},
        ["a decimal is written with a point"],
        "quotes",
    ),
    "an algorithm for a task": ({"tasks": "tasks: [grpo]"}, ["'grpo' is an algorithm, not a task"], "known"),
    "a task for an algorithm": (
        {"algorithms": "algorithms: [gym/CartPole-v1]"},
        ["is a task, not an algorithm"],
        "known",
    ),
    "a file for an algorithm that is not there": (
        {"algorithms": "algorithms: [./mine.py]"},
        ["there is no file ./mine.py in the suite's folder", "haepo-bench new"],
        "",
    ),
    "a file for a task": (
        {"tasks": "tasks: ['mine.py:Task']"},
        ["tasks of your own are files in the suite's folder", "write ./mine.py:Task"],
        "",
    ),
    "a time limit that a task does not take": (
        {"tasks": "tasks: [{id: bandit/10-arm, time_limit: 3}]"},
        ["4: tasks[0].time_limit: a bandit's episode is one pull"],
        "",
    ),
    "a quote that is not closed": ({"name": "name: 'mine"}, ["not valid YAML", "(begun on line 1)"], ""),
    "a bracket that is not closed": (
        {"algorithms": "algorithms: [reinforce"},
        ["not valid YAML", "(begun on line 5)"],
        "",
    ),
    "a star": ({"description": "description: *bold*"}, ["mine.yaml:6", "put quotes around text that begins with"], ""),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes(mistake: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    changed, said, unsaid = MISTAKES[mistake]
    suite = tmp_path / "mine.yaml"
    suite.write_text("\n".join({**GOOD, **changed}.values()) + "\n")
    code, out, err = run_here(capsys, "validate", str(suite))
    assert (code, out) == (4, "")
    for text in said:
        assert text in err
    assert not unsaid or unsaid not in err


def test_a_file_that_is_no_baseline_is_not_called_damaged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.yaml").write_text("\n".join(GOOD.values()))
    code, _, err = run_here(capsys, "gate", str(tmp_path / "mine.yaml"), "--baseline", str(tmp_path / "mine.yaml"))
    assert code == 4
    assert "is not a baseline: it does not hold JSON" in err
    assert "damaged" not in err


def test_describe_knows_a_suite(capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        "'quickstart' is a suite\n  haepo-bench validate quickstart" in run_here(capsys, "describe", "quickstart").err
    )
