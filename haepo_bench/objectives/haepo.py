"""HAEPO: History-Aggregated Exploratory Policy Optimization (arXiv 2508.18884v1), as variants of its public text.

Established by the abstract and third-party summaries: a trajectory k of a batch of complete episodes is compressed to
the sum of its log-probabilities, L_k = sum_t log pi(a_t|s_t); a Plackett-Luce softmax across the batch gives normalised
weights, w_k = exp(L_k) / sum_j exp(L_j), tied to the (normalised) returns; an entropy bonus; a soft KL penalty to a
frozen copy of the previous policy. The scalar loss is NOT public. Each of these is one interpretation of it, and every
choice that the text leaves open is a hyper-parameter whose source says so:

    haepo-weighted   - sum_k w_k R~_k                   weights times normalised returns
    haepo-listwise   - sum_k q_k log w_k                match the weights to q = softmax(R~)
    haepo-ranking    - log PL(order by return | L)      full Plackett-Luce likelihood of the ranking

each plus - alpha * entropy + beta * KL. There is no importance ratio, no clipping and no critic in what is known.
"""

from typing import ClassVar, Literal

import torch
from torch import Tensor

from haepo_bench.objectives.base import (
    Compared,
    Objective,
    ObjectiveOutput,
    Regularised,
    ReturnNormalisation,
    TrajectoryBatch,
    hyper,
    normalise_returns,
)
from haepo_bench.objectives.ratios import effective_sample_size
from haepo_bench.objectives.spaces import COEFFICIENT

_OPEN = "ours; the public text leaves it open"
_TEXT = "the paper's abstract"

FOOTNOTE = "HAEPO: reconstruction from the public abstract, not the authors' code"


class HaepoReading(Regularised):
    """What all variants share: score, weights, entropy and KL terms."""

    footnote: ClassVar[str] = FOOTNOTE
    confidence: ClassVar[str] = "low: the terms are public, this form of the loss and all coefficients are not"

    score: Literal["sum", "mean", "ratio"] = hyper(
        "sum",
        "what a trajectory is compressed to: sum of log-probabilities, their mean per step, or the sum of log-ratios "
        "to the previous policy",
        source=f"{_TEXT} (sum)",
    )
    temperature: float = hyper(
        1.0, "divides the score before the softmax across trajectories", source=f"{_TEXT} (a plain softmax)", gt=0
    )
    return_normalisation: ReturnNormalisation = hyper(
        "standardise", "returns within a group: (R - mean) / std, R - mean, or as they are", source=_OPEN
    )
    entropy_coefficient: float = hyper(
        0.01,
        "alpha: weight of the entropy bonus",
        source="ours, shared by all; the text gives no number",
        ge=0,
        search=COEFFICIENT,
    )
    entropy_of: Literal["policy", "weights"] = hyper(
        "policy", "entropy of the policy, mean per step, or of the weights across trajectories", source=_OPEN
    )
    kl_coefficient: float = hyper(
        0.1,
        "beta: weight of the KL penalty",
        source="ours, shared by all; the text gives no number",
        ge=0,
        search=COEFFICIENT,
    )
    kl_of: Literal["policy", "weights"] = hyper(
        "policy",
        "KL of the policy to the reference policy, mean per step, or of the weights to the reference policy's weights",
        source=_OPEN,
    )

    def scores(self, log_probs: Tensor, batch: TrajectoryBatch) -> Tensor:
        """s_k / temperature: [seed, group, trajectory]."""
        if self.score == "ratio":
            log_probs = log_probs - batch.behaviour_log_probs
        s = batch.masked_sum(log_probs)
        if self.score == "mean":
            s = s / batch.lengths
        return s / self.temperature

    def finish(self, loss: Tensor, log_w: Tensor, batch: TrajectoryBatch) -> ObjectiveOutput:
        """Adds the entropy and KL terms to a loss [seed, group]; `log_w`: log weights [seed, group, trajectory]."""
        if self.entropy_of == "policy":
            entropy = batch.token_mean(batch.entropy)
        else:
            entropy = -(log_w.exp() * log_w).sum(-1).mean(-1)
        if self.kl_of == "policy":
            kl = batch.token_mean(batch.kl_to_reference)
        else:
            log_w_reference = torch.log_softmax(self.scores(batch.reference_log_probs, batch), -1)
            kl = (log_w.exp() * (log_w - log_w_reference)).sum(-1).mean(-1)
        total = loss.mean(-1) - self.entropy_coefficient * entropy + self.kl_coefficient * kl
        return ObjectiveOutput(total, {"effective_sample_size": effective_sample_size(log_w)})


