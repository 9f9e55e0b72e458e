"""Every command and every page over data that would do something if it were shown raw."""

import csv
import io
import itertools
import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from markdown_it import MarkdownIt
from typer.testing import CliRunner

from lmcore.analysis.completions import FINDINGS
from lmcore.commands import metrics, token_rows
from lmcore.commands.main import app
from lmcore.comparing.diff_results import WithoutTables
from lmcore.comparing.diff_text import as_data, as_markdown, as_text
from lmcore.explorations.surprisal import FORMATS, as_lines
from lmcore.files import write_csv
from lmcore.history.verify import Output
from lmcore.history.verify import as_text as verified
from lmcore.judging.context_validity import VALIDITY
from lmcore.models.llama import new_llama, save_model
from lmcore.report import results
from lmcore.report.completions import completion_findings, context_validity
from lmcore.report.curves import progression_section
from lmcore.report.figures import drawn, script
from lmcore.report.formats import formats_section
from lmcore.report.seeds import seeds_section
from lmcore.report.tokens import heat_passages, scatter_plots, token_extremes
from lmcore.report.writing import STATISTICS, writing_section
from lmcore.scoring.extract import extract_tokens
from lmcore.shown import for_terminal
from lmcore.tables import GENERATIONS, ITEMS, items_table, write
from lmcore.text.readable import token_texts
from lmcore.text.tokenizer import load_fast
from tests.lmcore.comparing import test_diff as diffs
from tests.lmcore.figures.some_figures import some_figures
from tests.lmcore.generating.test_generation import SHAPE
from tests.lmcore.nasty import NASTY, Parsed, assert_lines_are_clean, assert_page_is_clean
from tests.lmcore.report.test_page import finding, judged

TEXTS = list(NASTY.values())
pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
revision = diffs.revision  # a fixture


@pytest.fixture(scope="module")
def data(tokenizer: Path, tmp_path_factory) -> Path:
    """A data folder: one model, and a suite whose ids, groups, variants and texts are NASTY."""
    root = tmp_path_factory.mktemp("nasty") / "data"
    shape = {**SHAPE, "max_position_embeddings": 128}
    save_model(new_llama(shape, tokenizer, 3), tokenizer, root / "models" / "llama")
    rows = []
    for text in TEXTS:
        for variant, option in itertools.product(("", text), (0, 1)):
            row = {
                "item": f"s/{text}",
                "group": text,
                "context": f"A {text}",
                "target": f" {text}{option}",
            }
            rows.append({**row, "option": option, "variant": variant, "gold": option == 0})
    write(items_table(rows, {"bos": "prefix"}), ITEMS, root / "items" / "s.parquet")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LMCORE_WORKERS", "1")
        settings = {"dtype": "float32", "token_budget": 2048, "shard_chars": 50000}
        tokens = root / "tokens" / "llama" / "s"
        extract_tokens(
            root / "models" / "llama",
            root / "items" / "s.parquet",
            tokens,
            root / "work",
            "",
            **settings,
        )
    return root


def lmcore(data: Path, *arguments: str, **options):
    return CliRunner().invoke(app, [*arguments, "--data", str(data)], **options)


@pytest.mark.parametrize("text", TEXTS)
def test_validate_and_tokens_show_items_and_groups(data: Path, text: str) -> None:
    for arguments in (
        ["validate", "s", "--model", "llama"],
        ["tokens", "llama", "s", "--group", text],
    ):
        result = lmcore(data, *arguments)
        assert result.exit_code == 0, result.output
        assert_lines_are_clean(result.output)
    assert for_terminal(text) in result.output


def test_tokens_csv_is_the_data_and_clean_on_a_terminal(data: Path) -> None:
    text = NASTY["colour and title"]
    raw = lmcore(data, "tokens", "llama", "s", "--group", text, "--csv").stdout
    assert {row["item"] for row in csv.DictReader(io.StringIO(raw))} == {f"s/{text}"}
    names = token_texts(load_fast(data / "models" / "llama"))
    for batch in token_rows.readable_rows(data / "tokens" / "llama" / "s", names):
        shown = token_rows.shown(batch)
        assert shown.schema == batch.schema and shown["surprisal"].equals(batch["surprisal"])
        assert_lines_are_clean("".join(map(str, shown.to_pandas().to_numpy().ravel())))


