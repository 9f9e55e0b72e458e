"""The peers as oracles.

lm-eval 0.4.13 runs its own task definitions on documents in memory. minicons 0.3.39 scores texts
token by token.

lm-eval defines a task in a YAML file, which is read where lm-eval is installed. Only the source of
the documents is replaced; wording, requests, windows and metrics are lm-eval's own.
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
    """What lm-eval says of one document.

    `logprobs` has the log-prob of each of its requests, and `greedy` says whether each is greedy.
    `metrics` are the document's own.
    """

    logprobs: list[float]
    greedy: list[bool]
    metrics: dict


def harness(path: Path, dtype: str = "float32", **options) -> HFLM:
    """lm-eval's model over a model folder.

    It computes in the dtype of the weights, so its sums are practically exact in float64.
    """
    return HFLM(
        pretrained=load_model(path, dtype),
        tokenizer=AutoTokenizer.from_pretrained(path),
        batch_size=16,
        **options,
    )


def by_lm_eval(lm: HFLM, definition: str, documents: list[dict], **changes) -> list[Sample]:
    """lm-eval's samples for the documents of one task, in the order of the documents.

    `definition` is the task's YAML file, relative to lm_eval/tasks. `changes` replace parts of it.
    """
    loaded = {"tasks": {"task": task(definition, documents, **changes)}}
    results = evaluate(lm, loaded, bootstrap_iters=0)
    return _samples(results["samples"]["task"])


def task(definition: str, documents: list[dict], **changes) -> ConfigurableTask:
    """lm-eval's task of a definition, with these documents as its test split."""
    config = {**load_yaml(Path(tasks.__file__).parent / definition), "task": "task", **changes}
    split = config.get("test_split") or config["validation_split"]
    config |= {"training_split": None, "validation_split": None, "test_split": split}
    config["custom_dataset"] = lambda **_: {split: datasets.Dataset.from_list(documents)}
    for name in ("dataset_path", "dataset_name", "tag"):
        config.pop(name, None)
    return ConfigurableTask(config=config)


def processed(definition: str, documents: list[dict]) -> list[dict]:
    """The documents as lm-eval's task of a definition prepares those of a split for itself.

    It does not do so to documents that it is given as worked examples.
    """
    process = load_yaml(Path(tasks.__file__).parent / definition).get("process_docs")
    return list(process(datasets.Dataset.from_list(documents))) if process else documents


def _samples(samples: list[dict]) -> list[Sample]:
    in_order = sorted(samples, key=lambda sample: sample["doc_id"])
    return [_sample(sample) for sample in in_order]


def _sample(sample: dict) -> Sample:
    logprobs, greedy = [], []
    for response in sample["filtered_resps"]:
        # of running text a response is the log-prob alone
        pair = response if isinstance(response, (tuple, list)) else (response, False)
        logprobs.append(float(pair[0]))
        greedy.append(bool(pair[1]))
    return Sample(logprobs, greedy, {name: sample[name] for name in sample["metrics"]})


def minicons(path: Path) -> IncrementalLMScorer:
    """minicons' scorer over a model folder.

    minicons does not switch a model that it is given to evaluation mode; load_model does.
    """
    tokenizer = AutoTokenizer.from_pretrained(path)
    return IncrementalLMScorer(load_model(path), "cpu", tokenizer=tokenizer)


def masked_tokens(path: Path, texts: list[str], way: str) -> list[list[tuple[float, int]]]:
    """What minicons' scorer of masked LMs says of the tokens of each text: (log-prob, rank).

    `way` is minicons' PLL_metric, `original` or `within_word_l2r`.
    """
    tokenizer = AutoTokenizer.from_pretrained(path)
    scorer = MaskedLMScorer(load_masked(path), "cpu", tokenizer=tokenizer)
    # transformers 5 has no batch_encode_plus, with which the scorer encodes texts, so the scorer is
    # given the encodings
    prepared = scorer.prepare_text(tokenizer(texts), PLL_metric=way)
    texts_tokens = []
    for ids, mask, targets, places in prepared:
        rows = torch.arange(len(places))
        with torch.inference_mode():
            logits = scorer.model(input_ids=ids, attention_mask=mask).logits[rows, places]
        logprobs = logits.log_softmax(-1)
        target_logprobs = logprobs[torch.arange(len(targets)), targets]
        ranks = 1 + (logprobs > target_logprobs[:, None]).sum(-1)
        texts_tokens.append(list(zip(target_logprobs.tolist(), ranks.tolist(), strict=True)))
    return texts_tokens


def blimp_group(lm: HFLM, documents: dict[str, list[dict]]) -> tuple[dict[str, list[Sample]], str]:
    """lm-eval's samples of every paradigm, and the mean of the paradigms' accuracies.

    The mean is the text that lm-eval prints in its table.
    """
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
    lines = make_table(results, "groups").splitlines()
    line = next(line for line in lines if "blimp_group" in line)
    samples = {name: _samples(of_paradigm) for name, of_paradigm in results["samples"].items()}
    return samples, line.split("|")[7].strip()
