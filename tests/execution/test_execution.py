"""What becomes of runs that end badly, of runs that are interrupted, and of runs that are there already."""

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from execution_support import Workplace, members, timeless, wait_until

ACTS = ("raise", "refuse", "nan", "hang", "hold", "kill", "segfault", "os_exit", "sys_exit", "return")


@pytest.fixture
def workplace(tmp_path: Path) -> Iterator[Workplace]:
    place = Workplace(tmp_path)
    yield place
    place.close()


@pytest.mark.slow
def test_each_misfortune_costs_its_job_alone(workplace: Workplace) -> None:
    batched = ("raise", "nan", "kill")
    suite = workplace.suite(
        [
            {"name": "healthy"},
            *({"name": act, "params": {"act": act, "at": [1], "batched": act in batched}} for act in ACTS),
        ],
        execution={"workers": 2, "timeout": "8s"},
    )
    process = workplace.run(suite)
    assert process.returncode == 2, process.stderr
    assert "Traceback" not in process.stdout + process.stderr
    records = workplace.records()
    assert len(records) == 3 * (1 + len(ACTS))
    expected = {(name, seed): "done" for name in ("healthy", *ACTS) for seed in range(3)}
    expected |= {(act, 1): "failed" for act in ACTS}
    # A batch loses the seeds that had not finished when it broke; NaN costs its own seed only. What was killed is tried
    # again, in halves, so that it costs no other seed.
    expected |= {("raise", 2): "failed", ("nan", 1): "diverged", ("hang", 1): "timed_out"}
    expected["hold", 1] = "timed_out"
    assert workplace.statuses() == expected
    errors = {act: records[act, 1]["error"] for act in ACTS}
    assert errors["raise"]["type"] == "ValueError"
    assert errors["raise"]["message"] == "seed 1 ? is unwell\nvery"
    assert "train_seed" in errors["raise"]["traceback"]
    assert errors["raise"]["remedy"] == ""
    assert (errors["refuse"]["message"], errors["refuse"]["remedy"]) == (
        "made/up: the reward is not a number",
        "fix it",
    )
    for said in (process.stdout, process.stderr):
        beneath = said.partition("TaskError: made/up: the reward is not a number")[2].splitlines()[1]
        assert beneath == "  fix it"
    assert errors["nan"]["message"] == "the loss is nan"
    assert "8 s" in errors["hang"]["message"]
    assert "SIGKILL" in errors["kill"]["message"]
    assert [attempt["message"] for attempt in records["kill", 1]["attempts"]] == [errors["kill"]["message"]] * 3
    assert len(records["kill", 2]["attempts"]) == 1
    assert all(not records[act, 1]["attempts"] for act in ACTS if act != "kill")
    assert process.stderr.count("again  random-walk/20 kill seeds 1, 2: WorkerDied: ") == 1, process.stderr
    assert process.stderr.count("again  random-walk/20 kill seed 1: WorkerDied: ") == 2
    assert "SIGSEGV" in errors["segfault"]["message"]
    assert "code 7" in errors["os_exit"]["message"]
    assert "code 0" in errors["sys_exit"]["message"]
    assert "before the budget" in errors["return"]["message"]
    for act in ACTS:
        log = workplace.folder / "results" / "trial" / records[act, 1]["provenance"]["log"]
        assert "training" in log.read_text()
        assert str(log.relative_to(workplace.folder)) in process.stdout
    assert (
        "Segmentation fault"
        in (workplace.folder / "results" / "trial" / records["segfault", 1]["provenance"]["log"]).read_text()
    )
    assert "[1] made up for [tests]" in process.stdout
    assert "haepo-bench report results/trial" in process.stdout

    # The same command leaves everything as it is, but for what the machine did: the failed runs wait.
    before = workplace.files()
    again = workplace.run(suite, "--quiet")
    changed = {file for file, content in workplace.files().items() if before[file] != content}
    assert again.returncode == 2
    assert [json.loads(file.read_bytes())["algorithm"] for file in changed] == ["kill"]
    assert "--retry-failed" in again.stderr
    assert "1 run failed by the machine's doing, tried again in vain: the same command runs" in again.stderr

    workplace.sick.unlink()
    cured = workplace.run(suite, "--retry-failed")
    assert cured.returncode == 0, cured.stderr
    assert set(workplace.statuses().values()) == {"done", "diverged"}
    for act in ACTS:
        attempts = workplace.records()[act, 1]["attempts"]
        known = [{**attempt, "started": ""} for attempt in attempts]
        once = [] if act == "nan" else [{**errors[act], "started": ""}]
        assert known == (once * 8 if act == "kill" else once)
    after = workplace.files()
    for file, content in before.items():
        if json.loads(content[1])["status"] in ("done", "diverged"):
            assert after[file] == content


