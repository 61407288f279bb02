"""The registry of columns: what every number of a run record is called, what it means and how it is reduced.

Recorder, data frames, exports, reports, comparisons and the tables of docs/reference/results-format.md follow it. A
column that it does not name is shown as well, under its own name unless the objective, the algorithm or the task that
records it declares it (`declared_columns.py`).
"""

from typing import Literal, NamedTuple

#: Who measures a column, and with it how it is reduced; `REDUCTION` says it in words.
Kind = Literal["progress", "return", "training", "objective", "evaluation", "end", "cost"]

REDUCTION: dict[Kind, str] = {
    "progress": "its value at the evaluation point",
    "return": "of the evaluation at the evaluation point",
    "training": "mean of the iterations since the last evaluation point",
    "objective": "mean of the iterations since the last evaluation point",
    "evaluation": "of the evaluation at the evaluation point",
    "end": "of the last evaluation alone (`final`)",
    "cost": "of the whole run",
}


class Column(NamedTuple):
    """A column of a run record.

    Args:
        name: in the record.
        title: heading in tables and figures, without the unit; the name where it is empty.
        unit: empty for pure numbers.
        meaning: one sentence or less.
        kind: who measures it; `objective` for the diagnostics of an objective or of an algorithm of its own.
        decimals: in tables, of the registry's columns; where None, three for fractions and else about three digits.
        clock: whether it differs between two runs that are otherwise the same.
        whole: whether it counts something, in whole numbers.
    """

    name: str
    title: str = ""
    unit: str = ""
    meaning: str = ""
    kind: Kind = "objective"
    decimals: int | None = None
    clock: bool = False
    whole: bool = False

    @property
    def heading(self) -> str:
        """Title and unit."""
        return f"{self.title or self.name} ({self.unit})" if self.unit else self.title or self.name


