"""Seconds a training step on language models, and peak memory, against TRL's GRPOTrainer and DPOTrainer.

    python benchmarks/language_throughput.py [--model tiny|100m] [--repeats 3] [--steps N] [--threads N]
        [--dtype float32|bfloat16] [--out FILE]

Both sides train the same randomly initialised GPT-2 from the same folder on the same prompts with the same batch,
length of responses and threads, in processes of their own which take turns. A step of GRPO samples the responses, pays
them and takes one gradient step with a KL term to the initial model; a step of DPO takes one gradient step on given
pairs. The first steps warm up and do not count. Reported: median over repeats of the median step, ratio with the range
over repeats, tokens of responses a second, the peak of resident memory beyond what the process held before it loaded
the model, and the seconds that the matrix products of a step take alone, which no code that trains this model in
float32 can go below. With --dtype bfloat16 both sides compute in it: we hold a copy of the parameters, TRL casts.
Declared target: 3 times TRL's steps a second for the tiny model, 1.2 times for 100 million parameters, and no more peak
memory.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any, NamedTuple

RESPONSE, PROMPT, GROUP = 32, 8, 8
WARM_UP = 2
TARGETS = {"tiny": 3.0, "100m": 1.2}


class Size(NamedTuple):
    """A model and its batch."""

    layers: int
    width: int
    heads: int
    vocabulary: int
    responses: int
    steps: int


SIZES = {
    "tiny": Size(layers=2, width=128, heads=4, vocabulary=512, responses=64, steps=20),
    "100m": Size(layers=12, width=768, heads=12, vocabulary=16_384, responses=16, steps=3),
}


def save_model(size: Size, folder: Path) -> None:
    """The model with random weights and a tokenizer of one token a word."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=size.vocabulary, n_positions=256, n_embd=size.width, n_layer=size.layers, n_head=size.heads,
        bos_token_id=1, eos_token_id=2, pad_token_id=0, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0,
    )  # fmt: skip
    GPT2LMHeadModel(config).save_pretrained(folder)
    words = ["<pad>", "<s>", "</s>", "<unk>", *(f"w{i}" for i in range(size.vocabulary - 4))]
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    ).save_pretrained(folder)


def words(start: int, n: int, vocabulary: int) -> str:
    return " ".join(f"w{(start * 31 + i * 7) % (vocabulary - 4)}" for i in range(n))


def prompts(size: Size) -> list[str]:
    return [words(i, PROMPT, size.vocabulary) for i in range(64)]


def preferences(size: Size) -> list[tuple[str, str, str]]:
    return [
        (prompt, words(100 + i, RESPONSE - 1, size.vocabulary), words(300 + i, RESPONSE - 1, size.vocabulary))
        for i, prompt in enumerate(prompts(size))
    ]


def pay(text: str) -> float:
    """Any cheap reward does; this one differs between responses."""
    return text.count("1") / 10


