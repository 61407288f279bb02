"""Credit token by token: where in a response the reward is that a policy implies ("From r to Q*", arXiv 2404.12358).

A text and a token make one longer text, with certainty. So at the optimum of a reward minus beta times the KL to a
reference beta log (pi / reference) of a token is r + V*(after it) - V*(before it), and along a response these telescope
to its reward minus the value of its prompt (objectives/credit.py).
"""

from bisect import bisect_right
from collections.abc import Sequence

import numpy as np

from haepo_bench.policies.shapes import Array
from haepo_bench.results.columns import Column
from haepo_bench.training.language.texts import Texts

#: Of algorithms with an implicit reward.
CREDIT_COLUMNS = (
    Column(
        "implicit_reward",
        "Implicit reward",
        "per response",
        "beta sum (log pi - log initial) of the evaluation's sampled responses, mean; this and what follows: of "
        "algorithms with an implicit reward, on language tasks",
        "evaluation",
    ),
    Column(
        "credit_first_third",
        "Credit on the first third",
        "fraction",
        "of the implicit reward's absolute values, token by token, on the first third of a response's tokens",
        "evaluation",
    ),
    Column(
        "credit_middle_third", "Credit on the middle third", "fraction", "the same of the middle third", "evaluation"
    ),
    Column("credit_last_third", "Credit on the last third", "fraction", "the same of the last third", "evaluation"),
    Column(
        "credit_largest_tenth",
        "Credit on the largest tenth",
        "fraction",
        "the same of the tenth of a response's tokens (rounded up) that have most of it",
        "evaluation",
    ),
    Column(
        "credit_answer",
        "Credit on the answer",
        "fraction",
        "the same of the tokens of the answer that follows a working; responses without one are left out",
        "evaluation",
    ),
    Column(
        "credit_answer_tokens",
        "Tokens of the answer",
        "fraction",
        "of the tokens of those responses",
        "evaluation",
    ),
    Column(
        "credit_telescoping",
        "Credit, telescoping error",
        "reward",
        "largest difference between a response's implicit reward and the sum over its tokens, computed apart",
        "evaluation",
    ),
)
_THIRDS = ("first", "middle", "last")


def credit_measures(
    credit: Array, lengths: Array, whole: Array, answers: Sequence[range | None] = ()
) -> dict[str, float]:
    """How much of the credit lies where; shares are of absolute values over all responses together, NaN of nothing.

    Args:
        credit: [row, response column], zero beyond a response.
        lengths: [row] tokens of each response.
        whole: [row] each response's implicit reward, computed apart.
        answers: which tokens of each response are its answer; None where it has none.

    Returns:
        `implicit_reward`, the mean over responses; `credit_first_third` and so on, by the token's place in its response
        (a token that straddles two thirds counts where its middle is); `credit_largest_tenth`, of the tenth of each
        response's tokens (rounded up) that have most; where there are answers `credit_answer`, of their tokens, and
        `credit_answer_tokens`, their part of the tokens; `credit_telescoping`, the largest difference between a
        response's credit, summed, and `whole`.
    """
    size, tokens = np.abs(credit), np.arange(credit.shape[1])
    third = np.minimum((2 * tokens + 1) * 3 // (2 * lengths[:, None]), 2)
    largest = -np.sort(-size, axis=1)
    found = {
        "implicit_reward": float(credit.sum(1).mean()),
        **{f"credit_{name}_third": _share(size[third == n], size) for n, name in enumerate(_THIRDS)},
        "credit_largest_tenth": _share(largest[tokens < -(-lengths // 10)[:, None]], size),
        "credit_telescoping": float(np.abs(credit.sum(1) - whole).max()),
    }
    rows = [row for row, answer in enumerate(answers) if answer is not None]
    if rows:
        inside = np.stack([np.isin(tokens, list(answers[row] or ())) for row in rows])
        found["credit_answer"] = _share(size[rows][inside], size[rows])
        found["credit_answer_tokens"] = float(inside.sum() / lengths[rows].sum())
    return found


def _share(some: Array, every: Array) -> float:
    total = float(every.sum())
    return float(some.sum()) / total if total > 0 else float("nan")


def answer_tokens(response: Sequence[int], start: int, texts: Texts) -> range:
    """The tokens that write a text from a place on; without the stop token.

    Args:
        response: token ids. start: the place, in characters.
    """
    end = len(response) - (bool(response) and response[-1] in texts.stops)
    first = bisect_right(range(end), start, key=lambda token: len(texts.decode([response[: token + 1]])[0]))
    return range(first, end)
