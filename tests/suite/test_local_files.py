"""Python files of a suite's folder: what names them, what may be read, what counts, and what is imported."""

import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from cli_support import run_apart, run_here

from haepo_bench import catalogue
from haepo_bench.errors import UserError
from haepo_bench.results.code import changes
from haepo_bench.suite.local.loading import PREFIX, load
from haepo_bench.suite.local.reference import parse
from haepo_bench.suite.names import Names
from haepo_bench.suite.plan import Cell, Plan
from haepo_bench.suite.resolve import load_plan

LOSS = """
from haepo_bench.api import Objective, ObjectiveOutput, hyper
from .helpers import weigh

class Weighed(Objective):
    "Policy gradient on weighed returns."

    factor: float = hyper(2.0, "of the returns")

    def __call__(self, batch):
        weights = weigh(batch.returns, self.factor).to(batch.dtype)
        return ObjectiveOutput(-(weights * batch.masked_sum(batch.log_probs)).mean((-1, -2)), {})
"""
HELPERS = """
def weigh(returns, factor):
    return factor * (returns - returns.mean(-1, keepdim=True))
"""
#: Says the n-th of the numbers in a file.
TASK = """
import json
from pathlib import Path

import numpy as np
from gymnasium import spaces

from haepo_bench.api import References, Step, Task, VectorEnvironment

class Guess(Task):
    version, horizon, summary = 1, 1, "guess a number"

    def __init__(self, numbers):
        self.id = "whatever"
        self.observation_space = spaces.Box(0.0, 1.0, (1,), np.float32)
        self.action_space = spaces.Discrete(numbers)
        self.references = References(random=1 / numbers, solved=1.0, source="exact")
        self.right = json.loads(Path(__file__).with_name("right.json").read_text())

    def vector(self, trajectories):
        return Guesses(trajectories, self.right)

class Guesses(VectorEnvironment):
    def __init__(self, trajectories, right):
        self._trajectories, self._right = trajectories, right

    def reset(self, streams):
        return np.ones((len(streams), self._trajectories, 1), np.float32)

    def step(self, actions, live):
        over = np.ones_like(live)
        return Step(np.ones((*live.shape, 1), np.float32), (actions == self._right) * 1.0, over, ~over)

def make(variant, *, time_limit=None):
    return Guess(int(variant))
"""
SUITE = """
name: own
seeds: 2
budget: {{env_steps: 64}}
evaluation: {{every: 32, episodes: 4}}
tasks: [{task}]
algorithms: [{algorithm}]
execution: {{device: cpu, workers: 2}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path)
    return tmp_path


def write(folder: Path, loss: str = "median.py", task: str = "maze.py") -> Path:
    for name, text in ((loss, LOSS), (task, TASK)):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    ((folder / loss).parent / "helpers.py").write_text(HELPERS)
    ((folder / task).parent / "right.json").write_text("1")
    return folder


def plan(
    folder: Path, algorithm: str = "./median.py", task: str = "{id: ./maze.py:make/3, files: [right.json]}", **more: Any
) -> Plan:
    suite = folder / "suite.yaml"
    suite.write_text(SUITE.format(task=task, algorithm=algorithm))
    return load_plan(suite, **more)


def cell(
    folder: Path, algorithm: str = "./median.py", task: str = "{id: ./maze.py:make/3, files: [right.json]}"
) -> Cell:
    (only,) = plan(folder, algorithm, task).cells
    return only


def problem(folder: Path, **given: str) -> str:
    with pytest.raises(UserError) as caught:
        plan(folder, **given)
    return str(caught.value)


def test_names_and_identity_are_those_of_the_content(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    first = cell(folder)
    assert (first.task, first.algorithm, first.uses) == ("maze/3", "median", "./median.py")
    assert {key for key in first.code if key.startswith(("local", "data right"))} == {
        "local algorithm file", "local algorithm .helpers", "local task file", "data right.json",
    }  # fmt: skip
    assert not any(PREFIX in text or str(folder) in text for pair in first.code.items() for text in pair)
    assert str(folder) not in str(first.settings) + first.folder
    # Another folder, another file name, another spelling: the same runs.
    elsewhere = write(tmp_path_factory.mktemp("elsewhere"), "losses/a-b.py", "losses/other.py")
    second = cell(
        elsewhere, "{use: './losses/a-b.py:Weighed', name: median}",
        "{id: ./losses/other.py/3, name: maze, files: [losses/right.json]}",
    )  # fmt: skip
    assert (second.settings_hash, second.task) == (first.settings_hash, "maze")
    assert {key: value for key, value in first.code.items() if key != "data right.json"} == {
        key: value for key, value in second.code.items() if key != "data losses/right.json"
    }


@pytest.mark.parametrize(
    ("file", "old", "new", "changed"),
    [
        ("median.py", '    factor: float = hyper(2.0, "of the returns")', '    factor: float = hyper(3.0, "x")', True),
        ("median.py", '"Policy gradient on weighed returns."', '"Another docstring."  # and a comment', False),
        ("helpers.py", "factor *", "factor +", True),
        ("helpers.py", "def weigh", "# a comment\n\ndef weigh", False),
        ("maze.py", "* 1.0", "* 2.0", True),
        ("right.json", "1", "2", True),
    ],
)
def test_a_change_of_content_makes_other_runs(folder: Path, file: str, old: str, new: str, changed: bool) -> None:
    before = cell(folder)
    text = (folder / file).read_text()
    assert old in text
    (folder / file).write_text(text.replace(old, new))
    after = cell(folder)
    assert (before.code_hash != after.code_hash) is changed
    assert len(changes(before.code, after.code)) == int(changed)


def test_an_edit_is_seen_in_the_same_process(folder: Path) -> None:
    assert cell(folder).parameters["factor"] == 2.0
    (folder / "median.py").write_text(LOSS.replace("2.0", "3.0"))
    assert cell(folder).parameters["factor"] == 3.0
    (folder / "helpers.py").write_text("weigh = None\nraise RuntimeError('changed')")
    assert "helpers.py:2" in problem(folder)


def test_two_folders_with_files_of_one_name(tmp_path: Path) -> None:
    for name, factor in (("a", "2.0"), ("b", "5.0")):
        write(tmp_path / name)
        (tmp_path / name / "median.py").write_text(LOSS.replace("2.0", factor))
    path = list(sys.path)
    definitions = [Names(tmp_path / name).algorithm("./median.py") for name in "ab"]
    classes = [definition.objective for definition in definitions]  # type: ignore[attr-defined]
    assert [cls().factor for cls in classes] == [2.0, 5.0]
    modules = [cls.__module__ for cls in classes]
    assert len(set(modules)) == 2
    assert all(name.startswith(PREFIX) for name in modules)
    assert sys.path == path
    assert not {"median", "helpers", "maze"} & set(sys.modules)
    again = Names(tmp_path / "a").algorithm("./median.py")
    assert again.objective is classes[0]  # type: ignore[attr-defined]


def test_a_sibling_takes_no_place_of_the_standard_library(folder: Path) -> None:
    (folder / "random.py").write_text("raise RuntimeError('shadows')")
    (folder / "numpy.py").write_text("raise RuntimeError('shadows')")
    (folder / "helpers.py").write_text("import random\nimport numpy\nrandom.random()\n" + HELPERS)
    assert cell(folder).algorithm == "median"


def test_no_bytecode_is_left(folder: Path) -> None:
    cell(folder)
    assert not list(folder.rglob("*.pyc"))


@pytest.mark.parametrize(
    ("use", "said"),
    [
        ("../median.py", "not below the suite's folder"),
        ("./../x/median.py", "not below the suite's folder"),
        ("./losses/../median.py", "not below the suite's folder"),
        ("/tmp/median.py", "not below the suite's folder"),
        ("~/median.py", "not below the suite's folder"),
        ("'..\\median.py'", "not below the suite's folder"),
        ("'C:\\losses\\median.py'", "write ./median.py"),
        ("median.py", "write ./median.py"),
        ("losses/median.py", "write ./losses/median.py"),
        ("./gone.py", "there is no file ./gone.py"),
        ("./median", "names no Python file"),
        ("./", "names no Python file"),
        ("./my loss.py", "cannot be imported under that name"),
        ("./a.b.py", "cannot be imported under that name"),
        ("./median.PY", "cannot be imported under that name"),
        ("./__init__.py", "a package's file"),
        ("./median.py:Gone", "defines no 'Gone'"),
        ("./median.py:weigh", "neither an Objective nor an AlgorithmDefinition"),
        ("'./median.py:a b'", "is not the name of a class"),
        ("./helpers.py", "nothing of the kind"),
        ("./maze.py", "nothing of the kind"),
    ],
)
def test_what_cannot_be_an_algorithm(folder: Path, use: str, said: str) -> None:
    message = problem(folder, algorithm=use)
    assert said in message
    assert "suite.yaml:7: algorithms[0]" in message


@pytest.mark.parametrize(
    ("task", "said"),
    [
        ("../maze.py", "not below the suite's folder"),
        ("noise(../maze.py:make/3,1)", "not below the suite's folder"),
        ("{id: ./maze.py:make/3, files: [../right.json]}", "not below the suite's folder"),
        ("{id: ./maze.py:make/3, files: [/etc/passwd]}", "not below the suite's folder"),
        ("{id: ./maze.py:make/3, files: [gone.json]}", "there is no file 'gone.json'"),
        ("{id: ./maze.py:make/3, files: ['.']}", "not below the suite's folder"),
        ("{id: bandit/10-arm, files: [right.json]}", "only a Python file of the suite's folder reads files"),
        ("./maze.py:make/x", "./maze.py fails: ValueError"),
        ("./maze.py:Gone/3", "defines no 'Gone'"),
        ("./maze.py:Guesses/3", "./maze.py fails"),
        ("{id: ./maze.py:Guess/3, time_limit: 5}", "takes no time limit"),
        ("./median.py", "nothing of the kind"),
    ],
)
def test_what_cannot_be_a_task(folder: Path, task: str, said: str) -> None:
    message = problem(folder, task=f"'{task}'" if "(" in task else task)
    assert said in message
    assert "suite.yaml:6: tasks[0]" in message


def test_links_out_of_the_folder_are_refused(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    outside = write(tmp_path_factory.mktemp("outside"))
    (folder / "link.py").symlink_to(outside / "median.py")
    (folder / "linked").symlink_to(outside)
    (folder / "link.json").symlink_to(outside / "right.json")
    for use in ("./link.py", "./linked/median.py"):
        assert "symbolic link that leads out" in problem(folder, algorithm=use)
    assert "symbolic link that leads out" in problem(folder, task="{id: ./maze.py/3, files: [link.json]}")
    (folder / "helpers.py").unlink()
    (folder / "helpers.py").symlink_to(outside / "helpers.py")
    assert "'helpers.py' is a symbolic link that leads out" in problem(folder)
    # A link that stays within is a name like another, and so is the folder's own.
    (folder / "inside.py").symlink_to(folder / "maze.py")
    assert cell(folder, "reinforce", "{id: ./inside.py:make/3, files: [right.json]}").task == "inside/3"


@pytest.mark.parametrize("ends", ["import os\nos._exit(0)\n", "import ctypes\nctypes.string_at(0)\n"])
@pytest.mark.parametrize("command", ["describe", "test", "references"])
def test_a_file_that_ends_the_process_is_no_success(folder: Path, command: str, ends: str) -> None:
    (folder / "median.py").write_text(ends)
    done = run_apart(command, "./median.py", cwd=folder)
    assert done.code == 4
    assert re.search(r"error: the process (exited with code 0|ended by SIGSEGV) in the middle of the command", done.err)


def test_special_files_are_not_opened(folder: Path) -> None:
    os.mkfifo(folder / "pipe.py")
    assert "a named pipe" in problem(folder, algorithm="./pipe.py")
    (folder / "folder.py").mkdir()
    assert "a folder" in problem(folder, algorithm="./folder.py")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("def f(:\n", ["median.py:1", "is not Python"]),
        ("\n\n1 / 0\n", ["median.py:3", "ZeroDivisionError"]),
        ("import sys\nsys.exit(3)\n", ["median.py:2", "SystemExit"]),
        ("import helpers\n", ["imports helpers as if it were installed", "from . import helpers"]),
        ("from .gone import x\n", ["median.py:1", "ModuleNotFoundError"]),
        ("from .. import x\n", ["median.py:1", "ImportError"]),
        ("import importlib\nimportlib.import_module('.unseen', __package__)\n", ["cannot be seen in the source"]),
        ("\udcff", ["is not Python"]),
        (
            "class E(Exception):\n    def __str__(self):\n        raise ValueError\nraise E\n",
            ["median.py:4: ./median.py fails: E: its text cannot be made"],
        ),
        (LOSS.replace("__call__", "loss"), ["./median.py: Weighed is abstract: it has no __call__"]),
        # Python's own words for these: no memory, and too much recursion.
        (f"x={'-' * 20_000}1\n", ["median.py: is not Python: too deeply nested"]),
        (f"x={'1+' * 20_000}1\n", ["median.py: is not Python: too deeply nested"]),
    ],
)
def test_files_that_cannot_be_imported(folder: Path, text: str, said: list[str]) -> None:
    (folder / "unseen.py").write_text("x = 1\n")
    (folder / "median.py").write_bytes(text.encode(errors="surrogateescape"))
    message = problem(folder)
    assert all(part in message for part in said), message
    assert "Traceback" not in message


@pytest.mark.parametrize("value", ["Path(__file__).name", "{'a': 1}", "[1, 2]", "None", "('a', Path)"])
def test_any_name_may_be_used_for_data(folder: Path, value: str) -> None:
    (folder / "median.py").write_text(f"from pathlib import Path\nDATA = {value}\n{LOSS}")
    assert cell(folder).algorithm == "median"


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("float", "the hyper-parameter factor of Weighed has no default"),
        ("float = hyper(-1.0, 'of the returns', ge=0)", "does not take its own default, -1.0: input should be greater"),
        (
            "float = hyper(float('inf'), 'of the returns')",
            "does not take its own default, inf: input should be a finite",
        ),
        ("float = hyper('two', 'of the returns')", "does not take its own default, 'two': input should be a valid"),
        # In a field of any type, which would be stored as null, or not at all.
        ("object = hyper([1.0, float('nan')], 'of the returns')", "nan]: nan is not a finite number"),
        ("object = hyper({'a': '\\ud800'}, 'of the returns')", "has half a character"),
    ],
)
def test_defaults_that_are_none(folder: Path, written: str, said: str) -> None:
    old = 'float = hyper(2.0, "of the returns")'
    assert old in LOSS
    (folder / "median.py").write_text(LOSS.replace(old, written))
    message = problem(folder)
    assert said in message
    assert "./median.py" in message
    assert "suite.yaml:7: algorithms[0]" in message


@pytest.mark.parametrize(
    ("search", "said"),
    [
        ("3", "search=3 is not a space: write one of spaces.log(low, high), spaces.uniform(low, high), "),
        ("{'log': [1, 2]}", "search={'log': [1, 2]} is not a space: write one of spaces.log"),
        ("spaces.log(0, 1)", "a logarithm needs a least value above 0, not 0"),
        ("spaces.uniform(2, 1)", "the least value must be below the greatest, got [2, 1]"),
        (
            "spaces.choices(1)",
            "choices are a list of at least two different values (numbers, texts, true, false), not [1]",
        ),
    ],
)
def test_spaces_that_are_none(folder: Path, search: str, said: str) -> None:
    text = LOSS.replace('"of the returns")', f'"of the returns", search={search})')
    (folder / "median.py").write_text(text.replace("hyper\n", "hyper, spaces\n", 1))
    message = problem(folder)
    assert said in message
    assert "median.py:8: " in message


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("int = hyper(2, 'of it', ge=1, search=spaces.log(1.5, 8))", "a range of whole numbers begins and ends with"),
        ("float = hyper(0.1, 'of it', ge=0, le=1, search=spaces.uniform(-0.01, 1))", "it does not take -0.01"),
        ("float = hyper(2, 'of it', ge=1, search=spaces.zero_or_log(1, 8))", "it does not take 0: input should be"),
        ("float = hyper(0.1, 'of it', search=spaces.choices('a', 'b'))", "it does not take 'a'"),
        ("bool = hyper(True, 'of it', search=spaces.log(0.1, 20))", "it does not take 0.1"),
        ("float = hyper(1, 'of it', search=spaces.choices(1, True))", "it does not take True: a number or a name was"),
    ],
)
def test_spaces_that_a_hyper_parameter_does_not_take(folder: Path, written: str, said: str) -> None:
    text = LOSS.replace('float = hyper(2.0, "of the returns")', written)
    (folder / "median.py").write_text(text.replace("hyper\n", "hyper, spaces\n", 1))
    message = problem(folder)
    assert f"of Weighed is searched where it cannot be: {said}" in message
    assert "suite.yaml:7: algorithms[0]" in message


def test_a_file_says_five_spaces_at_most(folder: Path) -> None:
    old = 'float = hyper(2.0, "of the returns")'
    more = "".join(f"\n    more_{n}: float = hyper(0.5, 'more', search=spaces.uniform(0, 1))" for n in range(3))
    (folder / "median.py").write_text(LOSS.replace(old, old + more).replace("hyper\n", "hyper, spaces\n", 1))
    plan(folder)
    with pytest.raises(UserError) as error:
        load_plan(folder / "suite.yaml", ["search.trials=2"], tune=True)
    assert "suite.yaml:7: algorithms[0]: ./median.py says where more_0, more_1, more_2," in str(error.value)
    assert "leave search= out for some of them" in str(error.value)


@pytest.mark.parametrize("parameters", ["self", "", "self, batch, more", "self, *, batch"])
def test_an_objective_takes_a_batch_and_nothing_else(folder: Path, parameters: str) -> None:
    old = "def __call__(self, batch)"
    assert old in LOSS
    (folder / "median.py").write_text(LOSS.replace(old, f"def __call__({parameters})"))
    message = problem(folder)
    assert "./median.py: Weighed.__call__ cannot be given a batch alone" in message
    assert "suite.yaml:7: algorithms[0]" in message


@pytest.mark.parametrize("parameters", ["self, batch, more=1", "self, *batches", "*everything", "self, batch, /"])
def test_it_may_take_more_that_has_defaults(folder: Path, parameters: str) -> None:
    (folder / "median.py").write_text(LOSS.replace("def __call__(self, batch)", f"def __call__({parameters})"))
    assert cell(folder).algorithm == "median"


def test_a_class_of_another_kind_is_called_by_its_name(folder: Path) -> None:
    (folder / "median.py").write_text("import enum\n\nclass Odd(enum.Enum):\n    ONE = 1\n")
    assert "the algorithm 'median' is the class Odd, neither" in problem(folder, algorithm="./median.py:Odd")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("columns = ('x',)", "Weighed.columns is ('x',)"),
        ("collects = 'stuff'", "Weighed.collects is 'stuff': input should be 'episodes' or 'segments'"),
        ("shares_start = 'no'", "Weighed.shares_start is 'no'"),
        ("f: object = hyper(lambda x: x, 'a function')", "the hyper-parameter f of Weighed is <function"),
        ("def model_post_init(self, context): raise RuntimeError('boom')", "./median.py fails: RuntimeError: boom"),
        ("def model_post_init(self, context): assert self.factor < 1, 'too large'", "its own defaults: assertion"),
    ],
)
def test_what_an_objective_says_of_itself_is_looked_at(folder: Path, line: str, said: str) -> None:
    (folder / "median.py").write_text(LOSS.replace("    factor:", f"    {line}\n    factor:"))
    message = problem(folder)
    assert said in message
    assert "suite.yaml:7: algorithms[0]" in message


def test_what_a_check_of_several_hyper_parameters_says_is_passed_on(folder: Path) -> None:
    check = "    def model_post_init(self, context):\n        assert self.factor < 5, 'a factor must be small'\n"
    (folder / "median.py").write_text(LOSS.replace("    def __call__", f"{check}\n    def __call__"))
    message = problem(folder, algorithm="{use: ./median.py, params: {factor: 7}}")
    assert "algorithms[0]: assertion failed, a factor must be small" in message


@pytest.mark.parametrize("name", ["epochs", "learning_rate"])
def test_no_hyper_parameter_is_called_as_a_setting_of_the_trainer(folder: Path, name: str) -> None:
    """The record holds one value for both, and so would a suite."""
    (folder / "median.py").write_text(
        LOSS.replace("    factor:", f"    {name}: float = hyper(7.0, 'own')\n    factor:")
    )
    message = problem(folder)
    assert f"suite.yaml:7: algorithms[0]: median: Weighed has the hyper-parameter {name}, and so has" in message
    assert "give it another name" in message


def test_what_says_nothing_of_itself_is_not_described_by_what_all_objectives_are(folder: Path) -> None:
    (folder / "median.py").write_text(LOSS.replace('"Policy gradient on weighed returns."', ""))
    assert Names(folder).algorithm("./median.py").summary == "Weighed"
    assert "A loss over a batch" not in Names(folder).algorithm("./median.py").description


def test_a_set_has_one_identity_in_every_process(folder: Path) -> None:
    words = "    words: frozenset[str] = hyper(frozenset('abcdefgh'), 'some')\n"
    (folder / "median.py").write_text(LOSS.replace("    factor:", f"{words}    factor:"))
    assert cell(folder).parameters["words"] == list("abcdefgh")
    assert 'words ["' not in run_apart("validate", "suite.yaml", cwd=folder).out  # it is the default


def test_a_file_and_a_package_of_one_name_are_told_apart(folder: Path) -> None:
    (folder / "median").mkdir()
    assert cell(folder).algorithm == "median"
    (folder / "median" / "__init__.py").write_text("raise RuntimeError('another file')")
    assert "median.py and median/__init__.py are both the module median" in problem(folder)


def test_a_name_is_that_of_the_results(folder: Path) -> None:
    assert cell(folder, "{use: ./median.py, name: without-entropy}").algorithm == "without-entropy"


def test_an_imported_make_makes_no_task(folder: Path) -> None:
    (folder / "maze.py").write_text(
        "import gymnasium\nfrom gymnasium import make\n\n\nclass Own(gymnasium.Env):\n    max_episode_steps = 3\n"
        "    observation_space = gymnasium.spaces.Box(0, 1, (1,))\n    action_space = gymnasium.spaces.Discrete(2)\n"
        "    def reset(self, *, seed=None, options=None):\n        super().reset(seed=seed)\n"
        "        return self.observation_space.low, {}\n"
        "    def step(self, action):\n        return self.observation_space.low, 0.0, True, False, {}\n"
    )
    assert cell(folder, task="./maze.py").task == "maze"


def test_names_of_modules_are_as_the_folder_has_them(folder: Path) -> None:
    (folder / "median.py").write_text("from .helpers.more import x\n" + LOSS)
    message = problem(folder)
    assert "No module named 'helpers.more'" in message
    assert PREFIX not in message


def test_several_classes_must_be_told_apart(folder: Path) -> None:
    (folder / "median.py").write_text(LOSS + "\nclass Other(Weighed):\n    pass\n\nclass _Hidden(Weighed):\n    pass\n")
    assert "write ./median.py:Weighed or ./median.py:Other" in problem(folder)
    assert cell(folder, "./median.py:Other").settings["algorithm"]["id"] == "file:Other"


def test_an_algorithm_that_fails_when_it_is_configured_is_to_blame(folder: Path) -> None:
    (folder / "median.py").write_text(LOSS + "\n    @property\n    def compares(self):\n        return 1 / 0\n")
    assert "./median.py fails: ZeroDivisionError" in problem(folder)


def test_a_file_with_the_name_of_a_family_is_another_task(folder: Path) -> None:
    """What the program knows of the catalogue's task, such as its probe set, is not known of the file's."""
    (folder / "bandit.py").write_text(TASK.replace("int(variant)", "10"))
    own, named = plan(folder, "reinforce", "./bandit.py/10-arm, {id: bandit/10-arm, name: catalogue}").cells
    assert (own.task, named.task) == ("bandit/10-arm", "catalogue")
    assert own.settings["task"]["id"] == "file:make/10-arm"
    assert [key for key in named.code if "probe_sets" in key]
    assert not [key for key in own.code if "probe_sets" in key]
    assert "already tasks[0]" in problem(folder, task="./bandit.py/10-arm, bandit/10-arm")


def test_wrapped_and_named_tasks(folder: Path) -> None:
    tasks = "{id: 'noise(./maze.py:make/3, 0.5)'}, {id: ./maze.py/3}, {id: ./maze.py/3, name: again}"
    found = plan(folder, "{use: ./median.py, per_task: {maze/3: {params: {factor: 7}}}}", tasks).cells
    assert [each.task for each in found] == ["noise(maze/3,0.5)", "maze/3", "again"]
    assert [each.parameters["factor"] for each in found] == [2.0, 7.0, 2.0]
    assert [each.settings["task"]["id"] for each in found] == ["noise(file:make/3,0.5)", "file:make/3", "file:make/3"]
    assert "already tasks[0]" in problem(folder, task="./maze.py/3, ./maze.py:make/3")


def test_files_below_the_folder_import_from_above(folder: Path) -> None:
    (folder / "losses").mkdir()
    (folder / "losses" / "median.py").write_text(LOSS.replace("from .helpers", "from ..helpers"))
    below = cell(folder, "./losses/median.py")
    assert "local algorithm ..helpers" in below.code


def test_what_is_imported_from_haepo_bench_counts(folder: Path) -> None:
    (folder / "helpers.py").write_text("from haepo_bench.objectives.base import normalise_returns\n" + HELPERS)
    assert "module haepo_bench.objectives.base" in cell(folder).code
    (folder / "helpers.py").write_text("from haepo_bench.objectives.grpo import Grpo\nimport pandas\n" + HELPERS)
    assert {"module haepo_bench.objectives.grpo", "package pandas"} <= set(cell(folder).code)


def test_code_is_run_after_it_is_said_and_only_where_it_is_wanted(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mark = folder / "ran"
    for name in ("median.py", "maze.py"):
        (folder / name).write_text(
            (folder / name).read_text()
            + f"\nimport os; os.mkdir({str(mark)!r}) if not os.path.exists({str(mark)!r}) else None\n"
        )
    suite = folder / "suite.yaml"
    suite.write_text(
        SUITE.format(task="./maze.py/3, bandit/10-arm", algorithm="./median.py, reinforce")
        + "claims: {candidate: median}\n"
    )
    said: list[tuple[str, bool]] = []
    load_plan(suite, say=lambda line: said.append((line, mark.exists())), run_code=False)
    assert not mark.exists()
    assert [line for line, _ in said] == [
        f"reads your code: {folder / 'median.py'} (it imports {folder / 'helpers.py'})",
        f"reads your code: {folder / 'maze.py'}",
    ]
    outcome = run_here(capsys, "validate", "--no-code", str(suite))
    assert outcome.code == 0
    assert "1 cell, 2 runs" in outcome.out
    assert not mark.exists()
    said.clear()
    load_plan(suite, say=lambda line: said.append((line, mark.exists())))
    assert [ran for _, ran in said] == [False, False]
    assert all(line.startswith("runs your code") for line, _ in said)
    assert mark.exists()


def test_claims_wait_for_the_code_of_tasks(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    suite = folder / "suite.yaml"
    text = SUITE.format(task="./maze.py/3", algorithm="./median.py, reinforce")
    suite.write_text(f"{text}claims: {{candidate: median}}\n")
    for options in ((), ("--no-code",)):
        outcome = run_here(capsys, "validate", *options, str(suite))
        assert outcome.code == 0, outcome.err


def test_what_is_wrong_without_code_is_found_without_code(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    suite = folder / "suite.yaml"
    suite.write_text(SUITE.format(task="./gone.py/3", algorithm="./median.py, {use: reinforce, params: {x: 1}}"))
    outcome = run_here(capsys, "validate", "--no-code", str(suite))
    assert outcome.code == 4
    assert "there is no file ./gone.py" in outcome.err


def test_a_reference_reads_as_it_is_written() -> None:
    assert parse("./a/b-c.py:make/7/x")[:] == ("a/b-c.py", "make", "7/x")
    assert parse("./a/b-c.py:make/7").name == "b-c/7"
    assert parse("./maze.py").name == "maze"
    assert parse("./maze.py:other/7").name == "maze:other/7"


def test_the_catalogue_is_as_it_was(folder: Path) -> None:
    before = catalogue.list_algorithms(), catalogue.list_tasks()
    cell(folder)
    assert (catalogue.list_algorithms(), catalogue.list_tasks()) == before
    assert load(Names(folder).task_code("./maze.py")).__file__ == str(folder / "maze.py")  # type: ignore[arg-type]


@pytest.mark.slow
def test_runs_outlive_the_file(folder: Path) -> None:
    """Worker processes load it; what they stored is read, compared and exported without it."""
    suite = folder / "suite.yaml"
    suite.write_text(SUITE.format(task="{id: ./maze.py/3, files: [right.json]}", algorithm="./median.py, reinforce"))
    outcome = run_apart("run", "suite.yaml", cwd=folder)
    assert outcome.code == 0, outcome.err
    assert f"runs your code: {folder / 'median.py'}" in outcome.err
    stored = {path.name: path.read_text() for path in (folder / "results" / "own").rglob("seed-*.json")}
    assert len(stored) == 2
    assert not any(str(folder) in text or PREFIX in text for text in stored.values())
    outcome = run_apart("run", "suite.yaml", "--quiet", cwd=folder)
    assert outcome.code == 0, outcome.err
    for name in ("median.py", "maze.py", "helpers.py"):
        (folder / name).write_text("raise RuntimeError('imported')")
    for command in (
        ["report", "results", "--format", "json", "--out", "pages"], ["compare", "results", "results"],
        ["export", "results", "--out", "tables"], ["list"],
    ):  # fmt: skip
        outcome = run_apart(*command, cwd=folder)
        assert outcome.code == 0, (command, outcome.err)
        assert "RuntimeError" not in outcome.out + outcome.err
    outcome = run_apart("run", "suite.yaml", cwd=folder)
    assert outcome.code == 4
    assert "median.py:1" in outcome.err
