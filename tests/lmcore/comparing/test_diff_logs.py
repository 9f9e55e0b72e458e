"""Two logs of other tools are compared: alignment, verdicts, and the figures of other libraries."""

import json
import subprocess
import sys

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar

from lmcore.comparing import diff_text
from lmcore.comparing.diff_logs import DEFAULTS, diff_logs
from lmcore.comparing.diff_results import Asked
from lmcore.errors import InputError
from lmcore.logs.open import read_logs
from tests.lmcore.logs import written

RIGHT, WRONG, TIED = [-1.0, -2.0], [-2.0, -1.0], [-1.5, -1.5]


def compared(a, b, metrics=None, **asked):
    """The Diff of two paths."""
    settings = DEFAULTS._replace(metrics=metrics) if metrics else DEFAULTS
    fields = {"suites": [], "models": [], "common": False, "groups": False, "n_items": 0}
    return diff_logs(
        read_logs(a), read_logs(b), (str(a), str(b)), Asked(**fields | asked, settings=settings)
    )


def test_diff_of_two_models_is_that_of_statsmodels(tmp_path):
    rng = np.random.default_rng(0)
    a = [RIGHT if right else WRONG for right in rng.random(300) < 0.5]
    b = [RIGHT if right else WRONG for right in rng.random(300) < 0.6]
    written.lm_eval(tmp_path / "one", a)
    written.lm_eval(tmp_path / "two", b)
    (row,) = compared(tmp_path / "one", tmp_path / "two").rows
    n_better = sum(x == WRONG and y == RIGHT for x, y in zip(a, b))
    n_worse = sum(x == RIGHT and y == WRONG for x, y in zip(a, b))
    table = [[0, n_worse], [n_better, 0]]
    assert row.model == "one → two"
    assert (row.comparison.n_better, row.comparison.n_worse) == (n_better, n_worse)
    assert row.comparison.p == pytest.approx(mcnemar(table, exact=True).pvalue, rel=1e-12)


def test_diff_of_values_has_the_interval_of_scipys_paired_test(tmp_path):
    rng = np.random.default_rng(1)
    for name, shift in (("a", 0.0), ("b", 0.3)):
        values = rng.normal(shift, 1, 80)
        lines = [f"{number},{value!r}" for number, value in enumerate(values.tolist())]
        (tmp_path / f"{name}.csv").write_text("item,value\n" + "\n".join(lines))
    (row,) = compared(tmp_path / "a.csv", tmp_path / "b.csv").rows
    sides = [np.loadtxt(tmp_path / f"{name}.csv", delimiter=",", skiprows=1) for name in "ab"]
    expected = stats.ttest_rel(sides[1][:, 1], sides[0][:, 1]).confidence_interval()
    assert (row.comparison.low, row.comparison.high) == pytest.approx(tuple(expected), rel=1e-9)


def test_clusters_of_a_table_are_what_is_drawn(tmp_path):
    rng = np.random.default_rng(3)
    for name, shift in (("a", 0.0), ("b", 0.4)):
        lines = ["item,value,cluster"]
        for cluster, level in enumerate(rng.normal(shift, 1, 12).tolist()):
            lines += [f"{cluster}-{i},{level + 0.01 * i!r},story {cluster}" for i in range(10)]
        (tmp_path / f"{name}.csv").write_text("\n".join(lines))
    (row,) = compared(tmp_path / "a.csv", tmp_path / "b.csv").rows
    assert (row.comparison.n_items, row.comparison.n_clusters) == (120, 12)
    assert row.comparison.df == 11


def test_ties_are_counted_by_both_rules(tmp_path):
    written.lm_eval(tmp_path / "a", [TIED] * 30)
    written.lm_eval(tmp_path / "b", [RIGHT] * 30)
    diff = compared(tmp_path / "a", tmp_path / "b")
    (row,) = diff.rows
    assert (row.comparison.a, row.comparison.b) == (0.5, 1.0)
    assert "30 items are ties in A, 0 in B" in diff.notes[0]
    by_lm_eval = compared(tmp_path / "a", tmp_path / "b", metrics=["acc"])
    assert by_lm_eval.rows == []
    assert by_lm_eval.unchanged == [("a → b", "task")]


