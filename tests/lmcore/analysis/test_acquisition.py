import json
import math

import numpy as np
import pyarrow as pa
import pytest
from scipy.optimize import curve_fit
from scipy.stats import pearsonr, spearmanr

from lmcore.analysis.acquisition import (
    ACQUISITION,
    acquisition_point,
    analyse_acquisition,
    correlation,
    sigmoid,
)
from lmcore.analysis.acquisition_ages import age_at_half, read_ages
from lmcore.analysis.checkpoints import amounts_read
from lmcore.babylm_year import ladder, ladder_entries
from lmcore.errors import InputError
from lmcore.tables import SCORES, read, write

WORDS = ladder(2026, "strict_small")
VOCAB = 1000
CHANCE = math.log(VOCAB)


def official(surprisals, amounts, chance):
    """compute_model_aoa of the BabyLM evaluation of 2026, written anew with scipy's curve_fit."""
    x, y = np.log10(np.array(amounts) + 1.0), -np.array(surprisals)
    threshold = chance - 0.5 * (chance - min(surprisals))
    height = y.max() - y.min()
    (a, b, c, d), _ = curve_fit(
        lambda x, a, b, c, d: a / (1 + np.exp(-b * (x - c))) + d,
        x,
        y,
        p0=[height, 1.0, x.mean(), y.min()],
        bounds=(
            [0, 0, x.min() - 1, y.min() - 2 * height - 1],
            [10 * height + 1, 100, x.max() + 1, y.max() + 1],
        ),
        maxfev=20000,
    )
    if b <= 1e-6 or a <= 1e-6 or -threshold <= d or -threshold >= a + d:
        return None
    at = c - np.log(a / (-threshold - d) - 1) / b
    return at if amounts[0] <= 10**at - 1 <= amounts[-1] else None


def curve(middle, slope=3.0, height=5.0, lowest=2.0):
    """Surprisals that fall along a sigmoid from lowest + height to lowest."""
    x = np.log10(np.array(WORDS) + 1)
    return -sigmoid(x, height, slope, middle, -lowest - height)


@pytest.mark.parametrize("middle", [6.4, 7.0, 7.7])
def test_acquisition_point_recovers_a_known_sigmoid(middle):
    surprisals = curve(middle)
    # chance where the sigmoid's own middle is the middle between chance and the least surprisal
    chance = 2 * (2.0 + 2.5) - surprisals.min()
    point = acquisition_point(surprisals, WORDS, chance)
    assert point.outcome == "acquired" and point.at == pytest.approx(middle, abs=1e-4)
    assert point.fit == pytest.approx([5.0, 3.0, middle, -7.0], rel=1e-3)


def test_acquisition_point_is_that_of_the_official_rule_on_noisy_curves():
    random = np.random.default_rng(0)
    outcomes = set()
    for _ in range(60):
        middle, slope, height = (
            random.uniform(5.5, 8.5),
            random.uniform(0.5, 9),
            random.uniform(1, 9),
        )
        noise = random.normal(0, 0.2, len(WORDS))
        surprisals = np.abs(curve(middle, slope, height, random.uniform(0.5, 5)) + noise)
        chance = random.uniform(4, 12)
        point = acquisition_point(surprisals, WORDS, chance)
        outcomes.add(point.outcome)
        expected = official(surprisals.tolist(), WORDS, chance)
        if expected is None:
            assert point.outcome != "acquired" and math.isnan(point.at)
        else:
            assert point.at == pytest.approx(expected, abs=1e-6)
    assert {"acquired", "already", "never"} <= outcomes


@pytest.mark.parametrize(
    ("surprisals", "outcome"),
    [
        (np.full(19, 3.0), "flat"),
        (np.linspace(3, 6, 19), "flat"),  # it forgets
        (curve(7.0, height=1.0, lowest=2.0), "already"),  # far below chance from the beginning
        (curve(7.0, lowest=15.0), "never"),  # worse than chance at the end, too
        (curve(5.8, height=6.0, lowest=1.0), "outside"),  # before the first checkpoint
    ],
)
def test_acquisition_point_says_why_a_word_has_none(surprisals, outcome):
    point = acquisition_point(surprisals, WORDS, CHANCE)
    assert point.outcome == outcome and math.isnan(point.at)


