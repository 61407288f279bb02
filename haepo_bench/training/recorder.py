"""The recorder: turns what a training loop reports into curves at shared evaluation points.

Evaluation points are 0, every, 2 every, ..., budget. The value at one is the evaluation of the policy that collected
that step, before the next update; one evaluation serves all points that an iteration crosses. Diagnostics average the
iterations since the last point. Native algorithms and external ones report in the same way.

An evaluation may be made later than its points are crossed: what is recorded stands still from then on (`Crossing`),
and a seed's result is the same as if it had been made at once.
"""

import resource
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from numpy.typing import NDArray

from haepo_bench.files import read_regular
from haepo_bench.results.record import Number, Status
from haepo_bench.training.seed_record import End, Evaluation, SeedRecord


class BadCheckpoint(ValueError):
    """A checkpoint that was read and is unusable; the message says why."""


class Checkpoints(Protocol):
    """Where runs that can be continued keep their state."""

    def due(self) -> bool:
        """Whether it is time to keep others."""
        ...

    def write(self, seeds: Sequence[int], state: Callable[[int], bytes]) -> None:
        """Keeps each seed's `state` in place of the one before; whole or not at all."""
        ...

    def read(self, seed: int) -> bytes | None:
        """The last one kept of this very run, None where there is none.

        Raises:
            BadCheckpoint: what was kept is damaged, or of another run.
            UserError: it cannot be read.
        """
        ...

    def put_aside(self, seed: int) -> str:
        """Gives an unusable checkpoint another name, which it returns."""
        ...


class Progress(NamedTuple):
    """Where a job stands, for people who watch.

    Args:
        env_steps: training steps taken, summed over the job's seeds.
        total: steps that the job will take.
        eval_return: mean of the seeds' latest evaluations, None before the first.
    """

    env_steps: int
    total: int
    eval_return: float | None


@dataclass(frozen=True)
class SeedResult:
    """What became of one seed.

    Args:
        reason: why it diverged; empty for `done`.
        curve: named columns, one entry per evaluation point; null from the one at which a diverged seed stopped.
        provenance: where it went on from a checkpoint (`resumed`), and `checkpoints_put_aside`.
    """

    seed: int
    status: Status
    reason: str
    curve: dict[str, list[Number]]
    final: dict[str, Number]
    cost: dict[str, Number]
    provenance: dict[str, Any] = field(default_factory=dict)


def marks(every: int, budget: int) -> list[int]:
    """0, every, 2 every, ..., budget (env steps); the budget is one even where `every` does not divide it."""
    return [*range(0, budget, every), budget]


