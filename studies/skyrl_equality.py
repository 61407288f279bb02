"""Losses and gradients of our objectives against SkyRL's own code, on the random batches of objective_equality.py.

    git clone https://github.com/NovaSky-AI/SkyRL
    python studies/skyrl_equality.py SkyRL [--batches 200]

ppo_utils.py is loaded from the checkout as it is; what it imports besides (Ray, loguru, jaxtyping) is replaced. Prints
the largest difference of each quantity, and ends with 1 where one exceeds 1e-6.
"""

import argparse
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from objective_equality import PURE, TOLERANCE, Case, Settings
from torch import Tensor

from haepo_bench.objectives.base import Objective
from haepo_bench.objectives.covariance import ClipCov, KlCov
from haepo_bench.objectives.dppo import Dppo, DppoKl
from haepo_bench.objectives.grpo import Grpo
from haepo_bench.objectives.gspo_token import GspoToken
from haepo_bench.objectives.kl import kl_estimate
from haepo_bench.objectives.maxrl import MaxRl
from haepo_bench.objectives.sapo import Sapo

#: Where SkyRL keeps the modules that are loaded, below its package.
UTILS = "skyrl.backends.skyrl_train.utils"
BARE = {**PURE, "beta": 0.0}


class Anything(ModuleType):
    """A module that has whatever is asked of it."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return Anything(name)

    def __getitem__(self, _: Any) -> Any:
        return Any

    def __call__(self, *_: Any, **__: Any) -> Any:
        return None


def load(checkout: Path) -> Any:
    """skyrl/backends/skyrl_train/utils/ppo_utils.py of a checkout."""
    for name in ("ray", "jaxtyping", "loguru", "omegaconf", "skyrl.train.config"):
        sys.modules[name] = Anything(name)
    sys.modules["ray"].is_initialized = lambda: False  # type: ignore[attr-defined]
    for package in ("skyrl", "skyrl.train", "skyrl.backends", "skyrl.backends.skyrl_train", UTILS):
        sys.modules[package] = ModuleType(package)
        sys.modules[package].__path__ = []
    made: Any = None
    for module in ("torch_utils", "off_policy_correction_utils", "ppo_utils"):
        path = checkout / f"{UTILS.replace('.', '/')}/{module}.py"
        spec = importlib.util.spec_from_file_location(f"{UTILS}.{module}", path)
        if spec is None or spec.loader is None or not path.exists():
            raise SystemExit(f"{path}: no such file; name a checkout of SkyRL")
        made = importlib.util.module_from_spec(spec)
        sys.modules[f"{UTILS}.{module}"] = made
        spec.loader.exec_module(made)
    return made


def losses(skyrl: Any) -> dict[str, tuple[Objective, Callable[[Case], Tensor]]]:
    """Name to our objective and SkyRL's loss."""

    def group(case: Case) -> Tensor:
        found: Tensor = skyrl.compute_grpo_outcome_advantage(case.scores.clone(), case.mask, case.index, epsilon=1e-4)[
            0
        ]
        return found

    def maxrl(case: Case) -> Tensor:
        found: Tensor = skyrl.compute_maxrl_advantage(case.scores.clone(), case.mask, case.index)[0]
        return found

    def of(
        function: Callable[..., Any],
        advantages: Callable[[Case], Tensor],
        reduction: str,
        **settings: Any,
    ) -> Callable[[Case], Tensor]:
        """Advantages scaled as SkyRL's trainer scales them, whose losses then are sums."""
        config = Settings(eps_clip_low=0.2, eps_clip_high=0.2, loss_reduction=reduction) | settings

        def loss(case: Case) -> Tensor:
            scaled = skyrl.apply_loss_reduction_to_advantages_minibatch(
                advantages(case), case.mask, reduction, len(case.mask), case.mask.shape[1]
            )
            found: Tensor = function(Case.rows(case.batch.log_probs), case.old, scaled, Settings(config), case.mask)[0]
            return found

        return loss

    def by_covariance(function: Callable[..., Any], **settings: Any) -> Callable[[Case], Tensor]:
        """With advantages as they are: SkyRL's trainer scales them before, and so what its bounds are compared with."""

        def loss(case: Case) -> Tensor:
            config = Settings(eps_clip_low=0.2, eps_clip_high=0.2, **settings)
            rows = Case.rows(case.batch.log_probs)
            found: Tensor = function(rows, case.old, group(case), config, case.mask)[0] / case.mask.sum()
            return found

        return loss

    clip, plain = skyrl.ppo_policy_loss, "token_mean"
    divergence = {"delta_low": 0.15, "delta_high": 0.15}
    return {
        "grpo, token mean": (
            Grpo(**BARE, aggregation="token"),
            of(clip, group, plain, policy_loss_type="regular"),
        ),
        "grpo": (Grpo(**BARE), of(clip, group, "sequence_mean", policy_loss_type="regular")),
        "maxrl": (MaxRl(**PURE), of(clip, maxrl, plain, policy_loss_type="regular")),
        "sapo": (
            Sapo(**PURE),
            of(skyrl.sapo_policy_loss, group, "sequence_mean", sapo=Settings(tau_pos=1.0, tau_neg=1.05)),
        ),
        "gspo-token, one advantage": (
            GspoToken(**PURE, clip_low=0.2, clip_high=0.2, advantages_of="trajectory"),
            of(skyrl.gspo_policy_loss, group, "sequence_mean"),
        ),
        "dppo": (
            Dppo(**PURE, ratio_cap=1e9),
            of(skyrl.dppo_policy_loss, group, plain, dppo=Settings(divergence, dppo_type="binary_tv")),
        ),
        "dppo-kl": (
            DppoKl(**PURE, ratio_cap=1e9, threshold=0.15),
            of(skyrl.dppo_policy_loss, group, plain, dppo=Settings(divergence, dppo_type="binary_kl")),
        ),
        "clip-cov": (
            ClipCov(**PURE, share=1.0, cov_low=0.5),
            by_covariance(
                skyrl.compute_policy_loss_clip_cov,
                clip_cov=Settings(clip_ratio=1.0, clip_cov_lb=0.5, clip_cov_ub=5.0),
            ),
        ),
        "kl-cov": (
            KlCov(**PURE, share=0.2),
            by_covariance(skyrl.compute_policy_loss_kl_cov, kl_cov=Settings(kl_cov_frac=0.2, ppo_kl_coef=1.0)),
        ),
    }