@pytest.mark.parametrize("text", [text for text in TEXTS if "\0" not in text])
def test_commands_that_play_with_a_model_show_prompts_and_tokens(data: Path, text: str) -> None:
    text = f"A{text}"
    for arguments in (
        ["next", "llama", text],
        ["next", "llama", text, "--json"],
        ["sample", "llama", text, "--max-new-tokens", "2"],
        ["sample", "llama", text, "--max-new-tokens", "2", "--json"],
        ["blend", "llama", "--prompt", text, "--max-new-tokens", "2"],
        ["blend", "llama", "--prompt", text, "--max-new-tokens", "2", "--json"],
    ):
        result = lmcore(data, *arguments)
        assert result.exit_code == 0, result.output
        assert_lines_are_clean(result.output)
        if "--json" in arguments:
            assert json.dumps(text) in json.dumps(json.loads(result.stdout))


@pytest.mark.parametrize("by", ["token", "word"])
@pytest.mark.parametrize("way", FORMATS)
def test_surprisal_shows_text_in_every_format(way: str, by: str) -> None:
    text = "".join(TEXTS)
    cuts = [0, 3, 10, 40, len(text)]
    rows = [
        {
            "text": 0,
            "start": start,
            "end": end,
            by: text[start:end],
            "probability": 0.1,
            "surprisal": 3.0,
            "rank": 1,
            "entropy": 1.0,
        }
        for start, end in pairwise(cuts)
    ]
    frame = pd.DataFrame(rows)
    frame.attrs = {
        "is_masked": False,
        "n_bytes": len(text.encode()),
        "n_unknown": 0,
        "n_dropped_bytes": 0,
    }
    lines = list(as_lines(frame, [text], way))
    if way == "csv":  # is data
        assert [
            row[by] for row in csv.DictReader(io.StringIO("\n".join(lines) + "\n", newline=""))
        ] == [row[by] for row in rows]
        return
    assert_lines_are_clean("\n".join(lines), coloured=way == "colour")
    if way == "jsonl":
        assert [json.loads(line)[by] for line in lines] == [row[by] for row in rows]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize(
    "arguments",
    [
        ["validate", "{}"],
        ["validate", "s", "--model", "{}"],
        ["tokens", "{}", "s"],
        ["tokens", "llama", "s", "--item", "x{}"],
        ["tokens", "llama", "s", "--group", "x{}"],
        ["tokens", "llama", "s", "--out", "{}"],
        ["next", "{}", "a"],
        ["next", "llama", "a", "--bos", "{}"],
        ["surprisal", "llama", "{}"],
        ["surprisal", "llama", "--format", "{}"],
        ["blend", "llama", "--prompt", "a", "--way", "{}"],
        ["compare", "llama", "--texts", "{}", "--out", "out"],
        ["compare", "{}", "--texts", "t.txt", "--out", "out"],
        ["export-babylm", "{}", "--out", "out.json"],
        ["diff", "{}"],
        ["{}"],
        ["next", "llama", "-k", "{}"],
        ["next", "llama", "--{}"],
    ],
    ids=" ".join,
)
def test_errors_are_one_clean_line(
    data: Path, tmp_path: Path, monkeypatch, arguments: list[str], text: str
) -> None:
    (tmp_path / "t.txt").write_text("A text.")
    monkeypatch.chdir(tmp_path)
    if "\0" in text:
        text = text.replace("\0", "")  # no argument of a command can hold it
    result = lmcore(data, *(argument.format(text) for argument in arguments), input="some text")
    assert result.exit_code in (1, 2), result.output
    assert (
        result.stdout == ""
        and result.stderr.startswith("error: ")
        and len(result.stderr.splitlines()) == 1
    )
    assert_lines_are_clean(result.stderr)


@pytest.mark.parametrize("text", TEXTS)
def test_metrics_show_names_in_every_form(text: str) -> None:
    cells = {text: metrics.Cell(0.5, {}), "convention": metrics.Cell(text, {})}
    tables = {text: {text: cells, "other": {text: metrics.Cell(0.25, {})}}}
    assert_lines_are_clean(metrics.as_text(tables, full=False))
    assert_lines_are_clean(metrics.as_data(tables))
    markdown = metrics.as_markdown(tables, full=False)
    assert_lines_are_clean(markdown)
    assert_page_is_clean(MarkdownIt("commonmark").enable("table").render(markdown))