@pytest.mark.slow
def test_a_killed_run_goes_on_where_it_was(workplace: Workplace) -> None:
    algorithms = [
        {"name": "single", "params": {"pause": 0.04}},
        {"name": "batched", "params": {"pause": 0.04, "batched": True}},
    ]
    suite = workplace.suite(algorithms)
    process = workplace.start(suite)
    wait_until(lambda: len(workplace.files()) >= 2, "two finished runs")
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    wait_until(lambda: not members(process.pid), "the workers' end", seconds=5)
    finished = workplace.files()
    assert 2 <= len(finished) < 6
    # What a write that was cut short leaves behind is swept away, a damaged file kept for its owner.
    folder = next(iter(finished)).parent
    leftover = folder / ".seed-9.json.abcdefgh"
    leftover.write_text("{")
    victim = folder / "seed-2.json"
    victim.write_text('{"format_version": 1, "status"')
    finished.pop(victim, None)

    assert workplace.run(suite).returncode == 0
    after = workplace.files()
    assert {file: after[file] for file in finished} == finished
    assert not leftover.exists()
    assert victim.with_suffix(".json.damaged").read_text() == '{"format_version": 1, "status"'
    assert workplace.run(suite, "--results", "other", "--workers", "1").returncode == 0
    uninterrupted = {key: timeless(record) for key, record in workplace.records("other").items()}
    assert {key: timeless(record) for key, record in workplace.records().items()} == uninterrupted
    assert len(uninterrupted) == 6


def test_no_worker_survives_its_parent_however_deaf(workplace: Workplace) -> None:
    suite = workplace.suite([{"name": "a", "params": {"act": "hold", "at": [0]}}], seeds=1)
    process = workplace.start(suite)
    logs = workplace.folder / "results" / "trial" / "logs"
    wait_until(lambda: any("training" in log.read_text() for log in logs.rglob("*.log")), "the training's start")
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    wait_until(lambda: not members(process.pid), "the worker's end", seconds=5)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_says_so_and_goes_on(workplace: Workplace, number: signal.Signals) -> None:
    algorithms = [
        {"name": "a", "params": {"pause": 0.03, "batched": True}},
        {"name": "b", "params": {"pause": 60, "batched": True}},
    ]
    suite = workplace.suite(algorithms)
    process = workplace.start(suite)
    wait_until(lambda: workplace.files(), "a finished run")
    # What an algorithm that keeps checkpoints has left of a run.
    folder = next((workplace.folder / "results" / "trial" / "logs").glob("*--b--*")).name
    (workplace.folder / "results" / "trial" / folder).mkdir(exist_ok=True)
    (workplace.folder / "results" / "trial" / folder / "seed-1.checkpoint").touch()
    begun = time.monotonic()
    # To the whole group, as a terminal does.
    os.killpg(process.pid, number)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130, errors
    assert time.monotonic() - begun < 5
    assert members(process.pid) == []
    assert "Traceback" not in errors
    statuses = workplace.statuses()
    assert len(statuses) == 6
    assert statuses["a", 0] == "done"
    assert {statuses["b", seed] for seed in range(3)} == {"interrupted"}
    assert number.name in workplace.records()["b", 2]["error"]["message"]
    kept = sum(status == "done" for status in statuses.values())
    again = f"the same command resumes 1 run from a checkpoint and starts {5 - kept} runs from the beginning"
    assert errors.endswith(f"\ninterrupted: {kept} of 6 runs finished and kept; {again}\n")

    before = workplace.files()
    assert workplace.run(suite, "--only", "a").returncode == 0
    assert {seed: workplace.statuses()["a", seed] for seed in range(3)} == dict.fromkeys(range(3), "done")
    assert workplace.records()["a", 2]["attempts"] == []
    done = {file: content for file, content in before.items() if b'"status": "done"' in content[1]}
    assert {file: workplace.files()[file] for file in done} == done


