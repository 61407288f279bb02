"""Faults to plant into the program's own source: what the regression gate must see, and what it must not mind.

Each replaces one piece of text, which must stand in its file exactly once: a table that no longer fits the source fails
loudly (tests/regression/test_drills.py). `harmless` changes move bits, as another machine or a refactoring does, and
nothing else.
"""

from pathlib import Path
from typing import NamedTuple


class Fault(NamedTuple):
    """One small change of the source.

    Args:
        what: it does, as the table of docs/how-to/regression.md says it.
        file: below the package.
        old: text that stands once in it.
        new: what takes its place.
    """

    name: str
    what: str
    file: str
    old: str
    new: str


_HAEPO, _GRPO, _DPO = "objectives/haepo.py", "objectives/grpo.py", "objectives/dpo.py"
_RATIOS, _PAIRS = "objectives/ratios.py", "objectives/pairs.py"
_REINFORCE, _PPO, _BASE = "objectives/reinforce.py", "objectives/ppo.py", "objectives/base.py"
_TRAINER, _BATCH, _ROLLOUT = (
    "training/episodes/trainer.py",
    "training/episodes/packed_batch.py",
    "training/episodes/rollout.py",
)
_ENGINE, _ADVANTAGES = "training/episodes/engine.py", "training/advantages.py"
_SEGMENTS, _ADAPTER, _EVALUATION = "training/segments/collector.py", "training/sb3/run.py", "training/evaluation.py"