_CURVE = (
    Column("env_steps", "Env steps", "", "the evaluation points, increasing", "progress", whole=True),
    Column("gradient_steps", "Gradient steps", "", "of training so far", "progress", whole=True),
    Column("episodes", "Episodes", "", "of training so far", "progress", whole=True),
    Column(
        "wall_seconds",
        "Wall seconds",
        "",
        "of training so far, evaluation apart; where seeds train as one batch, an equal share of the batch's time",
        "progress",
        clock=True,
    ),
    Column("cpu_seconds", "CPU seconds", "", "the same of the processor", "progress", clock=True),
    Column(
        "eval_return",
        "Return, sampled policy",
        "",
        "mean over the evaluation episodes, sampled policy: the primary result; of language tasks the gold reward on "
        "held-out prompts",
        "return",
    ),
    Column("eval_return_greedy", "Return, greedy policy", "", "the same, greedy policy", "return"),
    Column(
        "eval_return_std",
        "Return, deviation over episodes",
        "",
        "standard deviation over the evaluation episodes, sampled policy",
        "return",
    ),
    Column(
        "train_return", "Training return", "", "mean over the training episodes, as training receives them", "training"
    ),
    Column(
        "clean_return",
        "Training return, clean",
        "",
        "of the training episodes in the task's own rewards (language: the gold reward), where training receives "
        "others (`noise(...)` and the like, proxies)",
        "training",
        decimals=2,
    ),
    Column("loss", "Loss", "", "the objective's value", "training"),
    Column("gradient_norm", "Gradient norm", "", "before clipping", "training", decimals=3),
    Column(
        "policy_entropy",
        "Policy entropy",
        "nats per step",
        "of the policy that collected the batch; `ppo`, `ppo-batched`: mean over the update's minibatches; language: "
        "per token",
        "training",
        decimals=3,
    ),
    Column(
        "kl_previous",
        "KL to behaviour policy",
        "nats per step",
        "KL divergence from the behaviour policy (`soup`: whichever policy took a step), k3 on the taken actions, "
        "before an update's last gradient step; absent with one epoch",
        "training",
        decimals=5,
    ),
    Column(
        "effective_sample_size",
        "Effective sample size",
        "fraction of trajectories",
        "1 / sum of squared weights over trajectories, divided by their number (HAEPO, `snis`, `lpo-...`, `rwr`)",
    ),
    Column(
        "clip_fraction",
        "Clipped",
        "fraction",
        "of the steps (`rloo`, `gspo`, `luspo`: trajectories; `awr`: weights) that the objective clipped or masked",
    ),
    Column(
        "value_loss",
        "Value loss",
        "squared return",
        "mean squared error of the value network (language: value head), in the rewards' own unit (`ppo-batched`)",
    ),
    Column(
        "flow_loss",
        "Flow loss",
        "squared return",
        "mean loss of a flow as critic (`critic: flow`), of its velocities, in the unit of the rewards it is shown",
    ),
    Column(
        "halves_apart",
        "Distance between halves",
        "action",
        "mean Euclidean distance between the two halves of doubled actions (`genpo`), which its loss draws together",
    ),
    Column(
        "implicit_value",
        "Implicit value of the start",
        "reward",
        "the value of the start that trajectories imply, R - beta sum (log pi - log ref), in the reward that the "
        "objective sees ([credit](../explanation/methods.md#credit-of-single-steps)); tasks with certain moves only",
        decimals=3,
    ),
    Column(
        "implicit_value_deviation",
        "Implicit value, deviation over trajectories",
        "reward",
        "how far the trajectories of a group disagree about `implicit_value`",
        decimals=3,
    ),
    Column(
        "state_coverage",
        "State coverage",
        "fraction",
        "of the task's states that training has visited so far",
        "training",
    ),
    Column(
        "relative_coverage",
        "Coverage relative to a uniform policy",
        "ratio",
        "to the coverage expected of a uniformly random policy after as many env steps",
        "training",
        decimals=2,
    ),
    Column(
        "goals_found",
        "Goals found",
        "fraction",
        "of the task's goals that training has reached so far",
        "training",
        decimals=2,
    ),
    Column(
        "goals_retained",
        "Goals retained",
        "fraction",
        "of the task's goals that the sampled policy reaches in the evaluation episodes",
        "evaluation",
        decimals=2,
    ),
    Column(
        "first_success",
        "First success",
        "env steps",
        "of training until the first success; null before",
        "training",
        decimals=0,
        whole=True,
    ),
    Column(
        "relative_first_success",
        "First success relative to a uniform policy",
        "ratio",
        "to the env steps that a uniformly random policy is expected to need",
        "training",
    ),
    Column(
        "regret",
        "Expected regret per pull",
        "",
        "mean expected regret of a pull: the best arm's mean minus the chosen one's (bandits)",
        "training",
        decimals=3,
    ),
    Column(
        "good_arm_excess",
        "Pulls on good arms beyond uniform",
        "fraction",
        "of pulls on good arms, minus the fraction that a uniform policy has (bandits)",
        "training",
    ),
    Column(
        "short_way_share",
        "Short way",
        "fraction",
        "of the training episodes that took the short way (`corridor/...`)",
        "training",
    ),
    Column(
        "long_way_share",
        "Long way",
        "fraction",
        "of the training episodes that took the long way (`corridor/...`)",
        "training",
    ),
    Column(
        "right_choice_share",
        "Right first choice",
        "fraction",
        "of the training episodes whose first action was right (`umbrella/...`)",
        "training",
    ),
    Column(
        "reward_alignment",
        "Reward alignment",
        "-1 to 1",
        "Kendall's tau-b between (log pi - log pi_initial) / length and the true return, over the task's frozen probe "
        "set ([tasks](tasks.md#probe-sets)); null while the policy is still the initial one",
        "evaluation",
        decimals=3,
    ),
    Column(
        "proxy_return",
        "Proxy reward",
        "",
        "the reward of training, of the same sampled responses; absent where that is the gold reward (language)",
        "evaluation",
        decimals=2,
    ),
    Column(
        "proxy_return_std",
        "Proxy reward, deviation over responses",
        "",
        "standard deviation of `proxy_return` over the responses; absent likewise (language)",
        "evaluation",
    ),
    Column(
        "kl_initial",
        "KL to initial policy",
        "nats per response",
        "KL divergence from the policy before training, exact at each place of the evaluation's sampled responses "
        "(language)",
        "evaluation",
        decimals=2,
    ),
    Column(
        "response_length",
        "Training response length",
        "tokens",
        "mean, stop token included (language)",
        "training",
        decimals=1,
    ),
    Column(
        "eval_response_length",
        "Response length",
        "tokens",
        "the same of the evaluation's sampled responses (language)",
        "evaluation",
        decimals=1,
    ),
    Column(
        "cut_off_share",
        "Training responses cut off",
        "fraction",
        "of the training responses that ended without a stop token (language)",
        "training",
    ),
    Column(
        "distinct_2",
        "Distinct pairs of tokens",
        "fraction",
        "different pairs of neighbouring tokens among all pairs of the evaluation's sampled responses (language)",
        "evaluation",
    ),
    Column("exact_match", "Exact match", "fraction", "of the evaluation's sampled responses (language)", "evaluation"),
    Column(
        "well_formed",
        "Well-formed answers",
        "fraction",
        "of the evaluation's sampled responses (language)",
        "evaluation",
    ),
    Column(
        "facts_found",
        "Facts found",
        "fraction",
        "of a text's facts, in the sampled summaries (`lm/synthetic-summary`)",
        "evaluation",
    ),
    Column(
        "claims_true",
        "True claims",
        "fraction",
        "of the claims of the sampled summaries (`lm/synthetic-summary`)",
        "evaluation",
    ),
    Column(
        "tokens_per_second",
        "Tokens sampled per second",
        "",
        "of training (language)",
        "training",
        decimals=0,
        clock=True,
    ),
    Column(
        "seconds_per_step",
        "Seconds per gradient step",
        "",
        "of an iteration, sampling included, by gradient steps (language)",
        "training",
        decimals=3,
        clock=True,
    ),
    Column("pass_at_1", "pass@1", "fraction", "successes, estimated from 8 responses to each prompt", "end"),
    Column("initial_pass_at_1", "pass@1 of the starting policy", "fraction", "the same of the starting policy", "end"),
    Column("pass_at_8", "pass@8", "fraction", "prompts of which at least one of 8 responses is a success", "end"),
    Column("initial_pass_at_8", "pass@8 of the starting policy", "fraction", "the same of the starting policy", "end"),
)

