"""Where a hyper-parameter is searched: a range or a list, from which values are drawn independently and uniformly.

    strength: float = hyper(0.1, "weight of the penalty", search=spaces.log(1e-4, 1.0))

`log(low, high)` is uniform in the logarithm, `uniform(low, high)` between two ends, `zero_or_log(low, high)` is 0, as
likely as one decade, or `log`, and `choices(a, b, ...)` one of a list. Hyper-parameters that are whole numbers get
whole numbers.
"""

import math
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from haepo_bench.objectives.ranges import DIGITS, check_range, is_finite, is_number

#: How spaces are written, for messages.
WRITTEN = "spaces.log(low, high), spaces.uniform(low, high), spaces.zero_or_log(low, high), spaces.choices(a, b, ...)"
Kind = Literal["log", "uniform", "zero_or_log", "choices"]
End = Literal["low", "high"]

#: Of a range, on its own scale: a value within so much of an end is at the edge.
EDGE = 0.05


@dataclass(frozen=True)
class Space:
    """Where one hyper-parameter is searched.

    Args:
        kind: `log`, uniform in the logarithm; `uniform`; `zero_or_log`, 0 or `log`, where 0 is as likely as one decade;
            `choices`, a list.
        values: least and greatest value, or the list.
        whole: whether ranges give whole numbers.
        open: the ends beyond which the hyper-parameter could have values; a natural end, such as 1 of a probability, is
            not one.
    """

    kind: Kind
    values: tuple[Any, ...]
    whole: bool = False
    open: tuple[End, ...] = ("low", "high")

    def draw(self, random: np.random.Generator) -> Any:
        """A value: a plain number, or an entry of the list."""
        if self.kind == "choices":
            return self.values[int(random.integers(len(self.values)))]
        low, high = map(float, self.values)
        # Both are drawn whatever becomes of them, so that a space that is widened keeps its stream.
        zero, place = random.random(), random.random()
        if self.kind == "zero_or_log" and zero < 1 / (math.log10(high / low) + 1):
            return 0 if self.whole else 0.0
        if self.whole:
            # Each whole number has the share of the range that rounds to it.
            low, high = low - 0.5, high + 0.5
        value = low + place * (high - low) if self.kind == "uniform" else low * (high / low) ** place
        if self.whole:
            return min(max(round(value), int(self.values[0])), int(self.values[1]))
        return min(max(float(f"{value:.{DIGITS}g}"), float(self.values[0])), float(self.values[1]))

    def holds(self, value: Any) -> bool:
        """Whether it could have been drawn."""
        if self.kind == "choices":
            return any(value == each and isinstance(value, bool) == isinstance(each, bool) for each in self.values)
        if not is_number(value):
            return False
        low, high = map(float, self.values)
        inside = low <= value <= high or (self.kind == "zero_or_log" and value == 0)
        return inside and (not self.whole or value == round(value))

    def edge(self, value: Any) -> End | None:
        """The end at which a value is and beyond which there could be a better one; None where it is not at one."""
        place = self._place(value)
        if place is None:
            return None
        # What lies below the range of `zero_or_log`, as good as 0, is in the space.
        low = place <= EDGE and self.kind != "zero_or_log"
        ends: tuple[tuple[End, bool], ...] = (("low", low), ("high", place >= 1 - EDGE))
        return next((end for end, there in ends if there and end in self.open), None)

    def _place(self, value: Any) -> float | None:
        """How far up its range a value is, from 0 to 1, or a decade below for a 0; None if the values have no order."""
        if self.kind == "choices":
            if not all(is_number(each) for each in self.values):
                return None
            ordered = sorted(self.values)
            return ordered.index(value) / (len(ordered) - 1)
        low, high = map(float, self.values)
        if self.kind == "uniform":
            return float((value - low) / (high - low))
        if self.kind == "zero_or_log" and value == 0:
            return -1 / math.log10(high / low)
        return math.log(value / low) / math.log(high / low)

    def unit(self, value: Any) -> float:
        """A value as a number for models: its place on the space's own scale, from 0 to 1.

        The 0 of `zero_or_log` is one decade below the range; entries of a list that have no order count in the list's.
        """
        place = self._place(value)
        return self.values.index(value) / max(len(self.values) - 1, 1) if place is None else place

    @property
    def probes(self) -> tuple[Any, ...]:
        """Values that a hyper-parameter must take for it to take all, from one end to the other."""
        if self.kind == "choices":
            return self.values
        low, high = (round(each) if self.whole else float(each) for each in self.values)
        return (0, low, high) if self.kind == "zero_or_log" else (low, high)

    @property
    def document(self) -> dict[str, Any]:
        """As a suite has it, and whether numbers are whole and which ends are open where that is not the usual."""
        document: dict[str, Any] = {self.kind: list(self.values)}
        document |= {"whole": True} if self.whole else {}
        return document | ({} if self.open == ("low", "high") else {"open": list(self.open)})

    @classmethod
    def of(cls, document: dict[str, Any]) -> "Space":
        """The space of a `document`, which may be foreign text.

        Raises:
            ValueError: it is not one.
        """
        kinds: tuple[Kind, ...] = ("log", "uniform", "zero_or_log", "choices")
        said = [kind for kind in kinds if kind in document]
        if len(said) != 1 or document.keys() - {*said, "whole", "open"}:
            raise ValueError(f"a space is one of {', '.join(kinds)}, with `whole` and `open`, not {document}")
        values, whole, ends = document[said[0]], document.get("whole", False), document.get("open", ["low", "high"])
        if not isinstance(whole, bool) or not isinstance(ends, list) or any(end not in ("low", "high") for end in ends):
            raise ValueError(f"`whole` is true or false, and `open` lists low and high: {document}")
        if said[0] != "choices":
            check_range(values, logarithm=said[0] != "uniform", whole=whole)
        elif not _are_choices(values):
            plain = "numbers, texts, true, false"
            raise ValueError(f"choices are a list of at least two different values ({plain}), not {values}")
        return cls(said[0], tuple(values), whole, tuple(ends))

    def whole_numbers(self) -> "Space":
        """The same range of whole numbers."""
        return replace(self, whole=self.kind != "choices")

    def __str__(self) -> str:
        shown = [f"{each:g}" if is_number(each) else str(each) for each in self.values]
        if self.kind == "choices":
            return f"one of {', '.join(shown)}"
        words = {"log": "log-uniform", "uniform": "uniform", "zero_or_log": "0 or log-uniform"}
        return f"{words[self.kind]} from {shown[0]} to {shown[1]}{', whole numbers' if self.whole else ''}"