def _is_worker(process: int) -> bool:
    """Whether it is a worker that has come to life; git, asked for the commit, is a child for a moment too."""
    try:
        return b"-c" in Path(f"/proc/{process}/cmdline").read_bytes().split(b"\0")
    except OSError:  # it has gone
        return False


def test_ctrl_c_while_workers_are_being_born(workplace: Workplace) -> None:
    suite = workplace.suite([{"name": "a", "params": {"pause": 60}}])
    process = workplace.start(suite)
    # The first has resolved the suite by then; the log is opened for the second, or by the first for its job.
    wait_until(lambda: any((workplace.folder / "results" / "trial" / "logs").rglob("*.log")), "the first job")
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert (process.returncode, members(process.pid)) == (130, [])
    assert "Traceback" not in errors
    assert set(workplace.statuses().values()) == {"interrupted"}
    assert all(not record["curve"] and not record["final"] for record in workplace.records().values())
    logs = (workplace.folder / "results" / "trial" / "logs").rglob("*.log")
    assert "KeyboardInterrupt" not in "".join(log.read_text() for log in logs)


def test_ctrl_c_while_the_first_worker_resolves_the_suite(workplace: Workplace) -> None:
    suite = workplace.suite([{"name": "a", "params": {"pause": 60}}])
    process = workplace.start(suite)
    wait_until(lambda: any(_is_worker(member) for member in members(process.pid)), "a worker")
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in errors
    wait_until(lambda: members(process.pid) == [], "the end of the worker")
    assert set(workplace.statuses().values()) <= {"interrupted"}


def test_a_second_run_on_the_same_folder_is_refused(workplace: Workplace) -> None:
    suite = workplace.suite([{"name": "a", "params": {"pause": 60}}])
    process = workplace.start(suite)
    try:
        wait_until(lambda: (workplace.folder / "results" / "trial" / "logs").exists(), "the first job")
        second = workplace.run(suite)
        assert second.returncode == 4
        assert f"another run is writing to this folder (process {process.pid})" in second.stderr
    finally:
        process.terminate()
        process.communicate(timeout=30)


def test_fail_fast_stops_at_the_first_failure(workplace: Workplace) -> None:
    suite = workplace.suite(
        [{"name": "a", "params": {"act": "raise", "at": [0]}}, {"name": "b", "params": {"pause": 60}}], seeds=2
    )
    process = workplace.run(suite, "--fail-fast")
    assert process.returncode == 2, process.stderr
    statuses = workplace.statuses()
    assert statuses["a", 0] == "failed"
    assert statuses["b", 1] == "interrupted"
    assert "done" not in (statuses["b", 0], statuses["b", 1])


