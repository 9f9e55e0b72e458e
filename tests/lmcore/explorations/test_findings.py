"""What explorations find, by hand.

Log-probs are made up. Rankings, ratios, calibration and tests are computed on paper.
"""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import pearsonr, spearmanr
from statsmodels.stats.contingency_tables import mcnemar as reference_mcnemar

from lmcore.corpus.overlap import count_overlap
from lmcore.explorations import domains, formats, memorisation, prompting
from lmcore.explorations.explore import explore_suites
from lmcore.explorations.findings import Said
from lmcore.files import sha256
from lmcore.folds.by_text import text_stats
from lmcore.models.llama import new_llama, save_model
from lmcore.scoring.extract import extract_tokens
from lmcore.suites.build import build_items
from lmcore.tables import items_table
from tests.lmcore.generating.test_generation import SHAPE
from tests.lmcore.token_tables import tokens_of

FORMATS = """
formats:
  plain: {kind: plain, template: "{question}"}
  chat: {kind: natural, template: "user {question} bot"}
  loud: {kind: unnatural, template: "{question:uppercase}"}
triggers: {books: ["it says", "one reads"], code: ["test"]}
"""
PROMPTS = """
strategies:
  asked: {template: "is {text}", labels: {bad: awful, good: fine}}
  shown: {template: "so {text}", labels: {bad: awful, good: fine}, shots: true}
content_free: [nothing]
"""
# by how many nats a word of the prompt makes the answer more probable; the first one counts
GAINS = {"bot": 2.0, "LOUD": -3.0, "it": 0.5, "one": 1.5}


def said_of(
    rows: list[dict], logprob, *, rank=lambda word: 1, classes=(), threshold: float = 10.0
) -> Said:
    """What a model says of the items: `logprob` and `rank` are as in tokens_of."""
    items = items_table(rows, {"bos": "prefix"})
    tokens = tokens_of(items, logprob, rank=rank)
    return Said(
        text_stats(items, tokens, "tokens"), tokens, [], list(classes), threshold, 0.95, 500, 0
    )


def rows_of(
    item: str, group: str, variants: dict[str, list[tuple[str, str]]], gold: int = 0
) -> list[dict]:
    """The rows of one item; variants: (context, target) of each option."""
    rows = []
    for variant, options in variants.items():
        for number, (context, target) in enumerate(options):
            rows.append(
                {
                    "item": item,
                    "option": number,
                    "variant": variant,
                    "group": group,
                    "context": context,
                    "target": target,
                    "gold": number == gold,
                }
            )
    return rows


def format_rows(question: str) -> list[dict]:
    """The rows of a question in all FORMATS and with all triggers, each with a wrong answer."""
    contexts = {
        "": question,
        "format/chat": f"user {question} bot",
        "format/loud": f"{question} LOUD",
        "trigger/books/0": f"it says {question}",
        "trigger/books/1": f"one reads {question}",
        "trigger/code/0": f"test {question}",
    }
    variants = {}
    for name, text in contexts.items():
        variants[name] = [(text, " right"), (text, " wrong")]
    return rows_of(question, "all", variants)