def _are_choices(values: Any) -> bool:
    """Whether they are at least two plain values, each once; 1 and true are two."""
    plain = isinstance(values, list) and all(
        is_finite(each) if is_number(each) else isinstance(each, bool | str) for each in values
    )
    return plain and 1 < len(values) == len({(isinstance(each, bool), each) for each in values})


def log(low: float, high: float) -> Space:
    """Uniform in the logarithm."""
    return Space("log", (low, high))


def uniform(low: float, high: float) -> Space:
    """Uniform between two ends."""
    return Space("uniform", (low, high))


def zero_or_log(low: float, high: float) -> Space:
    """0, as likely as one decade, or uniform in the logarithm."""
    return Space("zero_or_log", (low, high))


def choices(*values: Any) -> Space:
    """One of a list, each as likely."""
    return Space("choices", values)


#: What all algorithms on small policies share is searched alike.
LEARNING_RATE = log(3e-5, 3e-2)
#: Powers of two, so that many configurations have shapes of batches in common. A first round of `paper-tuned` chose the
#: ends of shorter lists (from 4 trajectories and 16 steps, to 16 epochs) too often, as
#: docs/explanation/findings-at-equal-search.md shows.
TRAJECTORIES = choices(2, 4, 8, 16, 32, 64)
EPOCHS = choices(1, 2, 4, 8, 16, 32)
N_STEPS = choices(8, 16, 32, 64, 128, 256)
GAE = uniform(0.8, 1.0)
#: Likewise on language tasks.
LANGUAGE_LEARNING_RATE = log(3e-6, 3e-3)
COMPLETIONS = choices(4, 8, 16)
LANGUAGE_EPOCHS = choices(1, 2, 4)
#: Weights of entropy and KL terms.
COEFFICIENT = zero_or_log(1e-5, 1.0)
#: Strengths of an implicit KL term, which are never 0.
POSITIVE_COEFFICIENT = log(1e-5, 1.0)