@pytest.mark.parametrize("text", TEXTS)
def test_diff_without_tables_shows_names_in_every_form(revision, text: str) -> None:
    found = diffs.compared(
        revision("a"), revision("b", {"good": (0.6, 1.9), "untrained": (0.5, 3.0)})
    )
    row = found.rows[0]._replace(model=text, suite=text, method="welch")
    found = found._replace(
        rows=[row], without_tables=WithoutTables(text, [text], others=[row], n_others=1)
    )
    assert_lines_are_clean(as_text(found, colour=False))
    assert_lines_are_clean(as_data(found))
    markdown = as_markdown(found)
    assert_lines_are_clean(markdown)
    assert_page_is_clean(MarkdownIt("commonmark").enable("table").render(markdown))


@pytest.mark.parametrize("text", TEXTS)
def test_diff_shows_names_in_every_form(revision, text: str) -> None:
    found = diffs.compared(
        revision("a"), revision("b", {"good": (0.6, 1.9), "untrained": (0.5, 3.0)}), groups=True
    )
    option = {"context": text, "target": text, "gold": True, "a": -1.0, "b": -2.0}
    example = {"item": text, "turned": "worse", "a": 1.0, "b": 0.0, "options": [option]}
    groups = {text: next(iter(found.rows[0].groups.values()))}
    found = found._replace(
        a=text,
        b=text,
        params={text: (text, None)},
        stages={text: ["code", text]},
        stale=[text],
        not_compared=[text],
        rows=[found.rows[0]._replace(model=text, suite=text, groups=groups, items=[example])],
        unchanged=[(text, text)],
        refused={(text, text): text},
        only_a=[text],
        only_b=[text],
    )
    assert_lines_are_clean(as_text(found, colour=False))
    assert_lines_are_clean(as_text(found, colour=True), coloured=True)
    assert_lines_are_clean(as_data(found))
    assert json.loads(as_data(found))["only_a"] == [text]
    markdown = as_markdown(found)
    assert_lines_are_clean(markdown)
    rendered = MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(markdown)
    assert_page_is_clean(rendered)
    parsed = Parsed(rendered)
    ours = {
        "p",
        "strong",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "details",
        "summary",
        "ul",
        "li",
        "pre",
        "code",
    }
    assert parsed.tags <= ours and not parsed.attributes
    assert (
        rendered.count("<tr>") == 4
        and rendered.count("<details>") == 3
        and rendered.count("<pre>") == 1
    )


@pytest.mark.parametrize("text", TEXTS)
def test_verify_shows_paths_and_values(text: str) -> None:
    lines = verified([Output(text, text, text), Output("a", "b", "")])
    assert_lines_are_clean(lines)
    assert len(lines.splitlines()) == 4


def sections(text: str, folder: Path) -> list[str]:
    """The HTML and SVG of every function that draws, with `text` wherever data can be."""
    row = {
        "suite": text,
        "item": text,
        "model": text,
        "position": 0,
        "text": text,
        "alternatives": json.dumps([[text, 0.5]]),
    }
    numbers = {"surprisal": 1.0, "entropy": 1.0, "rank": 1}
    extreme = {"suite": text, "side": "next", "end": "lowest", "token": text, "n": 1, "value": 1.0}
    spread = {
        "metric": "accuracy",
        "n_seeds": 3,
        "mean": 0.5,
        "sd": 0.1,
        "lowest": 0.4,
        "highest": 0.6,
        "alike": 0.5,
    }
    curve = [
        {"place": place, "model": text, "loss": 1.0, "entropy": 1.0, "accuracy": 0.5}
        for place in (1, 2)
    ]
    findings = []
    for by, low in (("frequency", 1), ("context_length", 3)):
        for metric in ("accuracy", text):
            findings.append(finding(by, low, 9, text, 0.5) | {"suite": text, "metric": metric})
    write(pa.Table.from_pylist(findings, FINDINGS), FINDINGS, folder / "findings.parquet")
    guess = judged(text, text, is_correct=False) | {"model": text, "context": text, "target": text}
    write(pa.Table.from_pylist([guess], VALIDITY), VALIDITY, folder / "validity.parquet")
    asked = {"format": text, "kind": text, "logprob": -1, "std_error": 1, "prompt_perplexity": 9}
    write_csv([asked], folder / "explorations" / "formats" / "llama.csv")
    metrics = {
        text: {text: {"accuracy": 0.5, "length_baseline": 0.5, text: 0.5, "convention": text}}
    }
    found = results.Results(
        [text],
        {text: "pairs"},
        metrics,
        {text: {text: {"accuracy": {"low": 0.4, "high": 0.6}}}},
        0.95,
        {text: ""},
    )
    return [
        *(drawn(figure) for figure in some_figures(text).values()),
        heat_passages([row | numbers], [text]),
        token_extremes({text: [extreme]}, text),
        scatter_plots(
            [{"suite": text, "x_model": text, "y_model": text, "x": 0, "y": 1, "n": 4}], [text]
        ),
        progression_section({text: curve}),
        seeds_section({text: {text: spread}}, [text]),
        completion_findings(folder / "findings.parquet", [text], [text], 0.95),
        context_validity(folder / "validity.parquet", text, [text], 0.95),
        results.results_table(found, {}),
        results.all_metrics(text, found),
        results.definitions(found),
        formats_section(folder / "explorations"),
    ]


