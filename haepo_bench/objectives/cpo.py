"""CPO and SimPO: preference losses without a reference policy (arXiv 2401.08417; arXiv 2405.14734)."""

from typing import ClassVar

from haepo_bench.objectives.base import ObjectiveOutput, TrajectoryBatch, hyper
from haepo_bench.objectives.pairs import pairwise
from haepo_bench.objectives.preferences import PreferenceObjective

_TRL = "TRL, cpo_config.py"
_SIMPO = "princeton-nlp/SimPO, simpo_config.py"


class Cpo(PreferenceObjective):
    """CPO: DPO with a uniform reference, and the likelihood of the better trajectories besides.

        h_wl = beta (d_w - d_l) - margin,   d_k = sum_t lp_kt, or that / n_k (length_norm)
        loss = mean over pairs of - log sigma(h_wl) + nll_coefficient * mean over steps of better ones of - lp

    Pairs are `dpo`'s; a trajectory's steps count once for each pair that it wins. Source: TRL, cpo_trainer.py. Ours:
    the entropy bonus.
    """

    summary: ClassVar[str] = "DPO without a reference, and the likelihood of the better trajectories"
    label: ClassVar[str] = "online CPO, oracle pairs"
    confidence: ClassVar[str] = "high: read in the code of TRL"

    beta: float = hyper(0.1, "scale of the margin of a pair", source=_TRL, gt=0)
    length_norm: bool = hyper(False, "whether d is a mean per step (else a sum)", source="CPO, arXiv 2401.08417")
    margin: float = hyper(0.0, "gamma: by how much the better trajectory should lead", source="CPO has none", ge=0)
    nll_coefficient: float = hyper(1.0, "weight of the better trajectories' - log pi per step", source=_TRL, ge=0)

    def __call__(self, batch: TrajectoryBatch) -> ObjectiveOutput:
        L = batch.masked_sum(batch.log_probs)
        score = self.beta * (L / batch.lengths if self.length_norm else L)
        loss = self.preference_loss(pairwise(score) - self.margin, batch)
        if self.nll_coefficient:
            loss = loss + self.nll_coefficient * self.likelihood_of_winners(batch)
        return self.finish(loss, batch, {"pair_accuracy": self.pair_accuracy(score, batch)})


class SimPo(Cpo):
    """SimPO: the better trajectory's mean log-probability leads by a margin; no reference policy.

        h_wl = beta (L_w / n_w - L_l / n_l) - margin
        loss = mean over pairs of - log sigma(h_wl)

    A named setting of `cpo`. Source: princeton-nlp/SimPO, whose gamma_beta_ratio 0.25 is margin / beta; TRL,
    cpo_trainer.py with loss_type "simpo".
    """

    summary: ClassVar[str] = "pairs by mean log-probability with a margin, without a reference"
    label: ClassVar[str] = "online SimPO, oracle pairs"
    confidence: ClassVar[str] = "high: read in the code of the authors and of TRL"

    beta: float = hyper(2.0, "scale of the margin of a pair", source=_SIMPO, gt=0)
    length_norm: bool = hyper(True, "whether d is a mean per step (else a sum)", source=_SIMPO)
    margin: float = hyper(0.5, "gamma: by how much the better trajectory should lead", source=_SIMPO, ge=0)
    nll_coefficient: float = hyper(0.0, "weight of the better trajectories' - log pi per step", source=_SIMPO, ge=0)
