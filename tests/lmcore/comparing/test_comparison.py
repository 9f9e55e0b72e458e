import numpy as np
import pytest
from scipy import stats as reference

from lmcore.comparing.comparison import (
    TWO_MODELS,
    DifferentItems,
    align,
    as_one,
    by_group,
    clustered,
    compare,
    judge,
    read_side,
    same_bytes,
)
from lmcore.errors import InputError
from lmcore.folds.metrics import suite_metrics
from lmcore.statistics.paired import mcnemar
from tests.lmcore.score_tables import reader, scores, side
from tests.lmcore.statistics.test_intervals import SUPPLEMENT

HOW = {"confidence": 0.95, "interval": "student", "resamples": 2000, "seed": 0}


def decisions(seed: int, share: float, **sizes: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {group: (rng.random(n) < share).astype(float) for group, n in sizes.items()}


def judged(*comparisons, margin=None, correction="holm"):
    return judge(
        list(comparisons), correction=correction, confidence=0.95, power=0.8, margin=margin or {}
    )


def test_compare_gives_the_figures_that_metrics_report():
    tables = [scores(decisions(seed, 0.7, a=80, b=20)) for seed in (0, 1)]
    found = compare(
        *(read_side(reader(table), ["accuracy"], "", {})[1] for table in tables), "accuracy", **HOW
    )
    expected = [suite_metrics(table, 0.95)[0]["accuracy"] for table in tables]
    assert (found.a, found.b, found.difference) == pytest.approx(
        (*expected, expected[1] - expected[0])
    )
    assert found.low < found.difference < found.high and (found.n_items, found.n_groups) == (100, 2)


def test_compare_supplement_is_macro_not_micro():
    values = {
        f"g{i}": np.arange(n) < round(n * share)
        for i, (n, share) in enumerate(zip(SUPPLEMENT["sizes"], SUPPLEMENT["truth"]))
    }
    nothing = {name: np.zeros(len(of_group)) for name, of_group in values.items()}
    found = compare(side(values), side(nothing), "accuracy", **HOW)
    assert found.a == pytest.approx(0.5952, abs=5e-4)
    micro = np.concatenate(list(values.values())).mean()
    assert micro == pytest.approx(0.7726, abs=5e-4)


def test_compare_running_text_is_one_ratio_over_the_corpus():
    a = side({"x": np.array([2.0, 2.0, 3.0]), "y": np.array([1.0])}, "surprisal_per_byte")
    b = side({"x": np.array([1.5, 1.0, 3.0]), "y": np.array([1.0])}, "surprisal_per_byte")
    (found,) = judged(compare(a, b, "surprisal_per_byte", **HOW))
    assert (found.a, found.difference, found.n_groups) == (2.0, -0.375, 1)
    assert (found.n_better, found.n_worse) == (2, 0)


def test_exchanging_a_and_b_flips_every_sign_and_no_p():
    a, b = side(decisions(2, 0.6, a=90, b=40)), side(decisions(3, 0.7, a=90, b=40))
    there, back = compare(a, b, "accuracy", **HOW), compare(b, a, "accuracy", **HOW)
    assert (there.p, there.mcnemar_p, there.n_ties) == (back.p, back.mcnemar_p, back.n_ties)
    assert (there.difference, there.low, there.high) == pytest.approx(
        (-back.difference, -back.high, -back.low)
    )
    assert (there.n_better, there.n_worse) == (back.n_worse, back.n_better)
    assert (there.cohens_h, there.cohens_dz) == pytest.approx((-back.cohens_h, -back.cohens_dz))


def test_mcnemar_drops_ties_and_says_how_many():
    a = side({"g": np.array([0, 0, 0, 1, 1, 0.5, 0.5, 0])})
    b = side({"g": np.array([1, 1, 1, 0, 1, 1.0, 0.5, 0.5])})
    found = compare(a, b, "accuracy", **HOW)
    assert (found.n_ties, found.n_better, found.n_worse) == (3, 5, 1)
    assert found.mcnemar_p == pytest.approx(float(mcnemar(np.array(3), np.array(1), "mid_p")))


@pytest.mark.parametrize("interval", ["percentile", "bca"])
def test_compare_by_bootstrap_agrees_with_student(interval):
    a, b = side(decisions(4, 0.5, a=300, b=100)), side(decisions(5, 0.6, a=300, b=100))
    student = compare(a, b, "accuracy", **HOW)
    drawn = compare(a, b, "accuracy", **HOW | {"interval": interval})
    assert (drawn.low, drawn.high) == pytest.approx((student.low, student.high), abs=0.01)
    assert drawn.p == student.p and drawn.p_bootstrap == pytest.approx(drawn.p, abs=0.02)
    assert student.p_bootstrap is None


def test_draws_of_a_random_model_are_its_seeds_and_pair_by_item_on_their_mean():
    draws = np.array([[1.0, 0, 1, 0], [1, 1, 0, 0]])
    found = compare(side({"g": draws}), side({"g": np.array([1.0, 1, 1, 0])}), "accuracy", **HOW)
    assert (found.a, found.b, found.n_seeds_a, found.n_seeds_b) == (0.5, 0.75, 2, 1)
    assert (found.n_better, found.n_worse, found.mcnemar_p) == (2, 0, None)


def test_claim_with_one_seed_a_side_is_cautious_and_with_several_speaks_of_the_recipe():
    rng = np.random.default_rng(6)
    low, high = ({"g": (rng.random((4, 400)) < share).astype(float)} for share in (0.4, 0.8))
    first = [{"g": part["g"][:1]} for part in (low, high)]
    one, several = judged(
        compare(*map(side, first), "accuracy", **HOW),
        compare(side(low), side(high), "accuracy", **HOW),
    )
    assert (one.verdict, one.claim) == ("better", TWO_MODELS)
    assert (several.verdict, several.claim) == ("better", "this recipe is better")


def test_verdict_of_every_kind():
    rng = np.random.default_rng(7)
    before = {"g": rng.normal(3, 0.5, 200)}
    changes = {"worse": 0.3, "better": -0.3, "equal": 0.002, "no evidence": 0.0, "unchanged": None}
    sides = {
        name: {"g": before["g"] + (0 if shift is None else shift + 0.02 * rng.normal(size=200))}
        for name, shift in changes.items()
    }
    sides["no evidence"]["g"] += 2 * rng.normal(size=200)
    comparisons = [
        compare(
            side(before, "surprisal_per_byte"),
            side(values, "surprisal_per_byte"),
            "surprisal_per_byte",
            **HOW,
        )
        for values in sides.values()
    ]
    found = judged(*comparisons, margin={"surprisal_per_byte": 0.01})
    assert [comparison.verdict for comparison in found] == list(changes)
    assert found[-1].claim == "" and found[2].claim == ""
    assert judged(comparisons[2])[0].verdict in ("worse", "no evidence"), (
        "without a margin nothing is equal"
    )


def test_verdict_on_entropy_is_neither_better_nor_worse():
    a = side({"g": np.linspace(1, 2, 50)}, "probability")
    rows = compare(a, a._replace(values=a.values + 1), "entropy", **HOW)
    assert judged(rows)[0].verdict == "higher"


def test_interval_of_decisions_in_one_group_has_a_width_where_all_flip_one_way():
    found = compare(side({"g": np.zeros(2)}), side({"g": np.ones(2)}), "accuracy", **HOW)
    assert (found.difference, found.p) == (1, 0.5) and found.low < 0 and found.high == 1


def test_judge_corrects_for_comparisons_that_changed_alone():
    a, b = side(decisions(8, 0.5, g=200)), side(decisions(9, 0.65, g=200))
    one, same = compare(a, b, "accuracy", **HOW), compare(a, a, "accuracy", **HOW)
    assert (same.p, same.difference) == (1, 0) and same.low < 0 < same.high
    first, *_, last = judged(one, one, same, same)
    assert first.p_corrected == pytest.approx(2 * one.p) and last.verdict == "unchanged"
    assert first.detectable > judged(one)[0].detectable, (
        "among more comparisons it takes a greater difference to show"
    )
    alone = judged(one, margin={"accuracy": judged(one)[0].detectable})[0]
    assert alone.items_needed == pytest.approx(200, rel=0.03)


def test_by_group_compares_each_group_alone():
    a, b = decisions(10, 0.5, a=50, b=30), decisions(11, 0.6, a=50, b=30)
    found = by_group(side(a), side(b), "accuracy", **HOW)
    assert list(found) == ["a", "b"] and found["b"].n_items == 30
    assert found["a"].difference == pytest.approx(b["a"].mean() - a["a"].mean())


def test_clustered_takes_groups_as_items():
    a = {"book1": np.array([1.0, 2]), "book2": np.array([3.0])}
    b = {"book1": np.array([1.5, 2]), "book2": np.array([2.0])}
    pair = [clustered(side(values, "surprisal_per_byte")) for values in (a, b)]
    found = compare(*pair, "surprisal_per_byte", **HOW)
    assert found.n_items == 2 and (found.a, found.b) == (2.0, pytest.approx(5.5 / 3))


def test_read_side_takes_the_first_metric_that_is_there_and_knows_items_again():
    known = {}
    table = scores({"g": np.array([1.0, 2])}, "surprisal_per_byte")
    asked = []

    def read(columns):
        asked.append(columns)
        return reader(table)(columns)

    for _ in range(2):
        metric, found = read_side(read, ["accuracy", "surprisal_per_byte"], "x", known)
    assert metric == "surprisal_per_byte" and found.items.to_pylist() == ["s/g/0000", "s/g/0001"]
    assert sum("item" in columns for columns in asked) == 1
    with pytest.raises(
        InputError, match=r"x: there is no metric accuracy; there are entropy, surprisal_per_byte"
    ):
        read_side(read, ["accuracy"], "x", known)


def test_read_side_refuses_items_without_all_draws():
    table = scores({"g": np.ones((2, 3))})
    with pytest.raises(InputError, match="expected one row an item and draw of metric 'accuracy'"):
        read_side(reader(table.slice(0, len(table) - 2)), ["accuracy"], "x", {})


def test_align_other_order_pairs_by_id():
    a, b = side(decisions(12, 0.5, g=6)), side(decisions(13, 0.5, g=6))
    order = np.array([3, 0, 5, 1, 2, 4])
    moved = b._replace(items=b.items.take(order), hashes=b.hashes[order], values=b.values[:, order])
    of_a, of_b, n_lost = align(a, moved, common=False, what="x")
    assert n_lost == 0 and (of_b.values == b.values).all() and of_a.items.equals(of_b.items)


def test_align_refuses_other_items_and_names_the_difference():
    a, b = side({"g": np.ones(5), "h": np.ones(2)}), side({"g": np.ones(6)}, changed=("s/g/0002",))
    with pytest.raises(DifferentItems) as error:
        align(a, b, common=False, what="m on s")
    expected = (
        "2 only in A (e.g. s/h/0000), 1 only in B (e.g. s/g/0005),"
        " 1 with other content (e.g. s/g/0002)"
    )
    assert str(error.value) == f"m on s: not the same items: {expected}"


def test_align_common_compares_what_both_have_and_counts_what_fell_out():
    a = side({"g": np.arange(5), "h": np.ones(2)})
    b = side({"g": np.arange(6) * 2}, changed=("s/g/0002",))
    a, b, n_lost = align(a, b, common=True, what="m on s")
    assert n_lost == 5
    assert a.values.tolist() == [[0, 1, 3, 4]] and b.values.tolist() == [[0, 2, 6, 8]]
    with pytest.raises(DifferentItems, match="they have none in common"):
        align(side({"g": np.ones(3)}), side({"h": np.ones(3)}), common=True, what="x")


def test_compare_tokens_of_two_tokenizers_is_refused():
    a, b = side({"g": np.ones(3)}, "logprob"), side({"g": np.zeros(3)}, "logprob", weight=2.0)
    with pytest.raises(InputError, match="metric 'logprob' counts tokens"):
        compare(a, b, "logprob", **HOW)


def test_as_one_stacks_seeds_of_the_same_items():
    one, two = side({"g": np.zeros(3)}), side({"g": np.ones(3)})
    assert as_one([one, two], "x").values.tolist() == [[0, 0, 0], [1, 1, 1]]
    with pytest.raises(InputError, match="must have been scored on the same items"):
        as_one([one, side({"h": np.ones(3)})], "x")


def test_bits_per_byte_are_compared_on_items_that_both_tokenizers_say_whole():
    values = {"x": np.array([2.0, 2.0, 3.0])}
    a, b = side(values, "surprisal_per_byte"), side({"x": values["x"] - 1}, "surprisal_per_byte")
    partly = b._replace(weights=b.weights - [0, 1, 0])
    kept = same_bytes(a, partly, "surprisal_per_byte")
    assert compare(*kept, "surprisal_per_byte", **HOW).n_items == 2
    assert same_bytes(a, b, "surprisal_per_byte") == (a, b)
    assert same_bytes(a, partly, "entropy") == (a, partly)
    with pytest.raises(
        InputError, match=r"both tokenizers represent the same bytes, found none .* to compare"
    ):
        same_bytes(a, b._replace(weights=b.weights + 1), "surprisal_per_byte")


def test_a_ratio_over_texts_of_unequal_size_has_an_interval_that_agrees_with_its_p():
    rng = np.random.default_rng(14)
    bits = rng.normal(3, 0.3, 9)
    a = side({"x": bits}, "surprisal_per_byte")._replace(weights=rng.lognormal(0, 1.5, 9))
    for shift in (0.0, 0.05, 0.1, 0.2, 0.4):
        b = a._replace(values=a.values - shift + 0.1 * rng.normal(size=9))
        found = compare(a, b, "surprisal_per_byte", **HOW)
        assert (found.p < 0.05) == (found.high < 0 or found.low > 0)
        assert found.n_effective == pytest.approx(a.weights.sum() ** 2 / (a.weights**2).sum())
    same = compare(side({"x": bits}), side({"x": bits + 1}), "surprisal_per_byte", **HOW)
    assert same.n_effective is None and same.n_items == 9


def test_decisions_keep_the_interval_of_students_t():
    a, b = side(decisions(15, 0.5, a=30, b=20)), side(decisions(16, 0.7, a=30, b=20))
    found = compare(a, b, "accuracy", **HOW)
    assert found.n_effective is None and found.high - found.difference == pytest.approx(
        found.difference - found.low
    )


def test_clusters_flip_and_vary_as_wholes():
    """Ten items that say what one says are one."""
    values = decisions(17, 0.5, g=12)["g"], decisions(18, 0.8, g=12)["g"]
    names = [f"story{number}" for number in range(12)]
    few = [side({"g": of_story}) for of_story in values]
    many = [
        side({"g": np.repeat(of_story, 10)}, clusters={"g": list(np.repeat(names, 10))})
        for of_story in values
    ]
    expected, found = compare(*few, "accuracy", **HOW), compare(*many, "accuracy", **HOW)
    assert (found.p, found.se, found.df) == pytest.approx((expected.p, expected.se, 11))
    assert (found.n_items, found.n_clusters, found.mcnemar_p) == (120, 12, None)
    half = reference.t.ppf(0.975, 11) * expected.se
    assert (found.low, found.high) == pytest.approx(
        (found.difference - half, found.difference + half)
    )
    as_items = compare(*(one._replace(clusters=None) for one in many), "accuracy", **HOW)
    assert as_items.se < found.se / 3 and as_items.mcnemar_p is not None


def test_every_item_its_own_cluster_is_no_cluster():
    values = decisions(19, 0.5, g=30), decisions(20, 0.8, g=30)
    without = compare(*map(side, values), "accuracy", **HOW)
    own = {"g": [str(number) for number in range(30)]}
    assert compare(*(side(part, clusters=own) for part in values), "accuracy", **HOW) == without
    assert without.n_clusters is None


def test_clusters_across_groups_cannot_be_drawn_anew():
    values, names = decisions(21, 0.5, g=20, h=20), [f"c{number // 2}" for number in range(20)]
    pair = [side(values, clusters={"g": names, "h": names}), side(decisions(22, 0.7, g=20, h=20))]
    found = compare(*pair, "accuracy", **HOW)
    assert found.n_clusters == 10, "those of a, where b has none"
    with pytest.raises(InputError, match="metric 'accuracy': interval: bca: expected clusters"):
        compare(*pair, "accuracy", **HOW | {"interval": "bca"})
    apart = {"g": names, "h": [f"h{name}" for name in names]}
    within = [side(values, clusters=apart), pair[1]]
    drawn = compare(*within, "accuracy", **HOW | {"interval": "percentile"})
    student = compare(*within, "accuracy", **HOW)
    assert (drawn.low, drawn.high) == pytest.approx((student.low, student.high), abs=0.05)


def test_running_text_in_clusters_agrees_with_its_p():
    rng = np.random.default_rng(23)
    clusters = {"x": [f"author{number // 3}" for number in range(36)]}
    a = {"x": rng.normal(3, 0.3, 36)}
    b = {"x": a["x"] - 0.1 + 0.2 * np.repeat(rng.normal(size=12), 3)}
    pair = [side(values, "surprisal_per_byte", clusters=clusters) for values in (a, b)]
    found = compare(*pair, "surprisal_per_byte", **HOW)
    assert found.n_clusters == 12 and (found.p < 0.05) == (not found.low <= 0 <= found.high)
    books = [one._replace(groups=np.arange(36) // 3, names=list("abcdefghijkl")) for one in pair]
    as_items = compare(*map(clustered, books), "surprisal_per_byte", **HOW)
    assert (as_items.p, as_items.low, as_items.se) == pytest.approx((found.p, found.low, found.se))