@pytest.mark.parametrize("text", TEXTS)
def test_every_figure_and_section_holds_data_as_text(text: str, tmp_path: Path) -> None:
    for page, tame in zip(sections(text, tmp_path), sections("word", tmp_path), strict=True):
        assert_page_is_clean(page)
        found, expected = Parsed(page), Parsed(tame)
        found.tags.discard("wbr")  # where a long name may be broken
        assert (found.tags, found.attributes) == (expected.tags, expected.attributes)
        assert ("word" in tame) == (for_terminal(text, lines=True).strip() in "".join(found.texts))


def test_what_models_write_is_text(tmp_path: Path) -> None:
    row = {"item": "i", "sample": 0, "seed": 0, "n_tokens": 2}
    rows = [
        row | {"variant": text, "prompt": text, "text": text, "stop_reason": text} for text in TEXTS
    ]
    write(
        pa.Table.from_pylist(rows, GENERATIONS),
        GENERATIONS,
        tmp_path / "llama" / "generations.parquet",
    )
    (tmp_path / "llama.json").write_text(
        json.dumps({text: dict.fromkeys(STATISTICS, 0.5) for text in TEXTS})
    )
    drawn = writing_section(["llama"], tmp_path, tmp_path)
    assert_page_is_clean(drawn)
    assert Parsed(drawn).attributes == {"aria-label", "class", "role", "scope", "tabindex"}


def test_compare_writes_a_clean_page_of_nasty_texts_and_names(
    data: Path, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setenv("LMCORE_WORKERS", "1")
    source = tmp_path / "<xss onxss=1>.txt"
    source.write_text("\n".join(f"A {text.replace(chr(10), ' ')} text." for text in TEXTS), "utf-8")
    names = "<xss onxss=1>,'\" onxss='1"
    for number, arguments in enumerate(
        (
            ["--texts", str(source)],
            ["--prompts", str(source), "--generate", "--max-new-tokens", "2"],
        )
    ):
        out = tmp_path / f"out{number}"
        result = lmcore(
            data, "compare", "llama", "llama", "--names", names, *arguments, "--out", str(out)
        )
        assert result.exit_code == 0, result.output
        assert_lines_are_clean(result.output)
        page = (out / "index.html").read_text("utf-8")
        ours = f"<script>{script()}</script>"
        assert page.count(ours) == 1
        assert_page_is_clean(page.replace(ours, ""))
    refused = lmcore(
        data,
        "compare",
        "llama",
        "--names",
        "\x1b[31m",
        "--texts",
        str(source),
        "--out",
        str(tmp_path / "x"),
    )
    assert refused.exit_code == 1 and refused.stderr.startswith(
        "error: the name '\\x1b[31m' cannot be a file's"
    )


def test_spreadsheet_formulas_stay_as_they_are_in_csv() -> None:
    """A CSV file holds the data as they are; the page on files says so."""
    frame = pd.DataFrame({"text": [0], "token": ["=1+1"], "surprisal": np.float64(1)})
    assert list(as_lines(frame, ["=1+1"], "csv"))[1] == "0,=1+1,1"
