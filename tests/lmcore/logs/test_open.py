"""Logs of other tools are read: which tool, which items, which values, and what is refused."""

import json

import pytest

from lmcore.errors import InputError
from lmcore.logs.evaluation import Options, by_own_rule
from lmcore.logs.open import read_logs
from tests.lmcore.logs import written

RIGHT, WRONG, TIED = [-1.0, -2.0], [-2.0, -1.0], [-1.5, -1.5]


def values(evaluation, metric: str) -> list[float]:
    """The values of a metric, in the order of the ids."""
    table = evaluation.scores().to_pylist()
    return [row["value"] for row in table if row["metric"] == metric]


def test_lm_eval_samples_have_the_tools_count_and_ours(tmp_path):
    written.lm_eval(tmp_path / "gpt2", [RIGHT, WRONG, TIED])
    (evaluation,) = read_logs(tmp_path)
    assert (evaluation.tool, evaluation.model, evaluation.task) == ("lm-eval", "gpt2", "task")
    assert evaluation.metrics() == ["accuracy", "tie", "acc"]
    assert values(evaluation, "acc") == [1, 0, 1]
    assert values(evaluation, "accuracy") == [1, 0, 0.5]
    assert values(evaluation, "tie") == [0, 0, 1]
    assert evaluation.n_ties() == 1
    assert evaluation.dtype == "torch.bfloat16"
    assert evaluation.printed["acc"].se is None


def test_lm_eval_reads_the_newest_run_of_a_task_and_says_so(tmp_path):
    written.lm_eval(tmp_path / "gpt2", [RIGHT])
    written.lm_eval(tmp_path / "gpt2", [WRONG], time="2026-02-02T03-04-05.000001")
    (evaluation,) = read_logs(tmp_path)
    assert values(evaluation, "acc") == [0]
    assert evaluation.notes == ["1 older logs of the same tasks were left out"]


def test_lm_eval_tasks_of_a_group_are_groups_of_one_suite(tmp_path):
    groups = {"all_of_it": ["inner"], "inner": ["one", "two"]}
    for task in ("one", "two"):
        written.lm_eval(tmp_path, [RIGHT, WRONG], task=task, group_subtasks=groups)
    (evaluation,) = read_logs(tmp_path)
    assert evaluation.task == "all_of_it"
    assert [item.group for item in evaluation.items] == ["one", "one", "two", "two"]
    assert [item.id for item in evaluation.items] == ["one:0", "one:1", "two:0", "two:1"]


def test_lm_eval_rolling_metrics_are_ratios_over_the_text(tmp_path):
    path = written.lm_eval(tmp_path, [RIGHT])
    sample = {"doc_id": 7, "doc": {"text": "abcd"}, "target": "abcd", "filter": "none"}
    sample |= {"metrics": ["word_perplexity", "byte_perplexity", "bits_per_byte"]}
    sample |= {"word_perplexity": [-8.0, 2], "byte_perplexity": [-8.0, 4]}
    sample |= {"bits_per_byte": [-8.0, 4], "filtered_resps": [-8.0]}
    path.write_text(json.dumps(sample) + "\n")
    (evaluation,) = read_logs(tmp_path)
    rows = {row["metric"]: row for row in evaluation.scores().to_pylist()}
    assert set(rows) == {"surprisal_per_byte", "surprisal_per_word"}
    assert rows["surprisal_per_byte"]["value"] == pytest.approx(2 / 0.6931471805599453)
    assert rows["surprisal_per_byte"]["weight"] == 4


def test_lm_eval_filters_of_a_task_are_metrics_of_their_own(tmp_path):
    path = written.lm_eval(tmp_path, [RIGHT])
    lines = []
    for name, value in (("strict", 0.0), ("flexible", 1.0)):
        sample = {"doc_id": 0, "doc": {"q": 1}, "target": "4", "filter": name}
        sample |= {"metrics": ["exact_match"], "exact_match": value, "filtered_resps": ["4"]}
        lines.append(json.dumps(sample))
    path.write_text("\n".join(lines))
    (evaluation,) = read_logs(tmp_path)
    assert evaluation.items[0].values == {
        "exact_match,strict": (0.0, 1.0),
        "exact_match,flexible": (1.0, 1.0),
    }


def test_lighteval_details_are_in_the_order_of_their_ids(tmp_path):
    written.lighteval(tmp_path / "gpt2", [RIGHT, WRONG, TIED])
    (evaluation,) = read_logs(tmp_path)
    assert (evaluation.tool, evaluation.model) == ("lighteval", "org/gpt2")
    assert values(evaluation, "accuracy") == [1, 0, 0.5]
    assert evaluation.items[0].options.n_tokens == [2, 3]


@pytest.mark.parametrize("suffix", [".eval", ".json"])
def test_inspect_samples_count_the_mean_of_their_epochs(tmp_path, suffix):
    written.inspect(tmp_path / f"log{suffix}", [["C", "I"], ["P", "P"], [True, 1.0], ["N", None]])
    (evaluation,) = read_logs(tmp_path)
    assert evaluation.tool == "inspect"
    assert values(evaluation, "match") == [0.5, 0.5, 1, 0]
    assert any("1 of 8 samples have no score" in note for note in evaluation.notes)
    assert any("mean of its epochs" in note for note in evaluation.notes)


def test_inspect_log_compressed_by_zstd_is_read_and_a_damaged_one_refused(tmp_path):
    path = written.recompressed(written.inspect(tmp_path / "log.eval", [["C"], ["I"]]))
    (evaluation,) = read_logs(path)
    assert values(evaluation, "match") == [1, 0]
    content = bytearray(path.read_bytes())
    content[20] ^= 1  # the check sum of the first member, behind its central directory's copy
    at = content.index(b"PK\1\2") + 16
    content[at] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"header\.json is damaged: its check sum is another"):
        read_logs(path)


