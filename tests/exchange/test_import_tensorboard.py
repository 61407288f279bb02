"""TensorBoard's event files, as TensorBoard itself reads them: restarts, steps out of order, several writers."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from cli_support import Outcome
from import_support import stored

pytest.importorskip("tensorboard")
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

TASK = "gym/X-v0"
SAID = ("--suite", "s", "--task", TASK, "--algorithm", "a", "--seed", "0", "--start", "first")

#: tag, step, value
Scalars = Sequence[tuple[str, int, float]]
Take = Callable[..., Outcome]


def write(
    path: Path,
    scalars: Scalars,
    *,
    clock: Callable[[int, int], float],
    purge_step: int | None = None,
    version: str | None = "brain.Event:2",
) -> Path:
    """An event file as torch's SummaryWriter writes it.

    Args:
        clock: seconds of an event by its number and step.
        purge_step: step of a SessionLog.START at the beginning; none where None.
        version: None for a file that says none, as very old ones.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        writer = RecordWriter(file)
        events = [Event(wall_time=clock(0, 0), file_version=version)] if version else []
        if purge_step is not None:
            start = SessionLog(status=SessionLog.START)
            events.append(Event(wall_time=clock(0, 0), step=purge_step, session_log=start))
        for i, (tag, step, value) in enumerate(scalars):
            summary = Summary(value=[Summary.Value(tag=tag, simple_value=value)])
            events.append(Event(wall_time=clock(i, step), step=step, summary=summary))
        for event in events:
            writer.write(event.SerializeToString())
        writer.flush()
    return path


def theirs(folder: Path, tag: str) -> list[tuple[int, float]]:
    """A tag's points as TensorBoard shows them, in the order of steps."""
    found = EventAccumulator(str(folder), size_guidance={"scalars": 0, "tensors": 0}).Reload()
    tags = found.Tags()["scalars"]
    return sorted((event.step, event.value) for event in found.Scalars(tag)) if tag in tags else []


def run_of(tmp_path: Path) -> dict[str, Any]:
    (run,) = stored(tmp_path / "results", "s").values()
    return run


def at(points: Sequence[tuple[int, float]], marks: Sequence[int]) -> list[float]:
    """The last value at or before each mark, else the first."""
    return [([value for step, value in points if step <= mark] or [points[0][1]])[-1] for mark in marks]


EVAL, ROLLOUT = "eval/mean_reward", "rollout/x"
FIRST: Scalars = [
    *[(ROLLOUT, 20, 2.0), (ROLLOUT, 40, 4.0), (EVAL, 50, 5.0)],
    *[(ROLLOUT, 60, 6.0), (ROLLOUT, 80, 8.0), (EVAL, 100, 100.0)],
]
RESTARTS: dict[str, tuple[int, Scalars]] = {
    "nothing was evaluated again": (60, [(ROLLOUT, 60, 61.0), (ROLLOUT, 80, 81.0)]),
    "evaluated again": (60, [(ROLLOUT, 60, 61.0), (EVAL, 100, 101.0)]),
    "beyond the end": (500, [(EVAL, 500, 7.0)]),
    "at a step that was logged": (100, [(ROLLOUT, 100, 3.0)]),
    "behind its own steps": (60, [(EVAL, 55, 1.0), (EVAL, 70, 2.0)]),
}


@pytest.mark.parametrize(("purge_step", "second"), RESTARTS.values(), ids=RESTARTS)
def test_what_a_restart_orphans_is_forgotten_as_tensorboard_does(
    tmp_path: Path, take: Take, purge_step: int, second: Scalars
) -> None:
    folder = tmp_path / "logs"
    write(folder / "events.out.tfevents.1.a", FIRST, clock=lambda i, _: 1000.0 + i)
    write(folder / "events.out.tfevents.2.b", second, clock=lambda i, _: 2000.0 + i, purge_step=purge_step)
    left = theirs(folder, EVAL)
    assert left[0] == (50, 5.0)
    done = take(folder, *SAID, "--column", f"return={EVAL}", "--budget", 600, "--every", 5, "--short", "hold")
    assert done.code == 0, done.err
    marks = list(range(0, 601, 5))
    assert run_of(tmp_path)["curve"]["eval_return"] == at(left, marks)
    assert max(step for step, _ in left) == run_of(tmp_path)["cost"]["env_steps_collected"]


