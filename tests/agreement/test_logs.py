"""Logs that lm-eval itself writes are read with its own figures, and compared as scipy does."""

import json

import numpy as np
import pytest
import yaml
from scipy import stats

from lmcore.comparing.diff_logs import DEFAULTS, diff_logs
from lmcore.comparing.diff_results import Asked
from lmcore.logs.audit import audit
from lmcore.logs.open import read_logs

WORDS = ("ship", "letter", "captain", "sea", "man", "chapter")
LM_EVAL = {"dataset_path": "json", "test_split": "train", "target_delimiter": " "}


def write_tasks(folder) -> None:
    """Two tasks of multiple choice in one group, one of a last word, and one of running text."""
    documents = []
    for number in range(40):
        word, other = WORDS[number % 6], WORDS[(number + 1) % 6]
        text = f"The old man looked at the {word} and walked to the {other}."
        documents.append(
            {"q": f"Number {number}: the", "good": f"{word}.", "bad": other, "text": text}
        )
    (folder / "data.jsonl").write_text("\n".join(map(json.dumps, documents)))
    choice = {"output_type": "multiple_choice", "doc_to_text": "{{q}}", "doc_to_target": 0}
    choice["metric_list"] = [{"metric": "acc"}, {"metric": "acc_norm"}]
    tasks = {
        "first": choice | {"doc_to_choice": "{{[good, bad]}}"},
        "second": choice | {"doc_to_choice": "{{[bad, good]}}"},
        "last_word": {
            "output_type": "loglikelihood",
            "doc_to_text": "{{q}}",
            "doc_to_target": " {{good}}",
            "metric_list": [{"metric": "perplexity"}, {"metric": "acc"}],
        },
        "running": {
            "output_type": "loglikelihood_rolling",
            "doc_to_text": "",
            "doc_to_target": "{{text}}",
            "metric_list": [{"metric": "bits_per_byte"}, {"metric": "word_perplexity"}],
        },
    }
    for name, task in tasks.items():
        data = {"dataset_kwargs": {"data_files": str(folder / "data.jsonl")}}
        (folder / f"{name}.yaml").write_text(yaml.safe_dump({"task": name} | LM_EVAL | data | task))
    aggregate = [{"metric": "acc", "weight_by_size": False}]
    group = {"group": "both", "task": ["first", "second"], "aggregate_metric_list": aggregate}
    (folder / "both.yaml").write_text(yaml.safe_dump(group))


@pytest.fixture(scope="module")
def logs(tmp_path_factory, lm):
    """The folders of two models' logs, written by lm-eval."""
    from lm_eval import simple_evaluate
    from lm_eval.loggers import EvaluationTracker
    from lm_eval.tasks import TaskManager

    root = tmp_path_factory.mktemp("logs")
    write_tasks(root)
    manager = TaskManager(include_path=str(root), include_defaults=False)
    folders = []
    for name in ("adds_nothing", "gpt2"):
        results = simple_evaluate(
            lm(name), tasks=["both", "last_word", "running"], task_manager=manager
        )
        samples = results.pop("samples")
        tracker = EvaluationTracker(output_path=str(root / name))
        tracker.save_results_aggregated(results=results, samples=samples)
        for task in results["configs"]:
            tracker.save_results_samples(task_name=task, samples=samples[task])
        folders.append(root / name)
    return folders


def test_logs_have_the_figures_that_lm_eval_printed(logs):
    evaluations = {evaluation.task: evaluation for evaluation in read_logs(logs[0])}
    assert set(evaluations) == {"both", "last_word", "running"}
    both = audit(evaluations["both"])
    assert both.printed == pytest.approx(both.first, abs=1e-12)
    assert (both.n_items, both.n_groups) == (80, 2)
    rows = evaluations["running"].scores().to_pylist()
    bits = [row for row in rows if row["metric"] == "surprisal_per_byte"]
    total = sum(row["weight"] for row in bits)
    mean = sum(row["value"] * row["weight"] for row in bits) / total
    assert mean == pytest.approx(evaluations["running"].printed["bits_per_byte"].mean, rel=1e-12)


def test_differences_of_the_last_word_are_those_of_scipy(logs):
    asked = Asked([], [], common=False, groups=True, n_items=2, settings=DEFAULTS)
    diff = diff_logs(read_logs(logs[0]), read_logs(logs[1]), ("a", "b"), asked)
    rows = {row.suite: row for row in diff.rows}
    assert rows["last_word"].comparison.metric == "target_logprob"
    values = []
    for folder in logs:
        (evaluation,) = (x for x in read_logs(folder) if x.task == "last_word")
        values.append([item.values["target_logprob"][0] for item in evaluation.items])
    comparison = rows["last_word"].comparison
    differences = np.subtract(values[1], values[0])
    assert comparison.difference == pytest.approx(differences.mean(), rel=1e-12)
    # sign flips, of 40 items by 10,000 random patterns on either side
    expected = stats.permutation_test(
        (differences,), np.mean, permutation_type="samples", n_resamples=20_000, rng=0
    ).pvalue
    assert comparison.p == pytest.approx(expected, abs=4 * np.sqrt(expected / 10_000) + 1e-3)
    assert (comparison.p < 0.05) == (comparison.low > 0 or comparison.high < 0)
    if "both" in rows:
        assert set(rows["both"].groups) == {"first", "second"}
