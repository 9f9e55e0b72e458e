"""The report: one page that needs nothing else.

It has the same bytes every time, and the numbers that metrics and tables hold.
"""

import json
import re
from dataclasses import fields
from html.parser import HTMLParser
from itertools import product
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from lmcore.analysis.completions import FINDINGS
from lmcore.analysis.entropy_bins import CALIBRATION, ENTROPY_BINS
from lmcore.analysis.passage import PASSAGE
from lmcore.analysis.rows import TokenRows
from lmcore.analysis.same_text import SCATTER
from lmcore.errors import InputError
from lmcore.files import write_json
from lmcore.folds.metrics import aggregate, suite_metrics
from lmcore.judging.context_validity import JUDGED, VALIDITY, WAYS
from lmcore.report.entropy import BIN_WIDTH, count_entropies
from lmcore.report.figures import figures_of
from lmcore.report.groups import group_names
from lmcore.report.page import Inputs, write_report
from lmcore.report.terms import unit_of, written
from lmcore.report.writing import STATISTICS
from lmcore.tables import GENERATIONS, ITEMS, SCORE_KEY, SCORES, TOKENS, items_table, write
from tests.lmcore.figures.test_figures import rows_of
from tests.lmcore.token_tables import fold, items_of, tokens_of

MODELS = ["llama", "noise"]
SUITES = {"minimal_pairs": {"n": 4, "seed": 0}, "lambada_flat": {"limit": 4}, "heldout": {}}
RIGHT = {
    "llama": {"first_group": [1, 1, 1, 1], "a<b": [1, 1, 1, 0]},
    "noise": {"first_group": [1, 0, 1, 0], "a<b": [0, 0, 0, 1]},
}
# by part of the token table
ENTROPIES = {"llama": [[0.0, 0.1, 0.3], [2.0]], "noise": [[8.1, 8.1], [8.1, 8.1]]}


def score_rows(suite: str, group: str, scores: dict[str, list[float]]) -> list[dict]:
    """Rows of SCORES: for each metric one value for each item of the group."""
    rows = []
    for metric, values in scores.items():
        for number, value in enumerate(values):
            rows.append(
                {
                    "item": f"{suite}/{group}/{number}",
                    "draw": 0,
                    "variant": "",
                    "group": group,
                    "metric": metric,
                    "value": float(value),
                    "weight": 1.0,
                    "content_hash": 1,
                }
            )
    return rows


def scores_table(rows: list[dict]) -> pa.Table:
    """The rows as a table of SCORES, sorted by its key."""
    return pa.Table.from_pylist(rows, SCORES).sort_by([(name, "ascending") for name in SCORE_KEY])


def items_of_one() -> pa.Table:
    """An item of two options, of which the second is right, and the same as a variant."""
    row = {"item": "x", "group": "g", "context": "a", "target": "b"}
    rows = []
    for option in (0, 1):
        for variant in ("", "alone"):
            rows.append(row | {"option": option, "variant": variant, "gold": option == 1})
    return items_table(rows, {})


def tokens_table(entropies: list[float]) -> pa.Table:
    """Target tokens of these entropies, and some of 99 nats that must not count.

    Those are one token of the context, one of the wrong option, and one of a variant.
    """
    n, wrong = len(entropies), [99.0, 99.0, 99.0]
    zeros = pa.array(np.zeros(n + 3), pa.float64())
    columns = {}
    for field in TOKENS:
        if not pa.types.is_dictionary(field.type):
            columns[field.name] = zeros.cast(field.type)
    columns["item"] = pa.array(["x"] * (n + 3)).dictionary_encode()
    columns["option"] = pa.array([1] * n + [1, 0, 1], pa.int16())
    columns["variant"] = pa.array([""] * (n + 2) + ["alone"]).dictionary_encode()
    columns["entropy"] = pa.array([*entropies, *wrong], pa.float32())
    columns["is_target"] = pa.array([True] * n + [False, True, True])
    return pa.table({name: columns[name] for name in TOKENS.names}, TOKENS)


def finding(by: str, low: int, high: int, model: str, value: float, n: int = 50) -> dict:
    """A row of FINDINGS: an accuracy whose interval reaches a tenth to either side."""
    edges = {
        "bin_low": low,
        "bin_high": high,
        "n": n,
        "value": value,
        "low": max(0.0, value - 0.1),
        "high": value + 0.1,
    }
    return {"suite": "lambada_flat", "by": by, "model": model, "metric": "accuracy", **edges}


