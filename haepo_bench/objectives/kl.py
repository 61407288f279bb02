"""Estimates of the KL to a reference from the actions that were taken, and what gradient each has."""

from typing import Literal

from torch import Tensor

from haepo_bench.objectives.ratios import k3

#: Names as verl has them; "+" is the value of the first with the gradient of k2.
KlEstimator = Literal["k1", "k2", "k3", "k1+", "k3+"]


def kl_estimate(log_probs: Tensor, reference_log_probs: Tensor, kind: KlEstimator) -> Tensor:
    """An estimate of KL(pi || ref) from log pi and log ref of taken actions, element by element.

        k1 = lp - ref                          on-policy the expected gradient is zero: of no use as a loss
        k2 = (lp - ref)^2 / 2                  on-policy the expected gradient is that of the KL
        k3 = exp(ref - lp) - (ref - lp) - 1    on-policy the expected value is the KL; its gradient is not
        k1+, k3+                               their value, with the gradient of k2 (straight-through)

    Source: http://joschu.net/blog/kl-approx.html; verl, core_algos.py, kl_penalty. verl cuts k3 off at 10 besides.
    """
    difference = log_probs - reference_log_probs
    k2 = difference.square() / 2
    if kind == "k2":
        return k2
    value = k3(log_probs, reference_log_probs) if kind.startswith("k3") else difference
    return k2 - k2.detach() + value.detach() if kind.endswith("+") else value
