"""The file that says what goes on, and those who are told."""

import os
from pathlib import Path

import pytest
from special_files import within
from synthetic_runs import KINDS

from haepo_bench.execution.executor import Ended, Event, Failed, Finished, Marked, Progressed, Started, Tick
from haepo_bench.execution.jobs import Job, last_end
from haepo_bench.execution.live_state import LiveWriter
from haepo_bench.execution.observing import Observers, Retried
from haepo_bench.results.live_file import LIVE_FILE, LiveState, read_live
from haepo_bench.results.record import Failure, References
from haepo_bench.results.store import Store
from haepo_bench.suite.plan import Cell, Lookup

TASK = "bandit/10-arm"


def cell(algorithm: str, references: References | None = None) -> Cell:
    return Cell(
        task=TASK, algorithm=algorithm, settings_hash="5" * 64, code_hash="c" * 64, time_limit=None,
        options={}, uses=algorithm, lookup=Lookup(TASK), overrides={}, parameters={}, seeds=(0, 1, 2),
        budget=1000, evaluation_every=1, evaluation_episodes=1, batches_seeds=True, references=references,
        information=next(iter(KINDS.values())), notes=(), settings={}, code={},
    )  # fmt: skip


class Clock:
    """Seconds that pass when the test says so."""

    now = 100.0

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return 1_700_000_000.0 + self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr("haepo_bench.execution.live_state.time", found)
    return found


def read(folder: Path) -> LiveState:
    found = read_live(folder)
    assert isinstance(found, LiveState)
    return found


def test_points_are_written_soon_and_progress_once_a_second(tmp_path: Path, clock: Clock) -> None:
    scored = Job.of(cell("grpo", References(random=1.0, solved=3.0, source="made up")), (0, 1), 30.0)
    other = Job.of(cell("ppo"), (2,), 50.0)
    first = scored.runs[0]
    failure = Failure(status="failed", type="WorkerDied", message="killed", remedy="more memory")
    with LiveWriter(Store(tmp_path), [scored, other], 1) as writer:
        assert (read(tmp_path).runs, read(tmp_path).waiting, read(tmp_path).seconds_left) == (3, 2, None)
        clock.now += 1.0
        writer.show(Started(scored))
        clock.now += 0.125
        writer.show(Marked(scored, first, {"env_steps": 0, "eval_return": 2.0}))
        assert read(tmp_path).curves == []
        clock.now += 0.125
        writer.show(Tick())
        assert len(read(tmp_path).curves) == 1
        clock.now += 0.5
        writer.show(Progressed(scored, 500, 2000, None))
        assert read(tmp_path).jobs[0].env_steps == 0
        clock.now += 0.5
        writer.show(Tick())
        state = read(tmp_path)
        assert [(curve.seed, curve.env_steps, curve.values, curve.ended) for curve in state.curves] == [
            (0, [0], [0.5], False)
        ]
        (job,) = state.jobs
        assert (job.worker, job.seeds, job.env_steps, job.total, job.seconds) == (1, [0, 1], 500, 2000, 1.25)
        assert job.seconds_left == 3.75  # 400 steps a second, 1500 left
        assert state.seconds_left == 53.75  # then the one that waits, by its estimate
        clock.now += 5.0
        writer.show(Tick())
        assert read(tmp_path).written == state.written  # no news
        clock.now += 5.0
        writer.show(Tick())
        assert read(tmp_path).written == state.written + 10.0
        writer.show(Finished(scored, first, "{}"))
        clock.now += 1.0
        writer.show(Retried(scored, scored.runs[1:], failure))
        state = read(tmp_path)
        assert (state.finished, state.failed, state.curves[0].ended) == (1, 0, True)
        assert [(each.again, each.seeds, each.remedy) for each in state.failures] == [(True, [1], "more memory")]
        clock.now += 1.0
        writer.show(Failed(scored, scored.runs[1:], failure))
        writer.show(Ended(scored))
        clock.now += 1.0
        writer.show(Tick())
        state = read(tmp_path)
        assert (state.failed, state.jobs, state.seconds_left) == (1, [], 50.0)
    assert list(tmp_path.iterdir()) == []


