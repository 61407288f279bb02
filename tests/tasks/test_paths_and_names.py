"""What looks like a path is never looked for on the Hugging Face hub; and numbers are the same wherever printed."""

from pathlib import Path

import pytest
from cli_support import run_apart

from haepo_bench.errors import TaskError
from haepo_bench.tasks.lm import hub
from haepo_bench.tasks.lm.paths import is_path


@pytest.mark.parametrize(
    "name",
    [
        "myreward.py",
        "myreward.py:score",
        "rewards/mine.PY",
        "./folder",
        "../folder",
        "/folder",
        "~/folder",
        "a/b/c",
        "folder/",
        r"C:\models\mine",
        "model.safetensors",
        "model.json",
        "checkpoint.pt",
        "rows.csv",
        "rows.jsonl.gz",
    ],
)
def test_paths(name: str) -> None:
    assert is_path(name)


@pytest.mark.parametrize(
    "name", ["gpt2", "Qwen/Qwen2.5-0.5B", "mistralai/Mistral-7B-v0.1", "org/a.b", "trl-lib/ultrafeedback_binarized"]
)
def test_names_on_the_hub(name: str) -> None:
    assert not is_path(name)


def test_what_exists_here_is_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("gpt2").write_text("")
    assert is_path("gpt2")


@pytest.mark.parametrize(
    ("key", "name", "says"),
    [
        (
            "reward_model",
            "myreward.py",
            "'myreward.py' is a Python file: a function as the reward is not available yet",
        ),
        ("reward_model", "gone.py:score", "'gone.py:score' is a Python file"),
        ("reward_model", "weights.safetensors", "'weights.safetensors' is a file, and a reward model is a folder"),
        ("reward_model", "gone.safetensors", "there is no folder 'gone.safetensors' with a reward model"),
        ("reward_model", "a/b/c", "there is no folder 'a/b/c' with a reward model"),
        ("model", "myreward.py", "'myreward.py' is a file, and a model is a folder"),
        ("model", "gone.py", "there is no folder 'gone.py' with a model"),
        ("model", "weights.safetensors", "'weights.safetensors' is a file, and a model is a folder"),
        ("data", "gone.csv", "there is no file 'gone.csv'"),
        ("data", "a/b/c", "there is no file 'a/b/c'"),
    ],
)
def test_the_hub_is_not_asked_for_files(
    key: str, name: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("transformers")
    from haepo_bench.tasks.lm.preference_data import read
    from haepo_bench.tasks.lm.reward_model import RewardModel
    from haepo_bench.training.language.models import find_source

    monkeypatch.chdir(tmp_path)
    Path("myreward.py").write_text("def score(text): return 1.0\n")
    Path("weights.safetensors").write_bytes(b"")

    def asked(*_: object, **__: object) -> None:
        raise AssertionError("the hub was asked")

    monkeypatch.setattr(hub, "look_up", asked)
    monkeypatch.setattr("haepo_bench.tasks.lm.preference_data.look_up", asked)
    make = {"reward_model": RewardModel, "model": find_source, "data": read}[key]
    with pytest.raises(TaskError) as caught:
        make(name)
    assert says in str(caught.value)
    assert caught.value.remedy


@pytest.mark.slow
def test_run_and_report_round_alike(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(
        "name: mine\nseeds: 2\nbudget: {env_steps: 60}\nevaluation: {episodes: 3}\n"
        "tasks: [corridor/8, {id: gym/CartPole-v1, time_limit: 30}, {id: gym/Pendulum-v1, time_limit: 20}]\n"
        "algorithms: [{use: reinforce, params: {trajectories: 4}}, {use: grpo, params: {trajectories: 4}}]\n"
    )
    done = run_apart("run", "mine.yaml", "--quiet", "--workers", "1", cwd=tmp_path)
    assert done.code == 0, done.err
    printed = {(words[0], words[1]): words[2:4] for line in done.out.splitlines() if len(words := line.split()) == 5}
    report = run_apart("report", "results/mine", "--format", "md", cwd=tmp_path)
    assert report.code == 0, report.err
    shown: dict[tuple[str, str], list[str]] = {}
    task, columns = "", []
    for line in report.out.replace("\\", "").splitlines():
        if line.startswith("#"):
            task = line.lstrip("# ").strip()
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if "Final return, sampled" in line:
            columns = cells
        elif columns and line.startswith("|") and len(cells) == len(columns) and not line.startswith("|--"):
            row = dict(zip(columns, cells, strict=True))
            score = row.get("Final score, sampled", "-").split()[0]
            shown[task, cells[0].split()[0]] = [score, row["Final return, sampled"].split()[0]]
        elif not line.startswith("|"):
            columns = []
    assert len(printed) == 6
    assert {key: shown[key] for key in printed} == printed
