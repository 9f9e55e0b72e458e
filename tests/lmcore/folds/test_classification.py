import numpy as np
import pytest
from sklearn.metrics import precision_recall_fscore_support

from lmcore.errors import InputError
from lmcore.folds.classification import best_threshold, classification_metrics
from lmcore.folds.metrics import suite_metrics
from lmcore.suites.declare import classes_of
from lmcore.tables import items_table
from tests.lmcore.folds.test_fold import OPTIONS, by_word, constant
from tests.lmcore.token_tables import fold, items_of, tokens_of

CLASSES = ["negative", "positive"]


# the context of a review says which class it has and which class the model finds
REVIEWS = {
    "0": "negative negative",
    "1": "negative negative",
    "2": "negative positive",
    "3": "positive negative",
    "4": "positive positive",
}


def as_found(draw: int, before: tuple[str, ...], word: str) -> float:
    return -1.0 if before[-1:] in ((), (word,)) else -2.0


def reviews(logprob=as_found, *, ties: str = "half", draws: int = 1) -> tuple[dict, dict]:
    options = {}
    for item, context in REVIEWS.items():
        options[item] = [(context, f" {name}") for name in CLASSES]
    rows = items_of(options).drop_columns(["content_hash"]).to_pylist()
    items = items_table(
        [{**row, "gold": row["context"].startswith(row["target"].strip())} for row in rows],
        {"bos": "prefix"},
    )
    scores = fold(
        items,
        tokens_of(items, logprob, draws=draws),
        kind="choices",
        **{**OPTIONS, "ties": ties},
        classes=CLASSES,
    )
    return suite_metrics(scores, 0.95, CLASSES)


def test_choices_as_classes_give_precision_recall_and_f1_by_hand():
    metrics, intervals = reviews()
    cells = {name: value for name, value in metrics.items() if name.startswith("confusion_")}
    assert cells == {
        "confusion_negative_as_negative": 2,
        "confusion_negative_as_positive": 1,
        "confusion_positive_as_negative": 1,
        "confusion_positive_as_positive": 1,
    }
    assert metrics["precision_negative"] == metrics["recall_negative"] == pytest.approx(2 / 3)
    assert (
        metrics["precision_positive"] == metrics["recall_positive"] == metrics["f1_positive"] == 0.5
    )
    assert metrics["f1_macro"] == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert metrics["accuracy"] == pytest.approx(3 / 5)
    assert (
        0 <= intervals["f1_macro"]["low"] < metrics["f1_macro"] < intervals["f1_macro"]["high"] <= 1
    )


def test_choices_as_classes_constant_logits_split_each_case_or_follow_the_tie_policy():
    assert reviews(constant)[0]["confusion_positive_as_negative"] == 1  # half of each of two
    assert reviews(constant, ties="win")[0]["confusion_positive_as_negative"] == 2
    lost = reviews(constant, ties="loss")[0]
    assert [lost[f"confusion_{name}_as_{name}"] for name in CLASSES] == [0, 0] and lost[
        "f1_macro"
    ] == 0


def test_class_never_found_has_precision_zero_and_no_nan():
    metrics, _ = reviews(by_word(negative=-1.0, positive=-2.0))
    assert (metrics["precision_positive"], metrics["recall_positive"], metrics["f1_positive"]) == (
        0,
        0,
        0,
    )
    assert metrics["precision_negative"] == 0.6 and metrics["recall_negative"] == 1


def test_classes_of_random_draws_are_averaged():
    flips = reviews(
        lambda draw, before, word: -1.0 if (word == "positive") == (draw == 0) else -2.0, draws=2
    )[0]
    assert flips["confusion_positive_as_positive"] == flips["confusion_positive_as_negative"] == 1


def test_classification_metrics_equal_scikit_learn_and_their_error_the_bootstraps():
    rng = np.random.default_rng(0)
    true = rng.choice(3, 400, p=[0.7, 0.2, 0.1])
    found = np.where(rng.random(400) < 0.6, true, rng.integers(0, 3, 400))
    names = ["a", "b", "c"]
    cells = {
        f"confusion_{x}_as_{y}": ((true == i) & (found == j)).astype(float)
        for i, x in enumerate(names)
        for j, y in enumerate(names)
    }
    _, estimates = classification_metrics(cells, names)
    for place, measure in enumerate(("precision", "recall", "f1")):
        exact = precision_recall_fscore_support(true, found)[place]
        assert [estimates[f"{measure}_{name}"].mean for name in names] == pytest.approx(exact)
        assert estimates[f"{measure}_macro"].mean == pytest.approx(exact.mean())
    samples = [rng.integers(0, 400, 400) for _ in range(250)]
    # (measures, classes)
    resampled = np.std(
        [precision_recall_fscore_support(true[i], found[i])[:3] for i in samples], axis=0
    )
    for place, measure in enumerate(("precision", "recall", "f1")):
        assert [estimates[f"{measure}_{name}"].se for name in names] == pytest.approx(
            resampled[place], rel=0.15
        )
    macro = np.std(
        [precision_recall_fscore_support(true[i], found[i], average="macro")[2] for i in samples]
    )
    assert estimates["f1_macro"].se == pytest.approx(macro, rel=0.15)


