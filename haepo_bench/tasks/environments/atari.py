"""What `gym/` needs to know about the Arcade Learning Environment (Bellemare et al. 2013), whose ids begin so.

A suite that says nothing of wrappers, `frameskip` or `obs_type` gets the usual preprocessing (Machado et al. 2018,
arXiv 1709.06009, with gymnasium's wrappers): up to 30 actions of nothing at the start, each action for 4 frames, the
brighter of the last two, in grey, 84 x 84; of these the last 4. Rewards are the game's own, not clipped, and a lost
life does not end an episode. Actions stick with probability 0.25, as registered.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium

from haepo_bench.errors import TaskError

PREFIX = "ALE/"
#: Steps of 4 frames after which an episode is cut off: half an hour of play, 108,000 frames.
LIMIT = 27_000
#: Keyword arguments that ask for other frames.
_OTHERWISE = {"frameskip", "obs_type"}
PREPROCESSED = (
    "frames in grey, 84 x 84, every 4th, the last 4 (gymnasium's AtariPreprocessing and FrameStackObservation)"
)


def load() -> None:
    """Registers the environments of the Arcade Learning Environment.

    Raises:
        TaskError: it is not installed.
    """
    try:
        import ale_py  # noqa: F401 (importing it registers its environments)
    except ImportError as error:
        raise TaskError(
            f"the Arcade Learning Environment cannot be imported: {error}", remedy="pip install 'haepo-bench[ale]'"
        ) from error


def preprocesses(kwargs: Mapping[str, Any], wrappers: Sequence[Any]) -> bool:
    """Whether the usual preprocessing is asked for, by asking for nothing else."""
    return not wrappers and not _OTHERWISE & kwargs.keys()


def preprocessed(environment: "gymnasium.Env[Any, Any]") -> "gymnasium.Env[Any, Any]":
    """One of its environments, made with `frameskip=1`, showing the last 4 frames [4, 84, 84].

    Raises:
        TaskError: OpenCV is not installed.
    """
    from gymnasium.wrappers import AtariPreprocessing, FrameStackObservation

    try:
        processed: Any = AtariPreprocessing(environment)
    except gymnasium.error.DependencyNotInstalled as error:
        raise TaskError(
            f"Atari's preprocessing needs OpenCV: {error}", remedy="pip install 'haepo-bench[ale]'"
        ) from error
    return FrameStackObservation(processed, 4)
