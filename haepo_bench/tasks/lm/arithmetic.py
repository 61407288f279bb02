"""`lm/arithmetic`: sums, taught by demonstrations that are wrong more often than right, rewarded for being right.

The prompt `47+8=` asks for `55`. All 1,000 sums of a number up to 99 and one up to 9 are there; 150 of them are held
out. Demonstrations are right with probability `RIGHT`; most of the others make the same slip, one too many in the last
digit without a carry, so that the slip is the commonest answer of a model that imitates them: a model fine-tuned to the
end starts near `RIGHT`, not near 1, however good it is, and its greedy answers start below its sampled ones. What
reward there is to gain is gained by preferring the right answer, on prompts that were never seen as well.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from haepo_bench.results.record import References
from haepo_bench.tasks.base import Array
from haepo_bench.tasks.draws import Draws
from haepo_bench.tasks.lm.base import TINY, VerifiedTask, characters
from haepo_bench.tasks.lm.examples import Example, Pair

#: Key of this task's fixed draws.
KEY = 71
FIRST, SECOND = 100, 10
HELD_OUT = 150
#: Probabilities of a demonstration: right, one too many in the last digit; the rest are other slips.
RIGHT, USUAL_SLIP = 0.4, 0.45
#: Demonstrations per prompt.
DEMONSTRATIONS = 8


class Arithmetic(VerifiedTask):
    """Exact match; the reward is the truth, so training and gold reward are the same."""

    version = 1
    #: Exact match.
    success_return = 1.0
    summary = "sums of a number up to 99 and one up to 9, verified"
    tags = ("language", "verifiable", TINY)
    #: Three digits at most, and the stop token.
    horizon = 4
    return_bounds = 0.0, 1.0
    references = References(random=0.0, solved=1.0, source="exact match: none right, all right")

    def __init__(self) -> None:
        self.id = "lm/arithmetic"
        draws = Draws(KEY)
        examples = draws.shuffled(
            [Example(f"{a}+{b}=", str(a + b), {"answer": a + b}) for a in range(FIRST) for b in range(SECOND)]
        )
        self.held_out, self.train = tuple(examples[:HELD_OUT]), tuple(examples[HELD_OUT:])
        self.demonstrations = tuple(
            (example.prompt, str(_demonstrated(example.data["answer"], draws)))
            for _ in range(DEMONSTRATIONS)
            for example in self.train
        )
        self.pairs = tuple(
            Pair(example.prompt, example.reference, str(_slip(example.data["answer"], draws))) for example in self.train
        )
        self.vocabulary = characters(
            [example.prompt for example in examples], [answer for _, answer in self.demonstrations]
        )

    def compute_gold(self, examples: Sequence[Example], responses: Sequence[str]) -> Array:
        return np.array(
            [
                answer_of(response) == example.data["answer"]
                for example, response in zip(examples, responses, strict=True)
            ],
            np.float64,
        )

    def compute_metrics(self, examples: Sequence[Example], responses: Sequence[str]) -> Mapping[str, Array]:
        return {
            "exact_match": self.compute_gold(examples, responses),
            "well_formed": np.array([answer_of(response) is not None for response in responses], np.float64),
        }


def answer_of(response: str) -> int | None:
    """The number that a response is: digits alone, spaces around them and whatever follows the first line aside.

    None where it is none, or is written with a zero in front.
    """
    text = response.strip(" ").split("\n", 1)[0].strip()
    if not (text.isascii() and text.isdigit()) or len(text) > 18 or str(int(text)) != text:
        return None
    return int(text)


def _demonstrated(answer: int, draws: Draws) -> int:
    return answer if draws.chance(RIGHT) else _slip(answer, draws)


def _slip(answer: int, draws: Draws) -> int:
    """A wrong answer: the usual slip with probability `USUAL_SLIP` / (1 - `RIGHT`)."""
    usual = answer // 10 * 10 + (answer + 1) % 10
    if draws.chance(USUAL_SLIP / (1 - RIGHT)):
        return usual
    return draws.one_of([other for other in (answer - 2, answer - 1, answer + 2, answer + 10) if other >= 0])
