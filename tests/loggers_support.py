"""A suite that is logged to other people's tools, and its records."""

import json
from pathlib import Path
from typing import Any, NamedTuple

SUITE: dict[str, Any] = {
    "name": "small",
    "seeds": 2,
    "budget": {"env_steps": 400},
    "evaluation": {"every": 100, "episodes": 3},
    "tasks": ["bandit/10-arm", "gym/CartPole-v1"],
    "algorithms": [{"use": "grpo", "params": {"trajectories": 4}}, "reinforce"],
    "execution": {"workers": 1},
}
TOOLS = ("tensorboard", "wandb", "trackio", "mlflow")


class Logged(NamedTuple):
    """The folder of the suite file, that of its results, and its records by task, algorithm and seed."""

    folder: Path
    results: Path
    records: dict[tuple[str, str, int], dict[str, Any]]


def read_records(results: Path) -> dict[tuple[str, str, int], dict[str, Any]]:
    found = (json.loads(path.read_text()) for path in results.glob("*--*/seed-*.json"))
    return {(one["task"], one["algorithm"], one["seed"]): one for one in found}
