"""The configurations of searches: each drawn by itself, from a stream of its own."""

from collections.abc import Mapping
from typing import Any

from haepo_bench.objectives.spaces import Space
from haepo_bench.results.searches import Trial
from haepo_bench.training.streams import stream


def draw(suite: str, trial: Trial, spaces: Mapping[str, Space]) -> dict[str, Any]:
    """The hyper-parameters of a trial, {name: value}.

    Independent of all others and of how many there are, so that the first configurations of a search are those of a
    shorter one. Another space of one hyper-parameter leaves the others as they were.

    Args:
        suite: its name.
    """
    algorithm, replicate, number = trial
    return {
        name: space.draw(stream("search", suite, algorithm, replicate, number, name)) for name, space in spaces.items()
    }
