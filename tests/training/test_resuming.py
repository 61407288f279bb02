"""Runs that were broken off at borders of iterations and go on from their checkpoints: the same bytes."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from training_support import without_clocks

from haepo_bench import catalogue
from haepo_bench.engine.library import status
from haepo_bench.results.columns import CLOCK_COLUMNS
from haepo_bench.results.record import Engine
from haepo_bench.tasks.base import Normalise
from haepo_bench.training.recorder import BadCheckpoint, Recorder, SeedResult
from haepo_bench.training.resuming import Checkpoint

CLOCKS = CLOCK_COLUMNS | {"evaluation_seconds", "peak_memory_bytes"}
SEEDS = [0, 1, 2]


class Stopped(Exception):
    """The process dies."""


class Kept:
    """Checkpoints in memory.

    Args:
        kept: of seeds that go on.
        after: the process dies once it has been asked so often, which is after each iteration, and has kept them; None:
            never.
    """

    def __init__(self, kept: dict[int, bytes] | None = None, after: int | None = None) -> None:
        self.kept, self.after, self.aside = dict(kept or {}), after, list[int]()

    def due(self) -> bool:
        self.after = None if self.after is None else self.after - 1
        return self.after == 0

    def write(self, seeds: Sequence[int], state: Callable[[int], bytes]) -> None:
        for seed in seeds:
            self.kept[seed] = state(seed)
        raise Stopped

    def read(self, seed: int) -> bytes | None:
        if self.kept.get(seed) == b"bad":
            raise BadCheckpoint("bad")
        return self.kept.get(seed)

    def put_aside(self, seed: int) -> str:
        self.aside.append(seed)
        return f"seed-{seed}.checkpoint.damaged"


class Run:
    """One algorithm on one task, from its beginning or from checkpoints."""

    def __init__(self, name: str, task: str, engine: Engine, budget: int, parameters: dict[str, Any]) -> None:
        self.name, self.task, self.engine, self.budget, self.parameters = name, task, engine, budget, parameters

    def __call__(self, checkpoints: Kept | None = None, seeds: Sequence[int] = SEEDS) -> dict[int, Any]:
        """What is told of each seed, clocks apart, with its final policy."""
        task = catalogue.task(self.task)
        parameters = {name: value for name, value in self.parameters.items() if name != "normalise"}
        task.normalise = self.parameters.get("normalise")
        algorithm = catalogue.algorithm_on(task, self.name).configure(parameters, task)
        assert self.engine in algorithm.engines(task, "cpu")
        algorithm.engine = self.engine
        told: dict[int, Any] = {}
        policies: dict[int, Any] = {}
        self.results: dict[int, SeedResult] = {}

        def finished(result: SeedResult) -> None:
            cost = {name: value for name, value in result.cost.items() if name not in CLOCKS}
            policy = {name: part.tobytes() for name, part in policies.get(result.seed, {}).items()}
            told[result.seed] = (result.status, result.reason, without_clocks(result), result.final, cost, policy)
            self.results[result.seed] = result

        recorder = Recorder(
            seeds,
            budget=self.budget,
            every=self.budget // 4,
            episodes=3,
            on_finished=finished,
            on_policy=policies.__setitem__,  # type: ignore[arg-type]
            checkpoints=checkpoints,
        )
        algorithm.train(task, seeds, recorder, device="cpu")
        assert not recorder.unfinished
        return told

    def broken_off(self, after: int, kept: dict[int, bytes] | None = None) -> dict[int, bytes]:
        """What a process leaves that dies after so many iterations."""
        memory = Kept(kept, after)
        with pytest.raises(Stopped):
            self(memory)
        return memory.kept


SMALL = {"trajectories": 3, "hidden": [6]}
SEGMENTS = {"n_steps": 24, "n_envs": 2, "batch_size": 16, "n_epochs": 2, "net_arch": [6]}
EPISODES: list[tuple[str, str, int, dict[str, Any]]] = [
    ("reinforce", "gym/CartPole-v1", 700, {**SMALL, "epochs": 2, "max_gradient_norm": 0.5}),
    ("haepo-weighted", "gym/Pendulum-v1", 6000, {**SMALL, "reference": 3}),
    ("grpo", "multi-goal/4", 400, {**SMALL, "reference": "initial"}),
    ("a2po", "random-walk/8", 300, {**SMALL, "reference": 3, "reference_episodes": 2}),
    ("soup", "gym/CartPole-v1", 500, {**SMALL, "history_interval": 1, "history_size": 2, "longest_prefix": 1.0}),
    ("calibrl", "deep-sea/4", 120, SMALL),
    ("repo-stand-in", "deep-sea/4", 120, SMALL),
    ("iib-lpo-stand-in", "gym/CartPole-v1", 700, {**SMALL, "branches": 2}),
    ("hybrid-dpo-stand-in", "deep-sea/4", 120, {**SMALL, "trajectories": 4}),
    ("aps", "deep-sea/4", 160, {**SMALL, "reference": "initial", "pretraining": 0.2}),
    ("dpo", "flip(bandit/contextual,0.3)", 300, {**SMALL, "trajectories": 4}),
    ("reinforce", "maze/4", 2400, {**SMALL, "trajectories": 2}),
    ("rloo", "gym/CartPole-v1", 500, {**SMALL, "normalise": Normalise(True, True)}),
]
OWN: list[tuple[str, str, int, dict[str, Any]]] = [
    ("ppo-batched", "gym/CartPole-v1", 480, {**SEGMENTS, "learning_rate_schedule": "linear"}),
    ("ppo-batched", "gym/Pendulum-v1", 480, {**SEGMENTS, "normalize": True, "target_kl": 0.01}),
    ("ppo-batched", "random-walk/8", 480, SEGMENTS),
    ("ppo-batched", "umbrella/10", 480, SEGMENTS),
    ("ppo-batched", "maze/4", 480, {**SEGMENTS, "normalize": True}),
    ("ppo-batched", "bandit/contextual", 480, SEGMENTS),
    ("ppo-batched", "window(delayed(multi-goal/4),2)", 480, SEGMENTS),
    ("ppo-batched", "scale(random-reward(normalised(gym/Acrobot-v1)),2)", 480, SEGMENTS),
]
#: With the kernels those that differ there: what they play, and what they only take the actions of.
CASES: list[tuple[str, str, int, dict[str, Any], Engine]] = [
    *((*case, "torch") for case in (*EPISODES, *OWN)),
    *((*case, "compiled") for case in (EPISODES[0], EPISODES[3], EPISODES[4], EPISODES[-1], *OWN[:3])),
]


@pytest.mark.parametrize(("name", "task", "budget", "parameters", "engine"), CASES)
def test_what_goes_on_ends_as_if_it_had_never_stopped(
    name: str, task: str, budget: int, parameters: dict[str, Any], engine: Engine
) -> None:
    """Stopped twice on its way, and with seeds that stand at different iterations, one of them at its beginning."""
    if engine == "compiled" and status().library is None:
        pytest.skip("no compiled kernels here")
    run = Run(name, task, engine, budget, parameters)
    whole = run()
    early = run.broken_off(1)
    later = run.broken_off(2, early)
    assert [Checkpoint.unpacked(later[seed], "cpu").iteration for seed in SEEDS] == [3, 3, 3]
    assert run(Kept(later)) == whole
    assert [len(run.results[seed].provenance["resumed"]) for seed in SEEDS] == [2, 2, 2]
    assert run(Kept({0: early[0], 2: later[2]})) == whole


def test_the_control_goes_on_too() -> None:
    run = Run("uniform", "multi-goal/4", "torch", 1500, {})
    whole = run()
    for after in (1, 2):
        assert run(Kept(run.broken_off(after))) == whole


def test_a_job_may_be_divided_otherwise() -> None:
    run = Run("grpo", "gym/CartPole-v1", "torch", 700, SMALL)
    whole, kept = run(), run.broken_off(3)
    apart = run(Kept(kept), [2]) | run(Kept(kept), [1, 0])
    assert apart == whole


def test_waiting_evaluations_are_made_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint while policies wait: what they get is what they would have got."""
    from haepo_bench.training import waiting

    monkeypatch.setattr(waiting, "_SECONDS", 1e9)
    run = Run("reinforce", "gym/CartPole-v1", "torch", 700, SMALL)
    whole, kept = run(), run.broken_off(2)
    assert all(len(Checkpoint.unpacked(data, "cpu").recorded["rows"]) == 1 for data in kept.values())
    assert run(Kept(kept)) == whole