_COST = (
    Column("wall_seconds", "Wall seconds", "", "of training, evaluation apart", "cost", clock=True),
    Column("cpu_seconds", "CPU seconds", "", "of training, evaluation apart", "cost", clock=True),
    Column(
        "env_steps_collected", "Env steps", "", "that training took, a little beyond the budget", "cost", whole=True
    ),
    Column("gradient_steps", "Gradient steps", "", "of training", "cost", whole=True),
    Column("episodes", "Episodes", "", "of training", "cost", whole=True),
    Column("evaluation_env_steps", "Env steps of evaluation", "", "apart from those of training", "cost", whole=True),
    Column(
        "evaluation_seconds",
        "Seconds of evaluation",
        "",
        "wall seconds, apart from those of training",
        "cost",
        clock=True,
    ),
    Column(
        "peak_memory_bytes",
        "Peak memory",
        "bytes",
        "of the worker process, which the seeds of a job share",
        "cost",
        clock=True,
        whole=True,
    ),
)

#: Columns of the curve, and of `final` what only the last evaluation measures, by name, in the order of tables.
COLUMNS: dict[str, Column] = {column.name: column for column in _CURVE}
#: Numbers of a run's cost, by name.
COST_COLUMNS: dict[str, Column] = {column.name: column for column in _COST}

#: Columns that count how far training is, or are the evaluation's returns: what results and costs are made of.
#: All other columns are diagnostics.
MEASURED = frozenset(column.name for column in _CURVE if column.kind in ("progress", "return"))
#: Columns that differ between two otherwise identical runs.
CLOCK_COLUMNS = frozenset(column.name for column in _CURVE if column.clock)
#: Columns and costs that are whole numbers.
WHOLE = frozenset(column.name for column in (*_CURVE, *_COST) if column.whole)