def judged(item: str, guess: str, *, is_correct: bool, **values: float) -> dict:
    """A row of VALIDITY for llama, whose guess is a word that both judges accept."""
    verdicts = {"is_word": True, "is_correct": is_correct, "is_valid": True, "is_supported": True}
    numbers = {f"{word}_{way}": 0.0 for word, way in product(JUDGED, WAYS)} | values
    words = {"context": "He <b>looked</b> at the", "target": " sea", "prediction": guess}
    return {"model": "llama", "item": item, "content_hash": 1, **words, **verdicts, **numbers}


def scores_of(model: str) -> dict[str, list[dict]]:
    """The rows of SCORES of one model, by suite."""
    pairs = []
    for group, right in RIGHT[model].items():
        scores = {"accuracy": right, "length_baseline": [0.25] * 4, "tie": [0] * 4}
        pairs += score_rows("minimal_pairs", group, scores)
    completions = {"accuracy": [1, 0, 0, 0], "tie": [0] * 4}
    texts = {"surprisal_per_byte": [2, 2.5, 2, 2.5], "entropy": [1, 2, 1, 2]}
    return {
        "minimal_pairs": pairs,
        "lambada_flat": score_rows("lambada_flat", "all", completions),
        "heldout": score_rows("heldout", "book", texts),
    }


def write_run(root: Path) -> None:
    """Items, scores and tokens of every model and suite, folded by the real aggregate."""
    for suite in SUITES:
        write(items_of_one(), ITEMS, root / "items" / f"{suite}.parquet")
    for model in MODELS:
        rows = scores_of(model)
        for suite in SUITES:
            path = root / "scores" / model / f"{suite}.parquet"
            write(scores_table(rows[suite]), SCORES, path)
            folder = root / "tokens" / model / suite
            for part, entropies in enumerate(ENTROPIES[model]):
                write(tokens_table(entropies), TOKENS, folder / f"part-{part:05d}.parquet")
    paths = (root / "scores", root / "metrics", root / "intervals.json", root / "headline")
    aggregate(MODELS, SUITES, *paths, confidence=0.95, digits=6)


def write_analyses(root: Path) -> None:
    """The tables on missing words, and those on tokens, which are empty."""
    findings = []
    for model, value in zip(MODELS, (0.4, 0.1), strict=True):
        for by, low, high in (("frequency", 0, 0), ("frequency", 1, 9), ("context_length", 3, 20)):
            findings.append(finding(by, low, high, model, value))
    write(pa.Table.from_pylist(findings, FINDINGS), FINDINGS, root / "findings.parquet")
    rows = [
        judged("a", " sea", is_correct=True),
        judged("b", " ship", is_correct=False, prediction_logprob=-1.25),
    ]
    write(pa.Table.from_pylist(rows, VALIDITY), VALIDITY, root / "validity.parquet")
    schemas = {"passage": PASSAGE, "scatter": SCATTER}
    for model in MODELS:
        schemas[f"entropy_bins/{model}"] = ENTROPY_BINS
        schemas[f"calibration/{model}"] = CALIBRATION
    for name, schema in schemas.items():
        write(schema.empty_table(), schema, root / "analysis" / f"{name}.parquet")


def write_texts(root: Path) -> None:
    """What llama wrote, with its statistics."""
    text = {
        "item": "prompt/0000",
        "variant": "greedy",
        "sample": 0,
        "seed": 0,
        "prompt": "He <b>",
        "text": " & she",
        "n_tokens": 2,
        "stop_reason": "length",
    }
    texts = pa.Table.from_pylist([text], GENERATIONS)
    write(texts, GENERATIONS, root / "generated" / "llama" / "generations.parquet")
    write_json({"greedy": dict.fromkeys(STATISTICS, 0.5)}, root / "writing" / "llama.json")


