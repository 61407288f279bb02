"""What `gym/` needs to know about MiniGrid (Chevalier-Boisvert et al. 2023, arXiv 2306.13831), whose ids begin so.

Its environments are registered when its package is imported, keep their own time limit, which their reward depends on,
and observe a dictionary. Of that, the image of the cells in view is used; the mission and the direction are not.
"""

import warnings
from typing import Any

import gymnasium

from haepo_bench.errors import TaskError
from haepo_bench.results.record import References

PREFIX = "MiniGrid-"
_MEASURED = (
    "random: mean of 10,000 episodes of the uniform policy; solved: shortest plans of 2,000 layouts, by search "
    "(tools/minigrid_references.py)"
)
#: Fixed reference returns, by gymnasium id. A return is 0, or 1 - 0.9 t / limit for the goal after t steps.
REFERENCES = {
    "MiniGrid-DoorKey-5x5-v0": References(random=0.0331, solved=0.9649, source=_MEASURED),
    "MiniGrid-DoorKey-6x6-v0": References(random=0.0206, solved=0.9694, source=_MEASURED),
    "MiniGrid-DoorKey-8x8-v0": References(random=0.0087, solved=0.9765, source=_MEASURED),
    "MiniGrid-KeyCorridorS3R1-v0": References(random=0.0194, solved=0.9511, source=_MEASURED),
    "MiniGrid-KeyCorridorS3R2-v0": References(random=0.0027, solved=0.9383, source=_MEASURED),
    "MiniGrid-KeyCorridorS3R3-v0": References(random=0.0013, solved=0.9316, source=_MEASURED),
}


def load() -> None:
    """Registers MiniGrid's environments.

    Raises:
        TaskError: it is not installed.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import minigrid  # noqa: F401 (importing it registers its environments)
    except ImportError as error:
        raise TaskError(
            f"MiniGrid's environments need a package that cannot be imported: {error}",
            remedy="pip install 'haepo-bench[minigrid]'",
        ) from error


def own_limit(environment: "gymnasium.Env[Any, Any]") -> int:
    """Steps after which one of its environments cuts an episode off."""
    unwrapped: Any = environment.unwrapped
    return int(unwrapped.max_steps)


def image(environment: "gymnasium.Env[Any, Any]") -> "gymnasium.Env[Any, Any]":
    """One of its environments, observing the image [7, 7, 3] alone: kind, colour and state of each cell in view."""
    from minigrid.wrappers import ImgObsWrapper

    wrapper: Any = ImgObsWrapper
    wrapped: gymnasium.Env[Any, Any] = wrapper(environment)
    return wrapped