def differences(case: Case, skyrl: Any) -> dict[str, float]:
    """Largest absolute difference of each quantity on one batch."""
    found: dict[str, float] = {}
    for name, (objective, theirs) in losses(skyrl).items():
        ours, other = objective(case.batch).loss, theirs(case)
        if not name.startswith("dppo"):  # the same gradient by another loss: - r A, and - sg(r) A lp
            found[f"{name}: loss"] = float((ours - other).detach().abs().max())
        found[f"{name}: gradient"] = float((case.slope(ours) - case.slope(other)).abs().max())
    for kind in ("k1", "k2", "k3"):
        rows = Case.rows(case.batch.log_probs)
        here = kl_estimate(rows, case.reference, kind) * case.mask  # type: ignore[arg-type]
        there = skyrl.compute_approx_kl(rows, case.reference, case.mask, kl_estimator_type=kind) * case.mask
        inside = here < 10  # SkyRL cuts k3 off there
        found[f"KL penalty {kind}"] = float(((here - there) * inside).detach().abs().max())
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("checkout", type=Path, help="of SkyRL")
    parser.add_argument("--batches", type=int, default=200)
    options = parser.parse_args()
    skyrl = load(options.checkout)
    worst: dict[str, float] = {}
    for seed in range(options.batches):
        for name, difference in differences(Case(seed), skyrl).items():
            worst[name] = max(worst.get(name, 0.0), difference)
    for name, difference in worst.items():
        print(f"{difference:9.1e}  {name}{'' if difference <= TOLERANCE else '   <- differs'}")
    wrong = sum(not difference <= TOLERANCE for difference in worst.values())
    print(f"{len(worst)} quantities on {options.batches} batches: {wrong} differ by more than {TOLERANCE:g}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