def write_inputs(root: Path) -> dict:
    """A small run, and the keyword arguments with which write_report reads it."""
    write_run(root)
    write_analyses(root)
    write_texts(root)
    (root / "curve.csv").write_text(
        "step,lr,train_loss,dev_loss\n0,0.1,8.0,8.5\n10,0.1,5.0,\n20,0.1,4.0,4.25\n30,0.1,3.5,4.5\n"
    )
    (root / "progression").mkdir()
    (root / "progression" / "heldout.csv").write_text(
        "place,model,loss,entropy,accuracy\n1,noise,4.0,3.5,0.25\n2,llama,3.0,2.5,0.5\n"
    )
    spread = {
        "metric": "accuracy",
        "n_seeds": 3,
        "mean": 0.5,
        "sd": 0.021,
        "lowest": 0.48,
        "highest": 0.52,
        "alike": 0.75,
    }
    write_json({"noise": {"minimal_pairs": spread}}, root / "seeds.json")
    telling = {"metric": "accuracy", "n_models": 2, "lowest": 0.5, "highest": 0.625}
    telling |= {"signal": 0.125, "n_pairs": 1, "n_different": 0, "largest": 0.125}
    telling |= {"detectable": 0.375, "cannot_tell": "none differs"}
    write_json({"minimal_pairs": telling}, root / "signal.json")
    compared = {"minimal_pairs": {"metric": "accuracy", "verdict": "no evidence"}}
    compared["lambada_flat"] = {"metric": "target_logprob", "verdict": "better"}
    write_json({"llama_vs_noise": compared}, root / "comparisons.json")
    return {
        "analysis": root / "analysis",
        "findings": root / "findings.parquet",
        "imported": ["noise"],
        "validity": root / "validity.parquet",
        "judged_suite": "lambada_flat",
        "progression": root / "progression",
        "explorations": root / "explorations",
        "kept": {},
        "recipes": {},
        "trained": root / "train",
        "writers": ["llama"],
        "generated": root / "generated",
        "writing": root / "writing",
        "models": MODELS,
        "suites": SUITES,
        "metrics": root / "metrics",
        "intervals": root / "intervals.json",
        "seeds": root / "seeds.json",
        "signal": root / "signal.json",
        "comparisons": root / "comparisons.json",
        "curves": {"llama": root / "curve.csv"},
        "scores": root / "scores",
        "items": root / "items",
        "tokens": root / "tokens",
        "model_folders": root / "models",
        "out": root / "report",
        "confidence": 0.95,
    }


@pytest.fixture
def inputs(tmp_path: Path) -> dict:
    return write_inputs(tmp_path)


def write_report_of(inputs: dict) -> None:
    """Write the report of what `write_inputs` gave."""
    paths = {field.name for field in fields(Inputs)}
    arguments = {name: value for name, value in inputs.items() if name not in paths}
    write_report(**arguments, inputs=Inputs(**{name: inputs[name] for name in paths}))


def report(inputs: dict) -> str:
    write_report_of(inputs)
    return (inputs["out"] / "index.html").read_text("utf-8")


class Balance(HTMLParser):
    """Notes every tag that closes another than the one last opened."""

    VOID = ("meta", "br", "wbr")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.wrong: list[str] = []

    def handle_starttag(self, tag: str, attrs: list) -> None:
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)


def test_page_loads_nothing_from_elsewhere(inputs: dict) -> None:
    """Apart from Vega's own text, which is not read as HTML, and the name of Vega-Lite's schema."""
    html = report(inputs)
    for chart in figures_of(html).values():
        assert chart.pop("$schema").startswith("https://vega.github.io/schema/")
        assert "url" not in json.dumps(chart)
    html = re.sub(r"<script\b.*?</script>", "", html, flags=re.DOTALL)
    assert "<script" not in html
    assert not re.search(r"https?:|(?<!\w)//\w|\bsrc=|<link|@import|url\(|xlink", html)
    assert [path.name for path in inputs["out"].iterdir()] == ["index.html"]


def test_page_is_well_formed(inputs: dict) -> None:
    parser = Balance()
    parser.feed(report(inputs))
    assert (parser.wrong, parser.open) == ([], [])


def test_page_anchors_all_lead_somewhere(inputs: dict) -> None:
    html = report(inputs)
    anchors = re.findall(r'href="#(\w+)"', html)
    expected = [
        "content",
        "results",
        "signal",
        "seeds",
        "loss",
        "groups",
        "completions",
        "validity",
        "entropy",
        "models",
        "writing",
        "all",
        "terms",
    ]
    assert anchors == expected == re.findall(r'<(?:main|section) id="(\w+)"', html)


