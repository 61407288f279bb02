"""The trainer configuration that all native algorithms share."""

from typing import Annotated, Literal

from pydantic import Field

from haepo_bench.objectives.hyperparameters import Hyperparameters, hyper
from haepo_bench.objectives.spaces import EPOCHS, LEARNING_RATE, TRAJECTORIES
from haepo_bench.training.encoders import EncoderName, encoder_parameter
from haepo_bench.training.heads import PolicyName, policy_parameter

_APS = "rll-research/url_benchmark"
_SHARED = "ours, shared by all; chosen on reinforce alone (docs/explanation/shared-configuration.md)"

Width = Annotated[int, Field(ge=1, le=4096)]


class TrainerSettings(Hyperparameters):
    """What all native algorithms share, so that a comparison is one of objectives."""

    trajectories: int = hyper(
        16,
        "episodes per batch (of each group, where a task has several)",
        unit="episodes",
        source=_SHARED,
        ge=1,
        le=4096,
        search=TRAJECTORIES,
    )
    epochs: int = hyper(
        4, "gradient steps per iteration, each on the whole batch", source=_SHARED, ge=1, le=1000, search=EPOCHS
    )
    learning_rate: float = hyper(3e-3, "of Adam", source=_SHARED, gt=0, le=10, search=LEARNING_RATE)
    max_gradient_norm: float | None = hyper(
        None, "gradient is scaled down to this Euclidean norm; null for never", source=_SHARED, gt=0
    )
    hidden: tuple[Width, ...] = hyper((64, 64), "tanh layers of the policy", unit="units", source="Stable-Baselines3")
    encoder: EncoderName = encoder_parameter()
    policy: PolicyName = policy_parameter()
    reference: Literal["previous", "initial"] | Annotated[int, Field(ge=1)] = hyper(
        "previous",
        "the frozen policy that KL terms and DPO refer to: the one that collected the batch, the initial one, or a "
        "copy renewed every N iterations",
    )
    pretraining: float = hyper(
        0.0,
        "share of the budget, at its beginning, that is trained without rewards, as in APS (`aps`); the objective goes "
        "on from there; 0: none",
        source="ours; of aps 0.5",
        omit_at=0.0,
        ge=0,
        le=1,
    )
    pretraining_features: int = hyper(
        10, "numbers of a state's features in pretraining, and of w", source=_APS, omit_at=10, ge=1, le=1024
    )
    pretraining_neighbours: int = hyper(
        12, "nearest features that the entropy in pretraining is estimated from", source=_APS, omit_at=12, ge=2
    )
    pretraining_rewards: int = hyper(
        4096,
        "newest steps of pretraining whose rewards w is regressed on",
        unit="env steps",
        source=_APS,
        omit_at=4096,
        ge=1,
    )