def test_formats_rank_by_the_answer_and_are_tested_against_plain(tmp_path: Path) -> None:
    (tmp_path / "f.yaml").write_text(FORMATS)
    easy = {"q0": 0.0, "q1": -1.0, "q2": -2.0, "q3": -0.5, "q4": -3.0, "q5": -1.5}
    rows = []
    for question in easy:
        rows += format_rows(question)

    def logprob(draw, before, word):
        if word == "right":
            gain = next((GAINS[key] for key in GAINS if key in before), 0.0)
            return easy[next(word for word in before if word in easy)] - 5 + gain
        return -7.0 if word == "wrong" else -4.0 if word == "LOUD" else -1.0

    found = formats.find(said_of(rows, logprob), {"templates": str(tmp_path / "f.yaml")})
    metrics, details = found.metrics, found.details
    mean = np.mean(list(easy.values())) - 5
    logprobs = {name: metrics[name]["logprob"] for name in ("plain", "chat", "loud")}
    assert logprobs == pytest.approx({"plain": mean, "chat": mean + 2, "loud": mean - 3})
    assert metrics["plain"]["std"] == pytest.approx(np.std(list(easy.values()), ddof=1))
    assert metrics["loud"]["prompt_perplexity"] == pytest.approx(np.exp(2.5))
    assert metrics["chat"]["prompt_tokens"] == 3
    # one tie with the wrong answer, one loss
    assert metrics["plain"]["accuracy"] == pytest.approx(4.5 / 6)
    assert [row["format"] for row in found.plot] == ["chat", "plain", "loud"]
    ranks = {name: entry["rank"] for name, entry in details["ranking"].items()}
    assert ranks == {"chat": 1, "plain": 2, "loud": 3}
    assert metrics["trigger_books"]["improvement"] == pytest.approx(1.0)
    assert metrics["trigger_code"]["improvement"] == 0
    chat = details["against_plain"]["chat"]
    assert chat["difference"] == pytest.approx(2)
    assert chat["p"] == pytest.approx(2 / 2**6)
    assert chat["p_corrected"] == pytest.approx(4 / 2**6)
    assert details["triggers"]["code"]["p"] == 1
    assert len(found.table) == 18
    assert details["correlation"]["n"] == {"questions": 6, "formats": 3}
    for row in found.plot:
        assert row["std_error"] == pytest.approx(row["std"] / 6**0.5)


def test_correlation_is_that_of_scipy_over_all_points_and_its_interval_holds_it() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(30, 8))
    y = -0.8 * x + rng.normal(size=(30, 8)) + rng.normal(0, 2, (30, 1))  # some questions are harder
    found = formats.correlation(x, y, 0.95, 400, 0)
    assert found["pearson"]["value"] == pytest.approx(pearsonr(x.ravel(), y.ravel())[0])
    assert found["spearman"]["value"] == pytest.approx(spearmanr(x.ravel(), y.ravel())[0])
    for measure in ("pearson", "spearman", "within"):
        assert found[measure]["low"] < found[measure]["value"] < found[measure]["high"]
    assert found["within"]["value"] < found["pearson"]["value"] < 0
    assert formats.correlation(np.ones((3, 2)), y[:3, :2], 0.95, 10, 0)["pearson"]["value"] == 0


def test_memorisation_ratios_are_flagged_above_the_threshold() -> None:
    known = {"ab": np.log(50.0), "cd": np.log(9.9), "ef": np.log(0.5)}
    rows = []
    for n, name in enumerate(known):
        rows += rows_of(f"m/{n}", "exact_paraphrase", {"": [(name, " end"), ("other", " end")]})

    def logprob(draw, before, word):
        return -20.0 + (known.get(before[-1], 0.0) if before else 0)

    found = memorisation.pairs(said_of(rows, logprob), {})
    metrics = found.metrics["exact_paraphrase"]
    assert metrics["n_flagged"] == 1 and metrics["n"] == 3
    assert metrics["favoured"] == pytest.approx(2 / 3)
    assert metrics["ratio"] == pytest.approx((50 * 9.9 * 0.5) ** (1 / 3), rel=1e-5)
    flagged = [(row["prompt"], row["flagged"]) for row in found.table]
    assert flagged == [("ab", True), ("cd", False), ("ef", False)]


def test_passages_count_what_greedy_decoding_gives_to_the_letter() -> None:
    rows = rows_of("p/0", "seen_1", {"": [("a", " b c"), ("x", " y z")]})
    rows += rows_of("p/1", "seen_1", {"": [("d", " e f"), ("u", " v w")]})
    said = said_of(
        rows,
        lambda draw, before, word: -1.0 if word in "abcdef" else -2.0,
        rank=lambda word: 1 if word in "bc" else 3,
    )
    found = memorisation.passages(said, {})
    metrics = found.metrics["seen_1"]
    assert (metrics["extractable_seen"], metrics["extractable_held_out"]) == (0.5, 0)
    assert metrics["perplexity_seen"] == pytest.approx(np.e)
    assert metrics["perplexity_held_out"] == pytest.approx(np.e**2)
    assert found.details["extractable"]["seen_1"]["seen"]["high"] > 0.5