def test_page_written_twice_elsewhere_is_the_same_bytes(tmp_path: Path) -> None:
    pages = [report(write_inputs(tmp_path / name)) for name in ("first", "second")]
    assert pages[0] == pages[1]
    assert str(tmp_path) not in pages[0]


def test_results_table_holds_value_interval_and_length_baseline(inputs: dict) -> None:
    """The row of llama is as computed by hand.

    Its groups are 4/4 and 3/4, so the macro mean is 87.5 %. Of lambada it has 1 of 4, with Wilson's
    interval. Heldout has 2.25 bits.
    """
    html = report(inputs)
    row = re.search(r'<tr class="m0"><th scope="row"><i></i>llama</th>(.*?)</tr>', html)[1]
    cells = row.split("<td>")[1:]
    assert (
        "<b>87.5\N{THIN SPACE}%</b>" in cells[0]
        and "length baseline 25.0" in cells[0]
        and 'x1="25.00%"' in cells[0]
    )
    assert (
        '<b>25.0\N{THIN SPACE}%</b> <span class="mark">best</span> <small>4.6 – 69.9' in cells[1]
        and "baseline" not in cells[1]
    )
    assert "<b>2.250</b>" in cells[2]


def test_results_mark_the_best_and_what_cannot_be_told_from_it(inputs: dict) -> None:
    """llama is best everywhere; noise differs from it on lambada, and on heldout no one compared.

    There noise has 2.25 bits as well.
    """
    html = report(inputs)
    marks = {}
    for model in MODELS:
        row = html.partition(f'<th scope="row"><i></i>{model}</th>')[2].partition("</tr>")[0]
        marks[model] = [re.findall(r'"mark">(.*?)<', cell) for cell in row.split("<td>")[1:]]
    assert marks == {"llama": [["best"]] * 3, "noise": [["≈ best"], ["best"], ["best"]]}
    page = " ".join(html.split())
    assert "Best is llama. Not distinguishable from it: noise.</dd>" in page
    assert "Best are llama, noise.</dd>" in page


def test_results_say_where_few_texts_hold_most_bytes(inputs: dict) -> None:
    assert "of equal size" not in report(inputs)
    intervals = json.loads(inputs["intervals"].read_text())
    intervals["llama"]["heldout"]["bits_per_byte"] |= {"n_effective": 2.31, "df": 1.4}
    write_json(intervals, inputs["intervals"])
    assert "Its 4 texts differ in size and count like 2.3 of equal size" in report(inputs)
    intervals["noise"]["minimal_pairs"]["accuracy"] |= {"n_clusters": 3, "df": 2}
    write_json(intervals, inputs["intervals"])
    assert "Its items lie in 3 clusters, and its ranges are over these." in report(inputs)


def test_seeds_show_mean_spread_and_how_often_two_agree(inputs: dict) -> None:
    html = report(inputs)
    row = html[html.index('<th scope="row">noise<small>3 seeds</small>') :].split("</tr>")[0]
    mean, alike = "<b>50.0\N{THIN SPACE}%</b>", "<small>75 % alike</small>"
    cell = f"<td>{mean} ± 2.1 <small>48.0 – 52.0</small>{alike}</td>"
    assert row.endswith(f"</th>{cell}<td>–</td><td>–</td>")
    write_json({}, inputs["seeds"])
    assert 'id="seeds"' not in report(inputs)


def test_suites_that_cannot_tell_the_models_apart_are_named(inputs: dict) -> None:
    page = " ".join(report(inputs).split())
    sentence = "cannot tell these models apart: the pair compared does not differ."
    assert f"{sentence} A true difference of 37.5 % or more would most likely show." in page
    assert "How far two runs of one recipe would lie apart is unknown here" in page
    values = json.loads(inputs["signal"].read_text())["minimal_pairs"]
    values |= {"noise": 0.05, "snr": 2.5, "between_runs": 0.2, "n_pairs": 3, "n_different": 1}
    write_json({"minimal_pairs": values | {"cannot_tell": "noise"}}, inputs["signal"])
    page = " ".join(report(inputs).split())
    assert "the largest difference, 12.5 %, is no more than two runs" in page
    assert "<td>2.5</td>" in page and "1 of 3" in page
    del values["cannot_tell"], values["detectable"]
    write_json({"minimal_pairs": values}, inputs["signal"])
    assert "cannot tell these models apart" not in report(inputs)
    few = values | {"least_p": 0.0625, "cannot_tell": "none differs"}
    write_json({"minimal_pairs": few}, inputs["signal"])
    assert "no p can be below 0.062 before" in " ".join(report(inputs).split())
    write_json({"minimal_pairs": {"metric": "accuracy", "n_pairs": 0}}, inputs["signal"])
    assert 'id="signal"' not in report(inputs)