class HaepoWeighted(HaepoReading):
    """HAEPO, variant A: a trajectory-level policy gradient in which the weights multiply the normalised returns.

        w = softmax(s / temperature),   loss = - sum_k w_k R~_k - alpha * H + beta * KL
        d loss / d s_k = - w_k (R~_k - sum_j w_j R~_j) / temperature

    With s = L the weights favour likely trajectories, so short ones; once w is one-hot the gradient vanishes (watch the
    effective sample size). With score "ratio" this is the self-normalised importance sampling objective.
    """

    summary: ClassVar[str] = "HAEPO variant A: softmax weights times normalised returns"
    label: ClassVar[str] = "HAEPO (variant A, weighted)"

    weight_gradient: bool = hyper(
        True, "whether gradient flows through the weights; if not, loss = - sum_k sg(w_k) R~_k s_k", source=_OPEN
    )

    @property
    def compares(self) -> Compared:
        # The weight of one is 1, which has no gradient.
        return "group" if self.weight_gradient or self.return_normalisation != "none" else None

    def __call__(self, batch: TrajectoryBatch) -> ObjectiveOutput:
        s = self.scores(batch.log_probs, batch)
        log_w = torch.log_softmax(s, -1)
        advantages = normalise_returns(batch.returns, self.return_normalisation, batch.dtype)
        if self.weight_gradient:
            loss = -(log_w.exp() * advantages).sum(-1)
        else:
            loss = -(log_w.exp().detach() * advantages * s).sum(-1)
        return self.finish(loss, log_w, batch)


class HaepoListwise(HaepoReading):
    """HAEPO, variant B: the weights are matched to the returns (ListNet's top-1 cross-entropy).

        w = softmax(s / temperature),   q = softmax(R~ / return_temperature)
        loss = - sum_k q_k log w_k - alpha * H + beta * KL,   d loss / d s_k = (w_k - q_k) / temperature

    The literal interpretation of "normalized weights proportional to their returns". The gradient is bounded and
    vanishes only where the weights match.
    """

    summary: ClassVar[str] = "HAEPO variant B: match the weights to the returns"
    label: ClassVar[str] = "HAEPO (variant B, listwise)"
    compares: ClassVar[Compared] = "group"

    target: Literal["softmax", "proportional", "returns"] = hyper(
        "softmax",
        "q: softmax of normalised returns; R / sum R (a negative return makes the run diverge); or the normalised "
        "returns themselves (which, centred, is REINFORCE with a mean baseline)",
        source=_OPEN,
    )
    return_temperature: float = hyper(1.0, "divides the normalised returns before their softmax", source=_OPEN, gt=0)

    def __call__(self, batch: TrajectoryBatch) -> ObjectiveOutput:
        log_w = torch.log_softmax(self.scores(batch.log_probs, batch), -1)
        loss = -(self.targets(batch.returns, batch.dtype) * log_w).sum(-1)
        return self.finish(loss, log_w, batch)

    def targets(self, returns: Tensor, dtype: torch.dtype | None = None) -> Tensor:
        """q: [seed, group, trajectory]; NaN in groups for which target "proportional" has no meaning.

        Args:
            dtype: of the result; None: that of `returns`.
        """
        if self.target == "proportional":
            total = returns.sum(-1, keepdim=True)
            q = torch.where(total > 0, returns / total.clamp(min=1e-30), 1.0 / returns.shape[-1])
            return torch.where((returns < 0).any(-1, keepdim=True), torch.nan, q).to(dtype or returns.dtype)
        normalised = normalise_returns(returns, self.return_normalisation, dtype)
        if self.target == "returns":
            return normalised
        return torch.softmax(normalised / self.return_temperature, -1)


class HaepoRanking(HaepoReading):
    """HAEPO, variant E: the Plackett-Luce likelihood of the whole ranking of the trajectories by return (ListMLE).

        loss = - sum_i [ s_(i) - logsumexp_{j >= i} s_(j) ] - alpha * H + beta * KL,  (1), (2), ... by descending return

    Only the order of the returns matters. Tied trajectories share their places by Efron's method: the l-th of d tied
    ones (l = 0 .. d-1) counts the tied set with weight 1 - l/d in its denominator, so no order among them is invented.
    """

    summary: ClassVar[str] = "HAEPO variant E: Plackett-Luce likelihood of the ranking"
    label: ClassVar[str] = "HAEPO (variant E, ranking)"
    compares: ClassVar[Compared] = "group"

    # The order of returns is all that this variant uses, so their normalisation is not a choice here.
    return_normalisation: Literal["none"] = hyper(
        "none", "only the order of the returns matters to this variant", source="follows from the variant"
    )

    def __call__(self, batch: TrajectoryBatch) -> ObjectiveOutput:
        s = self.scores(batch.log_probs, batch)
        R = batch.returns
        tied = R[..., :, None] == R[..., None, :]
        not_better = R[..., None, :] <= R[..., :, None]  # j is still to be placed when i is
        earlier = torch.ones_like(tied[0, 0]).tril(-1)
        place = (tied & earlier).sum(-1) / tied.sum(-1)  # l / d
        remaining = _masked_logsumexp(s, not_better)
        among_tied = _masked_logsumexp(s, tied)
        denominator = remaining + torch.log1p(-place * torch.exp(among_tied - remaining))
        loss = -(s - denominator).sum(-1)
        return self.finish(loss, torch.log_softmax(s, -1), batch)


def _masked_logsumexp(s: Tensor, keep: Tensor) -> Tensor:
    """log sum_j keep_ij exp(s_j): scores [..., trajectory], keep [..., trajectory, trajectory] to [..., trajectory]."""
    return torch.logsumexp(torch.where(keep, s[..., None, :], -torch.inf), -1)


READINGS: tuple[type[Objective], ...] = (HaepoWeighted, HaepoListwise, HaepoRanking)
