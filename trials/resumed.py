"""Does a run that was killed end as one that was never stopped? Kills a suite again and again, and compares.

    python trials/resumed.py [--kills 20] [--seed 0] [--engine torch|compiled]

`run` of one of a few algorithms on episodes and on segments, drawn anew each time, gets SIGKILL, with its workers, at a
random moment after its first, second or third checkpoint. A suite of which a run ends before is run to its end and
begun anew. In the end every record must be that of an undisturbed suite, clocks and provenance apart; no checkpoint may
be left, and none was unusable. Exit code 1 where anything else happened.
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
from collections import Counter
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
TASKS = {"gym/CartPole-v1": 16_000, "multi-goal/4": 8_000}
ALGORITHMS: dict[str, dict[str, Any]] = {
    "reinforce": {},
    "a2po": {"reference": 5},
    "soup": {"history_interval": 3},
    "ppo-batched": {"n_steps": 64, "n_envs": 4},
}
SUITE = {
    "name": "trial",
    "seeds": 3,
    "evaluation": {"every": 2_000, "episodes": 5},
    "tasks": [{"id": task, "budget": {"env_steps": steps}} for task, steps in TASKS.items()],
    "algorithms": [{"use": name, "params": params} for name, params in ALGORITHMS.items()],
    "execution": {"workers": 2, "device": "cpu", "checkpoint": 0},
}
CLOCKS = ("wall_seconds", "cpu_seconds", "evaluation_seconds", "seconds_per_step", "peak_memory_bytes")
_SECONDS = 1_800.0


class Trial:
    """A folder with the suite, and what undisturbed runs of it are."""

    def __init__(self, folder: Path, engine: str, draw: random.Random) -> None:
        self.folder, self.engine, self.draw = folder, engine, draw
        self.suite = folder / "suite.yaml"
        self.suite.write_text(json.dumps(SUITE), encoding="utf-8")
        self.killed: Counter[str] = Counter()
        self.broken: list[str] = []
        self.resumed = self.records_compared = 0
        whole = self.start(folder / "whole", "--set", "execution.checkpoint=1h")
        if whole.wait(_SECONDS):
            raise RuntimeError("the undisturbed suite failed")
        self.whole = records(folder / "whole")

    def start(self, results: Path, *more: str) -> "subprocess.Popen[bytes]":
        """`run` in a process group of its own."""
        command = [sys.executable, "-m", "haepo_bench", "run", str(self.suite), "--results", str(results)]
        return subprocess.Popen(
            [*command, "--engine", self.engine, "--quiet", *more],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.DEVNULL,
            process_group=0,
        )

    def kill(self, results: Path) -> bool:
        """Starts one cell that is not finished and kills it; False where it ended before."""
        done = {record["task"] + " " + record["algorithm"] for record in records(results).values()}
        cells = [(task, name) for task in TASKS for name in ALGORITHMS if f"{task} {name}" not in done]
        if not cells:
            return False
        process, before = self.start(results, *(f"--only={name}" for name in self.draw.choice(cells))), written(results)
        wanted, deadline = self.draw.randint(1, 3), time.monotonic() + _SECONDS
        seen: set[tuple[Path, int]] = set()
        while len({stamp for _, stamp in seen}) < wanted:
            if process.poll() is not None:
                if process.returncode:
                    self.broken.append(f"run ended with {process.returncode}")
                return False
            if time.monotonic() > deadline:
                raise RuntimeError("no checkpoint, and no end")
            seen |= set(written(results).items()) - set(before.items())
            time.sleep(0.005)
        time.sleep(self.draw.uniform(0.0, 0.3))
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for path in written(results):
            self.killed[path.parent.name.rpartition("--")[0]] += 1
        return True

    def end(self, results: Path) -> None:
        """Runs what is left and compares."""
        process = self.start(results)
        if process.wait(_SECONDS):
            self.broken.append(f"the last run ended with {process.returncode}")
        found = records(results)
        if found.keys() != self.whole.keys():
            self.broken.append(f"{len(found)} runs instead of {len(self.whole)}")
        for key, record in found.items():
            self.records_compared += 1
            if comparable(record) != comparable(self.whole[key]):
                self.broken.append(f"{key} is not what it would have been")
            self.resumed += len(record["provenance"].get("resumed", []))
            if "checkpoints_put_aside" in record["provenance"]:
                self.broken.append(f"{key} found its own checkpoint unusable")
        if written(results):
            self.broken.append(f"checkpoints are left: {sorted(written(results))}")


def written(results: Path) -> dict[Path, int]:
    """The checkpoints, and when each was written."""
    found = {}
    for path in results.glob("trial/*/seed-*.checkpoint"):
        try:
            found[path] = path.stat().st_mtime_ns
        except FileNotFoundError:  # gone with its run
            continue
    return found


def records(results: Path) -> dict[str, dict[str, Any]]:
    """Every run by its place."""
    files = sorted(results.glob("trial/*/seed-*.json"))
    return {f"{file.parent.name}/{file.name}": json.loads(file.read_bytes()) for file in files}


def comparable(record: dict[str, Any]) -> dict[str, Any]:
    """A record without clocks and provenance."""
    timeless = {
        part: {name: value for name, value in record[part].items() if name not in CLOCKS} for part in ("curve", "cost")
    }
    return {**record, **timeless, "provenance": None}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--engine", choices=("torch", "compiled"), default="torch")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        trial = Trial(Path(name), arguments.engine, random.Random(arguments.seed))
        kills = suites = 0
        while kills < arguments.kills:
            suites += 1
            results = Path(name) / f"killed-{suites}"
            while kills < arguments.kills and trial.kill(results):
                kills += 1
                print(f"killed {kills} times", file=sys.stderr, flush=True)
            trial.end(results)
    print("| with checkpoints when killed | runs |\n|---|---:|")
    for cell, count in sorted(trial.killed.items()):
        print(f"| {cell} | {count} |")
    print(
        f"\n{kills} kills of {suites} suites on {arguments.engine}: {trial.records_compared} records compared, "
        f"{trial.resumed} times resumed, {len(trial.broken)} promises broken"
    )
    for promise in trial.broken:
        print(promise)
    return 1 if trial.broken or not trial.resumed else 0


if __name__ == "__main__":
    sys.exit(main())