def test_cloze_probability_is_of_the_whole_target_and_ties_count_a_half() -> None:
    rows = rows_of("c/0", "capital", {"": [("x", " New York"), ("x", " Rome")]})
    rows += rows_of("c/1", "capital", {"": [("x", " A"), ("x", " B")]})
    said = said_of(rows, lambda draw, before, word: -1.0 if word != "Rome" else -3.0)
    found = memorisation.cloze(said, {})
    assert found.metrics["capital"]["accuracy"] == 0.75
    assert found.metrics["capital"]["probability"] == pytest.approx((np.exp(-2) + np.exp(-1)) / 2)
    assert [row["favoured"] for row in found.table] == [True, True]
    assert found.table[0]["probability_0"] == pytest.approx(np.exp(-2))


def test_domains_give_bits_a_byte_by_group() -> None:
    rows = rows_of("d/0", "a", {"": [("", " ab cd")]})
    rows += rows_of("d/1", "a", {"": [("", " ab")]})
    rows += rows_of("d/2", "b", {"": [("", " x")]})
    found = domains.find(said_of(rows, lambda draw, before, word: -np.log(2.0) * len(word)), {})
    assert found.metrics["a"]["bits_per_byte"] == pytest.approx(6 / 9)
    assert found.metrics["a"]["perplexity"] == pytest.approx(4)
    assert found.metrics["b"]["bits_per_byte"] == pytest.approx(0.5)
    assert found.details["bits_per_byte"]["b"]["low"] is None


def test_calibration_by_hand() -> None:
    raw = np.array([[0.7, 0.3], [0.8, 0.2], [0.6, 0.4]])
    adjusted = prompting.calibrated(raw, np.array([0.75, 0.25]))
    assert adjusted[0] == pytest.approx(
        [0.7 / 0.75 / (0.7 / 0.75 + 0.3 / 0.25), 0.3 / 0.25 / (0.7 / 0.75 + 0.3 / 0.25)]
    )
    assert prompting.decide(adjusted).tolist() == [[0, 1], [1, 0], [0, 1]]
    assert prompting.decide(np.array([[0.4, 0.4, 0.2]])).tolist() == [[0.5, 0.5, 0]]
    assert prompting.label_probabilities(np.log([[0.2, 0.6]]))[0] == pytest.approx([0.25, 0.75])


