"""Throughput of jobs on Ray against that of worker processes, on this machine, both in one go.

    python benchmarks/ray_efficiency.py [--jobs N] [--seconds S] [--workers W] [--sleeping]

Jobs that compute for so many processor seconds (or only sleep, where the machine has other things to do), first by
worker processes of our own, then on a Ray cluster with as many processors. Throughput is counted from the end of the
first job to the end of the last, so that start-up is apart; it is printed as well. Exit code 1 where Ray reaches less
than 0.9 of the throughput of worker processes.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "trials"))

from busy_plugin import install  # noqa: E402  # beside the trials

TARGET = 0.9


def measure(folder: Path, environment: dict[str, str], name: str, *arguments: str) -> tuple[float, float]:
    """Seconds from the start of the command to the end of the first job, and from there to the end of the last."""
    begun = time.time()
    command = [sys.executable, "-m", "haepo_bench", "run", "suite.yaml", "--results", name, "--quiet", *arguments]
    subprocess.run(command, cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL)
    ends = sorted(file.stat().st_mtime for file in (folder / name).rglob("seed-*.json"))
    return ends[0] - begun, ends[-1] - ends[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--sleeping", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        install(folder / "site")
        environment = {
            **os.environ, "HOME": name, "RAY_TMPDIR": "/tmp",
            "PYTHONPATH": os.pathsep.join([str(folder / "site"), str(ROOT)]),
        }  # fmt: skip
        algorithm = {"use": "busy", "params": {"seconds": options.seconds / 10, "computing": not options.sleeping}}
        document = {
            "name": "jobs",
            "seeds": options.jobs,
            "tasks": [{"id": "random-walk/20", "budget": {"env_steps": 100}}],
            "evaluation": {"every": 50, "episodes": 2},
            "algorithms": [algorithm],
        }
        (folder / "suite.yaml").write_text(json.dumps(document))
        workers = ("--workers", str(options.workers))
        local = measure(folder, environment, "local", *workers)
        ray = measure(folder, environment, "ray", *workers, "--executor", "ray", "--address", "local")
    for who, (start, rest) in (("worker processes", local), ("Ray", ray)):
        print(f"{who}: first job ended after {start:.1f} s, {(options.jobs - 1) / rest:.3f} jobs/s from there")
    ratio = local[1] / ray[1]
    print(
        f"{options.jobs} jobs of {options.seconds:g} s, {options.workers} workers: ratio {ratio:.3f} (target {TARGET})"
    )
    sys.exit(ratio < TARGET)


if __name__ == "__main__":
    main()
