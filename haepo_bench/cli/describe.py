"""`haepo-bench describe`."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from haepo_bench import catalogue
from haepo_bench.cli.algorithms import algorithms_page, facts
from haepo_bench.cli.arguments import complete_name, known_names, say
from haepo_bench.cli.layout import columns, paragraph
from haepo_bench.errors import UnknownName, UserError, did_you_mean
from haepo_bench.suite.hushed import hushed
from haepo_bench.suite.local.reference import on_the_command_line
from haepo_bench.suite.shipped import list_suites
from haepo_bench.tasks.address import WRAPPERS, Signature
from haepo_bench.terminal import echo
from haepo_bench.wording import many

if TYPE_CHECKING:
    from haepo_bench.tasks.base import ActionSpace, Task
    from haepo_bench.tasks.lm.base import LanguageTask
    from haepo_bench.training.algorithm import AlgorithmDefinition, ParameterDescription


def describe(
    name: Annotated[
        str | None,
        typer.Argument(
            help="An algorithm, a family, a task, a wrapper, or a Python file that defines one.",
            autocompletion=complete_name,
        ),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="All algorithms that come with the package, as one Markdown page.")
    ] = False,
) -> None:
    """Explain an algorithm (formula, every hyper-parameter and its source) or a task."""
    if (name is None) is not everything:
        raise UserError("describe takes one name, or --all and no name", remedy="haepo-bench list shows the names")
    if name is None:
        echo(algorithms_page(), nl=False)
        return
    if (file := on_the_command_line(name)) is not None:
        _describe_file(*file)
        return
    algorithms = {entry.name for entry in catalogue.list_algorithms()}
    tasks = {entry.name.partition("/")[0] for entry in catalogue.list_tasks()}
    if name in catalogue.FAMILIES:
        _describe_family(name)
    elif name in algorithms:
        with hushed():
            definition = catalogue.algorithm(name)
        _describe_algorithm(definition, catalogue.language_algorithm(name))
    elif name in WRAPPERS:
        _describe_wrapper(WRAPPERS[name])
    elif catalogue.innermost(name).partition("/")[0] in tasks:
        with hushed():
            task = catalogue.task(name)
        _describe_task(task)
    elif name in list_suites():
        remedy = f"haepo-bench validate {name} says what it runs"
        near = did_you_mean(name, catalogue.example_addresses())
        raise UserError(f"'{name}' is a suite", remedy=f"{remedy}; {near}" if near.startswith("did") else remedy)
    else:
        raise UnknownName("name", name, known_names(), also=catalogue.example_addresses(), more="`haepo-bench list`")


def _describe_family(name: str) -> None:
    echo(f"{name}: a family; in a suite it means\n")
    summaries = {entry.name: entry.summary for entry in catalogue.list_algorithms()}
    echo(columns((member, summaries[member]) for member in catalogue.FAMILIES[name]))
    others = [other for other in summaries if other.startswith(f"{name}-") and other not in catalogue.FAMILIES[name]]
    if others:
        echo("\nfurther variants, by their own names\n")
        echo(columns((other, summaries[other]) for other in others))
    echo("\nhaepo-bench describe has the hyper-parameters of each")


def _describe_file(folder: Path, reference: str) -> None:
    """Describes what a Python file defines: an algorithm, or else a task."""
    from haepo_bench.suite.local import objects
    from haepo_bench.suite.names import Names

    names = Names(folder)
    code = names.task_code(reference)
    assert code is not None
    say(f"runs {code.described}")
    with hushed():
        algorithm = objects.defines_algorithm(code)
        definition = names.algorithm(reference) if algorithm else None
        language = names.language_algorithm(reference) if algorithm else None
        task = None if algorithm else names.task(reference, options={})
    if definition is not None and language is not None:
        _describe_algorithm(definition, language)
    elif task is not None:
        _describe_task(task)


def _describe_algorithm(definition: "AlgorithmDefinition", on_language: "AlgorithmDefinition") -> None:
    echo(f"{definition.name} (version {definition.version}): {definition.summary}\n")
    echo(definition.description.strip())
    echo("\nWhat it is")
    echo(columns(facts(definition)))
    general = definition.describe_parameters()
    language = on_language.describe_parameters()
    title = "Hyper-parameters (params: in a suite)"
    _describe_parameters(title, general)
    if language != general:
        _describe_parameters("On language tasks, instead of those for small policies", language)


def _describe_parameters(title: str, parameters: "Sequence[ParameterDescription]") -> None:
    echo(f"\n{title}")
    for parameter in parameters:
        unit = f" {parameter.unit}" if parameter.unit else ""
        echo(f"  {parameter.name} = {json.dumps(parameter.default, default=str)}{unit}    ({parameter.type})")
        echo(paragraph(parameter.meaning, indent="      "))
        echo(paragraph(f"source: {parameter.source}", indent="      "))
        if parameter.search is not None:
            echo(paragraph(f"searched: {parameter.search}", indent="      "))


def _describe_wrapper(wrapper: Signature) -> None:
    echo(f"{wrapper.usage}: {wrapper.summary}\n")
    rows = [("task", "any address, also of a wrapped task")]
    if wrapper.parameter is not None:
        rows.append((wrapper.parameter.name, wrapper.parameter.bounds))
    echo(columns([*rows, ("for example", wrapper.example)]))


def _space(space: "ActionSpace") -> str:
    from gymnasium import spaces

    if isinstance(space, spaces.Discrete):
        return f"one of {space.n}"
    if isinstance(space, spaces.MultiDiscrete):
        return f"{many(len(space.nvec), 'choice')} at once, of {', '.join(map(str, space.nvec))}"
    return f"{' x '.join(map(str, space.shape))} numbers from {space.low.min():g} to {space.high.max():g}"


def _environment_rows(task: "Task") -> list[tuple[str, str]]:
    return [
        ("horizon", f"{many(task.horizon, 'step')} per episode at most"),
        *_observation_rows(task),
        ("actions", _space(task.action_space)),
        ("coverage", f"counted over {many(task.states, 'state')}" if task.states else "not counted"),
        ("stepped by", "arrays of episodes" if task.backend == "array" else task.backend),
    ]


def _observation_rows(task: "Task") -> list[tuple[str, str]]:
    if task.image is None:
        return [("observations", _space(task.observation_space))]
    from haepo_bench.training.encoders import described

    return [("observations", f"images, {task.image.described}"), ("encoder", described(task.image))]


def _language_rows(task: "LanguageTask") -> list[tuple[str, str]]:
    prompt = task.train[0].prompt
    return [
        ("model", task.model),
        ("horizon", f"{many(task.horizon, 'new token')} per response at most"),
        ("prompts", f"{len(task.train):,} to train on, {len(task.held_out):,} held out"),
        ("for example", repr(prompt if len(prompt) <= 200 else f"{prompt[:197]}...")),
        ("training reward", "the gold reward" if task.gold_is_reward else "not the gold reward"),
        (
            "fine-tuning",
            many(len(task.demonstrations), "demonstration") if task.demonstrations else "none",
        ),
        ("expert", "a response to each prompt" if all(map(task.expert_response, task.train)) else "none"),
        ("preferences", many(len(task.pairs), "fixed pair") if task.pairs else "no fixed pairs"),
    ]


def _describe_task(task: "Task") -> None:
    from haepo_bench.tasks.lm.base import LanguageTask

    references = task.references
    rows = [("tags", ", ".join(task.tags) or "none")]
    rows += _language_rows(task) if isinstance(task, LanguageTask) else _environment_rows(task)
    if references:
        rows.append(("score", f"0 at return {references.random:g} (random), 1 at {references.solved:g} (solved)"))
        rows.append(("", references.source))
    else:
        rows.append(("score", "none: no reference returns are known, so it stays out of aggregates"))
    echo(f"{task.id} (version {task.version}): {task.summary}\n")
    echo(columns(rows))
