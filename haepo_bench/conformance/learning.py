"""Whether an algorithm learns a bandit, and trains a seed alike alone and in a batch."""

from collections.abc import Sequence

from haepo_bench.conformance.findings import Check, Fault, NotApplicable
from haepo_bench.errors import UserError
from haepo_bench.tasks.base import Task
from haepo_bench.training.algorithm import AlgorithmDefinition
from haepo_bench.training.recorder import Recorder, SeedResult

_STEPS = 3000
_SEEDS = (0, 1, 2)
#: Mean score from which on it has learnt: the random policy has 0, and what moves the wrong way less.
_LEARNT = 0.3


def learning_checks(definition: AlgorithmDefinition, task: Task, name: str) -> Sequence[Check]:
    """The checks of an algorithm's training.

    Args:
        task: a small one that it can drive.
        name: a Python expression for the definition, for reproductions.
    """
    return _Checks(definition, task, name).all()


class _Checks:
    def __init__(self, definition: AlgorithmDefinition, task: Task, name: str) -> None:
        self._definition, self._task, self._name = definition, task, name
        self._kept: dict[int, SeedResult] | None = None

    def all(self) -> list[Check]:
        return [
            Check(f"learns {self._task.id}", self.learns),
            Check("a seed's run is the same alone and in a batch", self.alone),
        ]

    def learns(self) -> None:
        if not self._definition.learns:
            raise NotApplicable("it is a control that does not learn")
        references = self._task.references
        if references is None:
            raise NotApplicable(f"{self._task.id} has no references")
        scores = [references.score(float(result.final["eval_return"] or 0.0)) for result in self._together().values()]
        if sum(scores) / len(scores) < _LEARNT:
            listed = ", ".join(f"{score:.2f}" for score in scores)
            raise Fault(
                f"after {_STEPS:,} steps of {self._task.id} the scores of {len(scores)} seeds are {listed}; the random "
                f"policy has 0, and {_LEARNT:g} on average is expected: has the loss the right sign?",
                self._again(
                    f"for seed, run in train(definition, task, {list(_SEEDS)}).items():\n"
                    "    print(seed, task.references.score(run.final['eval_return']))"
                ),
            )

    def alone(self) -> None:
        together, alone = self._together(), self._train([_SEEDS[1]])
        one, other = together[_SEEDS[1]], alone[_SEEDS[1]]
        clocks = {"wall_seconds", "cpu_seconds", "evaluation_seconds"}
        for column, values in one.curve.items():
            if column not in clocks and values != other.curve.get(column):
                raise Fault(
                    f"the column {column} of seed {_SEEDS[1]} changes with the seeds of its batch",
                    self._again(
                        f"together = train(definition, task, {list(_SEEDS)})\n"
                        f"alone = train(definition, task, [{_SEEDS[1]}])\n"
                        f"print(together[{_SEEDS[1]}].curve[{column!r}], alone[{_SEEDS[1]}].curve[{column!r}])"
                    ),
                )

    def _together(self) -> dict[int, SeedResult]:
        if self._kept is None:
            self._kept = self._train(_SEEDS)
        return self._kept

    def _train(self, seeds: Sequence[int]) -> dict[int, SeedResult]:
        try:
            return train(self._definition, self._task, seeds)
        except Fault as fault:
            raise Fault(fault.problem, self._again(f"train(definition, task, {list(seeds)})")) from fault

    def _again(self, shows: str) -> str:
        return (
            "from haepo_bench import catalogue\nfrom haepo_bench.conformance.learning import train\n"
            f"definition, task = {self._name}, catalogue.task({self._task.id!r})\n{shows}"
        )


def train(definition: AlgorithmDefinition, task: Task, seeds: Sequence[int]) -> dict[int, SeedResult]:
    """What becomes of a short training of each seed, with default hyper-parameters, in one batch where it has those.

    Raises:
        Fault: a run failed or diverged, or there is none.
    """
    results: dict[int, SeedResult] = {}
    failures: list[Exception] = []
    algorithm = definition.configure({}, task)
    for block in [seeds] if algorithm.batches_seeds else [[seed] for seed in seeds]:
        recorder = Recorder(
            block,
            budget=_STEPS,
            every=_STEPS,
            episodes=20,
            on_finished=lambda result: results.update({result.seed: result}),
            on_failed=lambda seed, error: failures.append(error),
        )
        algorithm.train(task, block, recorder, device="cpu")
    if failures:
        problem = failures[0].located if isinstance(failures[0], UserError) else repr(failures[0])
        raise Fault(f"a run on {task.id} failed: {problem}")
    for result in results.values():
        if result.status != "done":
            raise Fault(f"seed {result.seed} on {task.id} is {result.status}: {result.reason}")
    if set(results) != set(seeds):
        raise Fault(f"it returned before the budget of {_STEPS:,} steps was reached")
    return results
