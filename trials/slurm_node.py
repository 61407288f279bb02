"""Does `run --executor slurm` hold on a real Slurm? One node on this machine, jobs that are preempted and out of time.

    sudo apt-get install --no-install-recommends slurm-wlm munge
    sudo service munge start
    sudo python trials/slurm_node.py [--out FILE.md]

As root, because slurmd is; it takes about ten minutes, most of which Slurm holds jobs back that were queued again. Two
jobs of one suite are submitted with --detach. A job of higher priority preempts both, then one is told that its time is
up. After that the same command waits and collects. All runs must be there, equal to those of one worker, and none with
a failed attempt. Exit code 1 where anything else happened. The cluster's files are in a folder that is deleted.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PROGRAM = [sys.executable, "-m", "haepo_bench"]
CONFIGURATION = """
ClusterName=trial
SlurmctldHost=localhost(127.0.0.1)
SlurmUser=root
SlurmdUser=root
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
KillWait=10
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
NodeName=localhost NodeAddr=127.0.0.1 CPUs=2
PartitionName=usual Nodes=localhost Default=YES State=UP PriorityTier=1
PartitionName=urgent Nodes=localhost State=UP PriorityTier=2
"""
#: Two jobs by the built-in rate, of a minute each on a core that nothing else uses.
SUITE = {
    "name": "trial",
    "seeds": 8,
    "evaluation": {"every": 100_000, "episodes": 2},
    "tasks": [{"id": "random-walk/20", "budget": {"env_steps": 2_000_000}}],
    "algorithms": [{"use": "reinforce", "params": {"hidden": [8], "trajectories": 400, "epochs": 1}}],
    "execution": {"executor": "slurm", "slurm": {"partition": "usual", "time": "11m"}},
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM):  # the daemons end with this program
        signal.signal(number, lambda *_: sys.exit(130))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["SLURM_CONF"] = str(folder / "slurm.conf")
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        (folder / "slurm.conf").write_text(CONFIGURATION.format(folder=folder))
        for part in ("state", "spool"):
            (folder / part).mkdir()
        (folder / "suite.yaml").write_text(json.dumps(SUITE))
        try:
            ask("slurmctld", cwd=folder)
            wait_until(lambda: "usual" in ask("sinfo", "-h"), "the controller")
            ask("slurmd", "-N", "localhost", cwd=folder)
            wait_until(lambda: "idle" in ask("sinfo", "-h", "-o", "%T"), "the node")
            findings = drill(folder)
        finally:
            ask("scancel", "--user=root", fails=True)
            for daemon in ("slurmd", "slurmctld"):
                if (folder / f"{daemon}.pid").exists():
                    os.kill(int((folder / f"{daemon}.pid").read_text()), signal.SIGTERM)
            time.sleep(3)
    version = ask("sinfo", "--version").strip()
    text = "\n".join(
        [f"# {version}, one node", "", *(f"- {'yes' if holds else 'NO'}: {what}" for what, holds in findings)]
    )
    print(text)
    if arguments.out:
        arguments.out.write_text(text + "\n")
    return 0 if all(holds for _, holds in findings) else 1


def drill(folder: Path) -> list[tuple[str, bool]]:
    found = []
    detached = run(folder, "--detach")
    found.append(("--detach submits two jobs and returns", "submitted 2 jobs" in detached.stderr))
    wait_until(lambda: states() == ["RUNNING", "RUNNING"], "both jobs to run")
    wait_until(lambda: len(logs(folder)) == 2, "both jobs to train")
    ask("sbatch", "-p", "urgent", "-n", "2", "-o", "/dev/null", "--wrap", "sleep 5")
    wait_until(lambda: states() == ["PENDING", "PENDING"], "both jobs to be queued again")
    found.append(("preempted jobs are queued again", True))
    wait_until(lambda: states() == ["RUNNING", "RUNNING"], "both jobs to run again")
    time.sleep(10)
    job = ask("squeue", "-h", "-r", "-o", "%i").split()[0]
    ask("scancel", "--signal=USR2", job)  # what Slurm sends before the end of a job's time
    wait_until(lambda: "PENDING" in states(), "the job to be queued again")
    found.append(("a job whose time is up is queued again", True))
    state = run(folder, "--dry-run")
    found.append(("--dry-run says what is in the queue", "in the queue: 1 pending" in state.stdout))
    end = run(folder)
    found.append(("the same command waits and collects", end.returncode == 0 and "8 of 8 runs collected" in end.stdout))
    alone = run(folder, "--executor", "local", "--workers", "1", results="alone")
    ours, theirs = (records(folder / name) for name in ("results", "alone"))
    found.append(("the runs are those of one worker", alone.returncode == 0 and results(ours) == results(theirs)))
    found.append(("no run has a failed attempt", not any(record["attempts"] for record in ours)))
    return found


def run(folder: Path, *arguments: str, results: str = "results") -> "subprocess.CompletedProcess[str]":
    command = [*PROGRAM, "run", "suite.yaml", "--results", results, *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def states() -> list[str]:
    """Of the jobs of the usual partition."""
    return ask("squeue", "-h", "-r", "-p", "usual", "-o", "%T").split()


def logs(folder: Path) -> list[Path]:
    return [log for log in (folder / "results" / "trial" / "slurm").glob("*.err") if "start " in log.read_text()]


def records(root: Path) -> list[dict[str, Any]]:
    return [json.loads(file.read_bytes()) for file in sorted((root / "trial").glob("*--*/seed-*.json"))]


def results(found: list[dict[str, Any]]) -> list[Any]:
    """What is equal in two runs of one identity, clocks apart."""
    clocks = ("wall_seconds", "cpu_seconds")
    curves = [{name: column for name, column in each["curve"].items() if name not in clocks} for each in found]
    return [(each["seed"], each["status"], each["final"], curve) for each, curve in zip(found, curves, strict=True)]


def ask(*command: str, fails: bool = False, cwd: Path | None = None) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    return done.stdout if done.returncode == 0 or fails else f"{done.stdout}{done.stderr}"


def wait_until(condition: Callable[[], bool], what: str, seconds: float = 600.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            sys.exit(f"waited {seconds:g} s for {what}")
        time.sleep(0.5)


if __name__ == "__main__":
    sys.exit(main())
