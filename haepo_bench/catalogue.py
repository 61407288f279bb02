"""Names to algorithms, families and tasks, our own and those of installed plugins.

Our own are in the static tables below, so that listing them imports nothing heavy. Other people's come through the
entry-point groups `haepo_bench.algorithms` (an `Objective` class or an `AlgorithmDefinition`) and `haepo_bench.tasks`
(a callable that takes the part of the address after the family and returns a `Task`).
"""

import re
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from haepo_bench.errors import TaskError, UnknownName, UserError
from haepo_bench.tasks.address import WRAPPERS, Layer, parse

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from haepo_bench.objectives.base import Objective
    from haepo_bench.tasks.base import Task
    from haepo_bench.training.algorithm import AlgorithmDefinition

ALGORITHM_GROUP = "haepo_bench.algorithms"
TASK_GROUP = "haepo_bench.tasks"
#: What an algorithm may be called: it becomes part of a folder's name.
NAME = re.compile(r"[A-Za-z0-9._-]+")
NO_OPTIONS: Mapping[str, Any] = MappingProxyType({})


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
OWN_DEFINITIONS = {"ppo-batched": "haepo_bench.training.segments.algorithm:PPOBatched"}

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
            "language models; also synthetic-summary, long-horizon/<length>, preferences/<data>; @<model> at the end",
            "haepo_bench.tasks.lm.family:make",
            options=("reward_model", "gold_model"),
        ),
    )
}


#: Variants that are names; those of other families are numbers or names of others.
_EXAMPLES = (
    *(f"bandit/{variant}" for variant in ("10-arm", "1000-arm", "deceptive", "contextual", "pi-squared")),
    "corridor/equal",
    *(f"lm/{variant}" for variant in ("arithmetic", "synthetic-summary", "long-horizon/32", "preferences")),
)


def list_algorithms() -> list[Listed]:
    """Every algorithm, our own first; imports none of them."""
    return [*ALGORITHMS.values(), *(_listed(point) for point in _plugins(ALGORITHM_GROUP).values())]


def list_tasks() -> list[Listed]:
    """Every task family, our own first; imports none of them."""
    return [*TASKS.values(), *(_listed(point) for point in _plugins(TASK_GROUP).values())]


def list_wrappers() -> list[Listed]:
    """Every wrapper of tasks, as it is written in an address."""
    return [Listed(wrapper.usage, wrapper.summary, wrapper.target) for wrapper in WRAPPERS.values()]


def example_addresses() -> list[str]:
    """Addresses of single tasks that the author of a part of one may have meant, such as `CartPole-v1`."""
    from gymnasium import registry  # not needed to list families

    return [*_EXAMPLES, *(f"gym/{name}" for name in registry)]


def innermost(address: str) -> str:
    """The address `family/variant` without its wrappers; the family need not exist.

    Raises:
        UnknownName: no such wrapper.
        TaskError: a wrapper that is not written as it should be.
    """
    return parse(address).innermost


def expand(name: str) -> tuple[str, ...]:
    """The algorithms that a name stands for: a family's members, else the name itself.

    Raises:
        UnknownName: neither an algorithm nor a family.
    """
    if name in FAMILIES:
        return FAMILIES[name]
    if name not in ALGORITHMS and name not in _plugins(ALGORITHM_GROUP):
        if "/" in name and name.partition("/")[0] in {*TASKS, *_plugins(TASK_GROUP)}:
            raise UserError(f"'{name}' is a task, not an algorithm", remedy="it belongs below tasks:")
        _refuse_file(name, "algorithm")
        known = [*ALGORITHMS, *FAMILIES, *_plugins(ALGORITHM_GROUP)]
        raise UnknownName("algorithm", name, known, more="`haepo-bench list algorithms`")
    if not NAME.fullmatch(name):
        raise UserError(
            f"the plugin's name '{name}' cannot be the name of a folder",
            remedy="its package must register it under letters, digits, '.', '_' and '-' only",
        )
    return (name,)


@cache
def algorithm(name: str) -> "AlgorithmDefinition":
    """The algorithm of that name (not a family), as it trains on all but language tasks.

    Raises:
        UnknownName: there is none.
        UserError: a plugin that cannot be imported.
    """
    return as_definition(name, _load_algorithm(name))


@cache
def language_algorithm(name: str) -> "AlgorithmDefinition":
    """The algorithm of that name as it trains on language tasks: another one where it is made from an objective.

    Raises:
        UnknownName: there is none.
        UserError: a plugin that cannot be imported.
    """
    loaded = _load_algorithm(name)
    return as_definition(name, loaded, language=True) if isinstance(loaded, type) else algorithm(name)


def algorithm_on(task: "Task", name: str) -> "AlgorithmDefinition":
    """The algorithm of that name as it trains on `task`.

    Raises:
        UnknownName: there is none.
        UserError: a plugin that cannot be imported.
    """
    return language_algorithm(name) if task.backend == "language" else algorithm(name)


