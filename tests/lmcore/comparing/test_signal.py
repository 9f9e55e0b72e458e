import numpy as np
import pytest
from scipy import stats as reference

from lmcore.comparing.comparison import averaged, compare, judge
from lmcore.comparing.signal import signal_and_noise, with_verdicts
from tests.lmcore.score_tables import side

HOW = {"confidence": 0.95, "interval": "student", "resamples": 999, "seed": 0}
METRIC = "surprisal_per_byte"


def texts(*rows: np.ndarray):
    """A side whose rows are seeds, each the bits per byte of 40 texts."""
    return side({"x": np.array(rows)}, METRIC)


def judged(*pairs, margin: float | None = None):
    comparisons = [compare(a, b, METRIC, **HOW) for a, b in pairs]
    margins = {METRIC: margin} if margin else {}
    return judge(comparisons, correction="holm", confidence=0.95, power=0.8, margin=margins)


@pytest.fixture
def bits():
    return np.random.default_rng(0).normal(3, 0.5, 40)


def test_signal_is_the_distance_and_noise_pools_the_runs(bits):
    sides = {"a": texts(bits), "b": texts(bits + 0.5), "r": texts(bits, bits + 0.1, bits + 0.2)}
    runs = {"r": sides["r"], "late": texts(bits, bits + 0.3)}
    found = signal_and_noise(sides, runs, METRIC, 0.95)
    assert found["signal"] == pytest.approx(0.5) and found["n_models"] == 3
    squares = 0.1**2 + 0.1**2 + 2 * 0.15**2
    assert found["noise"] == pytest.approx(np.sqrt(squares / 3))
    assert found["noise_of"] == ["late", "r"]
    assert found["snr"] == pytest.approx(0.5 / found["noise"])
    quantile = reference.t.ppf(0.975, 3)
    assert found["between_runs"] == pytest.approx(quantile * np.sqrt(2) * found["noise"])


def test_without_runs_there_is_no_noise(bits):
    found = signal_and_noise({"a": texts(bits)}, {}, METRIC, 0.95)
    assert set(found) == {"metric", "n_models", "lowest", "highest", "signal"}
    alike = signal_and_noise({"a": texts(bits)}, {"r": texts(bits, bits)}, METRIC, 0.95)
    assert alike["noise"] == 0 and "snr" not in alike


def test_decisions_are_a_macro_mean():
    sides = {
        "a": side({"g": np.ones(30), "h": np.zeros(2)}),
        "b": side({"g": np.zeros(30), "h": np.zeros(2)}),
    }
    assert signal_and_noise(sides, {}, "accuracy", 0.95)["signal"] == pytest.approx(0.5)


def test_a_suite_on_which_no_pair_differs_cannot_tell(bits):
    noise = np.random.default_rng(1).normal(0, 0.2, (2, 40))
    one, other = texts(bits), texts(bits + noise[0])
    (comparison,) = judged((one, other))
    found = with_verdicts({}, [comparison])
    assert found["cannot_tell"] == "none differs"
    assert found["detectable"] == comparison.detectable
    assert (found["n_pairs"], found["n_different"]) == (1, 0)
    both = with_verdicts({}, judged((one, other), (one, texts(bits + 1))))
    assert "cannot_tell" not in both and both["n_different"] == 1
    assert "cannot_tell" not in with_verdicts({}, judged((one, other), margin=0.5)), (
        "equal within the margin is an answer"
    )
    assert with_verdicts({}, judged((one, one)))["cannot_tell"] == "none differs"
    assert with_verdicts({}, []) == {"n_pairs": 0, "n_different": 0}


def test_differences_within_the_noise_of_seeds_cannot_tell(bits):
    one, other = texts(bits), texts(bits + 0.05)
    comparisons = judged((one, other))
    assert comparisons[0].verdict == "worse"
    assert with_verdicts({"between_runs": 0.06}, comparisons)["cannot_tell"] == "noise"
    assert "cannot_tell" not in with_verdicts({"between_runs": 0.04}, comparisons)
    seeds = np.random.default_rng(2).normal(0, 0.001, (2, 3))
    recipes = [
        texts(*(bits + shift + seed for seed in of_side))
        for shift, of_side in zip((0, 0.05), seeds)
    ]
    of_recipes = judged(tuple(recipes))
    assert of_recipes[0].verdict == "worse"
    assert "cannot_tell" not in with_verdicts({"between_runs": 0.06}, of_recipes)


def test_so_few_texts_that_nothing_can_show_have_no_detectable_difference(bits):
    few = [side({"x": values[:5]}, METRIC) for values in (bits, bits + 1)]
    comparisons = judged(few)
    assert comparisons[0].detectable is None and comparisons[0].verdict == "no evidence"
    found = with_verdicts({}, comparisons)
    assert found["least_p"] == 2 / 32 and "detectable" not in found
    six = judged([side({"x": values[:6]}, METRIC) for values in (bits, bits + 1)])
    assert six[0].verdict == "worse"


def test_averaged_is_the_mean_of_the_rows(bits):
    found = averaged(texts(bits, bits + 1))
    assert found.values == pytest.approx((bits + 0.5)[None])
