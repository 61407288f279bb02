"""Files of learning curves as other programs write them, made up for tests of `import`."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import yaml

TASK = "gym/CartPole-v1"
REFERENCES = {"random": 20.0, "solved": 120.0, "source": "made up"}


def write_mapping(folder: Path, *sources: dict[str, Any], **changes: Any) -> Path:
    """A mapping of one task; each source has its task and the algorithm `theirs` unless it says otherwise."""
    document = {
        "suite": "elsewhere",
        "budget": 100,
        "every": 25,
        "tasks": {TASK: {"references": REFERENCES}},
        "sources": [{"task": TASK, "algorithm": "theirs", **source} for source in sources],
        **changes,
    }
    path = folder / "mapping.yaml"
    path.write_text(yaml.safe_dump({key: value for key, value in document.items() if value is not None}))
    return path


def write_csv(path: Path, rows: list[list[Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(",".join("" if cell is None else str(cell) for cell in row) for row in rows) + "\n")
    return path


def write_curve(path: Path, points: list[tuple[Any, Any]]) -> Path:
    """A CSV of one run: env_steps and eval_return."""
    return write_csv(path, [["env_steps", "eval_return"], *map(list, points)])


def write_monitor(path: Path, lengths: list[int], returns: list[float], start: float = 1000.0) -> Path:
    rows = [f'#{{"t_start": {start}, "env_id": "CartPole-v1"}}', "r,l,t"]
    seconds = np.cumsum(lengths) * 0.1
    rows += [f"{r},{n},{t:.3f}" for r, n, t in zip(returns, lengths, seconds, strict=True)]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(rows) + "\n")
    return path


def write_evaluations(path: Path, steps: list[int], results: Any) -> Path:
    file = io.BytesIO()
    np.savez(file, timesteps=np.array(steps), results=np.array(results), ep_lengths=np.zeros_like(results))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(file.getvalue())
    return path


def stored(results: Path, suite: str = "elsewhere") -> dict[tuple[str, int], dict[str, Any]]:
    """Algorithm and seed to the record as JSON, read without the package."""
    documents = [json.loads(path.read_text()) for path in (results / suite).glob("*--*/seed-*.json")]
    return {(one["algorithm"], one["seed"]): one for one in documents}