def test_unequal_items_are_refused_and_common_compares_the_rest(tmp_path):
    written.lm_eval(tmp_path / "a", [RIGHT, WRONG, WRONG])
    written.lm_eval(tmp_path / "b", [RIGHT, RIGHT])
    with pytest.raises(InputError, match=r"not the same items: 1 only in A \(e.g. 2\)"):
        compared(tmp_path / "a", tmp_path / "b")
    (row,) = compared(tmp_path / "a", tmp_path / "b", common=True).rows
    assert (row.comparison.n_items, row.n_lost) == (2, 1)


def test_models_and_suites_of_one_name_are_compared_and_others_named(tmp_path):
    for side, names in (("a", ("x", "y", "old")), ("b", ("x", "y", "new"))):
        for name in names:
            answers = [RIGHT, WRONG] if side == "a" else [WRONG, WRONG]
            written.inspect(
                tmp_path / side / f"{name}.json", [["C"] if v == RIGHT else ["I"] for v in answers]
            )
    diff = compared(tmp_path / "a", tmp_path / "b")
    assert [row.model for row in diff.rows] == ["org/x", "org/y"]
    assert diff.not_compared == [
        "the model org/old is not in B (renamed, or dropped?): not compared"
    ]
    assert diff.only_b == ["org/new"]
    with pytest.raises(InputError, match="there is no model 'z' in A or B"):
        compared(tmp_path / "a", tmp_path / "b", models=["z"])


def test_lower_is_better_where_the_tool_says_so(tmp_path):
    for name, value in (("a", 1.0), ("b", 2.0)):
        path = written.lm_eval(tmp_path / name, [RIGHT], higher_is_better={"task": {"ter": False}})
        samples = []
        for number in range(20):
            sample = written.lm_eval_sample(number, RIGHT)
            ter = value + number % 3 / 10
            samples.append(sample | {"metrics": ["ter"], "ter": ter, "filtered_resps": ["x"]})
        path.write_text("\n".join(map(json.dumps, samples)))
    (row,) = compared(tmp_path / "a", tmp_path / "b").rows
    assert (row.comparison.metric, row.comparison.verdict) == ("ter", "worse")


def test_metric_that_both_lack_is_refused_with_those_there(tmp_path):
    written.lm_eval(tmp_path / "a", [RIGHT])
    with pytest.raises(InputError, match="A and B have no metric f1 in common; A has accuracy"):
        compared(tmp_path / "a", tmp_path / "a", metrics=["f1"])


def test_texts_and_data_speak_of_no_params(tmp_path):
    written.lm_eval(tmp_path / "a", [RIGHT, WRONG] * 20)
    written.lm_eval(tmp_path / "b", [WRONG, WRONG] * 20)
    diff = compared(tmp_path / "a", tmp_path / "b", n_items=1)
    text = diff_text.as_text(diff, colour=False)
    assert "no param" not in text
    assert "  *      -1.00 →     -2.00  option 0" in text
    assert "What changed" not in diff_text.as_markdown(diff)
    data = json.loads(diff_text.as_data(diff))
    assert "params" not in data
    assert data["rows"][0]["verdict"] == "worse"


def test_command_tells_logs_from_revisions(tmp_path):
    def lmcore(*arguments: str) -> subprocess.CompletedProcess:
        command = [sys.executable, "-m", "lmcore.commands.main", "diff", *arguments]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)

    written.lm_eval(tmp_path / "a", [RIGHT, WRONG] * 20)
    written.lm_eval(tmp_path / "b", [WRONG, WRONG] * 20)
    assert lmcore("a", "b").returncode == 0
    assert lmcore("a", "b", "--fail-on", "worse").returncode == 1
    assert "equal within 0.9" in lmcore("a", "b", "--margin", "0.9").stdout
    alone = lmcore("a")
    assert (alone.returncode, alone.stderr.count("\n")) == (1, 1)
    assert "name two logs to compare, A and B" in alone.stderr
    assert "c: no such file or folder; A and B must both be logs" in lmcore("a", "c").stderr


def test_real_logs_have_the_known_discordant_pairs(data):
    for tool, counts in (("lm_eval", [(46, 37), (14, 24)]), ("lighteval", [None])):
        diff = compared(data / "logs" / tool / "gpt2-a", data / "logs" / tool / "gpt2-b")
        rows = sorted(
            (row for row in diff.rows if row.comparison.metric == "accuracy"),
            key=lambda row: row.suite,
        )
        for row, expected in zip(rows, counts, strict=True):
            if expected:
                assert (row.comparison.n_better, row.comparison.n_worse) == expected