def test_correlation_is_scipys_and_the_official_score_needs_a_p_of_a_tenth():
    random = np.random.default_rng(1)
    points, noise = random.normal(7, 0.5, 80), random.normal(0, 1, 80)
    found = correlation(points, points + noise, 0.95)
    r, p = pearsonr(points, points + noise)
    assert found["pearson"] == pytest.approx(r) and found["pearson_p"] == pytest.approx(p)
    assert found["spearman"] == pytest.approx(spearmanr(points, points + noise).statistic)
    assert found["curve_fitness"] == pytest.approx(r) and p < 0.1
    assert found["pearson_low"] < r < found["pearson_high"]
    unrelated = correlation(points, random.normal(0, 1, 80), 0.95)
    assert unrelated["pearson_p"] > 0.1 and unrelated["curve_fitness"] == 0
    assert unrelated["pearson_low"] < 0 < unrelated["pearson_high"]
    assert correlation(points[:2], noise[:2], 0.95) == {"curve_fitness": 0.0}
    assert correlation(np.ones(5), noise[:5], 0.95) == {"curve_fitness": 0.0}


def test_intervals_of_pearson_cover_what_they_should():
    random = np.random.default_rng(2)
    n_inside = 0
    for _ in range(300):
        a = random.normal(size=60)
        found = correlation(a, 0.5 * a + random.normal(size=60), 0.9)
        n_inside += found["pearson_low"] < 0.5 / math.sqrt(1.25) < found["pearson_high"]
    assert 0.85 < n_inside / 300 < 0.95


@pytest.fixture
def folders(tmp_path):
    """Models and scores of the ladder of `mine`: two words, `ball` of two tokens learnt first."""
    for name, entry in ladder_entries("mine", 2026, "strict_small").items():
        folder = tmp_path / "models" / name
        folder.mkdir(parents=True)
        config = {"model_type": "lmcore_dummy", "vocab_size": VOCAB, "max_position_embeddings": 8}
        (folder / "config.json").write_text(json.dumps({**config, "seeds": [0]}))
        (folder / "tokenizer.json").write_text("{}")
        place = WORDS.index(entry["words"])
        lines = []
        for item, word, n_tokens, noise in (
            ("aoa/ball/0000", "ball", 2, 0.1),
            ("aoa/ball/0001", "ball", 2, -0.1),
            ("aoa/zoo/0000", "zoo", 1, 0.0),
        ):
            surprisal = n_tokens * curve(6.4 if word == "ball" else 7.5)[place] + noise
            lines += [(item, word, "target_logprob", -surprisal, 1)]
            lines += [(item, word, "logprob", -surprisal / n_tokens, n_tokens)]
        rows = []
        for item, word, metric, value, weight in lines:
            fixed = {"draw": 0, "variant": "", "content_hash": len(item)}
            row = {"item": item, "group": word, "metric": metric, "value": value}
            rows.append({**row, "weight": weight, **fixed})
        table = pa.Table.from_pylist(rows, SCORES)
        write(table, SCORES, tmp_path / "scores" / name / "aoa.parquet")
    return tmp_path


def analyse(folders, **options):
    entries = ladder_entries("mine", 2026, "strict_small")
    values = {"checkpoints": list(entries), "suite": "aoa", **options}
    analyse_acquisition(
        entries,
        folders / "models",
        folders / "scores",
        folders / "train",
        folders / "out.parquet",
        folders / "out.json",
        0.95,
        4,
        **values,
    )
    return read(folders / "out.parquet", ACQUISITION), json.loads(
        (folders / "out.json").read_text()
    )


def test_analyse_acquisition_means_contexts_and_takes_chance_by_token(folders):
    table, summary = analyse(folders)
    ball, zoo = table.to_pylist()
    assert (ball["word"], ball["n_contexts"], zoo["n_contexts"]) == ("ball", 2, 1)
    assert ball["surprisals"] == pytest.approx(2 * curve(6.4)) and len(zoo["surprisals"]) == 19
    assert ball["chance"] == pytest.approx(2 * CHANCE) and zoo["chance"] == pytest.approx(CHANCE)
    for row, n_tokens in ((ball, 2), (zoo, 1)):
        expected = official(row["surprisals"], WORDS, n_tokens * CHANCE)
        assert row["acquired_at"] == pytest.approx(expected, abs=1e-6)
    assert ball["acquired_at"] < zoo["acquired_at"] and math.isnan(ball["age"])
    assert summary["outcomes"]["acquired"] == summary["words"] == 2 and "children" not in summary
    last = summary["checkpoints"]["mine_chck_100m"]
    mean = (2 * curve(6.4)[-1] + curve(7.5)[-1]) / 2
    assert last == {"words": 100_000_000, "surprisal": pytest.approx(mean, rel=1e-3)}


