"""Our own algorithms and tasks, as tables that import nothing of it. A new one is a row here, and a file."""

from typing import NamedTuple


class Listed(NamedTuple):
    """A catalogue entry as `list` shows it.

    Args:
        target: `module:attribute`.
        origin: the distribution it comes from.
        options: keys of a suite's task entry that this family takes beside those that all take.
        confidence: how sure it is that an algorithm is that of its source: high, medium or low; empty where not
            stated. `describe` says why.
    """

    name: str
    summary: str
    target: str
    origin: str = "haepo-bench"
    options: tuple[str, ...] = ()
    confidence: str = ""


#: Name, where it is defined (below this package), confidence, summary.
ALGORITHMS = {
    name: Listed(name, summary, f"haepo_bench.{target}", confidence=confidence)
    for name, target, confidence, summary in (
        (
            "haepo-weighted",
            "objectives.haepo:HaepoWeighted",
            "low",
            "HAEPO variant A: softmax weights times normalised returns",
        ),
        (
            "haepo-listwise",
            "objectives.haepo:HaepoListwise",
            "low",
            "HAEPO variant B: match the weights to the returns",
        ),
        (
            "haepo-ranking",
            "objectives.haepo:HaepoRanking",
            "low",
            "HAEPO variant E: Plackett-Luce likelihood of the ranking",
        ),
        (
            "reinforce",
            "objectives.reinforce:Reinforce",
            "high",
            "REINFORCE with a mean baseline, whole returns: the control",
        ),
        ("reinforce-togo", "objectives.reinforce:ReinforceToGo", "high", "REINFORCE with per-step returns to go"),
        (
            "grpo",
            "objectives.grpo:Grpo",
            "high",
            "Group Relative Policy Optimization; Dr. GRPO and DAPO as options",
        ),
        ("dpo", "objectives.dpo:Dpo", "high", "online DPO on pairs ordered by true return; H-DPO as an option"),
        (
            "rloo",
            "objectives.rloo:Rloo",
            "high",
            "REINFORCE with a leave-one-out baseline and clipped trajectory ratios",
        ),
        (
            "reinforce-pp",
            "objectives.reinforce_pp:ReinforcePlusPlus",
            "high",
            "PPO's clipping on returns whitened over the batch, no critic",
        ),
        ("gspo", "objectives.gspo:Gspo", "high", "clipped ratios of whole trajectories, normalised by length"),
        (
            "cispo",
            "objectives.cispo:Cispo",
            "high",
            "policy gradient weighed with clipped token ratios; no token loses its gradient",
        ),
        ("gmpo", "objectives.gmpo:Gmpo", "high", "geometric mean of token ratios, clipped token by token"),
        ("dr-grpo", "objectives.dr_grpo:DrGrpo", "high", "GRPO without length and deviation in its denominators"),
        (
            "dapo",
            "objectives.dapo:Dapo",
            "high",
            "DAPO's loss: GRPO with a higher upper clip and a mean over all steps",
        ),
        ("dppo", "objectives.dppo:Dppo", "high", "policy gradient masked by the total variation that a step has moved"),
        (
            "dppo-kl",
            "objectives.dppo:DppoKl",
            "high",
            "policy gradient masked by the KL divergence that a step has moved",
        ),
        ("bapo", "objectives.bapo:Bapo", "high", "clip bounds that adapt until positive advantages weigh enough"),
        (
            "dcpo",
            "objectives.dcpo:Dcpo",
            "high",
            "advantages mixed with ratios to a tempered policy, towards a target entropy",
        ),
        ("sapo", "objectives.sapo:Sapo", "high", "a smooth gate on token ratios in place of the clip"),
        (
            "gspo-token",
            "objectives.gspo_token:GspoToken",
            "high",
            "GSPO with an advantage for each step: returns to go",
        ),
        (
            "luspo",
            "objectives.luspo:Luspo",
            "high",
            "GSPO with every step weighing the same, whatever the trajectory's length",
        ),
        (
            "vespo",
            "objectives.vespo:Vespo",
            "high",
            "policy gradient weighed with a gamma density of the trajectory's ratio",
        ),
        (
            "maxrl",
            "objectives.maxrl:MaxRl",
            "high",
            "returns relative to their mean: REINFORCE on the logarithm of the success rate",
        ),
        (
            "opo",
            "objectives.opo:Opo",
            "high",
            "GRPO with the baseline weighed by length that minimises the gradient's variance",
        ),
        (
            "gpg",
            "objectives.gpg:Gpg",
            "high",
            "policy gradient with a mean baseline, groups of equal returns not counted",
        ),
        ("remax", "objectives.remax:Remax", "high", "REINFORCE with the greedy policy's return as baseline"),
        (
            "clip-cov",
            "objectives.covariance:ClipCov",
            "high",
            "PPO's clip, without the steps that lower the entropy most",
        ),
        (
            "kl-cov",
            "objectives.covariance:KlCov",
            "high",
            "unclipped ratios; the steps that lower the entropy most are penalised for moving",
        ),
        (
            "lpo-forward",
            "objectives.lpo:LpoForward",
            "high",
            "match the policy's weights to softmax of returns, KL(target || policy)",
        ),
        (
            "lpo-reverse",
            "objectives.lpo:LpoReverse",
            "high",
            "match the policy's weights to softmax of returns, KL(policy || target)",
        ),
        ("snis", "objectives.snis:Snis", "high", "self-normalised importance sampling of the return"),
        ("rwr", "objectives.rwr:Rwr", "medium", "maximum likelihood weighed with the exponential of returns"),
        (
            "awr",
            "objectives.awr:Awr",
            "high",
            "maximum likelihood weighed with the exponential of advantages, cut off",
        ),
        ("h-dpo", "objectives.h_dpo:HDpo", "medium", "online DPO with control of entropy"),
        ("ipo", "objectives.ipo:Ipo", "high", "online IPO on pairs ordered by true return"),
        (
            "cpo",
            "objectives.cpo:Cpo",
            "high",
            "DPO without a reference, and the likelihood of the better trajectories",
        ),
        (
            "simpo",
            "objectives.cpo:SimPo",
            "high",
            "pairs by mean log-probability with a margin, without a reference",
        ),
        (
            "orpo",
            "objectives.orpo:Orpo",
            "high",
            "likelihood of the better of a pair, and a penalty on the odds of the worse",
        ),
        (
            "kto",
            "objectives.kto:Kto",
            "high",
            "good and bad trajectories, each compared with the mean implicit reward",
        ),
        ("rebel", "objectives.rebel:Rebel", "high", "regress differences of log-ratios on differences of returns"),
        ("qrpo", "objectives.qrpo:Qrpo", "high", "regress log-ratios on quantiles of the reference policy's returns"),
        (
            "a2po",
            "objectives.a2po:AStarPo",
            "high",
            "regress log-ratios on the optimal advantage over the reference policy",
        ),
        (
            "reward-distillation",
            "objectives.reward_distillation:RewardDistillation",
            "low",
            "regress differences of the implicit reward on differences of returns",
        ),
        (
            "calibrl",
            "objectives.calibrl:Calibrl",
            "high",
            "policy gradient, steps calibrated against those of a scripted expert",
        ),
        ("soup", "objectives.soup:Soup", "low", "GRPO on trajectories that earlier policies begin"),
        (
            "aps",
            "objectives.aps:Aps",
            "medium",
            "pretraining without rewards on particle entropy and w . phi, then REINFORCE from there",
        ),
        (
            "repo",
            "objectives.repo:Repo",
            "medium",
            "GRPO in which the policy rephrases an expert's response where a group fails",
        ),
        (
            "repo-stand-in",
            "objectives.repo:RepoStandIn",
            "low",
            "GRPO in which a scripted expert's episode replaces the worst of a group that fails",
        ),
        (
            "iib-lpo-stand-in",
            "objectives.iib_lpo:IibLpoStandIn",
            "low",
            "GRPO whose trajectories branch at their step of highest entropy; the best are kept",
        ),
        (
            "hybrid-dpo-stand-in",
            "objectives.coverage:HybridDpoStandIn",
            "low",
            "online DPO on pairs of the policy's and a G-optimal design's trajectories",
        ),
        (
            "dpo-offline",
            "training.language.offline:DpoOffline",
            "high",
            "DPO on the fixed preferences of a language task",
        ),
        ("ppo", "training.sb3.algorithm:PPO", "high", "PPO of Stable-Baselines3"),
        (
            "ppo-batched",
            "objectives.ppo:Ppo",
            "high",
            "PPO as Stable-Baselines3 has it, all seeds as one batch",
        ),
        (
            "genpo",
            "objectives.genpo:GenPo",
            "high",
            "PPO on the exact densities of an invertible flow, whose actions may have several modes",
        ),
        (
            "dfpo-reconstructed",
            "training.segments.dfpo:DFPO",
            "low",
            "PPO with a critic that learns the distribution of the return as a flow",
        ),
        (
            "uniform",
            "training.uniform:UniformControl",
            "high",
            "the uniformly random policy, which never learns: a control",
        ),
    )
}

