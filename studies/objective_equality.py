"""Losses, gradients and advantages of our objectives against verl's own code, on random batches.

    git clone https://github.com/volcengine/verl
    python studies/objective_equality.py verl [--batches 200]

verl's core_algos.py is loaded from the checkout as it is; what it imports of the rest of verl, which would bring Ray
and more along, is replaced. Batches are in float64: groups of responses of different lengths, log-ratios within 0.5 or
3 nats, which reach every clip. Prints the largest difference of each quantity, and ends with 1 where one exceeds 1e-6.
Against TRL, which tests have: OBJECTIVE_BATCHES=200 pytest tests/objectives/ -k trl
"""

import argparse
import importlib.util
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from haepo_bench.objectives.base import Objective, TrajectoryBatch
from haepo_bench.objectives.cispo import Cispo
from haepo_bench.objectives.covariance import ClipCov, KlCov
from haepo_bench.objectives.dapo import Dapo
from haepo_bench.objectives.dppo import Dppo, DppoKl
from haepo_bench.objectives.dr_grpo import DrGrpo
from haepo_bench.objectives.gmpo import Gmpo
from haepo_bench.objectives.gpg import Gpg
from haepo_bench.objectives.grpo import Grpo
from haepo_bench.objectives.gspo import Gspo
from haepo_bench.objectives.gspo_token import GspoToken
from haepo_bench.objectives.kl import kl_estimate
from haepo_bench.objectives.opo import Opo
from haepo_bench.objectives.reinforce import ReinforceToGo
from haepo_bench.objectives.reinforce_pp import ReinforcePlusPlus
from haepo_bench.objectives.remax import Remax
from haepo_bench.objectives.rloo import Rloo
from haepo_bench.objectives.sapo import Sapo

GROUPS, TRAJECTORIES, STEPS = 3, 4, 7
TOLERANCE = 1e-6
PURE: dict[str, Any] = {"entropy_coefficient": 0.0}
#: "No such bound" in verl's vanilla loss, which has no switch for its dual clip.
NEVER = 1e12


class Settings(dict[str, Any]):
    """A configuration as verl reads it: attributes, and `get`."""

    def __getattr__(self, name: str) -> Any:
        return self.get(name)


class Case:
    """A random batch as ours, and as verl's rows [response, token]."""

    def __init__(self, seed: int) -> None:
        draw = torch.Generator().manual_seed(seed)
        spread = (0.5, 3.0)[seed % 2]

        def uniform(low: float, high: float, *shape: int) -> Tensor:
            return low + (high - low) * torch.rand(*shape, generator=draw, dtype=torch.float64)

        shape = (1, GROUPS, TRAJECTORIES, STEPS)
        lengths = torch.randint(1, STEPS + 1, shape[:-1], generator=draw)
        lengths[0, 0, 0] = STEPS  # verl divides by the longest response, we by the horizon
        log_probs = uniform(-3.5, -0.05, *shape)
        self.batch = TrajectoryBatch(
            log_probs=log_probs.requires_grad_(),
            entropy=torch.zeros(shape, dtype=torch.float64),
            kl_to_reference=torch.full(shape, torch.nan, dtype=torch.float64),
            behaviour_log_probs=(log_probs.detach() + uniform(-spread, spread, *shape)).clamp(max=-0.01),
            reference_log_probs=(log_probs.detach() + uniform(-spread, spread, *shape)).clamp(max=-0.01),
            mask=torch.arange(STEPS) < lengths[..., None],
            rewards=uniform(0, 1, *shape),
            returns=uniform(0, 1, *shape[:-1]).round(decimals=1),
            horizon=STEPS,
        )
        self.greedy = uniform(0, 1, GROUPS)
        self.mask = self.rows(self.batch.mask).double()
        self.old, self.reference = self.rows(self.batch.behaviour_log_probs), self.rows(self.batch.reference_log_probs)
        self.index = np.repeat(np.arange(GROUPS), TRAJECTORIES)
        last = torch.arange(STEPS) == lengths[..., None] - 1
        self.scores = self.rows(torch.where(last, self.batch.returns[..., None], 0.0))

    @staticmethod
    def rows(x: Tensor) -> Tensor:
        return x.reshape(GROUPS * TRAJECTORIES, STEPS)

    def slope(self, loss: Tensor) -> Tensor:
        return torch.autograd.grad(loss.sum(), self.batch.log_probs)[0]

    def kept(self, x: Tensor) -> Tensor:
        """Rows of an advantage, zero where there is no token."""
        return torch.where(self.batch.mask, x, 0.0).reshape(-1)