def test_standard_error_of_few_cases_divides_by_one_less_than_their_number():
    cells = {f"confusion_{true}_as_{found}": np.zeros(4) for true in "ab" for found in "ab"}
    cells["confusion_a_as_a"][:3], cells["confusion_a_as_b"][3] = 1, 1
    estimate = classification_metrics(cells, ["a", "b"])[1]["recall_a"]
    assert (estimate.mean, estimate.n, estimate.df) == (0.75, 4, 3)
    assert estimate.se == pytest.approx(np.std([1, 1, 1, 0], ddof=1) / np.sqrt(4))
    two = {name: values[2:] for name, values in cells.items()}
    alone = {name: values[:1] for name, values in cells.items()}
    assert classification_metrics(two, ["a", "b"])[1]["recall_a"].se == pytest.approx(0.5)
    assert classification_metrics(alone, ["a", "b"])[1]["recall_a"].se is None


def test_pairs_as_classes_compare_log_probs_a_token_not_a_sentence():
    """Acceptable sentences of four likely words cost more than others of one unlikely word."""
    items = items_of({f"g/{i}": [("", " a a a a"), ("", " b")] for i in range(4)})
    tokens = tokens_of(items, by_word(a=-1.0, b=-3.0))
    scores = fold(items, tokens, kind="pairs", **OPTIONS, classes=["bad", "good"])
    metrics, _ = suite_metrics(scores, 0.95, ["bad", "good"])
    assert metrics["recall_good"] == metrics["recall_bad"] == 1 and metrics["accuracy"] == 0


def test_pairs_as_classes_find_the_acceptable_sentences_by_threshold():
    pairs = {f"g/{i:02d}": [("", f" good{i} a"), ("", f" bad{i} a")] for i in range(20)}
    items = items_of(pairs)
    wrong = {"good7", "bad3", "bad4"}

    def logprob(draw, before, word):
        return (
            -1.0
            if word == "a"
            else -9.0 - int(word[-1]) / 100
            if word.startswith("bad") != (word in wrong)
            else -3.0 - int(word[-1]) / 100
        )

    scores = fold(
        items, tokens_of(items, logprob), kind="pairs", **OPTIONS, classes=["bad", "good"]
    )
    metrics, _ = suite_metrics(scores, 0.95, ["bad", "good"])
    assert metrics["confusion_good_as_good"] == 19 and metrics["confusion_good_as_bad"] == 1
    assert (
        metrics["confusion_bad_as_good"] == 2
        and metrics["recall_good"] == 0.95
        and metrics["precision_good"] == pytest.approx(19 / 21)
    )


def test_pairs_threshold_is_chosen_on_the_other_half_so_that_noise_stays_at_chance():
    """A threshold chosen on the cases that it judges gets well over half of pure noise right.

    This one does not.
    """
    noise = np.random.default_rng(1).normal(-5, 1, (60, 40))
    items = items_of(
        {f"g/{i:03d}": [("", f" w{2 * i}"), ("", f" w{2 * i + 1}")] for i in range(20)}
    )
    tokens = tokens_of(
        items, lambda draw, before, word: float(noise[draw, int(word[1:])]), draws=60
    )
    metrics = suite_metrics(
        fold(items, tokens, kind="pairs", **OPTIONS, classes=["bad", "good"]), 0.95, ["bad", "good"]
    )[0]
    right = (metrics["confusion_good_as_good"] + metrics["confusion_bad_as_bad"]) / 40
    assert abs(right - 0.5) < 3 * np.sqrt(0.25 / 40 / 60)


@pytest.mark.parametrize(
    ("good", "bad", "threshold"),
    [([3, 4], [1, 2], 3), ([1, 4], [2, 3], 4), ([2], [2], 2), ([], [], 0)],
)
def test_best_threshold_errs_least(good, bad, threshold):
    assert best_threshold(np.array(good, float), np.array(bad, float)) == threshold


@pytest.mark.parametrize(
    ("classes", "kind", "message"),
    [
        (["a", "b"], "text", "classes need kind pairs or choices, not text"),
        (["a", "b", "c"], "pairs", "a list of two different names, the positive one last"),
        (["a", "a"], "choices", "a list of two or more different names"),
        ("ab", "choices", "a list of two or more different names"),
        (["a", "macro"], "choices", "must not be 'macro', not 'macro'"),
        (["a", "not_ok"], "choices", "a-z and 0-9 only and must not be 'macro', not 'not_ok'"),
    ],
)
def test_classes_that_cannot_be_names_fail(classes, kind, message):
    with pytest.raises(InputError, match=message):
        classes_of("s", {"classes": classes}, kind)
