"""`run --executor slurm`, with submitit's local executor, and with programs that answer like Slurm's."""

import json
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from execution_support import ROOT, Workplace, members, wait_until

from haepo_bench.api import run
from haepo_bench.errors import UserError
from haepo_bench.execution.slurm.chunks import cut, time_limit
from haepo_bench.suite.resolve import load_plan
from haepo_bench.suite.slurm_keys import SlurmOptions

pytest.importorskip("submitit")

#: The scripted runs of 100 env steps take 0.04 s at the built-in rate.
LOCAL = ("--executor", "slurm", "--set", "execution.slurm={cluster: local, chunk: 1, parallel: 2}")


@pytest.fixture
def workplace(tmp_path: Path) -> Iterator[Workplace]:
    place = Workplace(tmp_path)
    place.environment["SUBMITIT_LOG_LEVEL"] = "CRITICAL"
    yield place
    place.close()


def suite_of_two_chunks(place: Workplace, **params: Any) -> Path:
    """Two algorithms with 3 seeds; a run takes 0.2 s at the built-in rate, so that there are two chunks of a second."""
    return place.suite(
        [{"name": name, "params": params} for name in ("a", "b")],
        tasks=[{"id": "random-walk/20", "budget": {"env_steps": 500}, "evaluation": {"every": 250, "episodes": 2}}],
    )


def jobs_of(place: Workplace) -> list[int]:
    """Processes of submitit that run a chunk each."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if b"submitit.core._submit" in command and os.fsencode(place.folder) in command:
            found.append(int(folder.name))
    return found


def finished(place: Workplace) -> int:
    records = (json.loads(file.read_bytes()) for file in place.folder.glob("results/trial/shards/*/*/seed-*.json"))
    return sum(record["status"] == "done" for record in records)


@pytest.mark.slow
def test_jobs_that_are_preempted_go_on_and_nothing_counts_as_a_failure(workplace: Workplace) -> None:
    workplace.sick.unlink()
    suite = workplace.suite([{"name": "a", "params": {"pause": 0.1}}], seeds=6)
    process = workplace.start(suite, *LOCAL)
    wait_until(lambda: finished(workplace) >= 1, "a first result", 120)
    preempted = jobs_of(workplace)
    for job in preempted:
        os.kill(job, signal.SIGUSR2)
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert len(preempted) == 1
    assert "6 of 6 runs collected" in output
    assert set(workplace.statuses().values()) == {"done"}
    assert not any(record["attempts"] for record in workplace.records().values())


@pytest.mark.slow
def test_the_same_command_collects_and_goes_on_whatever_ended(workplace: Workplace) -> None:
    suite = suite_of_two_chunks(workplace, act="hang", at=[2])
    with (workplace.folder / "out").open("w") as out:  # a job has this command's output, and outlives it
        detached = workplace.start(suite, *LOCAL, "--detach", stdout=out, stderr=out)
        assert detached.wait(60) == 0
    said = (workplace.folder / "out").read_text()
    assert "0 of 6 runs collected; in the queue: 2 pending" in said
    assert "the same command collects what is there" in said
    wait_until(lambda: finished(workplace) >= 1, "a first result", 120)
    for number in members(detached.pid):  # two nodes are lost
        os.kill(number, signal.SIGKILL)
    waiting = workplace.start(suite, *LOCAL)
    wait_until(lambda: finished(workplace) == 4 and len(jobs_of(workplace)) == 2, "what does not hang", 120)
    waiting.terminate()
    _, errors = waiting.communicate(timeout=60)
    assert waiting.returncode == 130
    assert "submitted 2 jobs" in errors
    assert "the same command collects what is there, and submits what is missing" in errors
    wait_until(lambda: not members(waiting.pid), "the jobs to end")
    workplace.sick.unlink()
    again = workplace.run(suite, *LOCAL)
    assert again.returncode == 0, again.stderr
    assert "6 of 6 runs collected" in again.stdout
    assert not any(record["attempts"] for record in workplace.records().values())
    assert not jobs_of(workplace)


def test_failures_of_an_algorithm_are_final_until_they_are_retried(workplace: Workplace) -> None:
    suite = workplace.suite([{"name": "a", "params": {"act": "raise", "at": [1]}}])
    first = workplace.run(suite, *LOCAL)
    assert first.returncode == 2
    assert "1 run failed: run again with --retry-failed" in first.stderr
    assert "2 of 3 runs collected" in first.stdout
    assert first.stderr.count("submitted") == 1
    workplace.sick.unlink()
    retried = workplace.run(suite, *LOCAL, "--retry-failed")
    assert retried.returncode == 0, retried.stderr
    assert len(workplace.records()["a", 1]["attempts"]) == 1


def test_a_node_with_other_code_runs_nothing(workplace: Workplace) -> None:
    workplace.sick.unlink()
    suite = workplace.suite([{"name": "a"}])
    none = workplace.run(suite, "--shard", "1/2", "--as-planned")
    assert none.returncode == 4
    assert "there is no plan here to go by" in none.stderr
    node = workplace.folder / "node"
    shutil.copytree(workplace.folder / "site", node)
    plugin = node / "scripted.py"
    plugin.write_text(plugin.read_text().replace("0.0, 1.0, 5)", "0.0, 1.0, 6)"))
    setup = f"execution.slurm.setup=['export PYTHONPATH={node}:{ROOT}']"
    done = workplace.run(suite, *LOCAL, "--set", setup)
    assert done.returncode == 2
    assert "job 1/1 ended with exit code 4: " in done.stderr
    assert "this machine runs other code than the one that submitted the job (a on random-walk/20: " in done.stderr
    assert done.stderr.count("submitted 1 job") == 1
    assert not workplace.records()
    changed = workplace.run(suite, "--shard", "1/2", "--as-planned", "--set", "seeds=2")
    assert "the suite has changed since this job was submitted" in changed.stderr


FAKE = f"""#!{sys.executable}
import sys
from pathlib import Path
here = Path(__file__).parent
name = Path(__file__).name
if name == "squeue":
    print((here / "queue").read_text(), end="")
