"""Does the regression gate see faults? Plants them one by one into copies of the package, and gates each.

    python trials/drills.py [--only NAME ...] [--out FILE.md]

Each drill is the command as continuous integration gives it, `haepo-bench gate suites/regression.yaml --baseline
baselines/regression.json`, with the changed package first on the path. A fault is found when a cell is called worse and
a second batch of fresh seeds confirms it (exit code 1); changes that only move bits must end in 0. The table at the end
is that of docs/how-to/regression.md. Where the baseline was recorded by other code or on another machine nothing
comes out identical, so that every cell is tested and a drill takes longest. Exit code 1 where a drill did not go as it
should.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from faults import FAULTS, HARMLESS, UNSEEN, Fault, plant

ROOT = Path(__file__).resolve().parent.parent
SUITE, BASELINE = ROOT / "suites" / "regression.yaml", ROOT / "baselines" / "regression.json"
RED, GREEN = 1, 0


class Drill(NamedTuple):
    """How a gate ended.

    Args:
        code: its exit code.
        worse: cells called worse, as `algorithm on task`, with the change of the area in units of the task's span.
        tested: cells that did not come out identical.
        cells: of the baseline.
    """

    fault: Fault
    code: int
    worse: dict[str, float]
    tested: int
    cells: int
    seconds: float
    output: str


def drill(fault: Fault, arguments: Sequence[str] = (), *, suite: Path = SUITE, baseline: Path = BASELINE) -> Drill:
    """Gates a copy of the package with a fault in it.

    Args:
        arguments: further ones of the gate.
    """
    with tempfile.TemporaryDirectory() as folder:
        package = Path(folder) / "haepo_bench"
        shutil.copytree(ROOT / "haepo_bench", package, ignore=shutil.ignore_patterns("__pycache__"))
        plant(fault, package)
        command = [sys.executable, "-m", "haepo_bench", "gate", str(suite), "--baseline", str(baseline)]
        began = time.monotonic()
        # Outside of a repository fresh seeds follow from the source, so that each drill has seeds of its own.
        done = subprocess.run(
            [*command, "--format", "json", "--quiet", *arguments],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": folder},
            capture_output=True,
            text=True,
            check=False,
        )
        seconds = time.monotonic() - began
    cells = json.loads(done.stdout)["cells"] if done.stdout.startswith("{") else []
    worse = {f"{c['algorithm']} on {c['task']}": c["test"]["effect"] for c in cells if c["mark"] == "-"}
    tested = sum(cell["mark"] != "=" for cell in cells)
    return Drill(fault, done.returncode, worse, tested, len(cells), seconds, done.stdout + done.stderr)


def row(result: Drill) -> str:
    """A line of the table of docs/how-to/regression.md."""
    verdict = {RED: "red", GREEN: "green"}.get(result.code, f"exit code {result.code}")
    worse = sorted(result.worse.items(), key=lambda item: item[1])
    shown = "; ".join(f"{name} {effect:+.2f}" for name, effect in worse[:2])
    more = f"; {len(worse) - 2} more" if len(worse) > 2 else ""
    fault = result.fault
    return f"| `{fault.name}` | {fault.what} | `{fault.file}` | {result.tested} | {verdict} | {shown}{more} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", metavar="NAME", help="drills by name")
    parser.add_argument("--baseline", type=Path, default=BASELINE, help="in place of baselines/regression.json")
    parser.add_argument("--out", type=Path, help="write the tables there too")
    arguments = parser.parse_args()
    groups = (
        ("Faults", FAULTS, RED),
        ("Faults that no gate of this size sees", UNSEEN, None),
        ("Harmless", HARMLESS, GREEN),
    )
    unknown = set(arguments.only or ()) - {fault.name for _, group, _ in groups for fault in group}
    if unknown:
        parser.error(f"no such drill: {', '.join(sorted(unknown))}")
    lines, failed = [], []
    for title, group, expected in groups:
        lines += [
            f"### {title}",
            "",
            "| name | what it does | file | cells tested | verdict | worst cells |",
            "|---" * 6 + "|",
        ]
        for fault in group:
            if arguments.only and fault.name not in arguments.only:
                continue
            result = drill(fault, baseline=arguments.baseline.resolve())
            lines.append(row(result))
            print(f"{lines[-1]} {result.seconds:.0f} s", flush=True)
            if expected is not None and result.code != expected:
                failed.append(fault.name)
                print(result.output, file=sys.stderr)
        lines.append("")
    if arguments.out:
        arguments.out.write_text("\n".join(lines), encoding="utf-8")
    if failed:
        sys.exit(f"not as it should be: {', '.join(failed)}")


if __name__ == "__main__":
    main()
