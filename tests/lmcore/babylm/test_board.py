"""The leaderboard: scores by both rules, who is tied with whom, order, and the page."""

import json
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lmcore.babylm.baselines import Baseline, baselines
from lmcore.babylm.board import LABELS, Board, as_metrics, columns_of, make_board, scores_of
from lmcore.babylm.evaluations import GLUE, evaluation
from lmcore.babylm.leaderboard import leaderboard_page
from lmcore.babylm.scores import EYE_TRACKING, SELF_PACED, Score, glue_score, task_score
from lmcore.babylm.tree import MAIN, Project, write_revision
from lmcore.comparing.comparison import Side
from lmcore.errors import InputError
from lmcore.folds.metrics import suite_metrics
from lmcore.tables import SCORES, TOKENS, read, write
from tests.lmcore.babylm.entries import SETTINGS
from tests.lmcore.token_tables import fold, tokens_of

PUBLISHED = [Baseline("theirs", "a table", {"blimp": 61.0, "ewok": 50.0, "other": 1.0})]


def decisions(right: list[float], group: int = 0) -> Side:
    """A side with these values of items that every model was asked."""
    n = len(right)
    return Side(
        items=pa.array([f"blimp/a/{number:04d}" for number in range(n)]),
        hashes=np.arange(n, dtype=np.uint64),
        groups=np.full(n, group),
        names=["a"],
        values=np.array([right]),
        weights=np.ones(n),
    )


def score(right: list[float], low: float | None = 0.0, high: float | None = 100.0) -> Score:
    mean = 100 * float(np.mean(right))
    return Score(mean, mean, low, high, len(right), 0, decisions(right))


def board_of(scores: dict[str, dict[str, Score]], year: int = 2026) -> Board:
    return make_board(scores, PUBLISHED, evaluation(year), SETTINGS)


def shares_right(content: dict, files: dict) -> float:
    """The mean over UIDs of the share of predictions that are the right text."""
    shares = []
    for uid, of_uid in content.items():
        right = [
            prediction["pred"].strip() == record["sentence_good"].strip()
            for prediction, record in zip(of_uid["predictions"], files[uid])
        ]
        shares.append(sum(right) / len(right))
    return sum(shares) / len(shares)


@pytest.mark.parametrize("year", [2025, 2026])
@pytest.mark.parametrize("model", ["mine", "longer", "flat"])
def test_official_score_is_that_of_the_tree(model, year, project, tmp_path):
    chosen = evaluation(year)
    written = write_revision(project, chosen, model, tmp_path / MAIN, is_fast=False)
    for part in chosen.full:
        found = task_score(project, chosen, part, model, 0, 0.95)
        of_tree = list(written.scores[part.key].values())
        if not part.is_graded:
            assert found.official == pytest.approx(100 * sum(of_tree) / len(of_tree), abs=1e-9)


@pytest.mark.parametrize("ties", ["win", "half", "loss"])
def test_scores_are_the_same_under_each_rule_of_ties_of_the_suite(ties, project):
    """With two options they follow from the scores table; with three, from the tokens."""
    for year in (2025, 2026):
        chosen = evaluation(year)
        for part in chosen.full:
            if part.is_graded:
                continue
            before = task_score(project, chosen, part, "flat", 0, 0.95)
            suite = part.task
            items = pq.read_table(project.items(suite))
            tokens = read(project.tokens("flat", suite), TOKENS)
            kind = "pairs" if part.key.startswith("blimp") else "choices"
            scores = fold(items, tokens, kind=kind, ties=ties, top_k=10, vocab_size=300, window=128)
            write(scores, SCORES, project.scores("flat", suite))
            after = task_score(project, chosen, part, "flat", 0, 0.95)
            assert after[:6] == before[:6]


def test_our_score_counts_a_tie_by_what_guessing_gives(project):
    chosen = evaluation(2025)
    parts = {part.key: part for part in chosen.full}
    found = task_score(project, chosen, parts["blimp"], "flat", 0, 0.95)
    assert (found.official, found.ours, found.n_ties) == (100, 50, 4)
    # two of three options have two words, and in one item the third has one and wins
    found = task_score(project, chosen, parts["entity_tracking"], "flat", 0, 0.95)
    assert (found.official, found.ours, found.n_ties) == (75, 37.5, 3)


