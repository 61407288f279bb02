"""The training loop: rollouts, trainer, evaluation, recorder, random streams, Stable-Baselines3 PPO."""