def train_trl(algorithm: str, size: Size, model: str, steps: int, dtype: str) -> list[float]:
    """Seconds of each step."""
    import torch
    from datasets import Dataset
    from transformers import AutoTokenizer, TrainerCallback
    from trl import DPOConfig, DPOTrainer, GRPOConfig, GRPOTrainer

    seconds: list[float] = []

    class Clock(TrainerCallback):
        def on_step_begin(self, *_: Any, **__: Any) -> None:
            self.started = time.perf_counter()

        def on_step_end(self, *_: Any, **__: Any) -> None:
            seconds.append(time.perf_counter() - self.started)

    class GrpoClock(Clock):
        """Responses are sampled before TRL calls a step begun: a step lasts from the end of the one before."""

        def on_step_end(self, *_: Any, **__: Any) -> None:
            now = time.perf_counter()
            seconds.append(now - getattr(self, "ended", self.started))
            self.ended = now

    common: dict[str, Any] = {
        "max_steps": steps, "learning_rate": 1e-4, "lr_scheduler_type": "constant", "max_grad_norm": 1.0,
        "bf16": dtype == "bfloat16",
        "gradient_checkpointing": False, "dataloader_pin_memory": False, "use_cpu": not torch.cuda.is_available(),
        "report_to": [], "disable_tqdm": True, "logging_strategy": "no", "save_strategy": "no",
        "output_dir": tempfile.mkdtemp(),
    }  # fmt: skip
    tokenizer = AutoTokenizer.from_pretrained(model)
    if algorithm == "grpo":
        trainer = GRPOTrainer(
            model=model,
            reward_funcs=lambda completions, **_: [pay(text) for text in completions],
            args=GRPOConfig(
                **common, per_device_train_batch_size=size.responses, num_generations=GROUP, beta=0.04,
                max_completion_length=RESPONSE, temperature=1.0, loss_type="grpo",
            ),
            train_dataset=Dataset.from_dict({"prompt": prompts(size)}),
            processing_class=tokenizer,
            callbacks=[GrpoClock()],
        )  # fmt: skip
    else:
        columns = zip(*preferences(size), strict=True)
        trainer = DPOTrainer(
            model=model,
            args=DPOConfig(**common, per_device_train_batch_size=size.responses // 2, beta=0.1),
            train_dataset=Dataset.from_dict(dict(zip(("prompt", "chosen", "rejected"), columns, strict=True))),
            processing_class=tokenizer,
            callbacks=[Clock()],
        )
    trainer.train()
    return seconds


def train_ours(algorithm: str, size: Size, model: str, steps: int, dtype: str) -> list[float]:
    """Seconds of each step."""
    import numpy as np

    from haepo_bench import catalogue
    from haepo_bench.tasks.lm.base import LanguageTask
    from haepo_bench.tasks.lm.examples import Example, Pair
    from haepo_bench.training.recorder import Recorder, SeedResult

    class Benchmark(LanguageTask):
        id, version, summary, horizon = "benchmark", 1, "", RESPONSE
        train = tuple(Example(prompt) for prompt in prompts(size))
        held_out = (Example(words(1000, PROMPT, size.vocabulary)),)
        pairs = tuple(Pair(*pair) for pair in preferences(size))
        vocabulary = ()

        def compute_rewards(self, examples: Any, responses: Any, stream: Any) -> Any:
            return np.array([pay(text) for text in responses])

        def compute_gold(self, examples: Any, responses: Any) -> Any:
            return np.array([pay(text) for text in responses])

    task = Benchmark()
    task.model = model
    tokens = size.responses * RESPONSE
    results: list[SeedResult] = []
    recorder = Recorder([0], budget=tokens * steps, every=tokens, episodes=1, on_finished=results.append)
    # TRL's losses have no entropy bonus.
    name = "grpo"
    settings: dict[str, Any] = {"learning_rate": 1e-4, "entropy_coefficient": 0.0, "dtype": dtype}
    if algorithm == "dpo":
        name, settings = "dpo-offline", settings | {"prompts": size.responses // 2, "reference": "initial"}
    else:
        settings |= {"prompts": size.responses // GROUP, "completions": GROUP}
    catalogue.algorithm_on(task, name).configure(settings, task).train(task, [0], recorder, device="cpu")
    column = results[0].curve["seconds_per_step"]
    return [seconds for seconds in column if seconds is not None]


def products_seconds(algorithm: str, size: Size) -> float:
    """Seconds of a step's matrix products: forward under two policies, backward, and sampling token by token."""
    import torch

    d, T = size.width, size.responses * RESPONSE
    shapes = [(d, 3 * d), (d, d), (d, 4 * d), (4 * d, d)]

    def seconds(rows: int, rows_of_head: int) -> float:
        pairs = [(torch.randn(rows, a), torch.randn(a, b)) for a, b in shapes] * size.layers
        pairs.append((torch.randn(rows_of_head, d), torch.randn(d, size.vocabulary)))
        found = []
        for _ in range(7):
            started = time.perf_counter()
            for x, w in pairs:
                torch.mm(x, w)
            found.append(time.perf_counter() - started)
        return statistics.median(found)

    # Backward has two products of the size of each forward one: for its input and for its weights.
    whole = 4 * seconds(size.responses * (PROMPT + RESPONSE), T)
    return whole + (RESPONSE * seconds(size.responses, size.responses) if algorithm == "grpo" else 0.0)


def one_side(
    side: str, algorithm: str, name: str, model: str, steps: int, threads: int, dtype: str
) -> dict[str, float]:
    """What one process measures."""
    warnings.simplefilter("ignore")
    import torch
    import transformers

    torch.set_num_threads(threads)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    if side == "trl":
        import trl  # noqa: F401  its libraries are not memory of the training
    if side == "products":
        return {"seconds": products_seconds(algorithm, SIZES[name]), "steps": 1, "mebibytes": 0.0}
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    train = train_trl if side == "trl" else train_ours
    seconds = train(algorithm, SIZES[name], model, steps + WARM_UP, dtype)[WARM_UP:]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"seconds": statistics.median(seconds), "steps": len(seconds), "mebibytes": (peak - before) / 1024}


def measure(name: str, repeats: int, steps: int, threads: int, dtype: str) -> list[dict[str, Any]]:
    """Both sides in turns, for both algorithms."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        save_model(SIZES[name], Path(folder))
        for algorithm in ("grpo", "dpo"):
            runs: dict[str, list[dict[str, float]]] = {"trl": [], "ours": [], "products": []}
            for _ in range(repeats):
                for side in runs:
                    command = [sys.executable, __file__, "--side", side, "--algorithm", algorithm, "--model", name]
                    command += ["--folder", folder, "--steps", str(steps), "--threads", str(threads)]
                    command += ["--dtype", dtype]
                    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "HF_HUB_OFFLINE": "1"}
                    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
                    if done.returncode:
                        sys.exit(f"{' '.join(command)} failed:\n{done.stderr[-3000:]}")
                    runs[side].append(json.loads(done.stdout.splitlines()[-1]))
            ratios = [theirs["seconds"] / own["seconds"] for theirs, own in zip(runs["trl"], runs["ours"], strict=True)]
            median = {side: statistics.median(run["seconds"] for run in found) for side, found in runs.items()}
            memory = {side: statistics.median(run["mebibytes"] for run in found) for side, found in runs.items()}
            tokens = SIZES[name].responses * RESPONSE
            rows.append({
                "model": name, "algorithm": algorithm, "seconds_trl": median["trl"], "seconds": median["ours"],
                "ratio": statistics.median(ratios), "ratio_low": min(ratios), "ratio_high": max(ratios),
                "tokens_per_second": tokens / median["ours"], "mebibytes_trl": memory["trl"],
                "mebibytes": memory["ours"], "seconds_products": median["products"], "target": TARGETS[name],
            })  # fmt: skip
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=SIZES, default="tiny")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--steps", type=int, help="that count, a process; fewer for the larger model")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--side", choices=("trl", "ours", "products"), help=argparse.SUPPRESS)
    parser.add_argument("--algorithm", choices=("grpo", "dpo"), help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    options = parser.parse_args()
    steps = options.steps or SIZES[options.model].steps
    if options.side:
        given = options.algorithm, options.model, options.folder, steps, options.threads, options.dtype
        found = one_side(options.side, *given)
        print(json.dumps(found))
        return
    rows = measure(options.model, options.repeats, steps, options.threads, options.dtype)
    for row in rows:
        met = row["ratio"] >= row["target"] and row["mebibytes"] <= row["mebibytes_trl"]
        print(
            f"{row['model']} {row['algorithm']}: {row['seconds']:.3f} s a step against TRL's {row['seconds_trl']:.3f}: "
            f"{row['ratio']:.2f} times as fast ({row['ratio_low']:.2f} to {row['ratio_high']:.2f}; target "
            f"{row['target']:g}; matrix products alone {row['seconds_products']:.3f} s), "
            f"{row['tokens_per_second']:,.0f} tokens/s, {row['mebibytes']:,.0f} MiB against "
            f"{row['mebibytes_trl']:,.0f}: {'met' if met else 'MISSED'}"
        )
    if options.out:
        options.out.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
