"""What a score is made of: ties, lengths, the first option, identical options, errors, dtype."""

import json
import math

import numpy as np
import pytest

from lmcore.commands.audit import as_data, as_markdown, as_text, audits_of
from lmcore.errors import InputError
from lmcore.logs.audit import audit
from lmcore.logs.evaluation import Evaluation, Item, Options, Printed
from tests.lmcore.logs import written

RIGHT, WRONG, TIED = [-1.1, -2.1], [-2.1, -1.1], [-1.7, -1.7]
NAN = [math.nan, -1.1]


def evaluation(logprobs, gold=0, texts=("a", "b"), groups=None, **fields) -> Evaluation:
    """An evaluation whose items have these log-probs."""
    items = []
    for number, of_item in enumerate(logprobs):
        right = gold if isinstance(gold, int) else gold[number]
        group = groups[number] if groups else "all"
        options = Options(list(texts), of_item, [right])
        items.append(Item(str(number), "", {}, group, options=options))
    return Evaluation("tool", "model", "task", "somewhere", items, **fields)


def test_ties_and_nan_are_counted_by_three_rules():
    found = audit(evaluation([RIGHT, WRONG, TIED, TIED, NAN]))
    assert (found.first, found.half, found.lost) == (4 / 5, 2 / 5, 1 / 5)
    assert (found.n_ties, found.n_nan, found.n_deciding) == (2, 1, 2)
    text = "\n".join(found.findings)
    assert "1 items have a log-prob that is NaN" in text
    assert "2 of 5 items are tied: with ties for the first option the score is 0.800" in text


def test_tie_of_right_options_alone_is_no_tie():
    items = [Item("0", "", {}, options=Options(["a", "b", "c"], [-1.1, -1.1, -2.3], [0, 1]))]
    found = audit(Evaluation("tool", "model", "task", "somewhere", items))
    assert (found.first, found.half, found.lost, found.n_ties) == (1, 1, 1, 0)


def test_interval_takes_clusters_where_items_share_them():
    alone = evaluation([RIGHT] * 30 + [WRONG] * 30)
    shared = [item._replace(cluster=f"story {int(item.id) // 15}") for item in alone.items]
    clustered = audit(Evaluation("tool", "model", "task", "somewhere", shared))
    assert clustered.se > 2 * audit(alone).se


def test_constant_logits_score_what_the_shortest_option_does():
    lengths = np.random.default_rng(0).integers(3, 9, (500, 2))
    items = []
    for number, (first, second) in enumerate(lengths.tolist()):
        options = Options(
            ["x" * first, "x" * second], [-first / 3, -second / 3], [0], [first, second]
        )
        items.append(Item(str(number), "", {}, options=options))
    found = audit(Evaluation("tool", "model", "task", "somewhere", items))
    assert found.half == found.shortest
    assert found.length == "tokens"
    assert any("cannot be told from choosing the shortest option" in x for x in found.findings)


def test_preference_for_the_first_option_is_said_where_the_right_one_varies():
    gold = [number % 2 for number in range(400)]
    always_first = audit(evaluation([RIGHT] * 400, gold=gold))
    assert any("first option was chosen in 100.0%" in line for line in always_first.findings)
    by_turns = audit(evaluation([RIGHT, WRONG] * 200, gold=gold))
    assert not any("first option" in line for line in by_turns.findings)


def test_printed_error_of_pooled_items_is_not_that_of_a_mean_over_groups():
    rng = np.random.default_rng(2)
    groups = ["small"] * 20 + ["large"] * 980
    logprobs = [RIGHT if right else WRONG for right in rng.random(1000) < 0.7]
    pooled = Printed(0.7, math.sqrt(0.7 * 0.3 / 999))
    found = audit(evaluation(logprobs, groups=groups, printed={"acc": pooled}))
    assert found.se > 2 * pooled.se
    assert any(
        "the printed standard error is 0.0145; of a mean over groups" in x for x in found.findings
    )


def test_identical_options_and_coarse_numbers_are_found():
    same = audit(evaluation([TIED, RIGHT], texts=("same", "same")))
    assert (same.n_identical, same.n_deciding) == (2, 0)
    coarse = audit(evaluation([[-1.5, -2.25], [-128.0, -129.0]]))
    assert any("every log-prob is a number of 16 bits" in line for line in coarse.findings)
    assert not audit(evaluation([RIGHT])).is_coarse
    bf16 = audit(evaluation([RIGHT], dtype="torch.bfloat16"))
    assert "the model computed in bfloat16, which makes ties" in bf16.findings


def test_page_of_a_log_names_what_has_no_options(tmp_path):
    written.lm_eval(tmp_path / "a" / "log", [RIGHT, TIED] * 10)
    written.inspect(tmp_path / "a" / "log.json", [["C"]])
    audits, without = audits_of(str(tmp_path / "a"), tmp_path)
    assert without == ["org/log on task: the log has no log-probs of options"]
    text = as_text(audits, without)
    assert "log (lm-eval, torch.bfloat16)" in text
    assert "1.000" in text and "0.750" in text
    assert "| task | 20 |" in as_markdown(audits, without)
    assert json.loads(as_data(audits, without))["audits"][0]["n_ties"] == 10
    with pytest.raises(InputError, match="there is nothing to audit"):
        audits_of(str(tmp_path / "a" / "log.json"), tmp_path)


def test_audit_of_nothing_names_the_models(tmp_path):
    (tmp_path / "tokens" / "babyllama").mkdir(parents=True)
    with pytest.raises(
        InputError, match=r"is no log, and no model with tokens .* there are babyllama"
    ):
        audits_of("gone", tmp_path)
