"""The trainer configuration that all native algorithms share."""

from typing import Annotated, Literal

from pydantic import Field

from haepo_bench.objectives.hyperparameters import Hyperparameters, hyper
from haepo_bench.objectives.spaces import EPOCHS, LEARNING_RATE, TRAJECTORIES
from haepo_bench.training.encoders import EncoderName, encoder_parameter
from haepo_bench.training.heads import PolicyName, policy_parameter

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