FAULTS = (
    Fault(
        "haepo-entropy-sign",
        "the entropy bonus of all variants punishes entropy",
        _HAEPO,
        "loss.mean(-1) - self.entropy_coefficient * entropy",
        "loss.mean(-1) + self.entropy_coefficient * entropy",
    ),
    Fault(
        "haepo-kl-sign",
        "the KL penalty of all variants rewards distance",
        _HAEPO,
        "+ self.kl_coefficient * kl",
        "- self.kl_coefficient * kl",
    ),
    Fault(
        "haepo-weighted-not-normalised",
        "variant A multiplies its weights with returns that are not normalised",
        _HAEPO,
        "advantages = normalise_returns(batch.returns, self.return_normalisation, batch.dtype)",
        "advantages = batch.returns.to(batch.dtype)",
    ),
    Fault(
        "haepo-weights-axis",
        "variant A takes its softmax across groups instead of trajectories",
        _HAEPO,
        "log_w = torch.log_softmax(s, -1)\n        advantages",
        "log_w = torch.log_softmax(s, -2)\n        advantages",
    ),
    Fault(
        "haepo-listwise-temperature",
        "variant B forgets the temperature of its target",
        _HAEPO,
        "torch.softmax(normalised / self.return_temperature, -1)",
        "torch.softmax(normalised, -1)",
    ),
    Fault(
        "haepo-score-mean",
        "the score of a trajectory is the mean of its log-probabilities, not their sum",
        _HAEPO,
        'if self.score == "mean":',
        "if True:",
    ),
    Fault(
        "haepo-ranking-order",
        "variant E ranks from the worst trajectory on",
        _HAEPO,
        "R[..., None, :] <= R[..., :, None]",
        "R[..., None, :] >= R[..., :, None]",
    ),
    Fault(
        "grpo-clip-side",
        "GRPO takes the larger of the clipped and the unclipped term",
        _RATIOS,
        "x = -torch.minimum(r * A, clipped * A)",
        "x = -torch.maximum(r * A, clipped * A)",
    ),
    Fault(
        "grpo-kl-sign",
        "GRPO's KL penalty rewards distance from the initial policy",
        _GRPO,
        "x = x + self.beta * (",
        "x = x - self.beta * (",
    ),
    Fault(
        "grpo-not-centred",
        "GRPO's advantages are returns divided by their deviation, without a baseline",
        _RATIOS,
        "return centred / (std + 1e-4)",
        "return returns.to(std.dtype) / (std + 1e-4)",
    ),
    Fault(
        "dpo-grpo-entropy-sign",
        "the entropy bonus of DPO and GRPO punishes entropy",
        _BASE,
        "loss - self.entropy_coefficient * batch.token_mean(batch.entropy)",
        "loss + self.entropy_coefficient * batch.token_mean(batch.entropy)",
    ),
    Fault(
        "dpo-reference-sign",
        "DPO adds the reference's log-probabilities instead of subtracting them",
        _DPO,
        "self.alpha * L - L_reference",
        "self.alpha * L + L_reference",
    ),
    Fault(
        "dpo-ties",
        "DPO counts ties, and every trajectory with itself, as preferred pairs",
        _PAIRS,
        "better = returns[..., :, None] > returns[..., None, :]",
        "better = returns[..., :, None] >= returns[..., None, :]",
    ),
    Fault(
        "reinforce-no-baseline",
        "REINFORCE's standardised returns lack their mean's subtraction",
        _BASE,
        "return centred / (centred.square()",
        "return returns.to(centred.dtype) / (centred.square()",
    ),
    Fault(
        "not-standardised",
        "returns of HAEPO and REINFORCE are centred but not divided by their deviation",
        _BASE,
        'if how == "centre":\n        return centred',
        'if how != "none":\n        return centred',
    ),
    Fault(
        "groups-mixed",
        "returns of HAEPO and REINFORCE are normalised across groups",
        _BASE,
        "centred = exact - exact.mean(-1, keepdim=True)",
        "centred = exact - exact.mean((-1, -2), keepdim=True)",
    ),
    Fault(
        "regularised-kl-sign",
        "REINFORCE's KL penalty rewards distance",
        _BASE,
        "+ self.kl_coefficient * batch.token_mean(batch.kl_to_reference)",
        "- self.kl_coefficient * batch.token_mean(batch.kl_to_reference)",
    ),
    Fault(
        "regularised-entropy-sign",
        "REINFORCE's entropy bonus punishes entropy",
        _BASE,
        "loss\n            - self.entropy_coefficient",
        "loss\n            + self.entropy_coefficient",
    ),
    Fault(
        "togo-shifted",
        "returns to go begin one step too late: an action's own reward is not its own",
        _REINFORCE,
        "to_go = rewards.flip(-1).cumsum(-1).flip(-1)",
        "to_go = rewards.flip(-1).cumsum(-1).flip(-1) - rewards",
    ),
    Fault(
        "ppo-clip-side",
        "ppo-batched takes the larger of the clipped and the unclipped term",
        _PPO,
        "surrogate = torch.minimum(",
        "surrogate = torch.maximum(",
    ),
    Fault(
        "gae-shifted",
        "generalised advantages bootstrap from the same state's value instead of the next one's",
        _ADVANTAGES,
        "delta = rewards[:, :, t] + gamma * following * going_on",
        "delta = rewards[:, :, t] + gamma * values[:, :, t] * going_on",
    ),
    Fault(
        "gae-across-episodes",
        "generalised advantages flow across the ends of episodes",
        _ADVANTAGES,
        "going_on = 1 - over[:, :, t].astype(np.float32)",
        "going_on = np.ones_like(last_values)",
    ),
    Fault(
        "segments-rewards-shifted",
        "ppo-batched credits rewards to the step before the one that earned them",
        _SEGMENTS,
        "rewards[:, :, t] = paid",
        "rewards[:, :, t - 1] = paid",
    ),
    Fault(
        "ppo-adapter-epochs",
        "the adapter gives Stable-Baselines3 one epoch, whatever the settings say",
        _ADAPTER,
        "n_epochs=settings.n_epochs",
        "n_epochs=1",
    ),
    Fault(
        "ppo-adapter-learning-rate",
        "the adapter lets the learning rate fall to a tenth",
        _ADAPTER,
        "learning_rate=_schedule(settings.learning_rate, ",
        "learning_rate=_schedule(settings.learning_rate / 10, ",
    ),
    Fault(
        "learning-rate",
        "the native learning rate is 10 times too low",
        _ENGINE,
        "return Adam(parameters, learning_rate)",
        "return Adam(parameters, learning_rate / 10)",
    ),
    Fault(
        "one-epoch",
        "an iteration takes one gradient step, whatever the settings say",
        _TRAINER,
        "for epoch in range(self.settings.epochs):",
        "for epoch in range(1):",
    ),
    Fault(
        "stale-behaviour",
        "behaviour log-probabilities are those of the reference policy",
        _BATCH,
        "behaviour_log_probs=behaviour_log_probs,",
        "behaviour_log_probs=reference_log_probs,",
    ),
    Fault(
        "mask-first-step",
        "the update leaves out the first step of episodes, where there are longer ones than one step",
        _BATCH,
        "seed, trajectory, step = rollout.mask.nonzero(as_tuple=True)",
        "rollout.mask[..., 0] &= rollout.mask.shape[-1] == 1\n"
        "        seed, trajectory, step = rollout.mask.nonzero(as_tuple=True)",
    ),
    Fault(
        "mask-last-step",
        "the mask ends one step too early",
        _ROLLOUT,
        "live = live & ~(step.terminated | step.truncated)",
        "live = live & ~(step.terminated | step.truncated)\n                kept.mask[t] = live",
    ),
    Fault(
        "actions-shifted",
        "the update sees each action one step late",
        _BATCH,
        "a = actions[index[:, None], take].to(self._device)",
        "a = actions[index[:, None], (take - 1).clamp(min=0)].to(self._device)",
    ),
    Fault(
        "returns-shifted",
        "each trajectory is given the return of the one before it",
        "training/episodes/trajectory_batch.py",
        "torch.from_numpy(comparable(rollout.returns))",
        "torch.from_numpy(comparable(rollout.returns)).roll(1, 1)",
    ),
    Fault(
        "last-reward-dropped",
        "the reward of an episode's last step is lost",
        _ROLLOUT,
        "rewards[t] = step.rewards\n",
        "rewards[t] = step.rewards * ~(step.terminated | step.truncated)\n",
    ),
    Fault(
        "evaluation-less",
        "evaluation reports 10 % less return",
        _EVALUATION,
        "played.returns[:, : self._episodes], played",
        "0.9 * played.returns[:, : self._episodes], played",
    ),
)