def test_one_that_does_not_fit_is_put_aside_and_costs_the_others_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    run = Run("reinforce", "gym/CartPole-v1", "torch", 700, SMALL)
    whole, kept = run(), run.broken_off(2)
    other = Run("reinforce", "gym/CartPole-v1", "torch", 700, {**SMALL, "hidden": [20]}).broken_off(3)
    memory = Kept({0: kept[0], 1: other[1], 2: b"bad"})
    assert run(memory) == whole
    assert sorted(memory.aside) == [1, 2]
    said = capsys.readouterr().out
    assert "seed 0 goes on from its checkpoint: iteration 2, " in said
    assert "seed 1 starts from its beginning: its checkpoint is unusable" in said
    assert [name for name in ("resumed", "checkpoints_put_aside") if name in run.results[1].provenance] == [
        "checkpoints_put_aside"
    ]


@pytest.mark.parametrize(
    ("name", "task", "does"),
    [
        ("reinforce", "gym/CartPole-v1", True),
        ("reinforce", "gym/FrozenLake-v1", False),
        ("uniform", "gym/FrozenLake-v1", False),
        ("ppo-batched", "gym/CartPole-v1", True),
        ("ppo-batched", "gym/FrozenLake-v1", False),
        ("ppo-batched", "noise(random-walk/8,0.5)", False),
        ("reinforce", "noise(random-walk/8,0.5)", True),
        ("ppo", "gym/CartPole-v1", False),
    ],
)
def test_which_keep_checkpoints(name: str, task: str, does: bool) -> None:
    made = catalogue.task(task)
    algorithm = catalogue.algorithm_on(made, name).configure({}, made)
    assert algorithm.resumes(made) is does


def test_what_could_not_go_on_is_not_asked_for_a_state() -> None:
    for name in ("reinforce", "ppo-batched"):
        parameters = {"n_steps": 8, "n_envs": 1, "batch_size": 8} if name == "ppo-batched" else {"trajectories": 2}
        memory = Kept(after=1)
        Run(name, "gym/FrozenLake-v1", "torch", 40, parameters)(memory, [0])
        assert memory.after == 1
