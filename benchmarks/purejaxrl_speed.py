"""Env steps per second of PureJaxRL's PPO on CartPole-v1, run by a Python that has jax (throughput.py calls it).

    python benchmarks/purejaxrl_speed.py CHECKOUT SEEDS STEPS REPEATS

Compiled once and run once before anything is timed, so that compilation is not in it.
"""

import json
import sys
import time
import types
from pathlib import Path


def main() -> None:
    checkout, seeds, steps, repeats = Path(sys.argv[1]), *map(int, sys.argv[2:5])
    sys.path.insert(0, str(checkout / "purejaxrl"))
    # Its wrappers import these for environments other than CartPole-v1.
    for name in ("brax", "brax.envs", "brax.envs.wrappers", "brax.envs.wrappers.training", "navix"):
        sys.modules[name] = types.ModuleType(name)
    for name in ("brax.envs", "brax.envs.wrappers", "brax.envs.wrappers.training"):
        parent, _, child = name.rpartition(".")
        setattr(sys.modules[parent], child, sys.modules[name])
    for unused in ("EpisodeWrapper", "AutoResetWrapper"):
        setattr(sys.modules["brax.envs.wrappers.training"], unused, object)
    import jax

    # Of the jax that it was written for.
    if not hasattr(jax, "tree_map"):
        jax.tree_map = jax.tree_util.tree_map
    from ppo import make_train  # PureJaxRL's file

    # CleanRL's settings, which are those of PureJaxRL's own example.
    config = {
        "LR": 2.5e-4, "NUM_ENVS": 4, "NUM_STEPS": 128, "TOTAL_TIMESTEPS": steps, "UPDATE_EPOCHS": 4,
        "NUM_MINIBATCHES": 4, "GAMMA": 0.99, "GAE_LAMBDA": 0.95, "CLIP_EPS": 0.2, "ENT_COEF": 0.01, "VF_COEF": 0.5,
        "MAX_GRAD_NORM": 0.5, "ACTIVATION": "tanh", "ENV_NAME": "CartPole-v1", "ANNEAL_LR": True, "DEBUG": False,
    }  # fmt: skip
    train = jax.jit(jax.vmap(make_train(config)))

    def once(key: int) -> float:
        keys = jax.random.split(jax.random.PRNGKey(key), seeds)
        begun = time.perf_counter()
        jax.block_until_ready(train(keys))
        return time.perf_counter() - begun

    once(0)
    print(json.dumps([seeds * steps / once(1 + i) for i in range(repeats)]))


if __name__ == "__main__":
    main()