#: Real faults that these tasks hardly show; docs/how-to/regression.md says why.
UNSEEN = (
    Fault(
        "backward-tanh",
        "the backward pass forgets the derivative of tanh",
        "policies/mlp.py",
        "gradient = torch.ops.aten.sigmoid_backward(_back(doubled, gradient, x), x)",
        "gradient = _back(doubled, gradient, x)",
    ),
    Fault(
        "ppo-adapter-entropy-sign",
        "the adapter turns the entropy bonus round",
        _ADAPTER,
        "ent_coef=settings.ent_coef",
        "ent_coef=-settings.ent_coef",
    ),
    Fault(
        "togo-backwards",
        "returns to go sum the rewards of the past",
        _REINFORCE,
        "to_go = rewards.flip(-1).cumsum(-1).flip(-1)",
        "to_go = rewards.cumsum(-1)",
    ),
    Fault(
        "ppo-advantages-not-centred",
        "ppo-batched divides advantages by their deviation without centring them",
        _PPO,
        "torch.where(n > 1, centred / (std + 1e-8)",
        "torch.where(n > 1, torch.where(mask, advantages, 0.0) / (std + 1e-8)",
    ),
    Fault(
        "collapse",
        "one seed in five does not learn",
        _TRAINER,
        "gradient, diagnostics = packed.gradient(self.objective, wanted_at(epoch, self.settings.epochs))",
        "gradient, diagnostics = packed.gradient(self.objective, wanted_at(epoch, self.settings.epochs))\n"
        "            gradient[[i for i, s in enumerate(self.seeds) if s % 5 == 0]] = 0.0",
    ),
)

HARMLESS = (
    Fault(
        "evaluation-streams",
        "evaluation draws its noise from other streams",
        _EVALUATION,
        'stream("evaluation noise", *key)',
        'stream("evaluation noise", *key, 1)',
    ),
    Fault(
        "initial-weights",
        "initial weights come from other streams",
        _TRAINER,
        'stream("initialisation", seed)',
        'stream("initialisation", seed, 1)',
    ),
    Fault(
        "epsilon",
        "Adam's epsilon is 1e-7 instead of 1e-8",
        "training/adam.py",
        "epsilon: float = 1e-8",
        "epsilon: float = 1e-7",
    ),
    Fault(
        "summation-order",
        "log-probabilities are summed from an episode's end",
        _BASE,
        "return torch.where(self.mask, x, 0.0).sum(-1)",
        "return torch.where(self.mask, x, 0.0).flip(-1).sum(-1)",
    ),
    Fault(
        "observation-noise",
        "observations carry noise of 1e-7, as from another machine's floating point",
        "policies/mlp.py",
        "x, inputs = observations, []",
        "x, inputs = observations + 1e-7 * torch.randn_like(observations), []",
    ),
)


def plant(fault: Fault, package: Path) -> None:
    """Changes a copy of the package.

    Raises:
        ValueError: the text does not stand in the file, or more than once.
    """
    path = package / fault.file
    text = path.read_text(encoding="utf-8")
    if text.count(fault.old) != 1:
        raise ValueError(f"{fault.name}: its text stands {text.count(fault.old)} times in {fault.file}, not once")
    path.write_text(text.replace(fault.old, fault.new), encoding="utf-8")
