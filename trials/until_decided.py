"""Does `run --until-decided` decide the same, however often it is killed? Kills it at random moments, with SIGKILL.

    python trials/until_decided.py [--kills 20] [--seed 0] [--max-seeds 60] [--keep FOLDER]

A suite with one clear, one null and one close comparison is decided once without a disturbance, and once by a command
that is killed with all its processes again and again, until it has been killed so often or ends by itself. Then both
must have run the same seeds of the same cells, with the same decisions. Exit code 1 where they have not.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SUITE = {
    "name": "trial",
    "seeds": 5,
    "budget": {"env_steps": 640},
    "evaluation": {"every": 128},
    "tasks": ["corridor/8"],
    "algorithms": [
        {"use": "rloo", "name": "clear", "params": {"learning_rate": 0.1}},
        {"use": "rloo", "name": "same", "params": {"learning_rate": 0.003}},
        {"use": "rloo", "name": "close", "params": {"learning_rate": 0.01}},
        {"use": "reinforce", "name": "base", "params": {"learning_rate": 0.003}},
    ],
    "claims": {"candidate": "rloo", "made": ["converges fast"]},
    "execution": {"workers": 1, "device": "cpu"},
}


def command(folder: Path, results: str, most: int) -> list[str]:
    """The command that is tried."""
    program = [sys.executable, "-m", "haepo_bench", "run", str(folder / "trial.yaml")]
    return [*program, "--until-decided", "--max-seeds", str(most), "--results", str(folder / results)]


def runs_of(folder: Path) -> set[str]:
    """The runs stored, by cell and seed."""
    return {str(path.relative_to(folder)) for path in folder.rglob("seed-*.json")}


def decisions(out: str) -> list[str]:
    """The lines that say what was decided."""
    return [line for line in out.splitlines() if line.startswith("converges fast, ")]


def main() -> int:
    """Runs the trial; its exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--max-seeds", type=int, default=60)
    parser.add_argument("--keep", type=Path, help="folder for the runs, kept; default: a temporary one")
    arguments = parser.parse_args()
    moments = random.Random(arguments.seed)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) if not arguments.keep else arguments.keep
        folder.mkdir(exist_ok=True)
        (folder / "trial.yaml").write_text(json.dumps(SUITE))
        begun = time.monotonic()
        whole = subprocess.run(
            command(folder, "whole", arguments.max_seeds), env=environment, capture_output=True, text=True, check=True
        )
        took = time.monotonic() - begun
        print(*decisions(whole.stdout), sep="\n")
        print(f"{len(runs_of(folder / 'whole'))} runs in {took:.0f} s without a disturbance", flush=True)
        kills = 0
        while kills < arguments.kills:
            # Most moments early enough that there are so many before it ends.
            wait = moments.uniform(0.5, max(2.0, 2 * took / arguments.kills))
            process = subprocess.Popen(
                command(folder, "killed", arguments.max_seeds),
                env=environment,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            try:
                process.wait(wait)
                break
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                kills += 1
        last = subprocess.run(
            command(folder, "killed", arguments.max_seeds), env=environment, capture_output=True, text=True, check=True
        )
        same = decisions(last.stdout) == decisions(whole.stdout)
        same = same and runs_of(folder / "killed") == runs_of(folder / "whole")
        print(f"killed {kills} times: {'the same seeds and decisions' if same else 'other seeds or decisions'}")
        if not same:
            print(*decisions(last.stdout), sep="\n")
        return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