def test_the_orphaned_end_of_a_run_is_no_end(tmp_path: Path, take: Take) -> None:
    folder = tmp_path / "logs"
    write(folder / "events.out.tfevents.1.a", FIRST, clock=lambda i, _: 1000.0 + i)
    second = [(ROLLOUT, 60, 61.0), (ROLLOUT, 80, 81.0)]
    write(folder / "events.out.tfevents.2.b", second, clock=lambda i, _: 2000.0 + i, purge_step=60)
    done = take(folder, *SAID, "--column", f"return={EVAL}", "--budget", 100, "--every", 25)
    assert done.code == 0, done.err
    assert run_of(tmp_path)["error"]["message"] == "ends at 50 of 100 env steps"


def test_a_restart_within_a_file(tmp_path: Path, take: Take) -> None:
    folder = tmp_path / "logs"
    path = write(folder / "events.out.tfevents.1.a", FIRST, clock=lambda i, _: 1000.0 + i)
    other = write(tmp_path / "b", [(EVAL, 70, 7.0)], clock=lambda *_: 2000.0, purge_step=60, version=None)
    path.write_bytes(path.read_bytes() + other.read_bytes())
    assert theirs(folder, EVAL) == [(50, 5.0), (70, 7.0)]
    assert take(folder, *SAID, "--column", f"return={EVAL}").code == 0
    assert run_of(tmp_path)["curve"] == {
        "env_steps": [0, 50, 70],
        "eval_return": [5.0, 5.0, 7.0],
        "wall_seconds": [0.0, 2.0, 1000.0],
    }


def test_restarts_are_in_the_order_of_the_clock(tmp_path: Path, take: Take) -> None:
    """One of them logged no scalar before it died."""
    folder = tmp_path / "logs"
    write(folder / "events.out.tfevents.1.a", [(EVAL, 50, 5.0), (EVAL, 100, 1.0)], clock=lambda i, _: 1000.0 + i)
    write(folder / "events.out.tfevents.2.b", [], clock=lambda i, _: 2000.0 + i, purge_step=60)
    write(folder / "events.out.tfevents.3.c", [(EVAL, 70, 7.0)], clock=lambda i, _: 3000.0 + i, purge_step=60)
    assert theirs(folder, EVAL) == [(50, 5.0), (70, 7.0)]
    assert take(folder, *SAID).code == 0
    assert run_of(tmp_path)["curve"]["eval_return"] == [5.0, 5.0, 7.0]


@pytest.mark.parametrize("version", ["brain.Event:2", "brain.Event:1", None])
def test_steps_out_of_order_as_tensorboard_takes_them(tmp_path: Path, take: Take, version: str | None) -> None:
    folder = tmp_path / "logs"
    points = [(EVAL, 10, 1.0), (EVAL, 30, 3.0), (EVAL, 20, 2.0), (EVAL, 40, 4.0)]
    write(folder / "events.out.tfevents.1", points, clock=lambda i, _: 1000.0 + i, version=version)
    left = theirs(folder, EVAL)
    assert len(left) == (4 if version == "brain.Event:2" else 3)
    assert take(folder, *SAID, "--budget", 40, "--every", 10).code == 0
    assert run_of(tmp_path)["curve"]["eval_return"] == at(left, [0, 10, 20, 30, 40])


def test_two_writers_at_once_are_refused_with_both_names(tmp_path: Path, take: Take) -> None:
    folder = tmp_path / "logs"
    for name, sign, began in (("a", 1, 1000.0), ("b", -1, 1001.0)):
        points = [(EVAL, step, float(sign * step)) for step in (10, 20, 30, 40)]
        write(folder / f"events.out.tfevents.1.{name}", points, clock=lambda i, _, t=began: t + i)
    done = take(folder, *SAID)
    assert done.code == 4
    assert "events.out.tfevents.1.b: was written at the same time as events.out.tfevents.1.a" in done.err
    # A mapping can tell them apart.
    mapping = tmp_path / "m.yaml"
    mapping.write_text(
        f"suite: s\nsources:\n  - files: logs/events.out.tfevents.1.{{algorithm}}\n    task: {TASK}\n    seed: 0\n"
    )
    assert take(mapping).code == 0
    found = {
        algorithm: run["final"]["eval_return"] for (algorithm, _), run in stored(tmp_path / "results", "s").items()
    }
    assert found == {"a": 40.0, "b": -40.0}


def test_two_runs_after_each_other_are_refused_with_both_names(tmp_path: Path, take: Take) -> None:
    folder = tmp_path / "logs"
    for name, began in (("a", 1000.0), ("b", 2000.0)):
        points = [(EVAL, step, began + step) for step in (10, 20, 30)]
        write(folder / f"events.out.tfevents.1.{name}", points, clock=lambda i, _, t=began: t + i)
    done = take(folder, *SAID)
    assert done.code == 4
    assert "events.out.tfevents.1.b: logs 'eval/mean_reward' from step 10 on" in done.err
    assert "nothing of events.out.tfevents.1.a is left" in done.err
    done = take(folder, *SAID, "--resumed", "restarted")
    assert done.code == 0, done.err
    assert run_of(tmp_path)["curve"]["env_steps"] == [0, 10, 20, 30, 40, 50, 60]
    assert run_of(tmp_path)["curve"]["eval_return"][1:] == [1010.0, 1020.0, 1030.0, 2010.0, 2020.0, 2030.0]


