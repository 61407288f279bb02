"""What `gym/` needs to know about MuJoCo: what to install, and where its warnings go.

It prints them and writes them to a file MUJOCO_LOG.TXT in whatever folder a program was started in. gymnasium's models
cause one for each environment that is made (of a deprecated attribute of half_cheetah.xml, with MuJoCo 4), so that a
run of 16 episodes per batch and 5 seeds would print it a hundred times.
"""

import logging
from typing import Any

from haepo_bench.errors import TaskError

#: Where gymnasium has the environments that need it.
_HERE = "gymnasium.envs.mujoco"


def load(registration: Any) -> None:
    """Where an environment is one of gymnasium's for MuJoCo, hands its warnings to `logging`, but for deprecations.

    A handler that is set already stays.

    Raises:
        TaskError: MuJoCo is not installed.
    """
    if not str(registration.entry_point).startswith(_HERE):
        return
    try:
        import imageio  # noqa: F401 (gymnasium's environments import it, too)
        import mujoco
    except ImportError as error:
        raise TaskError(
            f"MuJoCo's environments need a package that cannot be imported: {error}",
            remedy="pip install 'haepo-bench[mujoco]'",
        ) from error
    if mujoco.get_mju_user_warning() is None:
        mujoco.set_mju_user_warning(_said)


def _said(message: str) -> None:
    if "deprecated" not in message:
        logging.getLogger("mujoco").warning(message)
