"""Does a signal at any moment cost anything? Sends them at random moments to small commands, and looks at what is left.

    python trials/signals.py [--signals 200] [--seed 0] [--out FILE.md]

A command (`run`, `report`, `gate` and others) gets Ctrl-C, SIGTERM or the end of its terminal, itself or with all its
processes, at a moment between its start and a little after its usual end. Then nothing may be left but what a later
command continues: it ends with exit code 130 (or its own, where it was quicker) and no traceback, no process lives on,
and every file is whole. After every few signals the suite is run to its end without one: its records must be, but for
clocks, those of a suite that was never disturbed, and gate and report must go through. A signal that comes before the
first line of the program has run, while the interpreter starts, ends it as any program; these are counted apart. Exit
code 1 where anything else happened.
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
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
SUITE = {
    "name": "trial",
    "seeds": 3,
    "budget": {"env_steps": 2000},
    "evaluation": {"every": 500, "episodes": 5},
    "tasks": ["bandit/10-arm", {"id": "random-walk/20", "budget": {"env_steps": 6000}}],
    "algorithms": ["reinforce", "grpo"],
    "execution": {"workers": 2, "device": "cpu"},
}
BASELINE = ["baseline", "base", "--out", "baseline.json", "--reason", "signals", "--min-seeds", "2", "--allow-dirty"]
#: What is disturbed, and how often one takes it.
COMMANDS = {
    "run": (["run", "suite.yaml", "--results", "results"], 8),
    "gate": (["gate", "suite.yaml", "--baseline", "baseline.json", "--results", "gate", "--seeds", "2"], 4),
    "report": (["report", "base", "--out", "report"], 3),
    "validate": (["validate", "suite.yaml"], 2),
    "compare": (["compare", "base", "base", "--format", "html", "--out", "compare.html"], 1),
    "export": (["export", "base", "--out", "tables"], 1),
    "import": (
        ["import", "curve.csv", "--suite", "s", "--task", "a/b", "--algorithm", "a", "--results", "imported"],
        1,
    ),
    "doctor": (["doctor"], 1),
}
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
#: After so many signals to `run` and `gate` the suite is run to its end.
TOGETHER = 10
_CLOCK_COSTS = ("wall_seconds", "cpu_seconds", "evaluation_seconds", "peak_memory_bytes")


class Trial(NamedTuple):
    """What one signal did; `wrong` says what should not have been."""

    command: str
    number: signal.Signals
    group: bool
    delay: float
    code: int
    wrong: tuple[str, ...]


def start(command: Sequence[str], folder: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "haepo_bench", *command],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,
    )


def finish(command: Sequence[str], folder: Path) -> float:
    """Runs a command to its end; the seconds it took."""
    began = time.monotonic()
    process = start(command, folder)
    _, errors = process.communicate(timeout=600)
    if process.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: exit code {process.returncode}\n{errors}")
    return time.monotonic() - began


def disturb(name: str, number: signal.Signals, *, group: bool, delay: float, folder: Path) -> Trial:
    process = start(COMMANDS[name][0], folder)
    time.sleep(delay)
    if process.poll() is None:
        (os.killpg if group else os.kill)(process.pid, number)
    wrong = []
    try:
        _, errors = process.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        wrong.append("does not end")
        os.killpg(process.pid, signal.SIGKILL)
        _, errors = process.communicate()
    code = process.returncode
    early = code == -number or (code == -signal.SIGINT and number == signal.SIGINT)
    if "Traceback" in errors and not _starting(errors):
        wrong.append(f"a traceback: {errors[-600:]}")
    if code == 130 and "interrupted" not in errors and not _starting(errors):
        wrong.append("does not say that it was interrupted")
    if code not in (0, 130) and not early and not _starting(errors):
        wrong.append(f"exit code {code}: {errors[-300:]}")
    wrong += [f"process {each} is left" for each in living(process.pid)]
    wrong += [f"{path} is left" for path in folder.rglob(".*") if path.name != ".lock"]
    wrong += broken(folder)
    return Trial(name, number, group, delay, -1 if early or _starting(errors) else code, tuple(wrong))


def _starting(errors: str) -> bool:
    """Whether the interpreter itself was interrupted, before the first line of the program had run."""
    return "haepo_bench/interruption" not in errors and any(
        text in errors for text in ("init_import_site", "Fatal Python error", "<frozen site>", "<frozen runpy>")
    )


def living(group: int, *, seconds: float = 5.0) -> list[int]:
    """Processes of a group that have not ended after some seconds to do so."""
    deadline = time.monotonic() + seconds
    while True:
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[2]) == group and fields[0] != "Z":
                found.append(int(folder.name))
        if not found or time.monotonic() > deadline:
            return found
        time.sleep(0.05)


def broken(folder: Path) -> list[str]:
    """Files that are not whole."""
    wrong = []
    for path in folder.rglob("*"):
        if path.suffix == ".json":
            try:
                json.loads(path.read_bytes())
            except ValueError:
                wrong.append(f"{path.name} is cut off")
        if path.suffix == ".html" and not path.read_text(encoding="utf-8").rstrip().endswith("</html>"):
            wrong.append(f"{path.name} is cut off")
    return wrong


def runs(results: Path) -> dict[str, Any]:
    """Every record without what a clock says, by its place."""
    found = {}
    for path in sorted(results.rglob("seed-*.json")):
        record = json.loads(path.read_bytes())
        for name in ("provenance", "attempts"):
            del record[name]
        record["curve"] = {name: values for name, values in record["curve"].items() if name not in _CLOCK_COSTS}
        record["cost"] = {name: value for name, value in record["cost"].items() if name not in _CLOCK_COSTS}
        found[path.relative_to(results).as_posix()] = record
    return found


def prepare(folder: Path) -> dict[str, float]:
    """An undisturbed suite, its baseline and its gate; the usual seconds of each command."""
    (folder / "suite.yaml").write_text(json.dumps(SUITE))
    (folder / "curve.csv").write_text("seed,env_steps,eval_return\n0,0,1\n0,100,2\n1,0,1\n1,100,3\n")
    finish(["run", "suite.yaml", "--results", "base"], folder)
    finish(BASELINE, folder)
    return {name: finish(command, folder) for name, (command, _) in COMMANDS.items()}


def complete(folder: Path, reference: dict[str, Any]) -> list[str]:
    """Runs suite and gate to their ends; what differs from those that were never disturbed."""
    wrong = []
    for name in ("run", "gate", "report"):
        try:
            finish(COMMANDS[name][0], folder)
        except RuntimeError as error:
            wrong.append(str(error))
    now = runs(folder / "results")
    wrong += [f"{key} is missing" for key in reference.keys() - now.keys()]
    wrong += [f"{key} is other than undisturbed" for key in reference.keys() & now.keys() if reference[key] != now[key]]
    return wrong


def campaign(signals: int, seed: int) -> tuple[list[Trial], list[str], int]:
    """All signals; the trials, what was wrong after completing suites, and how many of those there were."""
    generator = random.Random(seed)
    trials: list[Trial] = []
    wrong: list[str] = []
    completions = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        usual = prepare(folder)
        reference = runs(folder / "base")
        weights = [weight for _, weight in COMMANDS.values()]
        _forget(folder)
        while len(trials) < signals:
            command = generator.choices(list(COMMANDS), weights)[0]
            number, group = generator.choice(SIGNALS), generator.random() < 0.5
            # Half of them while the program is being loaded, when nothing of its own listens yet in most programs.
            until = min(usual[command], 1.5) if generator.random() < 0.5 else usual[command] * 1.05
            trial = disturb(command, number, group=group, delay=generator.uniform(0.0, until), folder=folder)
            trials.append(trial)
            how = f"{trial.number.name:7} {'all' if trial.group else 'one'}"
            print(
                f"{len(trials):4} {trial.command:9} {how} after {trial.delay:5.2f} s: {trial.code} {trial.wrong or ''}"
            )
            sys.stdout.flush()
            if len(trials) % TOGETHER == 0 or len(trials) == signals:
                completions += 1
                wrong += complete(folder, reference)
                _forget(folder)
    return trials, wrong, completions


def _forget(folder: Path) -> None:
    for name in ("results", "gate", "report", "tables", "imported"):
        subprocess.run(["rm", "-rf", str(folder / name)], check=True)


def table(trials: Sequence[Trial], wrong: Sequence[str], completions: int) -> str:
    """The counts as Markdown."""
    codes = {130: "130", 0: "0, was quicker", -1: "the interpreter had not started"}
    lines = ["| command | signals | " + " | ".join(codes.values()) + " | wrong |", "|---" * (len(codes) + 3) + "|"]
    for command in COMMANDS:
        own = [trial for trial in trials if trial.command == command]
        counts = Counter(trial.code for trial in own)
        cells = [len(own), *(counts[code] for code in codes), sum(bool(trial.wrong) for trial in own)]
        lines.append(f"| `{command}` | " + " | ".join(map(str, cells)) + " |")
    return "\n".join([*lines, "", f"{completions} suites completed afterwards, {len(wrong)} differences."])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--signals", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    trials, wrong, completions = campaign(options.signals, options.seed)
    text = table(trials, wrong, completions)
    print(text)
    bad = [
        f"{trial.command} {trial.number.name} after {trial.delay:.2f} s: {trial.wrong}"
        for trial in trials
        if trial.wrong
    ]
    print("\n".join([*bad, *wrong]))
    if options.out:
        options.out.write_text(text + "\n", encoding="utf-8")
    sys.exit(1 if bad or wrong else 0)


if __name__ == "__main__":
    main()
