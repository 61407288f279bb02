"""ORPO: Odds Ratio Preference Optimization (Hong et al. 2024, arXiv 2403.07691), online."""

from typing import ClassVar

import torch
from torch import Tensor

from haepo_bench.objectives.base import ObjectiveOutput, TrajectoryBatch, hyper
from haepo_bench.objectives.pairs import pairwise
from haepo_bench.objectives.preferences import PreferenceObjective

_PAPER = "arXiv 2403.07691; TRL"
#: Mean log-probabilities are held below this: the odds of certainty are infinite.
_SURE = -1e-6


class Orpo(PreferenceObjective):
    """ORPO: likelihood of the better trajectories, and a penalty on the odds of the worse ones; no reference policy.

        x_k  = sum_t lp_kt / n_k,   odds_k = exp(x_k) / (1 - exp(x_k))
        h_wl = log odds_w - log odds_l
        loss = mean over steps of better ones of - lp + beta * mean over pairs of - log sigma(h_wl)

    Pairs are `dpo`'s. Odds need probabilities: discrete actions only. Source: TRL, orpo_trainer.py, whose likelihood
    counts the prompt's tokens as well. Ours: x is held below -1e-6; the entropy bonus.
    """

    summary: ClassVar[str] = "likelihood of the better of a pair, and a penalty on the odds of the worse"
    label: ClassVar[str] = "online ORPO, oracle pairs"
    confidence: ClassVar[str] = "high: read in the code of TRL"
    discrete_only: ClassVar[bool] = True

    beta: float = hyper(0.1, "weight of the odds ratio (the paper's lambda)", source=_PAPER, ge=0)

    def __call__(self, batch: TrajectoryBatch) -> ObjectiveOutput:
        log_odds = self.log_odds(batch)
        loss = self.likelihood_of_winners(batch) + self.beta * self.preference_loss(pairwise(log_odds), batch)
        return self.finish(loss, batch, {"pair_accuracy": self.pair_accuracy(log_odds, batch)})

    def log_odds(self, batch: TrajectoryBatch) -> Tensor:
        """x - log(1 - exp(x)): [seed, group, trajectory]."""
        x = (batch.masked_sum(batch.log_probs) / batch.lengths).clamp(max=_SURE)
        return x - torch.log(-torch.expm1(x))
