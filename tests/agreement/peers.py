"""The peers as oracles: lm-eval 0.4.13 runs its own task definitions on documents in memory, minicons 0.3.39 scores texts token by token.

Of lm-eval's definition of a task (its YAML file, read where it is installed) only the source of the documents is replaced; wording,
requests, windows and metrics are its own.
"""

from pathlib import Path
from typing import NamedTuple

import datasets
import torch
from lm_eval import tasks
from lm_eval.api.group import Group
from lm_eval.api.task import ConfigurableTask
from lm_eval.config.group import AggMetricConfig
from lm_eval.evaluator import evaluate
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks._yaml_loader import load_yaml
from lm_eval.utils import make_table
from minicons.scorer import IncrementalLMScorer, MaskedLMScorer
from transformers import AutoTokenizer

from lmcore.models.load import load_masked, load_model


class Sample(NamedTuple):
    """What lm-eval says of one document: the log-prob of each of its requests, whether each is greedy, and its metrics."""

    logprobs: list[float]
    greedy: list[bool]
    metrics: dict


def harness(path: Path, dtype: str = "float32", **options) -> HFLM:
    """lm-eval's model over a model folder. It computes in the dtype of the weights: in float64 its sums are as good as exact."""
    return HFLM(
        pretrained=load_model(path, dtype),
        tokenizer=AutoTokenizer.from_pretrained(path),
        batch_size=16,
        **options,
    )


def by_lm_eval(lm: HFLM, definition: str, documents: list[dict], **changes) -> list[Sample]:
    """lm-eval's samples for the documents of one task; `definition` is its YAML file below lm_eval/tasks, `changes` replace parts of it."""
    results = evaluate(
        lm, {"tasks": {"task": task(definition, documents, **changes)}}, bootstrap_iters=0
    )
    found = sorted(results["samples"]["task"], key=lambda sample: sample["doc_id"])
    return [_sample(sample) for sample in found]


def task(definition: str, documents: list[dict], **changes) -> ConfigurableTask:
    config = {**load_yaml(Path(tasks.__file__).parent / definition), "task": "task", **changes}
    split = config.get("test_split") or config["validation_split"]
    config |= {"training_split": None, "validation_split": None, "test_split": split}
    config["custom_dataset"] = lambda **_: {split: datasets.Dataset.from_list(documents)}
    for name in ("dataset_path", "dataset_name", "tag"):
        config.pop(name, None)
    return ConfigurableTask(config=config)


def _sample(sample: dict) -> Sample:
    responses = [
        response if isinstance(response, (tuple, list)) else (response, False)
        for response in sample["filtered_resps"]
    ]
    return Sample(
        [float(r[0]) for r in responses],
        [bool(r[1]) for r in responses],
        {name: sample[name] for name in sample["metrics"]},
    )


def minicons(path: Path) -> IncrementalLMScorer:
    """minicons' scorer over a model folder; it does not put a model that it is given into evaluation mode, load_model does."""
    return IncrementalLMScorer(
        load_model(path), "cpu", tokenizer=AutoTokenizer.from_pretrained(path)
    )


def masked_tokens(path: Path, texts: list[str], way: str) -> list[list[tuple[float, int]]]:
    """What minicons' scorer of masked LMs says of the tokens of each text: log-prob and rank."""
    tokenizer = AutoTokenizer.from_pretrained(path)
    scorer = MaskedLMScorer(load_masked(path), "cpu", tokenizer=tokenizer)
    # transformers 5 has no batch_encode_plus, by which the scorer encodes texts: it is given the encodings
    prepared = scorer.prepare_text(tokenizer(texts), PLL_metric=way)
    found = []
    for ids, mask, targets, places in prepared:
        with torch.inference_mode():
            logits = scorer.model(input_ids=ids, attention_mask=mask).logits[
                torch.arange(len(places)), places
            ]
        logprobs = logits.log_softmax(-1)
        own = logprobs[torch.arange(len(targets)), targets]
        ranks = 1 + (logprobs > own[:, None]).sum(-1)
        found.append(list(zip(own.tolist(), ranks.tolist(), strict=True)))
    return found


def blimp_group(lm: HFLM, documents: dict[str, list[dict]]) -> tuple[dict[str, list[Sample]], str]:
    """lm-eval's samples of every paradigm, and the mean of the paradigms' accuracies as its table prints it."""
    means = load_yaml(Path(tasks.__file__).parent / "blimp/_blimp.yaml")["aggregate_metric_list"]
    group = Group("blimp_group", aggregate_metric_list=[AggMetricConfig(**mean) for mean in means])
    for name, rows in documents.items():
        group.add(task("blimp/_template_yaml", rows, task=name))
    children = {member.task_name: member for member in group.get_all_tasks()}
    loaded = {
        "tasks": children,
        "groups": {group.name: group},
        "group_map": {group.name: list(children)},
    }
    results = evaluate(lm, loaded, bootstrap_iters=0)
    line = next(
        line for line in make_table(results, "groups").splitlines() if "blimp_group" in line
    )
    samples = {
        name: sorted(found, key=lambda sample: sample["doc_id"])
        for name, found in results["samples"].items()
    }
    return {
        name: [_sample(sample) for sample in found] for name, found in samples.items()
    }, line.split("|")[7].strip()
