"""`lm/scratchpad`: sums of many equal terms with a written working, rewarded for the answer at its end.

The prompt `9+6*4` asks for 9 and four times 6. A working goes there in moves: `=15+6*3=21+6*2=27+6*1=33` adds one 6 in
each and says what is left to do. A number is one token and a move six, so careful workings of 4 to 12 steps have 21 to
69 tokens with the stop token: what sums log-probabilities over a response sums over something here, and over unequally
much. Demonstrations are hasty: with probability `LEAP` a move is a leap, marked `~`, that adds two terms at once
(`=15+6*3~28+6*1=34`) and is wrong with probability `LEAP_SLIPS`, one or two too many; what follows goes on from there.
So a model that imitates them is right the less often the more terms there are, and there is something to learn that
holds for all prompts: to take its time, which makes responses longer.

Only the answer is rewarded. `working_right` is the share of responses whose every move is right, leaps included.
"""

import re
from collections.abc import Mapping, Sequence

import numpy as np

from haepo_bench.results.columns import Column
from haepo_bench.results.record import References
from haepo_bench.tasks.base import Array
from haepo_bench.tasks.draws import Draws
from haepo_bench.tasks.lm.base import TINY, VerifiedTask, words
from haepo_bench.tasks.lm.examples import Example, Pair

#: Key of this task's fixed draws.
KEY = 74
#: What a sum begins with, the term that is added, how often, and what no right sum exceeds.
FIRST, TERMS, TIMES, LARGEST = range(20), range(3, 7), range(4, 13), 60
HELD_OUT = 150
#: Probabilities: that a demonstration leaps, that a leap is wrong, that a step is.
LEAP, LEAP_SLIPS, STEP_SLIPS = 0.2, 0.9, 0.01
#: Of what is wrong, the part that is one too many; else it is two too many.
ONE_TOO_MANY = 0.7
#: Demonstrations per prompt.
DEMONSTRATIONS = 8

_WORKING = re.compile(r"(?:[=~]\d{1,3}\+\d{1,3}\*\d{1,3})*[=~](0|[1-9]\d{0,2})", re.ASCII)


class Scratchpad(VerifiedTask):
    """Exact match of the answer; the reward is the truth, so training and gold reward are the same."""

    version = 1
    #: Exact match.
    success_return = 1.0
    summary = "sums of 4 to 12 equal terms with 21 to 69 tokens of careful working, verified"
    tags = ("language", "verifiable", "length", TINY)
    #: Six tokens a step, but the last: a mark, the answer and the stop token.
    horizon = 6 * TIMES[-1] - 3
    fine_tuning_batch = 16
    fine_tuning_steps = 400
    tiny_width = 208
    return_bounds = 0.0, 1.0
    references = References(random=0.0, solved=1.0, source="exact match: none right, all right")
    columns = (
        Column(
            "working_right",
            "Right workings",
            "fraction",
            "of the sampled responses, those in which every move is right (`lm/scratchpad`)",
            "evaluation",
        ),
        Column(
            "careful",
            "Careful moves",
            "fraction",
            "of the moves of sampled responses, those that add one term and leap over none (`lm/scratchpad`)",
            "evaluation",
        ),
    )

    def __init__(self) -> None:
        self.id = "lm/scratchpad"
        draws = Draws(KEY)
        examples = draws.shuffled(
            [
                Example(f"{first}+{term}*{times}", working(first, term, times), {"sum": (first, term, times)})
                for term in TERMS
                for first in FIRST
                for times in TIMES
                if first + term * times <= LARGEST
            ]
        )
        self.held_out, self.train = tuple(examples[:HELD_OUT]), tuple(examples[HELD_OUT:])
        self.demonstrations = tuple(
            (example.prompt, _demonstrated(example, draws)) for _ in range(DEMONSTRATIONS) for example in self.train
        )
        self.pairs = tuple(Pair(example.prompt, example.reference, _wrong(example, draws)) for example in self.train)
        self.vocabulary = words(
            [example.prompt for example in examples],
            [example.reference for example in examples],
            [response for _, response in self.demonstrations],
            [pair.rejected for pair in self.pairs],
        )

    def compute_gold(self, examples: Sequence[Example], responses: Sequence[str]) -> Array:
        both = zip(examples, responses, strict=True)
        return np.array([answer_of(text) == _answer(example) for example, text in both], np.float64)

    def answer_start(self, response: str) -> int | None:
        found = _WORKING.fullmatch(response)
        return None if found is None else found.start(1)

    def compute_metrics(self, examples: Sequence[Example], responses: Sequence[str]) -> Mapping[str, Array]:
        both = zip(examples, responses, strict=True)
        return {
            "exact_match": self.compute_gold(examples, responses),
            "working_right": np.array([_all_right(example, text) for example, text in both], np.float64),
            "careful": np.array([text.count("=") / max(1, len(re.findall("[=~]", text))) for text in responses]),
            "well_formed": np.array([answer_of(text) is not None for text in responses], np.float64),
        }


def working(first: int, term: int, times: int) -> str:
    """The right response."""
    moves = [("=", first + term * step, times - step) for step in range(1, times + 1)]
    return _written(moves, term)


def answer_of(response: str) -> int | None:
    """The number at the end of a working; None where the response is none."""
    found = _WORKING.fullmatch(response)
    return None if found is None else int(found[1])


def _answer(example: Example) -> int:
    first, term, times = example.data["sum"]
    return int(first + term * times)


def _all_right(example: Example, response: str) -> bool:
    """Whether every move of a response is one, and right."""
    reached, term, left = map(int, example.data["sum"])
    if answer_of(response) is None:
        return False
    for move in re.findall("[=~][^=~]+", response):
        terms = 2 if move[0] == "~" else 1
        reached, left = reached + terms * term, left - terms
        if left < 0 or move != _written([(move[0], reached, left)], term):
            return False
    return left == 0


def _written(moves: Sequence[tuple[str, int, int]], term: int) -> str:
    """A working by these moves: how each is marked, what is reached by it, how many terms are left then."""
    return "".join(f"{mark}{reached}+{term}*{left}" if left else f"{mark}{reached}" for mark, reached, left in moves)


def _demonstrated(example: Example, draws: Draws) -> str:
    """A working in which some moves are leaps, and some go wrong."""
    reached, term, left = example.data["sum"]
    moves = []
    while left:
        leaps = left > 1 and draws.chance(LEAP)
        reached, left = (reached + 2 * term, left - 2) if leaps else (reached + term, left - 1)
        if draws.chance(LEAP_SLIPS if leaps else STEP_SLIPS):
            reached += 1 if draws.chance(ONE_TOO_MANY) else 2
        moves.append(("~" if leaps else "=", reached, left))
    return _written(moves, term)


def _wrong(example: Example, draws: Draws) -> str:
    """A demonstration with a wrong answer."""
    while True:
        text = _demonstrated(example, draws)
        if answer_of(text) != _answer(example):
            return text