def load(checkout: Path) -> Any:
    """verl/trainer/ppo/core_algos.py of a checkout."""

    def module(name: str, **content: Any) -> ModuleType:
        made = ModuleType(name)
        vars(made).update(content)
        sys.modules[name] = made
        return made

    def source(name: str, path: str) -> Any:
        spec = importlib.util.spec_from_file_location(name, checkout / path)
        if spec is None or spec.loader is None:
            raise SystemExit(f"{checkout / path}: no such file; name a checkout of verl")
        made = importlib.util.module_from_spec(spec)
        sys.modules[name] = made
        spec.loader.exec_module(made)
        return made

    module("omegaconf", DictConfig=dict)
    module("tensordict", TensorDict=dict)
    for package in ("verl", "verl.trainer", "verl.workers"):
        module(package).__path__ = []
    utils = module("verl.utils", as_torch_index=None, group_mean_std=None)
    utils.__path__ = []
    module("verl.utils.device", get_device_name=lambda: "cpu", get_torch_device=lambda: torch)
    module("verl.utils.import_utils", deprecated=lambda *_, **__: lambda function: function)
    module("verl.trainer.config", AlgoConfig=type("AlgoConfig", (), {}))
    module("verl.workers.config", ActorConfig=Settings)
    utils.torch_functional = source("verl.utils.torch_functional", "verl/utils/torch_functional.py")  # type: ignore[attr-defined]
    return source("verl.trainer.ppo.core_algos", "verl/trainer/ppo/core_algos.py")


