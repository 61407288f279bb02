"""SNIS: the policy gradient by self-normalised importance sampling."""

from typing import ClassVar, Literal

from haepo_bench.objectives.base import hyper
from haepo_bench.objectives.haepo import HaepoWeighted


class Snis(HaepoWeighted):
    """SNIS: the expected return estimated with self-normalised importance weights, and climbed.

        w    = softmax(s),   s_k = sum_t (lp - behaviour)_kt
        loss = - sum_k w_k R~_k - alpha * H + beta * KL

    A named setting of `haepo-weighted` (score "ratio"): what separates the two is that HAEPO's weights are not relative
    to the policy that sampled. At that policy the weights are equal and the gradient is REINFORCE's with a mean
    baseline. Source: textbook importance sampling. Entropy and KL terms are ours, as in `reinforce`.
    """

    summary: ClassVar[str] = "self-normalised importance sampling of the return"
    label: ClassVar[str] = "SNIS"
    footnote: ClassVar[str] = ""
    confidence: ClassVar[str] = "high: textbook"

    score: Literal["ratio"] = hyper(
        "ratio", "the sum of log-ratios to the policy that collected the batch", source="follows from the method"
    )