def as_definition(name: str, loaded: Any, *, language: bool = False, listed: bool = True) -> "AlgorithmDefinition":
    """What a catalogue entry points to, as a definition: an objective class, a definition, or a definition class.

    Args:
        language: as it trains on language tasks.
        listed: whether the name is that of a catalogue entry, which may have settings of its own.

    Raises:
        UserError: it is none of these.
    """
    from haepo_bench.training.algorithm import AlgorithmDefinition

    made = loaded() if isinstance(loaded, type) and issubclass(loaded, AlgorithmDefinition) else loaded
    if isinstance(made, AlgorithmDefinition):
        return made
    # Only objectives need torch: algorithms of other kinds are made without it.
    from haepo_bench.objectives.base import Objective

    if isinstance(loaded, type) and issubclass(loaded, Objective):
        own = OWN_DEFINITIONS.get(name) if listed else None
        return _made(name, loaded, DEFINITIONS["language"] if language else own or DEFINITIONS[loaded.collects])
    raise UserError(
        f"the algorithm '{name}' is a {type(loaded).__name__}, neither an Objective nor an AlgorithmDefinition",
        remedy="see docs/how-to/extending.md",
    )


def task(address: str, *, time_limit: int | None = None, options: Mapping[str, Any] = NO_OPTIONS) -> "Task":
    """The task at an address such as `gym/CartPole-v1` or `noise(gym/CartPole-v1,0.5)`.

    Args:
        time_limit: steps after which an episode is cut off; needed for environments that have no limit.
        options: what else the family's tasks are made with (`Listed.options`).

    Raises:
        UnknownName: no such family or wrapper.
        TaskError: the family does not know that variant or option or needs something that is not installed, or a
            wrapper is not written as it should be or cannot go around that task.
    """
    layers, innermost = parse(address)
    return wrapped(_unwrapped_task(innermost, time_limit, options), layers)


def wrapped(task: "Task", layers: Sequence[Layer]) -> "Task":
    """The task within the wrappers of an address, outermost first.

    Raises:
        TaskError: one of them cannot go around it.
    """
    for layer in reversed(layers):
        task = _load(WRAPPERS[layer.wrapper].target)(task, layer)
    return task


def _load_algorithm(name: str) -> Any:
    expand(name)
    return _load(ALGORITHMS[name].target if name in ALGORITHMS else _plugins(ALGORITHM_GROUP)[name])


def _made(name: str, objective: "type[Objective]", definition: str) -> "AlgorithmDefinition":
    made: AlgorithmDefinition = _load(definition)(name, objective)
    return made


def _unwrapped_task(address: str, time_limit: int | None, options: Mapping[str, Any]) -> "Task":
    family, slash, variant = address.partition("/")
    plugins = _plugins(TASK_GROUP)
    if family not in TASKS and family not in plugins:
        if address in ALGORITHMS or address in FAMILIES or address in _plugins(ALGORITHM_GROUP):
            raise TaskError(f"'{address}' is an algorithm, not a task", remedy="it belongs below algorithms:")
        _refuse_file(address, "task")
        families = [entry.name for entry in list_tasks()]
        raise UnknownName("task", address, families, also=example_addresses(), more="`haepo-bench list tasks`")
    if not slash or not variant:
        example = TASKS[family].name if family in TASKS else f"{family}/<variant>"
        raise TaskError(f"task '{address}' names a family without a variant", remedy=f"write {example}")
    known = TASKS[family].options if family in TASKS else ()
    for name in options:
        if name not in known:
            takers = ", ".join(f"{other}/..." for other, entry in TASKS.items() if name in entry.options)
            raise TaskError(
                f"the tasks {family}/... have no {name}", remedy=f"remove it; it is for {takers or 'none'}", key=name
            )
    make = _load(TASKS[family].target if family in TASKS else plugins[family])
    try:
        made: Task = make(variant, time_limit=time_limit, **options)
    except UserError:
        raise
    except (Exception, SystemExit) as error:
        if family in TASKS:
            raise
        raise TaskError(
            f"the plugin that makes '{family}' tasks failed: {type(error).__name__}: {error}",
            remedy=f"is '{variant}' a variant that it knows? If so, fix the plugin",
        ) from error
    return made


def attribute(module: str, name: str) -> Any:
    """What an installed module calls so; None where it has nothing of that name.

    Raises:
        UserError: the module cannot be imported.
    """
    try:
        return getattr(import_module(module), name, None)
    except (Exception, SystemExit) as error:
        raise UserError(
            f"the module '{module}' cannot be imported: {type(error).__name__}: {error}",
            remedy="install it, or put it into the suite's folder",
        ) from error


def _refuse_file(name: str, kind: str) -> None:
    """Refuses a Python file where a name is needed.

    Raises:
        TaskError: it is one.
    """
    if re.search(r"\.py([:/].*)?$", name, re.IGNORECASE):
        raise TaskError(
            f"'{name}' is a Python file: {kind}s of your own are files in the suite's folder or below it",
            remedy=f"write ./{name.replace(chr(92), '/').rpartition('/')[2] if ':' in name[:2] else name}",
        )


@cache
def _plugins(group: str) -> "dict[str, EntryPoint]":
    from importlib.metadata import entry_points  # costs a fifth of `--help`, which needs none

    own = ALGORITHMS if group == ALGORITHM_GROUP else TASKS
    return {point.name: point for point in entry_points(group=group) if point.name not in own}


def _listed(point: "EntryPoint") -> Listed:
    origin = point.dist.name if point.dist is not None else "unknown"
    return Listed(point.name, f"from {origin}", point.value, origin)


def _load(target: "str | EntryPoint") -> Any:
    if isinstance(target, str):
        module, _, attribute = target.partition(":")
        return getattr(import_module(module), attribute)
    try:
        return target.load()
    except (Exception, SystemExit) as error:  # a plugin can fail in any way; its author needs to know which one and how
        raise UserError(
            f"the plugin '{target.name}' ({target.value}) cannot be imported: {type(error).__name__}: {error}",
            remedy="fix or uninstall the package that provides it",
        ) from error