def test_groups_are_sorted_by_the_first_model_and_escaped(inputs: dict) -> None:
    html = report(inputs)
    rows = rows_of(figures_of(html)["groups-minimal_pairs"])
    assert [(row["group"], row["model"], row["accuracy"]) for row in rows] == [
        ("first group", "llama", 1.0),
        ("first group", "noise", 0.5),
        ("a<b", "llama", 0.75),
        ("a<b", "noise", 0.25),
    ]
    # Wilson's interval of 4 of 4
    ends = {"accuracy_low": pytest.approx(0.5101, abs=1e-4), "accuracy_high": 1.0}
    assert rows[0] == rows[0] | ends | {"length_baseline": 0.25, "n": 4}
    assert re.findall(r'<tr><th scope="row">(first group|a.*b)</th>', html) == [
        "first group",
        "a&lt;b",
    ]
    assert "a<b" not in html


def write_groups(inputs: dict, model: str, groups: dict[str, list[float]]) -> None:
    """Scores of a model on minimal_pairs: the accuracies of the items of each group."""
    rows = []
    for group, right in groups.items():
        scores = {"accuracy": right, "length_baseline": [0.5] * len(right)}
        rows += score_rows("minimal_pairs", group, scores)
    write(scores_table(rows), SCORES, inputs["scores"] / model / "minimal_pairs.parquet")


def test_groups_that_differ_by_an_underscore_are_kept_apart(inputs: dict) -> None:
    for model in MODELS:
        write_groups(inputs, model, {"a_b": [1, 1], "a b": [1, 0], "c_d": [0, 0]})
    html = report(inputs)
    rows = rows_of(figures_of(html)["groups-minimal_pairs"])
    assert [row["group"] for row in rows[::2]] == ["a_b", "a b", "c d"]
    section = html[html.index('id="groups"') : html.index('id="completions"')]
    rows = re.findall(r'<tr><th scope="row">(.*?)</th><td>(.*?) <small>', section)
    assert rows == [("a_b", "100.0"), ("a b", "50.0"), ("c d", "0.0")]


def test_group_names_are_as_many_as_the_groups() -> None:
    groups = ["a_b_c", "a b_c", "a b c", "d_e", "f"]
    names = group_names(groups)
    assert list(names) == groups and list(names.values()) == [*groups[:3], "d e", "f"]


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ({"first_group": [1]}, r"noise/minimal_pairs\.parquet: no group 'a<b', .* 'llama' have"),
        (
            {"first_group": [1], "a<b": [1], "new": [1]},
            r"noise/minimal_pairs\.parquet: a group 'new', .* 'llama' lack",
        ),
    ],
)
def test_groups_of_another_model_that_differ_raise_naming_the_file(
    inputs: dict, groups: dict[str, list[float]], message: str
) -> None:
    write_groups(inputs, "noise", groups)
    with pytest.raises(InputError, match=message):
        report(inputs)


def test_groups_of_a_suite_with_one_group_are_left_out(inputs: dict) -> None:
    for model in MODELS:
        rows = score_rows(
            "minimal_pairs", "only", {"accuracy": [1, 0], "length_baseline": [0.5, 0.5]}
        )
        write(scores_table(rows), SCORES, inputs["scores"] / model / "minimal_pairs.parquet")
    assert 'id="groups"' not in report(inputs)


def test_entropy_counts_target_tokens_over_all_parts(inputs: dict) -> None:
    """llama has 0 and 0.1 in the first bin, 0.3 in the second, and 2.0 in the ninth.

    The 99 of the context's token is left out.
    """
    rows = rows_of(figures_of(report(inputs))["entropy-heldout"])
    shares = [
        (row["start"], row["end"], row["share"], round(row["mean"], 6))
        for row in rows
        if row["model"] == "llama"
    ]
    assert BIN_WIDTH == 0.25
    assert shares == [(0.0, 0.25, 0.5, 0.6), (0.25, 0.5, 0.25, 0.6), (2.0, 2.25, 0.25, 0.6)]


