"""What `describe` says of algorithms, and the page docs/reference/algorithms.md that says it of all of them."""

import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from haepo_bench import catalogue
from haepo_bench.errors import UserError
from haepo_bench.text import markdown_table

if TYPE_CHECKING:
    from haepo_bench.results.record import Information
    from haepo_bench.training.algorithm import AlgorithmDefinition, ParameterDescription

_HEAD = """# Algorithms

What each algorithm computes, where that comes from, how sure that is, and who chose its defaults. This page is printed
by `haepo-bench describe --all`; `haepo-bench describe NAME` prints the same of one. What they share, and what is known
of HAEPO, is in [methods](../explanation/methods.md).

Notation: trajectories k = 1..K of a group, steps t, R_k return; lp, behaviour, ref the log-probabilities of the taken
action under the policy, the policy that collected the batch, and the reference policy; L_k = sum_t lp_kt, n_k steps;
R~ the returns normalised within the group; sg( ) no gradient. *Confidence*: how sure it is that the formula is that of
its source. *Searched*: from where `haepo-bench tune` draws it ([how](../how-to/tune.md)).
"""

_SHARED = """## Trainer settings

Shared by all algorithms above but `ppo`, `ppo-batched`, `genpo`, `dfpo-reconstructed` and `dpo-offline`, and chosen
on `reinforce` alone ([how](../explanation/shared-configuration.md)); on language tasks others take their place.
Each algorithm states its own default of `reference`.
"""

_LANGUAGE = """## On language tasks

In place of the trainer settings, for all algorithms but `ppo`, `genpo`, `dfpo-reconstructed` and `aps`, which do not
support language tasks ([language](../how-to/language.md)).
`ppo-batched` also has the last two, and `vf_coef` 0.1; `qrpo` and `a2po` have `reference_episodes` 8 (responses of
the reference policy to each prompt); the expert of `calibrl` is the task's own response to each prompt, where it knows
one; `dpo-offline` has no `completions`.
"""


def facts(definition: "AlgorithmDefinition") -> list[tuple[str, str]]:
    """What feedback an algorithm receives, what it needs, and how sure its formula is: (name, value) rows."""
    rows = [("confidence", definition.confidence or "not stated")]
    information = _information(definition)
    if information is not None:
        rows += [
            ("feedback", _feedback(information)),
            ("critic", "yes" if information.critic else "no"),
            ("discount", "none" if information.discount is None else f"{information.discount}"),
        ]
    reference = [p.default for p in definition.describe_parameters() if p.name == "reference"]
    rows += [("reference", f"the {reference[0]} policy")] if reference else []
    rows.append(("needs", "; ".join(definition.needs) or "nothing else"))
    if information is not None:
        rows.append(("in tables", information.label))
        rows += [("footnote", information.footnote)] if information.footnote else []
    return rows


def algorithms_page() -> str:
    """All algorithms of the package as Markdown."""
    from haepo_bench.training.episodes.algorithm import NativeDefinition
    from haepo_bench.training.language.settings import LanguageSegmentSettings
    from haepo_bench.training.parameters import describe_fields
    from haepo_bench.training.settings import TrainerSettings

    definitions = [catalogue.algorithm(name) for name in catalogue.ALGORITHMS]
    shared, language = describe_fields(TrainerSettings), describe_fields(LanguageSegmentSettings)
    elsewhere = {d.name for d in shared}
    first: dict[str, str] = {}  # text of a family to the algorithm that it is printed with
    parts = [_HEAD, _table(("name", "what it does", "feedback", "confidence"), map(_overview, definitions))]
    for definition in definitions:
        native = isinstance(definition, NativeDefinition)
        # One that trains no small policy has the settings of language tasks alone.
        offline = all(definition.refuses(catalogue.task(address)) for address in ("bandit/10-arm", "gym/Pendulum-v1"))
        hidden = elsewhere if native else {d.name for d in language} if offline else set()
        own = [parameter for parameter in definition.describe_parameters() if parameter.name not in hidden]
        parts += [
            f"## {definition.name}\n\n{definition.summary} (version {definition.version})\n",
            _description(definition, first.setdefault(definition.common, definition.name)),
            "".join(f"- {name}: {value}\n" for name, value in facts(definition)),
        ]
        parts += [_parameters(own)] if own else []
    return "\n".join([*parts, _SHARED, _parameters(shared), _LANGUAGE, _parameters(language)])


def _description(definition: "AlgorithmDefinition", first: str) -> str:
    """The text of an algorithm; what its family shares is printed with `first`, the first of the family."""
    if not definition.common or first == definition.name:
        return f"```text\n{definition.description.strip()}\n```\n"
    own = definition.description.replace(definition.common, "").strip()
    return f"```text\n{own}\n```\n\nWhat its family shares is described with [`{first}`](#{first}).\n"


def _overview(definition: "AlgorithmDefinition") -> tuple[str, ...]:
    information = _information(definition)
    feedback = "" if information is None else _feedback(information)
    return (
        f"[`{definition.name}`](#{definition.name})",
        definition.summary,
        feedback,
        definition.confidence.partition(":")[0],
    )


def _feedback(information: "Information") -> str:
    """What an algorithm receives, in words: a control that learns nothing is known to have no critic either."""
    return information.told or ("unknown" if information.critic is None else "nothing")


def _parameters(parameters: "Iterable[ParameterDescription]") -> str:
    rows = (
        (
            f"`{p.name}`",
            f"{json.dumps(p.default, default=str)} {p.unit}".strip(),
            p.type,
            p.meaning,
            p.source,
            "" if p.search is None else str(p.search),
        )
        for p in parameters
    )
    return _table(("hyper-parameter", "default", "type", "meaning", "source", "searched"), rows)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Cells are Markdown, but for their strokes."""
    return markdown_table(head, ([cell.replace("|", "\\|") for cell in row] for row in rows)) + "\n"


def _information(definition: "AlgorithmDefinition") -> "Information | None":
    """What the algorithm receives and needs with its default hyper-parameters, which can depend on the task."""
    if definition.information is not None:
        return definition.information
    for address in ("bandit/10-arm", "gym/CartPole-v1", "gym/Pendulum-v1", "random-walk/20", "lm/arithmetic"):
        task = catalogue.task(address)
        if definition.refuses(task) is None:
            try:
                return definition.configure({}, task).information
            except UserError:  # a library that is not installed
                return None
    return None