def test_a_dry_run_writes_nothing_and_a_selection_keeps_the_plan(workplace: Workplace) -> None:
    suite = workplace.suite([{"name": "a"}, {"name": "b", "params": {"act": "raise", "at": [1]}}])
    dry = workplace.run(suite, "--dry-run")
    assert dry.returncode == 0, dry.stderr
    assert "6 runs to do in 6 jobs on 2 workers" in dry.stdout
    assert not (workplace.folder / "results").exists()

    assert workplace.run(suite).returncode == 2
    plan_file = workplace.folder / "results" / "trial" / "plan.json"
    plan = json.loads(plan_file.read_text())
    assert [cell["algorithm"] for cell in plan["cells"]] == ["a", "b"]
    assert plan["source"] == suite.read_text()
    everything = sorted((workplace.folder / "results").rglob("*"))
    dry = workplace.run(suite, "--dry-run", "--set", "seeds=5")
    assert "4 runs to do" in dry.stdout
    assert "~" in dry.stdout
    assert "1 failed run left alone" in dry.stdout
    assert sorted((workplace.folder / "results").rglob("*")) == everything

    changed = workplace.run(suite, "--only", "a", "--set", "seeds=2", "--set", "tasks.0.budget.env_steps=150")
    assert changed.returncode == 0, changed.stderr
    # What is left out stays in the plan, as the suite now asks for it: no table may set one budget beside another.
    later = json.loads(plan_file.read_text())
    assert [(cell["algorithm"], cell["budget"], cell["seeds"]) for cell in later["cells"]] == [
        ("a", 150, [0, 1]),
        ("b", 150, [0, 1]),
    ]
    assert later["cells"][0]["folder"] != plan["cells"][0]["folder"]
    assert later["source"].endswith("\n# run with --set seeds=2\n# run with --set tasks.0.budget.env_steps=150")

    # A run of a newer format is neither read nor moved out of the way.
    newer = workplace.folder / "results" / "trial" / later["cells"][0]["folder"] / "seed-0.json"
    newer.write_text(newer.read_text().replace('"format_version": 1', '"format_version": 2'))
    refused = workplace.run(suite, "--set", "seeds=2", "--set", "tasks.0.budget.env_steps=150")
    assert refused.returncode == 4
    assert "newer version" in refused.stderr
    assert newer.exists()


def test_policies_are_kept_on_request(workplace: Workplace) -> None:
    import numpy as np

    suite = workplace.suite([{"name": "a"}], seeds=2)
    assert workplace.run(suite, "--save-policies").returncode == 0
    for record in workplace.files():
        with np.load(record.with_suffix(".npz")) as policy:
            assert policy["weights"].tolist() == [int(record.stem.removeprefix("seed-"))] * 3


def test_a_results_folder_that_cannot_be_written(workplace: Workplace) -> None:
    suite = workplace.suite([{"name": "a"}])
    (workplace.folder / "file").touch()
    process = workplace.run(suite, "--results", "file")
    assert process.returncode == 4
    assert "cannot write" in process.stderr
    assert "--results" in process.stderr
    assert "Traceback" not in process.stderr


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_results_folder(workplace: Workplace) -> None:
    suite = workplace.suite([{"name": "a"}])
    (workplace.folder / "results").mkdir(mode=0o555)
    process = workplace.run(suite)
    assert process.returncode == 4
    assert "Permission denied" in process.stderr


def test_a_terminal_shows_a_bar_and_a_line_for_each_job(workplace: Workplace) -> None:
    suite = workplace.suite([{"name": "a", "params": {"act": "raise", "at": [0], "pause": 0.1}}], seeds=2)
    ours, theirs = os.openpty()
    process = workplace.start(suite, stderr=theirs)
    os.close(theirs)
    shown = b""
    while True:
        try:
            shown += os.read(ours, 65536)
        except OSError:  # the other end is closed
            break
    os.close(ours)
    process.communicate(timeout=30)
    assert process.returncode == 2
    text = shown.decode()
    assert "of 2 runs" in text
    assert "failed  random-walk/20 a seed 0: ValueError: seed 0" in text
    assert "random-walk/20 a seed 1" in text
    assert "steps/s" in text
    assert "score" in text
    assert "left" in text