def test_prompting_calibrates_away_a_lean_to_one_class(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(PROMPTS)
    # the log-odds of `fine`, without the prompt's lean of -1 where asked
    leaning = {"t0": -0.5, "t1": -0.2, "t2": 0.3, "t3": 0.4}
    rows = []
    for n, text in enumerate(leaning):
        contexts = {
            "": f"is {text}",
            "asked/free/0": "is nothing",
            "shown": f"so {text}",
            "shown/free/0": "so nothing",
        }
        variants = {}
        for name, context in contexts.items():
            variants[name] = [(context, " awful"), (context, " fine")]
        rows += rows_of(text, "all", variants, gold=int(n > 1))

    def logprob(draw, before, word):
        if word == "fine":
            return -3.0 + leaning.get(before[-1], 0.0) - (before[0] == "is")
        return -3.0

    said = said_of(rows, logprob, classes=["bad", "good"])
    found = prompting.find(said, {"prompts": str(tmp_path / "p.yaml")})
    accuracies = {name: values["accuracy"] for name, values in found.metrics.items()}
    assert accuracies == {"asked": 0.5, "asked_calibrated": 1, "shown": 1, "shown_calibrated": 1}
    assert found.metrics["asked"]["confusion_good_as_bad"] == 2
    assert found.metrics["asked"]["f1_good"] == 0
    test = found.details["mcnemar"]["asked_calibrated_against_asked"]
    assert (test["n_better"], test["n_worse"], test["difference"]) == (2, 0, 0.5)
    assert test["p"] == 0.5


def test_mcnemar_is_that_of_statsmodels_on_discordant_items() -> None:
    rng = np.random.default_rng(0)
    gold = rng.integers(0, 2, 60)
    a, b = (np.eye(2)[np.where(rng.random(60) < share, gold, 1 - gold)] for share in (0.5, 0.8))
    right_a, right_b = a[np.arange(60), gold] > 0, b[np.arange(60), gold] > 0
    table = [
        [(right_a & right_b).sum(), (right_a & ~right_b).sum()],
        [(~right_a & right_b).sum(), (~right_a & ~right_b).sum()],
    ]
    assert prompting.mcnemar(a, b, gold)["p"] == pytest.approx(
        reference_mcnemar(table, exact=True).pvalue
    )


@pytest.fixture(scope="module")
def explored(tmp_path_factory, tokenizer: Path, corpus: Path) -> Path:
    """A folder in which one model has been explored twice.

    The second time one format has another template.
    """
    root = tmp_path_factory.mktemp("explored")
    save_model(
        new_llama({**SHAPE, "max_position_embeddings": 64}, tokenizer, 3),
        tokenizer,
        root / "models" / "llama",
    )
    lines = [f"Who is {name}?,{name},nobody\n" for name in ("Ann", "Bob", "Cy")]
    (root / "q.csv").write_text("".join(["question,answer,incorrect\n", *lines]))
    for run, template in (("one", "user {question} bot"), ("two", "you {question} bot")):
        (root / f"{run}.yaml").write_text(FORMATS.replace("user {question} bot", template))
        suites = {
            "formats": {
                "path": str(root / "q.csv"),
                "templates": str(root / f"{run}.yaml"),
                "scoring": {"top_k": 3},
            }
        }
        suites["heldout"] = {"limit": 1}
        folder = root / run
        build_items(suites, root, corpus, folder / "items")
        settings = {"dtype": "float32", "token_budget": 512, "shard_chars": 50000}
        for suite in suites:
            paths = (
                folder / "items" / f"{suite}.parquet",
                folder / "tokens" / "llama" / suite,
                root / "work",
            )
            extract_tokens(root / "models" / "llama", *paths, "", **settings)
        names = {
            "out": folder / "out",
            "metrics": folder / "metrics",
            "details": folder / "details.json",
            "plots": folder / "plots",
        }
        values = {"flagged_ratio": 10, "confidence": 0.95, "resamples": 50, "seed": 0, "digits": 6}
        explore_suites(
            suites,
            folder / "items",
            folder / "tokens",
            root / "models",
            **names,
            models=["llama"],
            **values,
        )
    return root


def test_a_changed_template_moves_the_metrics_of_its_format_alone(explored: Path) -> None:
    one, two = (
        json.loads((explored / run / "metrics/llama.json").read_text())["formats"]
        for run in ("one", "two")
    )
    assert {name for name in one if one[name] != two[name]} == {"chat"}
    assert one["chat"]["logprob"] != two["chat"]["logprob"]


def test_explore_suites_writes_items_and_plots_of_its_suites_alone(explored: Path) -> None:
    plots = explored / "one/plots"
    files = {path.relative_to(plots).as_posix() for path in plots.rglob("*.*")}
    assert files == {"formats/llama.csv"}
    rows = list(csv.DictReader((explored / "one/out/llama/formats.csv").read_text().splitlines()))
    assert len(rows) == 9 and all(row["top"].count("'") >= 6 for row in rows)


def test_count_overlap_writes_every_suite(explored: Path, corpus: Path, tmp_path: Path) -> None:
    path = tmp_path / "overlap.json"
    count_overlap(["formats", "heldout"], explored / "one/items", corpus, path, n=5)
    found = json.loads(path.read_text())
    assert found["heldout"]["n_items_with_overlap"] == 1
    assert found["formats"]["n_items_with_overlap"] == 0
    before = sha256(path)
    count_overlap(["formats", "heldout"], explored / "one/items", corpus, path, n=5)
    assert sha256(path) == before