def test_findings_name_the_bins_and_whose_corpus_was_not_counted(inputs: dict) -> None:
    html = report(inputs)
    section = html[html.index('id="completions"') : html.index('id="validity"')]
    assert (
        "this project's own corpus" in section
        and "It is not what <code>noise</code> learned from" in section
    )
    assert re.findall(r'<th scope="col">(.*?)<small>50 items', section) == ["unseen", "1–9", "3–20"]
    assert "<td>40.0\N{THIN SPACE}% <small>30.0 – 50.0</small></td>" in section
    first = rows_of(figures_of(section)["completions-lambada_flat-frequency-accuracy"])[0]
    assert first == {
        "model": "llama",
        "frequency": "unseen",
        "accuracy": 0.4,
        "accuracy_low": pytest.approx(0.3),
        "accuracy_high": 0.5,
        "n": 50,
    }


def test_validity_shows_shares_and_the_wrong_guesses_that_fit(inputs: dict) -> None:
    html = report(inputs)
    section = html[html.index('id="validity"') : html.index('id="entropy"')]
    share = "<td>50.0\N{THIN SPACE}% <small>9.5 – 90.5</small></td>"
    assert f'<th scope="row">guesses that are the target</th>{share}' in section
    target, guess = "<td>sea <small>0.0</small></td>", "<td>ship <small>-1.2</small></td>"
    assert f"<td>… He &lt;b&gt;looked&lt;/b&gt; at the</td>{target}{guess}" in section
    assert section.count("<td>sea <small>") == 1, "the right guess is no example"


def test_sections_on_missing_words_are_left_out_where_there_is_nothing(inputs: dict) -> None:
    write(FINDINGS.empty_table(), FINDINGS, inputs["findings"])
    write(VALIDITY.empty_table(), VALIDITY, inputs["validity"])
    html = report(inputs)
    assert 'id="completions"' not in html and 'id="validity"' not in html


def without_variants(table: pa.Table) -> pa.Table:
    return table.filter(pc.equal(table["variant"].cast(pa.string()), ""))


@pytest.mark.parametrize(
    ("kind", "draws"), [("pairs", 1), ("choices", 3), ("completion", 1), ("text", 2)]
)
def test_entropy_panel_has_the_mean_that_the_metric_has(
    tmp_path: Path, kind: str, draws: int
) -> None:
    """Random entropies of items with contexts, wrong options, several draws and a variant."""
    rng = np.random.default_rng(0)
    texts = {}
    for n in range(9):
        context = "" if kind == "text" else f"the {n} "
        texts[f"g/{n}"] = [(context, " one two three"), (context, " one")]
        if kind in ("completion", "text"):
            texts[f"g/{n}"].pop()
    rows = items_of(texts).to_pylist()
    variants = [row | {"variant": "alone", "target": f"{row['target']} more"} for row in rows]
    items = items_table(rows + variants, {"bos": "prefix"})
    tokens = tokens_of(items, lambda draw, before, word: -1.0, draws=draws)
    entropies = pa.array(rng.gamma(2, 1, len(tokens)), pa.float32())
    tokens = tokens.set_column(tokens.column_names.index("entropy"), "entropy", entropies)
    if kind == "text":  # has no variants
        items, tokens = without_variants(items), without_variants(tokens)
    write(tokens.unify_dictionaries(), TOKENS, tmp_path / "tokens" / "part-00000.parquet")
    scores = fold(
        items, tokens, kind=kind, ties="half", top_k=5, vocab_size=99, window=99, source="tokens"
    )
    metric = suite_metrics(scores, 0.95)[0]["entropy"]
    counts, mean = count_entropies(TokenRows(tmp_path / "tokens", items, "gold"))
    assert mean == pytest.approx(metric, rel=1e-12)
    assert sum(counts) == draws * sum(len(options[0][1].split()) for options in texts.values())