def losses(verl: Any) -> dict[str, tuple[Objective, Callable[[Case], Tensor]]]:
    """Name to our objective and verl's loss."""

    def of(
        name: str, advantages: Callable[[Case], Tensor], aggregate: str, **settings: Any
    ) -> Callable[[Case], Tensor]:
        chosen = Settings(clip_ratio=0.2, clip_ratio_c=NEVER, global_batch_info={}) | settings

        def loss(case: Case) -> Tensor:
            given = case.old, Case.rows(case.batch.log_probs), advantages(case), case.mask
            return verl.get_policy_loss_fn(name)(*given, loss_agg_mode=aggregate, config=Settings(chosen))[0]

        return loss

    def group(case: Case, *, scale: bool = True) -> Tensor:
        return verl.compute_grpo_outcome_advantage(
            case.scores.clone(), case.mask, case.index, epsilon=1e-4, norm_adv_by_std_in_grpo=scale
        )[0]

    def centred(case: Case) -> Tensor:
        return group(case, scale=False)

    def whitened(case: Case) -> Tensor:
        paid = case.scores - 0.01 * (case.old - case.reference) * case.mask
        return verl.compute_reinforce_plus_plus_outcome_advantage(paid, case.mask, config=Settings(gamma=1.0))[0]

    def of_estimator(name: str) -> Callable[[Case], Tensor]:
        return lambda case: verl.get_adv_estimator_fn(name)(case.scores.clone(), case.mask, index=case.index)[0]

    def to_go(case: Case) -> Tensor:
        return Case.rows(ReinforceToGo().advantages(case.batch))

    def baseline(case: Case) -> Tensor:
        return verl.compute_reinforce_plus_plus_baseline_outcome_advantage(case.scores, case.mask, case.index)[0]

    def singled_out(**settings: float) -> Settings:
        """Options of its covariance losses. Clip-Cov drops all steps within bounds: of fewer verl draws which."""
        return Settings(policy_loss=Settings(settings))

    wide = {"clip_ratio_high": 0.28}
    bare = {**PURE, "beta": 0.0}
    return {
        "grpo": (Grpo(**bare), of("vanilla", group, "seq-mean-token-mean")),
        "grpo, dual clip": (Grpo(**bare, dual_clip=3.0), of("vanilla", group, "seq-mean-token-mean", clip_ratio_c=3.0)),
        "grpo, token mean": (Grpo(**bare, aggregation="token"), of("vanilla", group, "token-mean")),
        "grpo, token mean, dual clip": (
            Grpo(**bare, aggregation="token", dual_clip=3.0),
            of("vanilla", group, "token-mean", clip_ratio_c=3.0),
        ),
        "dapo": (Dapo(**PURE), of("vanilla", group, "token-mean", **wide)),
        "dapo, dual clip 10": (
            Dapo(**PURE, dual_clip=10.0),
            of("vanilla", group, "token-mean", clip_ratio_c=10.0, **wide),
        ),
        "dr-grpo": (DrGrpo(**PURE), of("vanilla", centred, "seq-mean-token-sum-norm")),
        "dr-grpo, dual clip": (
            DrGrpo(**PURE, dual_clip=3.0),
            of("vanilla", centred, "seq-mean-token-sum-norm", clip_ratio_c=3.0),
        ),
        "gspo": (Gspo(**PURE), of("gspo", group, "", clip_ratio_low=3e-4, clip_ratio_high=4e-4)),
        "gspo, clip 0.2": (Gspo(**PURE, clip_low=0.2, clip_high=0.2), of("gspo", group, "")),
        "gmpo": (Gmpo(**PURE), of("geo_mean", group, "", clip_ratio=0.4)),
        "gmpo, clip 0.1": (Gmpo(**PURE, clip=0.1), of("geo_mean", group, "", clip_ratio=0.1)),
        "cispo": (Cispo(**PURE), of("cispo", group, "token-mean", clip_ratio_low=1.0, clip_ratio_high=4.0)),
        "cispo, clip 0.2": (Cispo(**PURE, clip_low=0.2, clip_high=0.2), of("cispo", group, "token-mean")),
        "dppo": (Dppo(**PURE), of("dppo_tv", group, "token-mean", clip_ratio=0.15, clip_ratio_c=20.0)),
        "dppo, cap 2": (
            Dppo(**PURE, threshold=0.1, ratio_cap=2.0),
            of("dppo_tv", group, "token-mean", clip_ratio=0.1, clip_ratio_c=2.0),
        ),
        "dppo-kl": (DppoKl(**PURE), of("dppo_kl", group, "token-mean", clip_ratio=0.05, clip_ratio_c=20.0)),
        "dppo-kl, 0.02": (
            DppoKl(**PURE, threshold=0.02),
            of("dppo_kl", group, "token-mean", clip_ratio=0.02, clip_ratio_c=20.0),
        ),
        "sapo": (Sapo(**PURE), of("sapo", group, "", tau_pos=1.0, tau_neg=1.05)),
        "sapo, other temperatures": (
            Sapo(**PURE, tau_positive=0.5, tau_negative=3.0),
            of("sapo", group, "", tau_pos=0.5, tau_neg=3.0),
        ),
        "gspo-token": (
            GspoToken(**PURE, clip_low=0.2, clip_high=0.2),
            of("gspo", to_go, "", clip_ratio_low=0.2, clip_ratio_high=0.2),
        ),
        "gspo-token, one advantage": (
            GspoToken(**PURE, advantages_of="trajectory"),
            of("gspo", group, "", clip_ratio_low=3e-4, clip_ratio_high=4e-4),
        ),
        "opo": (Opo(**PURE), of("vanilla", of_estimator("opo"), "token-mean")),
        "gpg": (Gpg(**PURE, counted="nonzero"), of("gpg", of_estimator("gpg"), "token-mean")),
        "clip-cov": (
            ClipCov(**PURE, share=1.0, cov_low=0.5),
            of("clip_cov", group, "token-mean", **singled_out(clip_cov_ratio=1.0, clip_cov_lb=0.5)),
        ),
        "clip-cov, other bounds": (
            ClipCov(**PURE, share=1.0, cov_low=-2.0, cov_high=1.0),
            of("clip_cov", group, "token-mean", **singled_out(clip_cov_ratio=1.0, clip_cov_lb=-2.0, clip_cov_ub=1.0)),
        ),
        "kl-cov": (KlCov(**PURE), of("kl_cov", group, "token-mean", **singled_out())),
        "kl-cov, a fifth": (
            KlCov(**PURE, share=0.2, kl_coefficient=0.5),
            of("kl_cov", group, "token-mean", **singled_out(kl_cov_ratio=0.2, ppo_kl_coef=0.5)),
        ),
        "reinforce-pp": (ReinforcePlusPlus(**PURE), of("vanilla", whitened, "token-mean")),
        "reinforce-pp, dual clip": (
            ReinforcePlusPlus(**PURE, dual_clip=3.0),
            of("vanilla", whitened, "token-mean", clip_ratio_c=3.0),
        ),
        "reinforce-pp, group baseline": (
            ReinforcePlusPlus(**bare, baseline="group"),
            of("vanilla", baseline, "token-mean"),
        ),
        "reinforce-pp, group baseline, dual clip": (
            ReinforcePlusPlus(**bare, baseline="group", dual_clip=3.0),
            of("vanilla", baseline, "token-mean", clip_ratio_c=3.0),
        ),
    }


