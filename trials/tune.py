"""Does `tune` find the same, however often it is killed, and in shards? Kills it at random moments, with SIGKILL.

    python trials/tune.py [--kills 50] [--seed 0] [--workers 1 2] [--shards 4] [--keep FOLDER]

A small search is made once without a disturbance; once for each number of workers by a command that is killed with all
its processes again and again, until it has been killed so often or ends by itself; and once in shards, which are
merged. Each must leave the same tuned file, byte for byte, and the same runs. Exit code 1 where one does not.
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
    "budget": {"env_steps": 512},
    "evaluation": {"every": 128, "episodes": 4},
    "tasks": ["random-walk/4", "corridor/8"],
    "algorithms": ["rloo", {"use": "reinforce", "params": {"trajectories": 8}}, "uniform"],
    "claims": {"candidate": "rloo", "baselines": ["reinforce"], "made": ["converges fast"]},
    "search": {"trials": 3, "seeds": 2, "replicates": 4},
    "execution": {"workers": 1, "device": "cpu"},
}


def command(folder: Path, results: str, *more: str) -> list[str]:
    """The command that is tried; its tuned file is next to its results."""
    program = [sys.executable, "-m", "haepo_bench", "tune", str(folder / "trial.yaml")]
    return [*program, "--results", str(folder / results), "--out", str(folder / f"{results}.tuned.yaml"), *more]


def run(arguments: list[str], environment: dict[str, str]) -> None:
    """Runs a command to its end.

    Raises:
        RuntimeError: it failed; with what it said.
    """
    done = subprocess.run(arguments, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(arguments[2:])}: exit code {done.returncode}\n{done.stderr[-2000:]}")


def killed(folder: Path, results: str, workers: int, kills: int, moments: random.Random, took: float) -> int:
    """Runs a command that is killed so often, or until it ends by itself; how often it was.

    Args:
        took: seconds that it takes without a disturbance.
    """
    environment, count = {**os.environ, "PYTHONPATH": str(ROOT)}, 0
    while count < kills:
        # Most moments early enough that there are so many before it ends.
        wait = moments.uniform(0.5, max(4.0, 3 * took / kills))
        process = subprocess.Popen(
            command(folder, results, "--workers", str(workers)),
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
            count += 1
    run(command(folder, results, "--workers", str(workers)), environment)
    return count


def sharded(folder: Path, shards: int, environment: dict[str, str]) -> None:
    """Runs the search in shards, merges these, and lets it end."""
    for number in range(1, shards + 1):
        run(command(folder, "sharded", "--shard", f"{number}/{shards}"), environment)
    root = folder / "sharded" / "trial" / "search"
    program = [sys.executable, "-m", "haepo_bench", "merge", str(root / "shards"), "--into", str(root)]
    run(program, environment)
    run(command(folder, "sharded"), environment)


def runs_of(folder: Path) -> set[str]:
    """The runs stored in a search's folder, by cell and seed."""
    root = folder / "trial" / "search"
    return {str(path.relative_to(root)) for path in root.glob("*/seed-*.json")}


def main() -> int:
    """Runs the trial; its exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--shards", type=int, default=4)
    parser.add_argument("--keep", type=Path, help="folder for the runs, kept; default: a temporary one")
    arguments = parser.parse_args()
    moments = random.Random(arguments.seed)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    good = True
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) if not arguments.keep else arguments.keep
        folder.mkdir(exist_ok=True)
        (folder / "trial.yaml").write_text(json.dumps(SUITE))
        begun = time.monotonic()
        run(command(folder, "whole"), environment)
        took = time.monotonic() - begun
        expected = (folder / "whole.tuned.yaml").read_bytes()
        print(f"{len(runs_of(folder / 'whole'))} runs in {took:.0f} s without a disturbance", flush=True)

        def compare(results: str, what: str) -> bool:
            same = (folder / f"{results}.tuned.yaml").read_bytes() == expected
            same = same and runs_of(folder / results) == runs_of(folder / "whole")
            print(
                f"{what}: {'the same tuned file and runs' if same else 'another tuned file, or other runs'}", flush=True
            )
            return same

        for workers in arguments.workers:
            results = f"killed-{workers}"
            count = killed(folder, results, workers, arguments.kills, moments, took)
            good &= compare(results, f"killed {count} times with --workers {workers}")
        if arguments.shards:
            sharded(folder, arguments.shards, environment)
            good &= compare("sharded", f"in {arguments.shards} shards, merged")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