class Recorder:
    """Collects the curves of a job's seeds.

    The loop calls, for each iteration: `collected` (steps taken by the current policy), then `due` for the seeds whose
    policy must be evaluated, `evaluated` for those, then, for seeds that are still `live`, updates and `updated`. One
    that evaluates later calls `crossed` in place of `due`, and `evaluated` when it has. Clocks run from `begin` on:
    time inside `evaluating` counts as evaluation, everything else as training, divided equally among the seeds in
    training that are still live.

    Args:
        seeds: of this job.
        budget: training env steps per seed.
        every: env steps between evaluation points.
        episodes: evaluation episodes.
        on_finished: called once for each seed that is done or diverged.
        on_failed: called once for each seed that fails by itself, with the reason; where nobody listens, it is raised.
        on_marked: called once for each evaluation point of a seed that has been evaluated, with the curve's columns
            there; again for those that a checkpoint brings back.
        on_progress: called now and then.
        on_policy: given each seed's final policy; None where nobody keeps policies.
        checkpoints: where runs that can be continued keep their state; None where nobody keeps it.
    """

    def __init__(
        self,
        seeds: Sequence[int],
        *,
        budget: int,
        every: int,
        episodes: int,
        on_finished: Callable[[SeedResult], None] = lambda result: None,
        on_failed: Callable[[int, Exception], None] | None = None,
        on_marked: Callable[[int, Mapping[str, Number]], None] = lambda seed, row: None,
        on_progress: Callable[[Progress], None] = lambda progress: None,
        on_policy: Callable[[int, Mapping[str, NDArray[Any]]], None] | None = None,
        checkpoints: "Checkpoints | None" = None,
    ) -> None:
        self.budget = budget
        self.episodes = episodes
        self.marks = marks(every, budget)
        self._seeds = {seed: SeedRecord() for seed in seeds}
        self._on_finished = on_finished
        self._on_failed = on_failed
        self._on_marked = on_marked
        self._on_progress = on_progress
        self._on_policy = on_policy
        self._checkpoints = checkpoints
        self._training = list(seeds)
        self._wall = time.perf_counter()
        self._cpu = time.process_time()

    def begin(self, seeds: Sequence[int]) -> None:
        """From now on these seeds are trained; what was imported and built before is nobody's training time."""
        self._training = list(seeds)
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    @property
    def live(self) -> list[int]:
        """Seeds that train on: neither at the budget, nor diverged, nor failed; in their first order."""
        return [seed for seed, state in self._seeds.items() if not state.over]

    def lives(self, seed: int) -> bool:
        """Whether `seed` is one of the `live`."""
        return not self._seeds[seed].over

    @property
    def unfinished(self) -> list[int]:
        """Seeds of which no result and no failure has been reported, in their first order."""
        return [seed for seed, state in self._seeds.items() if not state.finished]

    def collected(
        self, seed: int, env_steps: int, episodes: int, diagnostics: Mapping[str, float] | None = None
    ) -> None:
        """`seed`'s current policy took `env_steps` more steps, in which `episodes` episodes ended."""
        state = self._seeds[seed]
        state.env_steps += env_steps
        state.episodes += episodes
        state.add(diagnostics or {})

    def updated(self, seed: int, gradient_steps: int, diagnostics: Mapping[str, float]) -> None:
        """`seed`'s policy was updated."""
        state = self._seeds[seed]
        state.gradient_steps += gradient_steps
        state.add(diagnostics)

    def due(self) -> list[tuple[int, int]]:
        """Live seeds whose current policy collected points not yet evaluated, each with the number of the last of them.

        The last, because the budget is then evaluated alike for every algorithm, however long its iterations are.
        """
        reached = {seed: self._seeds[seed].reached(self.marks) for seed in self.live}
        return [(seed, number - 1) for seed, number in reached.items() if number > self._seeds[seed].crossed]

    def crossed(self) -> list[tuple[int, int]]:
        """What is `due`, and from now on waits for `evaluated`; seeds at the budget are live no more."""
        due = self.due()
        if due:
            self._tick()
        for seed, _ in due:
            self._seeds[seed].cross(self.marks)
        return due

    def evaluated(self, seed: int, evaluation: Evaluation) -> None:
        """The evaluation of `seed`'s current policy, or of the first that waits for one.

        It serves every evaluation point that the policy crossed.
        """
        self._tick()
        state = self._seeds[seed]
        if not state.waiting:
            state.cross(self.marks)
        before = len(state.rows)
        state.evaluated(evaluation, self.marks)
        for row in state.rows[before:]:
            self._on_marked(seed, row)
        self._settle(seed)

    def diverged(self, seed: int, reason: str) -> None:
        """`seed` became non-finite: it ends here, with nulls from the next point on."""
        self._tick()
        self._seeds[seed].end = End(reason)
        self._settle(seed)

    def failed(self, seed: int, reason: Exception) -> None:
        """`seed` has no result for a reason of its own; the other seeds go on."""
        self._tick()
        self._seeds[seed].end = End("", reason)
        self._settle(seed)

    def ending(self, seed: int) -> bool:
        """Whether `seed` has reached the budget: its next evaluation finishes it."""
        return self._seeds[seed].env_steps >= self.budget

    @property
    def wants_policies(self) -> bool:
        """Whether policies are kept; only then need the loop call `policy`."""
        return self._on_policy is not None

    def policy(self, seed: int, state: Mapping[str, NDArray[Any]]) -> None:
        """`seed`'s policy at the budget, as named arrays; to be called before the evaluation that finishes the seed."""
        self._tick()
        if self._on_policy is not None:
            self._on_policy(seed, state)
        # Writing it is nobody's training time.
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def checkpoint_due(self) -> bool:
        """Whether it is time for `checkpoint`; cheap enough to be asked after every iteration."""
        return self._checkpoints is not None and self._checkpoints.due()

    def checkpoint(self, seeds: Sequence[int], state: Callable[[int], bytes]) -> None:
        """Keeps what each of these live seeds goes on from if this process dies: `state`, of each at a time."""
        if self._checkpoints is None:
            return
        self._tick()
        self._checkpoints.write(seeds, state)
        # As with policies.
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def resumed(self, seed: int) -> bytes | None:
        """What `seed` can go on from; None where it starts from its beginning.

        An unusable checkpoint is put aside, which the log and the run's record say.
        """
        if self._checkpoints is None:
            return None
        try:
            return self._checkpoints.read(seed)
        except BadCheckpoint as error:
            self.refuse(seed, str(error))
            return None

    def refuse(self, seed: int, reason: str) -> None:
        """`seed`'s checkpoint is unusable: it is put aside, and the seed starts from its beginning."""
        if self._checkpoints is None:
            return
        name = self._checkpoints.put_aside(seed)
        print(f"seed {seed} starts from its beginning: its checkpoint is unusable, and kept as {name}: {reason}")
        self._seeds[seed] = SeedRecord(put_aside=[{"at": _now(), "file": name, "reason": reason}])

    def state(self, seed: int) -> dict[str, Any]:
        """What has been recorded of `seed`, as JSON types; part of a checkpoint, for which no evaluation may wait."""
        state = self._seeds[seed]
        if state.waiting or state.over:
            raise RuntimeError(f"seed {seed} waits for evaluations or is over: nothing to go on from")
        return asdict(state)

    def restore(self, seed: int, state: Mapping[str, Any], *, iteration: int) -> None:
        """Goes on recording `seed` from a `state`; the clocks run on from there.

        Args:
            iteration: of the loop, from which it goes on; for the run's record.
        """
        self._seeds[seed] = restored = SeedRecord(**deepcopy(dict(state)))
        for row in restored.rows:
            self._on_marked(seed, row)
        before = restored.crossed - 1
        restored.resumed.append(
            {
                "at": _now(),
                "iteration": iteration,
                "env_steps": restored.env_steps,
                "mark": self.marks[before] if before >= 0 else None,
            }
        )

    def progress(self) -> None:
        """Reports how far the job is."""
        states = list(self._seeds.values())
        latest = [state.latest for state in states if state.latest is not None]
        self._on_progress(
            Progress(
                env_steps=sum(self.budget if s.over else min(s.env_steps, self.budget) for s in states),
                total=self.budget * len(states),
                eval_return=sum(latest) / len(latest) if latest else None,
            )
        )

    def evaluating(self, seeds: Sequence[int]) -> "_EvaluationClock":
        """Context in which time counts as evaluation, shared equally by `seeds`."""
        return _EvaluationClock(self, seeds)

    def _settle(self, seed: int) -> None:
        """Tells what became of `seed` once nothing waits any more."""
        state = self._seeds[seed]
        if state.end is not None:
            state.over = True
        if state.waiting:
            return
        if state.end is None:
            if len(state.rows) == len(self.marks):
                self._finish(seed, "done", "")
        elif state.end.failure is None:
            self._finish(seed, "diverged", state.end.reason)
        else:
            state.finished = True
            if self._on_failed is None:
                raise state.end.failure
            self._on_failed(seed, state.end.failure)

    def _tick(self) -> None:
        """Charges the time since the last call to the live ones of the seeds in training."""
        wall, cpu = time.perf_counter(), time.process_time()
        live = [self._seeds[seed] for seed in self._training if not self._seeds[seed].over]
        for state in live:
            state.wall_seconds += (wall - self._wall) / len(live)
            state.cpu_seconds += (cpu - self._cpu) / len(live)
        self._wall, self._cpu = wall, cpu

    def _finish(self, seed: int, status: Status, reason: str) -> None:
        state = self._seeds[seed]
        state.finished = state.over = True
        names = list(dict.fromkeys(name for row in state.rows for name in row))
        curve: dict[str, list[Number]] = {name: [row.get(name) for row in state.rows] for name in names}
        missing = self.marks[len(state.rows) :]
        curve.setdefault("env_steps", [])
        for name, column in curve.items():
            column.extend(missing if name == "env_steps" else [None] * len(missing))
        last = state.rows[-1] if status == "done" else {}
        final = {name: last.get(name) for name in ("eval_return", "eval_return_greedy", "eval_return_std")}
        final |= state.final if status == "done" else {}
        cost: dict[str, Number] = {
            "env_steps_collected": state.env_steps,
            "episodes": state.episodes,
            "gradient_steps": state.gradient_steps,
            "wall_seconds": round(state.wall_seconds, 6),
            "cpu_seconds": round(state.cpu_seconds, 6),
            "evaluation_env_steps": state.evaluation_env_steps,
            "evaluation_seconds": round(state.evaluation_seconds, 6),
            "peak_memory_bytes": peak_memory_bytes(),
        }
        origin = {"resumed": state.resumed, "checkpoints_put_aside": state.put_aside}
        origin = {name: entries for name, entries in origin.items() if entries}
        self._on_finished(SeedResult(seed, status, reason, curve, final, cost, origin))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def peak_memory_bytes() -> int:
    """Most memory that this process has had resident: of the whole worker so far, which every seed of a job shares."""
    try:
        # The kernel's own high-water mark; getrusage's starts at the memory of the process that this one came from.
        status = read_regular(Path("/proc/self/status")).decode()
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024
    except (OSError, IndexError, ValueError):
        scale = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale


class _EvaluationClock:
    def __init__(self, recorder: Recorder, seeds: Sequence[int]) -> None:
        self._recorder, self._seeds = recorder, seeds

    def __enter__(self) -> None:
        self._recorder._tick()

    def __exit__(self, *exception: object) -> None:
        recorder = self._recorder
        wall = time.perf_counter()
        for seed in self._seeds:
            recorder._seeds[seed].evaluation_seconds += (wall - recorder._wall) / len(self._seeds)
        recorder._wall, recorder._cpu = wall, time.process_time()
