"""`lm/long-horizon/<length>`: one reward, at the end of 32 to 256 tokens, for all of them together.

The prompt `bdag:` asks for its four letters again and again, `bdagbdag...`, `length` of them. The reward is the share
of the `length` places that hold the right letter; a response that ends early has nothing in the others. Every token
counts alike and for itself, so what a token earned is there to be found, but the return of a longer response says less
about each: the text form of `corridor/<horizon>`. Demonstrations have the right letter with probability `RIGHT` at
each place, whatever stands at the others.
"""

from collections.abc import Mapping, Sequence
from itertools import product

import numpy as np

from haepo_bench.results.record import References
from haepo_bench.tasks.base import Array
from haepo_bench.tasks.draws import Draws
from haepo_bench.tasks.finite.tabular import whole_number
from haepo_bench.tasks.lm.base import TINY, VerifiedTask, characters
from haepo_bench.tasks.lm.examples import Example, Pair

#: Key of this task's fixed draws.
KEY = 73
LETTERS = "abcdefgh"
OTHERS = {letter: LETTERS.replace(letter, "") for letter in LETTERS}
PERIOD = 4
TRAINED, HELD_OUT = 1000, 200
#: Probability that a letter of a demonstration is right; else it is any other, all equally likely.
RIGHT = 0.5


class LongHorizon(VerifiedTask):
    """The share of right letters; the reward is the truth, so training and gold reward are the same.

    Raises:
        TaskError: the length is not a whole number from 32 to 256.
    """

    version = 1
    #: Exact match.
    success_return = 1.0
    tags = ("language", "verifiable", "credit", "length", TINY)
    return_bounds = 0.0, 1.0

    def __init__(self, length: str) -> None:
        self.horizon = self.length = whole_number(
            length, 32, 256, what="the length of a long horizon", example="lm/long-horizon/64"
        )
        self.id = f"lm/long-horizon/{self.length}"
        self.summary = f"the prompt's {PERIOD} letters over and over, one reward after {self.length} tokens"
        self.references = References(
            random=1 / len(LETTERS), solved=1.0, source="exact: the share of right letters of uniform ones, all right"
        )
        draws = Draws(KEY)
        keys = draws.shuffled(["".join(letters) for letters in product(LETTERS, repeat=PERIOD)], TRAINED + HELD_OUT)
        examples = tuple(Example(f"{key}:", self._repeated(key), {"key": key}) for key in keys)
        self.train, self.held_out = examples[:TRAINED], examples[TRAINED:]
        written = [[_blurred(example.reference, draws) for example in self.train] for _ in range(2)]
        self.demonstrations = tuple(
            (example.prompt, text) for texts in written for example, text in zip(self.train, texts, strict=True)
        )
        better = [
            sorted(both, key=lambda text, right=example.reference: _right(text, right), reverse=True)  # type: ignore[misc]
            for example, *both in zip(self.train, *written, strict=True)
        ]
        self.pairs = tuple(
            Pair(example.prompt, *both) for example, both in zip(self.train, better, strict=True) if both[0] != both[1]
        )
        self.vocabulary = characters(LETTERS, ":")

    def _repeated(self, key: str) -> str:
        return (key * self.length)[: self.length]

    def compute_gold(self, examples: Sequence[Example], responses: Sequence[str]) -> Array:
        return np.array(
            [
                _right(response, self._repeated(example.data["key"])) / self.length
                for example, response in zip(examples, responses, strict=True)
            ]
        )

    def compute_metrics(self, examples: Sequence[Example], responses: Sequence[str]) -> Mapping[str, Array]:
        return {"exact_match": (self.compute_gold(examples, responses) == 1.0).astype(np.float64)}


def _right(text: str, right: str) -> int:
    """At how many places the two are alike."""
    return sum(one == other for one, other in zip(text, right, strict=False))


def _blurred(text: str, draws: Draws) -> str:
    """The text with each letter kept with probability `RIGHT`."""
    return "".join(letter if draws.chance(RIGHT) else draws.one_of(OTHERS[letter]) for letter in text)
