"""What is recorded of one seed on its way, and what an evaluation adds to it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple

from haepo_bench.errors import EnvironmentFault
from haepo_bench.results.columns import MEASURED
from haepo_bench.results.declared_columns import apart
from haepo_bench.results.record import Number, finite

#: Returns beyond are those of a run that diverged: training computes in single precision.
MAX_RETURN = 3.4e38


class Evaluation(NamedTuple):
    """Returns of evaluation episodes of one seed.

    Args:
        sampled: mean return of the sampled policy.
        sampled_std: its standard deviation over episodes (ddof 0).
        greedy: mean return of the greedy policy.
        env_steps: steps that the evaluation took.
        measures: what else was measured, by column.
        final: what is measured only at the budget, by its name in the record's `final`.
        fault: of the environment; what else stands here then has no meaning.
    """

    sampled: float
    sampled_std: float
    greedy: float
    env_steps: int
    measures: Mapping[str, float] = MappingProxyType({})
    final: Mapping[str, float] = MappingProxyType({})
    fault: EnvironmentFault | None = None


class Crossing(NamedTuple):
    """The evaluation points that one policy of a seed collected, and what was recorded up to then.

    Args:
        numbers: of the points.
        means: diagnostics since the points before.
        env_steps, episodes, gradient_steps, wall_seconds, cpu_seconds: of the seed's training so far.
    """

    numbers: range
    means: Mapping[str, Number]
    env_steps: int
    episodes: int
    gradient_steps: int
    wall_seconds: float
    cpu_seconds: float


class End(NamedTuple):
    """How a seed's training ended, other than by its budget; `failure` where it has no result."""

    reason: str
    failure: Exception | None = None


@dataclass
class SeedRecord:
    """What is recorded of a seed so far.

    Args:
        env_steps, episodes, gradient_steps, wall_seconds, cpu_seconds: of training.
        crossed: evaluation points that its policies have collected.
        latest: sampled return of the last evaluation.
        sums, counts: of the diagnostics since the last point, by name.
        rows: what stands at each point that is evaluated.
        final: what was measured only at the budget.
        over: whether it trains no more.
        finished: whether its result has been reported; evaluations may have to be made until then.
        waiting: crossings without an evaluation, oldest first.
        end: why training ended before the budget; None where it did not.
        resumed, put_aside: what became of its checkpoints.
    """

    env_steps: int = 0
    episodes: int = 0
    gradient_steps: int = 0
    wall_seconds: float = 0.0
    cpu_seconds: float = 0.0
    evaluation_env_steps: int = 0
    evaluation_seconds: float = 0.0
    crossed: int = 0
    latest: float | None = None
    sums: dict[str, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    rows: list[dict[str, Number]] = field(default_factory=list)
    final: dict[str, Number] = field(default_factory=dict)
    over: bool = False
    finished: bool = False
    waiting: list[Crossing] = field(default_factory=list)
    end: End | None = None
    resumed: list[dict[str, Any]] = field(default_factory=list)
    put_aside: list[dict[str, Any]] = field(default_factory=list)

    def add(self, diagnostics: Mapping[str, float]) -> None:
        """Counts diagnostics of an iteration."""
        for name, value in diagnostics.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
            self.counts[name] = self.counts.get(name, 0) + 1

    def reached(self, marks: Sequence[int]) -> int:
        """Number of points that the steps taken so far cover: point m needs a step beyond m, the budget itself."""
        number, budget = self.crossed, marks[-1]
        while number < len(marks) and (self.env_steps > marks[number] or self.env_steps >= budget == marks[number]):
            number += 1
        return number

    def cross(self, marks: Sequence[int]) -> None:
        """Lets the points that were reached wait for their evaluation; the last of all ends the training."""
        reached = self.reached(marks)
        means = {name: finite(total / self.counts[name]) for name, total in self.sums.items()}
        counters = (self.env_steps, self.episodes, self.gradient_steps, self.wall_seconds, self.cpu_seconds)
        self.waiting.append(Crossing(range(self.crossed, reached), means, *counters))
        self.crossed = reached
        self.sums.clear()
        self.counts.clear()
        self.over = reached == len(marks)

    def evaluated(self, evaluation: Evaluation, marks: Sequence[int]) -> None:
        """The evaluation of the oldest crossing; the seed may end with it, and then never went further."""
        crossing = self.waiting.pop(0)
        end = ended_by(evaluation)
        if end is not None:
            _, _, self.env_steps, self.episodes, self.gradient_steps, self.wall_seconds, self.cpu_seconds = crossing
            self.waiting.clear()
            self.end = end
            return
        self.latest = evaluation.sampled
        self.evaluation_env_steps += evaluation.env_steps
        self.final = {name: finite(value) for name, value in evaluation.final.items()}
        self.rows += [_row(marks[number], crossing, evaluation) for number in crossing.numbers]


def ended_by(evaluation: Evaluation) -> End | None:
    """Why a seed ends with this evaluation; None where it does not."""
    if evaluation.fault is not None:
        return End("", evaluation.fault)
    for value in (evaluation.sampled, evaluation.greedy, evaluation.sampled_std):
        if not abs(value) <= MAX_RETURN:  # NaN is not, either
            problem = "is not finite" if not math.isfinite(value) else f"is {value:.3g}, beyond single precision"
            return End(f"the evaluation return {problem}")
    return None


def _row(mark: int, crossing: Crossing, evaluation: Evaluation) -> dict[str, Number]:
    """What is recorded at a point."""
    return {
        "env_steps": mark,
        "gradient_steps": crossing.gradient_steps,
        "episodes": crossing.episodes,
        "wall_seconds": round(crossing.wall_seconds, 6),
        "cpu_seconds": round(crossing.cpu_seconds, 6),
        "eval_return": evaluation.sampled,
        "eval_return_greedy": evaluation.greedy,
        "eval_return_std": evaluation.sampled_std,
        **{name: finite(value) for name, value in evaluation.measures.items()},
        # An algorithm's own diagnostics never stand in for what is measured here.
        **{apart(name, MEASURED | evaluation.measures.keys()): mean for name, mean in crossing.means.items()},
    }