def test_inspect_log_that_was_cancelled_says_so(tmp_path):
    written.inspect(tmp_path / "log.eval", [["C"]], status="cancelled")
    (evaluation,) = read_logs(tmp_path)
    assert evaluation.notes == ["log.eval: the run ended with status cancelled: 1 were scored"]


def test_babylm_predictions_are_right_if_they_are_the_good_sentence(tmp_path):
    data = tmp_path / "evaluation_data" / "blimp_fast"
    data.mkdir(parents=True)
    for uid in ("one", "Two"):
        pair = {"sentence_good": "Good.", "sentence_bad": "Bad.", "UID": uid}
        (data / f"{uid}.jsonl").write_text((json.dumps(pair) + "\n") * 2)
    written.babylm(tmp_path, {"one": ["Good.", " Bad."], "two": [" Good.", "Good."]})
    (evaluation,) = read_logs(tmp_path / "results", tmp_path / "evaluation_data")
    assert (evaluation.model, evaluation.task) == ("model", "blimp_fast")
    assert values(evaluation, "acc") == [1, 0, 1, 1]


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_table_of_items_and_values_is_read_with_its_columns(tmp_path, suffix):
    rows = [
        {"item": "a", "value": 1, "metric": "acc", "group": "x", "model": "m", "suite": "s"},
        {"item": "b", "value": 0.5, "metric": "acc", "group": "y", "model": "m", "suite": "s"},
    ]
    lines = [json.dumps(row) for row in rows]
    if suffix == ".csv":
        lines = [",".join(rows[0])] + [",".join(map(str, row.values())) for row in rows]
    (tmp_path / f"mine{suffix}").write_text("\n".join(lines))
    (evaluation,) = read_logs(tmp_path / f"mine{suffix}")
    assert (evaluation.model, evaluation.task) == ("m", "s")
    assert values(evaluation, "acc") == [1, 0.5]
    assert [item.group for item in evaluation.items] == ["x", "y"]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("item,score\na,1\n", "no column 'value'"),
        ("item,value\na,one\n", "line 2: column 'value' must be a finite number, not 'one'"),
        ("item,value\na,nan\n", "line 2: column 'value' must be a finite number"),
        ("item,value\na,1\na,0\n", "line 3: item 'a' has metric 'value' twice"),
        ("item,value,weight\na,1,-1\n", "must be at least 0, not -1"),
        (
            "item,value,draw\na,1,0\na,0,1\nb,1,0\n",
            r"item 'b' has the draws \[0\]; expected 0 to 1",
        ),
    ],
)
def test_table_that_cannot_be_read_in_one_way_is_refused(tmp_path, lines, message):
    path = tmp_path / "mine.csv"
    path.write_text(lines)
    with pytest.raises(InputError, match=message):
        [evaluation.scores() for evaluation in read_logs(path)]


def test_logs_that_are_none_are_refused_in_one_line(tmp_path):
    with pytest.raises(InputError, match="no such file or folder; expected a log of lm-eval"):
        read_logs(tmp_path / "nothing")
    with pytest.raises(InputError, match="no log is recognised"):
        read_logs(tmp_path)
    (tmp_path / "broken.eval").write_bytes(b"PK no zip")
    with pytest.raises(InputError, match=r"broken\.eval: not a readable \.eval file"):
        read_logs(tmp_path / "broken.eval")
    path = written.lm_eval(tmp_path / "gpt2", [RIGHT])
    path.write_text(path.read_text() + '{"doc_id": 1')
    with pytest.raises(InputError, match="line 2 is not JSON"):
        read_logs(tmp_path / "gpt2")
    written.inspect(tmp_path / "unscored.eval", [[None]])
    with pytest.raises(InputError, match="no sample has a score"):
        read_logs(tmp_path / "unscored.eval")
    written.babylm(tmp_path / "b", {"one": ["Good."]})
    with pytest.raises(InputError, match="name the folder evaluation_data with --answers"):
        read_logs(tmp_path / "b")


def test_own_rule_counts_ties_as_guessing_would_and_nan_as_wrong():
    def counted(logprobs: list[float], gold: list[int]) -> tuple[float, bool]:
        return by_own_rule(Options([""] * len(logprobs), logprobs, gold))

    assert counted([-1, -1, -2], [0]) == (0.5, True)
    assert counted([-1, -1, -1], [0, 1]) == (pytest.approx(2 / 3), True)
    assert counted([-1, -1, -2], [0, 1]) == (1.0, False)  # whichever is chosen is right
    assert counted([-2, -1, -3], [0]) == (0.0, False)
    assert counted([float("nan"), -1], [0]) == (0.0, False)


def test_real_logs_have_the_figures_that_their_tools_printed(data):
    n_checked = 0
    for folder in ("lm_eval/gpt2-a", "lm_eval/gpt2-b", "lighteval/gpt2-a", "lighteval/gpt2-b"):
        for evaluation in read_logs(data / "logs" / folder):
            for metric, printed in evaluation.printed.items():
                if metric in evaluation.metrics():
                    mean = sum(values(evaluation, metric)) / len(evaluation.items)
                    assert mean == pytest.approx(printed.mean, abs=1e-12)
                    n_checked += 1
    for path in sorted((data / "logs/inspect").rglob("*.eval")):
        if "15-17-00" in path.name:  # the log of a run that was never scored
            continue
        (evaluation,) = read_logs(path)
        for metric, printed in evaluation.printed.items():
            mean = sum(values(evaluation, metric)) / len(evaluation.items)
            assert mean == pytest.approx(printed.mean, abs=1e-12)
            n_checked += 1
    assert n_checked == 18
