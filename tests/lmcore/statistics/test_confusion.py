import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef

from lmcore.statistics.confusion import MEASURES, accuracy, confusion, f1, mcc, over_seeds


def labels(n_labels, n=60, seeds=1):
    rng = np.random.default_rng(n_labels)
    gold = rng.integers(0, n_labels, n)
    noise = rng.integers(0, n_labels, (seeds, n))
    return gold, np.where(rng.random((seeds, n)) < 0.5, gold, noise)


@pytest.mark.parametrize("n_labels", [2, 3])
def test_measures_are_those_of_sklearn(n_labels):
    gold, predicted = labels(n_labels)
    cells = confusion(gold, predicted[0], n_labels)
    assert accuracy(cells) == pytest.approx(accuracy_score(gold, predicted[0]))
    assert mcc(cells) == pytest.approx(matthews_corrcoef(gold, predicted[0]))
    if n_labels == 2:
        assert f1(cells) == pytest.approx(f1_score(gold, predicted[0]))


def test_measures_of_always_the_same_label_are_0_as_in_sklearn():
    gold, predicted = np.array([0, 0, 1]), np.zeros(3, int)
    cells = confusion(gold, predicted, 2)
    assert (f1(cells), mcc(cells)) == (0, 0)
    assert f1(confusion(np.zeros(3, int), predicted, 2)) == 0


def test_f1_of_three_labels_is_refused():
    with pytest.raises(ValueError, match="two labels, not 3"):
        f1(np.eye(3))


@pytest.mark.parametrize("name", MEASURES)
@pytest.mark.parametrize("seeds", [1, 3])
def test_standard_error_is_that_of_leaving_out_every_item(name, seeds):
    gold, predicted = labels(2, seeds=seeds)
    measure, n = MEASURES[name], len(gold)
    without = []
    for item in range(n):
        rest = np.arange(n) != item
        values = [measure(confusion(gold[rest], given[rest], 2)) for given in predicted]
        without.append(np.mean(values))
    of_items = (n - 1) / n * ((np.array(without) - np.mean(without)) ** 2).sum()
    values = [measure(confusion(gold, given, 2)) for given in predicted]
    of_seeds = np.var(values, ddof=1) / seeds if seeds > 1 else 0
    estimate = over_seeds(measure, gold, predicted, 2)
    assert estimate.mean == pytest.approx(np.mean(values))
    assert estimate.se == pytest.approx(np.sqrt(of_items + of_seeds))


def test_standard_error_of_accuracy_is_that_of_a_mean():
    gold, predicted = labels(3)
    right = (gold == predicted[0]).astype(float)
    estimate = over_seeds(accuracy, gold, predicted, 3)
    assert estimate.se == pytest.approx(right.std(ddof=1) / np.sqrt(len(right)))
    assert estimate.df == len(right) - 1


def test_one_item_has_no_standard_error():
    assert over_seeds(accuracy, np.array([1]), np.array([[1]]), 2).se is None


@pytest.mark.parametrize("name", ["f1", "mcc"])
def test_interval_covers_the_truth_about_as_often_as_it_says(name):
    rng = np.random.default_rng(0)
    gold = rng.integers(0, 2, 200_000)
    given = np.where(rng.random(len(gold)) < 0.7, gold, 1 - gold)
    truth = MEASURES[name](confusion(gold, given, 2))
    covered = []
    for start in range(0, len(gold), 200):
        rows = slice(start, start + 200)
        estimate = over_seeds(MEASURES[name], gold[rows], given[None, rows], 2)
        covered.append(abs(estimate.mean - truth) <= 1.972 * estimate.se)
    assert 0.93 < np.mean(covered) < 0.965
