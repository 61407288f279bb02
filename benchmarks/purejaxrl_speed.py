"""Env steps per second of PureJaxRL's PPO on CartPole-v1, run by a Python that has jax (throughput.py calls it).

    python benchmarks/purejaxrl_speed.py CHECKOUT SEEDS STEPS REPEATS

Compiled once and run once before anything is timed, so that compilation is not in it.
"""

import json
import sys
import time
from pathlib import Path


def main() -> None:
    checkout, seeds, steps, repeats = Path(sys.argv[1]), *map(int, sys.argv[2:5])
    sys.path.insert(0, str(checkout / "purejaxrl"))
    import jax
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