def differences(case: Case, verl: Any) -> dict[str, float]:
    """Largest absolute difference of each quantity on one batch."""
    found: dict[str, float] = {}

    def compare(name: str, ours: Tensor, theirs: Tensor) -> None:
        found[name] = float((ours.detach().reshape(-1) - theirs.detach().reshape(-1)).abs().max())

    for name, (objective, theirs) in losses(verl).items():
        ours, other = objective(case.batch).loss, theirs(case)
        compare(f"{name}: loss", ours, other)
        compare(f"{name}: gradient", case.slope(ours), case.slope(other))
    rloo = verl.compute_rloo_outcome_advantage(case.scores.clone(), case.mask, case.index)[0]
    compare("rloo: advantages", case.kept(Rloo(beta=0.0).advantages(case.batch)[..., None]), rloo)
    greedy = case.greedy.repeat_interleave(TRAJECTORIES)
    lead = verl.compute_remax_outcome_advantage(case.scores.clone(), greedy, case.mask)[0]
    slope = case.slope(Remax(**PURE)(replace(case.batch, greedy_returns=case.greedy[None, :, None])).loss)
    compare("remax: gradient", slope, -lead * case.mask / len(greedy))
    for beta in (0.0, 0.01, 0.1):
        paid = case.scores - beta * (case.old - case.reference) * case.mask
        white = verl.compute_reinforce_plus_plus_outcome_advantage(paid, case.mask, config=Settings(gamma=1.0))[0]
        compare(f"reinforce-pp, beta {beta:g}: advantages", ReinforcePlusPlus(beta=beta).advantages(case.batch), white)
    for kind in ("k1", "k2", "k3", "k1+", "k3+"):
        here = kl_estimate(Case.rows(case.batch.log_probs), case.reference, kind) * case.mask
        there = verl.kl_penalty(Case.rows(case.batch.log_probs), case.reference, kind) * case.mask
        inside = (here < 10).double()  # verl cuts k3 off there
        compare(f"KL penalty {kind}", here * inside, there * inside)
        compare(f"KL penalty {kind}: gradient", case.slope(here * inside), case.slope(there * inside))
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("checkout", type=Path, help="of verl")
    parser.add_argument("--batches", type=int, default=200)
    options = parser.parse_args()
    verl = load(options.checkout)
    worst: dict[str, float] = {}
    for seed in range(options.batches):
        for name, difference in differences(Case(seed), verl).items():
            worst[name] = max(worst.get(name, 0.0), difference)
    for name, difference in worst.items():
        print(f"{difference:9.1e}  {name}{'' if difference <= TOLERANCE else '   <- differs'}")
    wrong = sum(not difference <= TOLERANCE for difference in worst.values())
    print(f"{len(worst)} quantities on {options.batches} batches: {wrong} differ by more than {TOLERANCE:g}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
