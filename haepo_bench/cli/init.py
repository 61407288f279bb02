"""`haepo-bench init`."""

import re
from pathlib import Path
from typing import Annotated

import typer

from haepo_bench.errors import UserError
from haepo_bench.terminal import echo

#: The starter suite; `NAME` is replaced. Small enough to be through in about a minute.
STARTER = """\
# A suite: which algorithms learn which tasks, how often and for how long.
#
#   haepo-bench validate FILE     what would run; nothing is trained
#   haepo-bench run FILE          trains; run it again and it does only what is missing
#   haepo-bench report            tables and learning curves of what is in ./results

name: NAME
description: my first comparison

seeds: 3                          # the seeds 0, 1 and 2; or a list such as [3, 1, 4]. Ten say much more than three.

budget: {env_steps: 5_000}        # training steps of one run; a task can have its own
evaluation: {every: 500}          # a point of the learning curve every 500 training steps

tasks:                            # haepo-bench list tasks
  - bandit/10-arm
  - {id: random-walk/20, budget: {env_steps: 10_000}, evaluation: {every: 1_000}}
  # - {id: gym/CartPole-v1, budget: {env_steps: 50_000}, evaluation: {every: 5_000}}
  # - {id: gym/Pendulum-v1, time_limit: 100}     # cut episodes off earlier than the environment does

algorithms:                       # haepo-bench list algorithms; hyper-parameters: haepo-bench describe NAME
  - haepo                         # a family: means its variants haepo-weighted and haepo-listwise
  - reinforce
  - {use: grpo, name: grpo-wide, params: {trajectories: 32}}
  # - use: ppo
  #   seeds: 2                    # fewer seeds than the others
  #   per_task:
  #     bandit/10-arm: {params: {learning_rate: 1e-3}}

# claims: {candidate: haepo, margin: 0.1}    # what the report judges; declared before anything runs
# execution: {workers: auto, device: auto, timeout: 30m}
"""


def init(
    path: Annotated[Path, typer.Argument(help="File to write.", metavar="[PATH]")] = Path("suite.yaml"),
) -> None:
    """Write a commented suite to start from; overwrites nothing."""
    name = path.stem if re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}", path.stem) else "my-suite"
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(STARTER.replace("NAME", name, 1).replace("FILE", str(path)))
    except FileExistsError:
        raise UserError("exists already and is not overwritten", where=str(path), remedy="name another file") from None
    except OSError as error:
        raise UserError(f"cannot be written: {error.strerror}", where=str(path), remedy="name another file") from None
    echo(f"wrote {path}\nnext: haepo-bench validate {path}")