def test_interval_is_that_of_aggregate(project):
    chosen = evaluation(2026)
    part = {part.key: part for part in chosen.full}["blimp_supplement"]
    found = task_score(project, chosen, part, "mine", 0, 0.95)
    items = pq.read_table(project.items("blimp_supplement"))
    tokens = read(project.tokens("mine", "blimp_supplement"), TOKENS)
    halves = fold(items, tokens, kind="pairs", ties="half", top_k=10, vocab_size=300, window=128)
    metrics, intervals = suite_metrics(halves, 0.95)
    assert found.ours == pytest.approx(100 * metrics["accuracy"])
    bounds = intervals["accuracy"]
    assert (found.low, found.high) == pytest.approx((100 * bounds["low"], 100 * bounds["high"]))


def test_draws_of_a_random_model_are_averaged_and_one_is_exported(project):
    suite = "blimp_filtered"
    items = pq.read_table(project.items(suite))
    sign = {0: 1.0, 1: -1.0}
    tokens = tokens_of(items, lambda draw, before, word: sign[draw] * -len(word), draws=2)
    write(tokens, TOKENS, project.tokens("mine", suite) / "part-00000.parquet")
    scores = fold(items, tokens, kind="pairs", ties="win", top_k=10, vocab_size=300, window=128)
    write(scores, SCORES, project.scores("mine", suite))
    part = evaluation(2025).full[0]
    one, two = (task_score(project, evaluation(2025), part, "mine", d, 0.95) for d in (0, 1))
    assert (one.official, two.official) == (100, 0) and one.ours == two.ours == 50
    with pytest.raises(InputError, match="there is no draw 2; draws are 0 to 1"):
        task_score(project, evaluation(2025), part, "mine", 2, 0.95)


def test_glue_is_the_mean_over_tasks_with_f1_where_the_year_has_it(project):
    # model 1 (longer): seed 42 has one wrong of ten, the first, whose label is 0; seed 7 two
    of_2025 = glue_score(project, evaluation(2025), "longer", 0.95)
    assert of_2025.official == pytest.approx(90) and of_2025.ours == pytest.approx(85)
    f1 = 100 * 2 * 6 / (6 + 1 + 6)
    of_2026 = glue_score(project, evaluation(2026), "longer", 0.95)
    assert of_2026.official == pytest.approx((5 * 90 + 2 * f1) / 7)
    (project.data / "classified/longer" / GLUE[0] / "predictions.parquet").unlink()
    assert glue_score(project, evaluation(2026), "longer", 0.95) is None


def test_models_are_tied_where_the_paired_difference_is_within_noise():
    good, similar, bad = [1.0] * 40, [1.0] * 38 + [0.0] * 2, [0.0] * 40
    board = board_of(
        {
            "a": {"blimp": score(good)},
            "b": {"blimp": score(similar)},
            "c": {"blimp": score(bad)},
            "d": {"comps": score(good)},
        }
    )
    tied = {row.name: row.tied for row in board.rows}
    assert tied["a"] == {"blimp": ["b"]} and tied["b"] == {"blimp": ["a"]}
    assert tied["c"] == {"blimp": []} and tied["d"] == {"comps": []}


def test_holm_corrects_for_all_pairs_and_tasks_of_the_board():
    """A difference with p = 0.031 is one alone, and none among three."""
    a, b = [1.0] * 6 + [1.0] * 20, [0.0] * 6 + [1.0] * 20
    alone = board_of({"a": {"blimp": score(a)}, "b": {"blimp": score(b)}})
    assert alone.rows[0].tied == {"blimp": []}
    rules = ("blimp", "comps", "blimp_supplement")
    both = board_of({name: dict.fromkeys(rules, score(of)) for name, of in (("a", a), ("b", b))})
    assert both.rows[0].tied == {rule: ["b"] for rule in rules}


def test_published_score_is_held_by_an_interval_under_the_same_rule_alone():
    board = board_of({"a": {"blimp": score([1.0], 60, 62), "ewok_contexts": score([1.0], 40, 60)}})
    rows = {row.name: row for row in board.rows}
    assert rows["a"].within == {"blimp": ["theirs"], "ewok_contexts": []}
    part = score([1.0], 60, 62)._replace(subset="subset: 1 of 9 items")
    assert board_of({"a": {"blimp": part}}).rows[0].within == {"blimp": []}
    # EWoK as 2025 asked it is no column of 2026
    assert set(rows["theirs"].scores) == {"blimp"}
    rows = {row.name: row for row in board_of({"a": {}}, 2025).rows}
    assert set(rows["theirs"].scores) == {"blimp", "ewok"}


