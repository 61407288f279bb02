"""Images from a suite's file to a verdict, through the command line."""

import json
from pathlib import Path

import pytest
from cli_support import run_apart, run_here
from image_support import CORNERS

TASK = "{id: ./corners.py, kwargs: {size: 6}, references: {random: 1, solved: 4, source: exact}, bounds: [0, 4]}"
SUITE = """
name: corners
seeds: 1
budget: {{env_steps: 2000}}
evaluation: {{every: 2000, episodes: 10}}
tasks: [{task}]
algorithms:
  - {{use: haepo-weighted, params: {{trajectories: 32{more}}}}}
  - {{use: ppo-batched, params: {{n_epochs: 4, learning_rate: 0.001{more}}}}}
  - {{use: ppo, params: {{n_epochs: 4, learning_rate: 0.001{more}}}}}
execution: {{device: cpu, workers: 1}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "corners.py").write_text(CORNERS)
    (tmp_path / "corners.yaml").write_text(SUITE.format(task=TASK, more=""))
    return tmp_path


def test_corners_are_learnt_by_all_three_loops(folder: Path) -> None:
    """A random policy gets 1 of 4, the best 4; fixed seeds."""
    described = run_apart("describe", "./corners.py", cwd=folder)
    assert described.code == 0, described.err
    assert "images, 10 x 10 pixels of 4 channels" in described.out
    assert "minatar: 16 filters 3 x 3, 128 units" in described.out
    done = run_apart("run", "corners.yaml", "--quiet", cwd=folder)
    assert done.code == 0, done.err
    files = (folder / "results" / "corners").rglob("seed-*.json")
    records = [json.loads(path.read_text()) for path in files]
    greedy = {record["algorithm"]: record["final"]["eval_return_greedy"] for record in records}
    assert set(greedy) == {"haepo-weighted", "ppo-batched", "ppo"}
    assert min(greedy.values()) > 2.5


def test_validate_refuses_what_no_network_could_learn_from(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    large = TASK.replace("size: 6", "size: 40")
    (folder / "large.yaml").write_text(SUITE.format(task=large, more=", encoder: none"))
    code, _, err = run_here(capsys, "validate", str(folder / "large.yaml"))
    assert code == 4
    assert err.count("a fully connected network would see 6,400 pixels") == 3
    assert "leave encoder out: the default is nature" in err