def test_a_curve_of_many_points_is_thinned_and_has_its_last_one(tmp_path: Path, clock: Clock) -> None:
    job = Job.of(cell("ppo"), (0,), 1.0)
    with LiveWriter(Store(tmp_path), [job], 1) as writer:
        writer.show(Started(job))
        for step in range(1001):
            writer.show(Marked(job, job.runs[0], {"env_steps": step, "eval_return": float(step)}))
        clock.now += 1.0
        writer.show(Tick())
        (curve,) = read(tmp_path).curves
    assert curve.env_steps[-1] == 1000
    assert curve.values == [float(step) for step in curve.env_steps]
    assert 60 < len(curve.env_steps) <= 80


def test_seeds_of_unequal_length_share_their_points(tmp_path: Path, clock: Clock) -> None:
    job = Job.of(cell("ppo"), (0, 1), 1.0)
    with LiveWriter(Store(tmp_path), [job], 1) as writer:
        writer.show(Started(job))
        for run, points in zip(job.runs, (500, 999), strict=True):
            for step in range(points):
                writer.show(Marked(job, run, {"env_steps": step, "eval_return": 0.0}))
        clock.now += 1.0
        writer.show(Tick())
        first, second = (curve.env_steps for curve in read(tmp_path).curves)
    assert (first[-1], second[-1]) == (499, 998)
    assert set(range(0, 500, 16)) <= set(first) & set(second)


@pytest.mark.parametrize("points", [1, 2, 80, 81, 159, 160, 161])
def test_no_curve_has_more_points_than_a_screen(tmp_path: Path, clock: Clock, points: int) -> None:
    job = Job.of(cell("ppo"), (0,), 1.0)
    with LiveWriter(Store(tmp_path), [job], 1) as writer:
        writer.show(Started(job))
        for step in range(points):
            writer.show(Marked(job, job.runs[0], {"env_steps": step, "eval_return": 0.0}))
        clock.now += 1.0
        writer.show(Tick())
        (curve,) = read(tmp_path).curves
    assert min(points, 40) <= len(curve.env_steps) <= 80


@pytest.mark.parametrize("kind", ["link", "pipe"])
def test_it_writes_to_nothing_that_stands_in_its_way(tmp_path: Path, clock: Clock, kind: str) -> None:
    victim, part = tmp_path / "victim", tmp_path / "suite" / f"{LIVE_FILE}.part"
    victim.write_text("mine")
    part.parent.mkdir()
    if kind == "link":
        part.symlink_to(victim)
    else:
        os.mkfifo(part)
    with within(5), LiveWriter(Store(part.parent), [Job.of(cell("ppo"), (0,), 1.0)], 1):
        assert read(part.parent).runs == 1
    assert victim.read_text() == "mine"


def test_files_of_others_are_not_believed(tmp_path: Path) -> None:
    assert read_live(tmp_path) is None
    for text, says in [("{", "unreadable"), ("[]", "unreadable"), ('{"format_version": 2}', "newer")]:
        (tmp_path / LIVE_FILE).write_text(text)
        assert read_live(tmp_path) == says


def test_one_who_is_told_and_fails_is_named_once(capsys: pytest.CaptureFixture[str]) -> None:
    heard: list[Event | Retried] = []

    class Listener:
        name = "the listener"

        def __enter__(self) -> "Listener":
            return self

        def __exit__(self, *exception: object) -> None:
            pass

        def show(self, event: Event | Retried) -> None:
            heard.append(event)

    class Broken(Listener):
        name = "the logger x"

        def show(self, event: Event | Retried) -> None:
            raise ConnectionError("no\nnetwork")

    with Observers([Broken(), Listener()]) as told:
        told.show(Tick())
        told.show(Tick())
    assert len(heard) == 2
    assert capsys.readouterr().err == "the logger x stopped, the runs go on: ConnectionError: no network\n"


def test_when_the_last_job_ends() -> None:
    assert last_end([], [], 2) == 0.0
    assert last_end([5.0, 1.0], [3.0, 4.0], 2) == 8.0  # the first goes after 1 until 4, the second from there