@pytest.mark.parametrize(("year", "n_entering"), [(2025, 11), (2026, 8)])
def test_overall_mean_needs_every_task_and_reading_enters_once_in_2026(year, n_entering):
    columns = columns_of(evaluation(year))
    scores = {rule: Score(0.0, 0.0, None, None, 0, 0, None) for rule in columns}
    scores |= {EYE_TRACKING: Score(n_entering, 2 * n_entering, None, None, 0, 0, None)}
    scores |= {SELF_PACED: Score(0.0, 0.0, None, None, 0, 0, None)}
    board = board_of({"a": scores, "b": {"blimp": score([1.0])}}, year)
    rows = {row.name: row for row in board.rows}
    expected = (1.0, 2.0) if year == 2025 else (0.5, 1.0)
    assert rows["a"].means == pytest.approx(expected) and rows["b"].means is None
    # rows with a mean come first
    assert [row.name for row in board.rows] == ["a", "b", "theirs"]
    assert "mean_official" in as_metrics(board)["a"] and "theirs" not in as_metrics(board)


class _Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name in ("src", "href")]


def page_of(board: Board) -> str:
    return leaderboard_page(board, evaluation(2026), "strict_small", 0.95, {})


def test_page_needs_no_network_and_has_the_script_of_every_page_alone_and_escapes_names():
    name = "<script>alert(1)</script>\x1b[31m"
    html = page_of(board_of({name: {"blimp": score([1.0, 0.0], 60, 62)}}))
    parsed = _Tags()
    parsed.feed(html)
    assert parsed.tags.count("script") == 1, "layout.js"
    assert "&lt;script&gt;" in html and "\x1b" not in html
    assert all(link.startswith("#") for link in parsed.links)
    assert "holds theirs" in html and "60.00 to 62.00" in html and "a table" in html


def test_page_says_which_tasks_are_missing_and_what_enters_the_mean():
    html = page_of(board_of({"a": {"blimp": score([1.0])}}))
    assert "a has no overall mean: it lacks BLiMP supplement" in html
    assert "Global PIQA" in html and "Reading enters once" in html
    assert html == page_of(board_of({"a": {"blimp": score([1.0])}}))


def test_whole_project_has_every_column(project):
    scores = scores_of(project, evaluation(2026), "mine", 0, 0.95, 0.1)
    assert set(scores) == set(columns_of(evaluation(2026)))
    assert scores[EYE_TRACKING].official == pytest.approx(10)
    assert scores["aoa"].official == pytest.approx(10)


def test_baselines_have_a_source_and_known_rules():
    for track in ("strict_small", "strict"):
        for baseline in baselines(track):
            assert baseline.source and baseline.scores
            assert set(baseline.scores) <= set(LABELS)
    named = {baseline.name: baseline.scores for baseline in baselines("strict_small")}
    assert named["GPT-BERT causal-focus (2025)"]["blimp"] == 71.66
    assert named["babyllama-10m-2024"] == {"blimp": 69.8, "blimp_supplement": 59.5}
    assert baselines("other") == []
    assert json.dumps(named)


def test_models_of_other_items_are_refused():
    with pytest.raises(InputError, match="a and b on BLiMP: not the same items"):
        board_of({"a": {"blimp": score([1.0] * 3)}, "b": {"blimp": score([1.0] * 4)}})


def test_scores_of_another_build_are_refused(project: Project, tmp_path: Path):
    chosen = evaluation(2026)
    source = project.scores("mine", "blimp_supplement")
    source.write_bytes(project.scores("mine", "blimp_filtered").read_bytes())
    rows = read(source, SCORES).filter(
        pa.compute.not_equal(read(source, SCORES)["item"], "blimp_filtered/principle_A_case_1/0000")
    )
    write(rows, SCORES, project.scores("mine", "blimp_filtered"))
    part = chosen.full[0]
    with pytest.raises(InputError, match="not the scores of the items"):
        task_score(project, chosen, part, "mine", 0, 0.95)