def test_analyse_acquisition_beside_ages_counts_the_words_of_both(folders):
    (folders / "ages.csv").write_text("word,age\nball,16\nzoo,\nfork,20\n")
    table, summary = analyse(folders, ages=str(folders / "ages.csv"))
    assert table["age"].to_pylist() == [16.0, pytest.approx(math.nan, nan_ok=True)]
    assert summary["children"] == {"words_with_age": 1, "words": 1, "curve_fitness": 0}


def test_analyse_acquisition_repeats_byte_for_byte(folders):
    analyse(folders)
    first = [(folders / name).read_bytes() for name in ("out.parquet", "out.json")]
    analyse(folders)
    assert first == [(folders / name).read_bytes() for name in ("out.parquet", "out.json")]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"checkpoints": ["mine_chck_1m"]}, "1 checkpoints are too few for a sigmoid; expected 4"),
        ({"checkpoints": ["a", "b", "c", "d"]}, "expected checkpoints of one training, all of"),
        ({"suite": "other"}, "mine_chck_1m/other.parquet: no such table"),
        ({"ages": "none.csv"}, "none.csv"),
    ],
)
def test_analyse_acquisition_of_bad_input_writes_nothing(options, message, folders):
    with pytest.raises(InputError, match=message):
        analyse(folders, **options)
    assert not (folders / "out.parquet").exists() and not (folders / "out.json").exists()


def test_analyse_acquisition_wants_checkpoints_in_order_and_of_the_same_items(folders):
    names = list(ladder_entries("mine", 2026, "strict_small"))
    with pytest.raises(
        InputError, match="must be in order; 'mine_chck_1m' had read 1,000,000 words"
    ):
        analyse(folders, checkpoints=[*names[1:5], names[0]])
    path = folders / "scores" / names[2] / "aoa.parquet"
    table = read(path, SCORES).slice(0, 2)
    write(table, SCORES, path)
    with pytest.raises(InputError, match="not the items of mine_chck_1m; run the pipeline again"):
        analyse(folders)


def test_amounts_read_are_words_where_all_are_known_else_steps(tmp_path):
    (tmp_path / "one.json").write_text('{"steps": 90, "words": 700, "dev_loss": 1}')
    kept = {"by_words": {"model": "one", "words": 7}, "by_step": {"model": "one", "step": 9}}
    assert amounts_read(["by_words", "one"], kept, tmp_path) == ("words", [7, 700])
    assert amounts_read(["by_step", "one"], kept, tmp_path) == ("steps", [9, 90])
    assert amounts_read(["by_step", "by_words"], kept, tmp_path) is None
    assert amounts_read(["untrained", "by_step"], kept, tmp_path) is None
    other = {**kept, "other": {"model": "two", "words": 9}}
    assert amounts_read(["by_words", "other"], other, tmp_path) is None
    assert amounts_read([], kept, tmp_path) is None


def test_ages_of_shares_are_where_half_of_the_children_know_a_word(tmp_path):
    months = list(range(16, 31))
    shares = 1 / (1 + np.exp(-0.6 * (np.array(months) - 21.5)))
    assert age_at_half(months, shares) == pytest.approx(21.5, abs=1e-3)
    with_gaps = np.where(np.isin(months, [17, 25]), math.nan, shares)
    assert age_at_half(months, with_gaps) == pytest.approx(21.5, abs=1e-3)
    assert math.isnan(age_at_half(months, shares / 4))  # never a half
    assert math.isnan(age_at_half(months[:2], shares[:2]))
    header = ",".join(["word", *map(str, months)])
    values = ",".join(f"{share:.6f}" for share in shares)
    (tmp_path / "cdi.csv").write_text(f"{header}\nball,{values}\nzoo{',' * 15}\n")
    assert read_ages(tmp_path / "cdi.csv") == {"ball": pytest.approx(21.5, abs=1e-3)}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("word,age\nball,old\n", "line 2: column 'age' must be a number from 0 up or empty"),
        ("word,age\nball,1\nball,2\n", "line 3: column 'word': 'ball' occurs twice"),
        ("word,months\nball,1\n", "no column 'age', and none named by months"),
        ("age\n1\n", "a record has no 'word'"),
    ],
)
def test_ages_of_another_form_are_refused_by_line(content, message, tmp_path):
    (tmp_path / "ages.csv").write_text(content)
    with pytest.raises(InputError, match=message):
        read_ages(tmp_path / "ages.csv")