def test_loss_curve_with_gaps_names_the_lowest_dev_loss(inputs: dict) -> None:
    html = report(inputs)
    assert "Lowest dev loss 4.250 at step 20." in html
    rows = rows_of(figures_of(html)["loss-llama"])
    assert [(row["step"], row["loss"]) for row in rows if row["split"] == "dev"] == [
        (0.0, 8.5),
        (20.0, 4.25),
        (30.0, 4.5),
    ]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("curve.csv", "step,loss\n0,1\n", r"curve\.csv: not a loss curve: 'train_loss'"),
        (
            "curve.csv",
            "step,train_loss,dev_loss\n0,one,1\n",
            r"curve\.csv: not a loss curve: .*'one'",
        ),
        ("curve.csv", "step,train_loss,dev_loss\n", r"curve\.csv: an empty loss curve"),
        (
            "intervals.json",
            "{}",
            r"intervals\.json: nothing of model 'llama' on suite 'minimal_pairs'",
        ),
        ("intervals.json", "{", r"intervals\.json: not JSON"),
        (
            "metrics/noise.json",
            '{"minimal_pairs": {}}',
            r"noise\.json: suite 'minimal_pairs' has no 'accuracy'",
        ),
        ("metrics/noise.json", None, r"noise\.json: there is no such file"),
        ("seeds.json", None, r"seeds\.json: there is no such file; run the stage compare_models"),
        ("curve.csv", None, r"curve\.csv: there is no such file"),
        ("tokens/noise/heldout/part-00000.parquet", None, r"heldout: no such table"),
        ("scores/noise/minimal_pairs.parquet", None, r"minimal_pairs\.parquet: no such table"),
    ],
)
def test_bad_input_raises_naming_the_file_and_leaves_the_old_report(
    inputs: dict, name: str, text: str | None, message: str
) -> None:
    before = report(inputs)
    path = inputs["out"].parent / name
    if text is None:
        for file in path.parent.glob("part-*") if path.name.startswith("part-") else [path]:
            file.unlink()
    else:
        path.write_text(text)
    with pytest.raises(InputError, match=message) as error:
        write_report_of(inputs)
    assert "\n" not in str(error.value)
    assert (inputs["out"] / "index.html").read_text("utf-8") == before


def test_page_shows_what_models_wrote_and_how_they_follow_each_other(inputs: dict) -> None:
    html = report(inputs)
    prompt, origin = "He &lt;b&gt;", "(greedy, seed 0, 2 tokens, ended by length)"
    assert f'<span class="muted">{prompt}</span> &amp; she <small>{origin}</small>' in html
    assert "noise → llama" in html and '<th scope="row">llama, greedy</th><td>0.50</td>' in html
    without = report(inputs | {"writers": [], "progression": inputs["out"]})
    assert "What the models write" not in without and "From model to model" not in without


def test_page_calls_a_subset_one(inputs: dict) -> None:
    assert "subset: " not in report(inputs)
    suites = SUITES | {"lambada_flat": {"items": 40, "limit": 4}}
    html = report(inputs | {"suites": suites})
    words = "subset: 4 of 5,153 items"
    assert f"↑, {words}</small></th>" in html
    assert f'<code>lambada_flat</code>\n<span class="muted">{words}</span>' in html


def test_a_suite_of_one_model_has_no_cell_of_the_other(inputs: dict) -> None:
    suites = SUITES | {"minimal_pairs": {"models": ["llama"]}}
    path = inputs["metrics"] / "noise.json"
    values = json.loads(path.read_text())
    del values["minimal_pairs"]
    write_json(values, path)
    html = report(inputs | {"suites": suites})
    row = html.partition('<th scope="row"><i></i>noise</th>')[2].partition("</tr>")[0]
    assert row.count("<td>–</td>") == 1


def test_model_and_metric_the_page_does_not_know_are_shown_by_name(inputs: dict) -> None:
    path = inputs["metrics"] / "llama.json"
    values = {"accuracy": 0.5, "bits_per_byte": 1.5, "brand_new": 0.1234}
    write_json(dict.fromkeys(SUITES, values), path)
    html = report(inputs)
    assert '<th scope="row">brand new</th><td>0.123</td><td>–</td>' in html


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("accuracy", 0.6614, "66.1\N{THIN SPACE}%"),
        ("success_at_5", 0.5, "50.0\N{THIN SPACE}%"),
        ("bits_per_byte", 1.23456, "1.235"),
        ("perplexity", 41.27, "41.3"),
        ("perplexity", 27326.4, "27,326"),
        ("perplexity", 12345678.0, "1.23e+07"),
        ("n_items", 3600, "3,600"),
        ("n_ties", 2.5, "2.5"),
        ("unheard_of", 0.5, "0.500"),
    ],
)
def test_written_metric_has_its_unit_and_precision(name: str, value: float, text: str) -> None:
    assert written(name, value) + unit_of(name) == text