#: What makes an algorithm of an objective class: by what the objective collects, and for all on language tasks.
DEFINITIONS = {
    "episodes": "haepo_bench.training.episodes.algorithm:NativeDefinition",
    "segments": "haepo_bench.training.segments.algorithm:SegmentDefinition",
    "language": "haepo_bench.training.language.algorithm:LanguageDefinition",
}
#: Instead, for algorithms with settings of their own where no language model is trained.
OWN_DEFINITIONS = {
    "ppo-batched": "haepo_bench.training.segments.algorithm:PPOBatched",
    "genpo": "haepo_bench.training.segments.genpo:GenPODefinition",
}

FAMILIES: dict[str, tuple[str, ...]] = {"haepo": ("haepo-weighted", "haepo-listwise")}

#: Task families; `name` is the address with its variable part.
TASKS = {
    entry.name.split("/")[0]: entry
    for entry in (
        Listed(
            "bandit/10-arm",
            "one pull per episode; also 1000-arm, deceptive, contextual, pi-squared",
            "haepo_bench.tasks.bandit.arms:make",
        ),
        Listed(
            "random-walk/<states>",
            "walk to the far goal past a small near reward",
            "haepo_bench.tasks.finite.random_walk:make",
        ),
        Listed(
            "corridor/<horizon>",
            "independent choices along a corridor; corridor/equal: a short and a long way to the same reward",
            "haepo_bench.tasks.finite.corridor:make",
        ),
        Listed(
            "deep-sea/<size>",
            "bsuite's treasure behind a row of costly moves",
            "haepo_bench.tasks.finite.deep_sea:make",
        ),
        Listed("multi-goal/<n>", "n equal goals: found, and kept?", "haepo_bench.tasks.finite.multi_goal:make"),
        Listed(
            "key-door/<size>", "fetch the key, open the door, reach the goal", "haepo_bench.tasks.finite.key_door:make"
        ),
        Listed(
            "umbrella/<delay>", "the first action decides a reward much later", "haepo_bench.tasks.finite.umbrella:make"
        ),
        Listed("t-maze/<length>", "turn as a hint said at the start", "haepo_bench.tasks.finite.t_maze:make"),
        Listed(
            "maze/<size>",
            "find the way out of mazes, evaluated in others than trained in",
            "haepo_bench.tasks.finite.maze:make",
        ),
        Listed(
            "gym/<gymnasium id>",
            "any gymnasium environment; gym/<module>:<id> imports the module that registers it",
            "haepo_bench.tasks.environments.gym:make",
            options=("kwargs", "wrappers"),
        ),
        Listed(
            "envpool/<id>",
            "any such environment of EnvPool, stepped in C++",
            "haepo_bench.tasks.environments.envpool:make",
        ),
        Listed(
            "lm/arithmetic",
            "language models; also scratchpad, synthetic-summary, long-horizon/<length>, preferences/<data>; "
            "@<model> at the end",
            "haepo_bench.tasks.lm.family:make",
            options=("reward_model", "gold_model"),
        ),
    )
}


#: Addresses of which the variants are names; those of other families are numbers or names of others.
EXAMPLES = (
    *(f"bandit/{variant}" for variant in ("10-arm", "1000-arm", "deceptive", "contextual", "pi-squared")),
    "corridor/equal",
    *(
        f"lm/{variant}"
        for variant in ("arithmetic", "scratchpad", "synthetic-summary", "long-horizon/32", "preferences")
    ),
)