elif name == "sbatch":
    script = Path(sys.argv[1]).read_text()
    if "partition=nowhere" in script:
        sys.exit("sbatch: error: invalid partition specified: nowhere")
    (here / "script").write_text(script)
    print("Submitted batch job 41")
"""


def test_what_is_asked_of_slurm_and_what_it_answers(workplace: Workplace) -> None:
    programs = workplace.folder / "programs"
    programs.mkdir()
    for name in ("srun", "sbatch", "squeue"):
        (programs / name).write_text(FAKE)
        (programs / name).chmod(0o755)
    workplace.environment["PATH"] = f"{programs}{os.pathsep}{os.environ['PATH']}"
    (programs / "queue").write_text("7 RUNNING\n")
    suite = workplace.suite(
        [{"name": "a"}], tasks=[{"id": "random-walk/20", "budget": {"env_steps": 4_000_000}}], evaluation={}
    )
    asked = ("--executor", "slurm", "--slurm-time", "2h", "--slurm-cpus", "2", "--slurm-account", "on")
    refused = workplace.run(suite, *asked, "--slurm-partition", "nowhere")
    assert refused.returncode == 4
    assert "Slurm did not take the jobs: sbatch: error: invalid partition specified: nowhere" in refused.stderr
    extra = ("--set", "execution.slurm.extra={nice: 100}", "--set", "execution.slurm.setup=[module load x]")
    done = workplace.run(suite, *asked, "--slurm-partition", "short", *extra, "--detach")
    assert done.returncode == 0, done.stderr
    assert "submitted 2 jobs: 41" in done.stderr
    script = (programs / "script").read_text().splitlines()
    for option in (
        *("partition=short", "account=on", "time=120", "cpus-per-task=2", "array=0-1%2", "nice=100", "requeue"),
        *("job-name=haepo-trial", "signal=USR2@90"),
    ):
        assert f"#SBATCH --{option}" in script
    assert "module load x" in script
    assert "--cpus-per-task=2" in script[-1]  # srun does not take it over
    (programs / "queue").write_text("41_0 RUNNING\n41_1 PENDING\n")
    state = workplace.run(suite, *asked, "--dry-run")
    assert "2 to be made, in the queue: 1 pending, 1 running" in state.stdout
    other = workplace.run(suite, *asked, "--detach", "--set", "seeds=4")
    assert other.returncode == 4
    assert "jobs of another version or division of this suite are in the queue: 41\n" in other.stderr
    assert "wait for them, or end them: scancel 41" in other.stderr
    (programs / "squeue").write_text("#!/bin/sh\necho slurm_load_jobs error: Unable to contact >&2; exit 1\n")
    silent = workplace.run(suite, *asked, "--detach")
    assert silent.returncode == 4
    assert "the queue does not answer: slurm_load_jobs error: Unable to contact" in silent.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--slurm-partition", "x"], "--slurm-partition: needs --executor slurm"),
        ([*LOCAL, "--workers", "2"], "--workers: cannot be used with --executor slurm\n  a job has as many workers"),
        (["--executor", "slurm", "--slurm-time", "5m"], "a time limit of less than 11m leaves no room"),
        (["--executor", "slurm"], "there is no Slurm here: no program srun on the path"),
    ],
)
def test_options_that_do_not_fit_say_what_to_do(workplace: Workplace, arguments: list[str], says: str) -> None:
    workplace.environment["PATH"] = str(workplace.folder)
    done = workplace.run(workplace.suite([{"name": "a"}]), *arguments)
    assert done.returncode == 4
    assert says in done.stderr


def test_chunks_follow_from_the_plan_and_the_built_in_rate_alone(workplace: Workplace) -> None:
    def chunks(steps: int, cpus: int = 1) -> list[int]:
        fields = {"tasks": [{"id": "random-walk/20", "budget": {"env_steps": steps}}], "seeds": 10, "evaluation": {}}
        suite = workplace.suite([{"use": "reinforce", "name": "a"}, {"use": "uniform", "name": "b"}], **fields)
        plan = load_plan(str(suite))
        found = cut(plan, SlurmOptions(cpus=cpus))
        runs = [key for keys in found.runs.values() for key in keys]
        assert sorted(runs) == sorted((cell.folder, seed) for cell in plan.cells for seed in cell.seeds)
        return [len(keys) for keys in found.runs.values()]

    # 12 million steps of a batched algorithm take 20 minutes at 10,000 steps per second.
    assert chunks(12_000_000) == [1] * 20
    assert chunks(12_000_000, cpus=4) == [4] * 5
    assert chunks(3_000_000) == [4] * 5
    assert chunks(100) == [20]
    assert chunks(10**9) == [1] * 20  # a run is never divided
    long = [{"id": "random-walk/20", "budget": {"env_steps": 10**8}}]
    suite = workplace.suite([{"use": "reinforce"}], tasks=long, evaluation={})
    found = cut(load_plan(str(suite)), SlurmOptions())
    assert found.longest == found.longest_run == 10_000
    assert time_limit(found, SlurmOptions()) == 500
    assert time_limit(found, SlurmOptions(time="90m")) == 90


def test_what_needs_results_at_once_does_not_take_slurm(workplace: Workplace) -> None:
    suite = workplace.suite([{"use": "reinforce"}], execution={"executor": "slurm"})
    with pytest.raises(UserError, match="the jobs of an array are submitted by `haepo-bench run`"):
        run(load_plan(str(suite)), results=workplace.folder)