def test_a_run_that_was_resumed_twice_from_one_checkpoint(tmp_path: Path, take: Take) -> None:
    """Nothing says that it was: the later files do."""
    folder = tmp_path / "logs"
    parts = [[(50, 1.0), (100, 2.0), (150, 3.0)], [(100, 4.0), (150, 5.0)], [(100, 6.0), (200, 7.0)]]
    for i, points in enumerate(parts):
        scalars = [(EVAL, step, value) for step, value in points]
        write(folder / f"events.out.tfevents.{i}", scalars, clock=lambda j, _, t=1000.0 * i: t + j)
    done = take(folder, *SAID)
    assert done.code == 0, done.err
    assert run_of(tmp_path)["curve"]["env_steps"] == [0, 50, 100, 200]
    assert run_of(tmp_path)["curve"]["eval_return"] == [1.0, 1.0, 6.0, 7.0]


def test_writers_of_different_tags_are_one_run(tmp_path: Path, take: Take) -> None:
    folder = tmp_path / "logs"
    for name, tag in (("a", EVAL), ("b", "train/loss")):
        points = [(tag, step, float(step)) for step in (10, 20, 30)]
        write(folder / f"events.out.tfevents.1.{name}", points, clock=lambda i, _: 1000.0 + i)
    assert take(folder, *SAID, "--column", "loss=train/loss").code == 0
    assert run_of(tmp_path)["curve"]["eval_return"] == [10.0, 10.0, 20.0, 30.0]
    assert run_of(tmp_path)["curve"]["loss"] == [None, 10.0, 20.0, 30.0]


def test_several_values_at_one_step(tmp_path: Path, take: Take) -> None:
    folder = tmp_path / "logs"
    tag = "charts/episodic_return"
    points = [(tag, 10, 1.0), (tag, 10, 2.0), (tag, 20, 3.0), (tag, 20, 7.0), (tag, 20, 8.0)]
    write(folder / "events.out.tfevents.1", points, clock=lambda i, _: 1000.0 + i)
    for which, expected in ((None, [2.0, 8.0]), ("first", [1.0, 3.0]), ("last", [2.0, 8.0]), ("mean", [1.5, 6.0])):
        results = tmp_path / str(which)
        done = take(folder, *SAID, *(("--repeated", which) if which else ()), "--results", results)
        assert done.code == 0, done.err
        (run,) = stored(results, "s").values()
        assert run["curve"]["eval_return"][1:] == expected
    # What is the default anyway makes no other settings.
    hashes = [next(iter(stored(tmp_path / name, "s").values()))["settings_hash"] for name in ("None", "last", "mean")]
    assert hashes[0] == hashes[1] != hashes[2]


def test_a_graph_is_no_damage(tmp_path: Path, take: Take) -> None:
    """The loader gives an event with a graph twice."""
    folder = tmp_path / "logs"
    path = write(folder / "events.out.tfevents.1", [(EVAL, 10, 1.0), (EVAL, 20, 2.0)], clock=lambda i, _: 1000.0 + i)
    with path.open("ab") as file:
        writer = RecordWriter(file)
        writer.write(Event(wall_time=1000.0, graph_def=b"").SerializeToString())
        writer.flush()
    done = take(folder, *SAID)
    assert (done.code, done.err) == (0, "")


def test_parts_in_folders_of_their_own(tmp_path: Path, take: Take) -> None:
    """PPO_2 and PPO_10 as Stable-Baselines3 writes them where learning goes on."""
    for name, began in (("PPO_2", 1000.0), ("PPO_10", 2000.0)):
        points = [(EVAL, step, began + step) for step in (10, 20)]
        write(tmp_path / "logs" / name / "events.out.tfevents.1", points, clock=lambda i, _, t=began: t + i)
    done = take(tmp_path / "logs", *SAID)
    assert done.code == 4
    assert "resumed: restarted" in done.err
    assert take(tmp_path / "logs", *SAID, "--resumed", "restarted").code == 0
    assert run_of(tmp_path)["curve"] == {
        "env_steps": [0, 10, 20, 30, 40],
        "eval_return": [1010.0, 1010.0, 1020.0, 2010.0, 2020.0],
        "wall_seconds": [0.0, 0.0, 1.0, 1.0, 2.0],
    }
