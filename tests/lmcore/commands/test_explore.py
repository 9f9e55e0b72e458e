"""The commands for trying out one model, as a user types them.

They are tested for tables, JSON, the standard input, and errors in one line.
"""

import csv
import io
import json
import math
from pathlib import Path

import pandas as pd
import pytest
import torch
from typer.testing import CliRunner

from lmcore.api import score
from lmcore.commands.main import app
from lmcore.explorations.surprisal import SHADES, as_lines, shade
from lmcore.models.llama import new_llama, save_model
from lmcore.models.load import load_model
from lmcore.text.tokenizer import load_fast
from tests.lmcore.generating.test_generation import SHAPE

TEXTS = ["The old man walked to the sea.", "Nobody knew what the\ncaptain  wanted, café."]


@pytest.fixture(scope="module")
def data(tokenizer: Path, tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("cli") / "data"
    save_model(
        new_llama({**SHAPE, "initializer_range": 0.3, "max_position_embeddings": 64}, tokenizer, 3),
        tokenizer,
        root / "models" / "llama",
    )
    return root


def lmcore(data: Path, *arguments: str, input: str | bytes | None = None):
    return CliRunner().invoke(app, [*arguments, "--data", str(data)], input=input)


def test_next_gives_the_models_own_probabilities(data: Path) -> None:
    found = json.loads(lmcore(data, "next", "llama", "The old man", "-k", "5", "--json").stdout)
    folder = data / "models" / "llama"
    tokenizer = load_fast(folder)
    ids = [
        tokenizer.token_to_id("<s>"),
        *tokenizer.encode("The old man", add_special_tokens=False).ids,
    ]
    with torch.no_grad():
        probabilities = load_model(folder)(input_ids=torch.tensor([ids])).logits[0, -1].softmax(0)
    top = probabilities.topk(5)
    assert [row["id"] for row in found["tokens"]] == top.indices.tolist()
    assert [row["probability"] for row in found["tokens"]] == pytest.approx(
        top.values.tolist(), rel=1e-4
    )
    assert found["entropy"] == pytest.approx(
        float(-(probabilities * probabilities.log()).sum()), rel=1e-4
    )


def test_next_reads_the_standard_input_and_shows_bars(data: Path) -> None:
    piped = lmcore(data, "next", "llama", "-k", "3", input="The old man\n")
    assert (
        piped.exit_code == 0
        and piped.stdout == lmcore(data, "next", "llama", "The old man", "-k", "3").stdout
    )
    lines = piped.stdout.splitlines()
    assert len(lines) == 7 and lines[2].endswith("█" * 40) and lines[-1].startswith("entropy ")


def test_score_gives_one_row_a_token_that_sums_to_the_words(data: Path) -> None:
    tokens, words = (
        score("llama", TEXTS, by=by, model_folder=data / "models") for by in ("token", "word")
    )
    assert words["word"].tolist() == [*TEXTS[0].split(), *TEXTS[1].split()]
    for number in (0, 1):
        of_text = [frame[frame["text"] == number] for frame in (tokens, words)]
        assert of_text[0]["surprisal"].sum() == pytest.approx(of_text[1]["surprisal"].sum())
    assert (-tokens["probability"].map(math.log2)).tolist() == pytest.approx(
        tokens["surprisal"].tolist()
    )
    alone = score(data / "models" / "llama", TEXTS[1])
    assert alone["surprisal"].tolist() == tokens[tokens["text"] == 1]["surprisal"].tolist()


def test_surprisal_says_the_same_in_every_format(data: Path, tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("\n".join(TEXTS) + "\n")
    shown = {
        way: lmcore(data, "surprisal", "llama", str(tmp_path / "t.txt"), "--format", way).stdout
        for way in ("table", "csv", "jsonl", "colour")
    }
    rows = [json.loads(line) for line in shown["jsonl"].splitlines()]
    assert (
        len(shown["csv"].splitlines()) == len(rows) + 1
        and len(shown["table"].splitlines()) == len(rows) + 2
    )
    plain = "".join(part.split("m", 1)[-1] for part in shown["colour"].split("\033["))
    assert plain == "\n".join(TEXTS) + "\n"
    by_line = lmcore(
        data,
        "surprisal",
        "llama",
        "--lines",
        "--format",
        "jsonl",
        "--by",
        "word",
        input="\n".join(TEXTS),
    ).stdout
    assert {json.loads(line)["text"] for line in by_line.splitlines()} == {0, 1, 2}


def test_surprisal_reads_no_mark_and_cuts_lines_at_newlines_alone(
    data: Path, tmp_path: Path
) -> None:
    ways = ["surprisal", "llama", "--format", "csv"]
    plain = lmcore(data, *ways, input="The old man\n").stdout
    (tmp_path / "t.txt").write_bytes("\ufeffThe old man\r\n".encode())
    assert lmcore(data, *ways, str(tmp_path / "t.txt")).stdout == plain
    assert lmcore(data, *ways, input="\ufeffThe old man\n").stdout == plain
    marked = lmcore(data, "next", "llama", "\ufeffThe old man", "-k", "3")
    assert marked.stdout == lmcore(data, "next", "llama", "The old man", "-k", "3").stdout != ""
    lines = lmcore(
        data, *ways, "--lines", "--by", "word", input="The old\u2028man\x85walked\fto\nthe sea\r\n"
    ).stdout
    assert {row["text"] for row in csv.DictReader(io.StringIO(lines))} == {"0", "1"}


def test_surprisal_of_no_utf8_is_named_by_its_line(data: Path, tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_bytes(b"one\ncaf\xe9\n")
    found = lmcore(data, "surprisal", "llama", str(tmp_path / "t.txt"))
    assert (found.exit_code, found.stderr.count("\n")) == (
        1,
        1,
    ) and "t.txt: line 2: expected UTF-8" in found.stderr
    found = lmcore(data, "surprisal", "llama", input=b"one\ncaf\xe9\n")
    assert found.exit_code == 1 and found.stderr.startswith(
        "error: the standard input: line 2: expected UTF-8"
    )
    found = lmcore(data, "next", "llama", "caf\udce9")
    assert found.exit_code == 1 and found.stderr.startswith(
        "error: the prompt holds half a character at position 4"
    )


def test_csv_of_surprisal_has_one_row_a_token_whatever_it_holds() -> None:
    tokens = ["a\u2028b", "\r", "\n", 'x,"y"', "\x85"]
    frame = pd.DataFrame(
        {"text": 0, "token": tokens, "surprisal": [1.23456789, 2.0, 3.0, 1e-9, math.nan]}
    )
    lines = list(as_lines(frame, ["x"], "csv"))
    assert len(lines) == 6 and lines[1] == "0,a\u2028b,1.23457" and lines[5].endswith(",")
    rows = list(csv.DictReader(io.StringIO("\n".join(lines), newline="")))
    assert [row["token"] for row in rows] == tokens


def test_shades_grow_with_surprisal() -> None:
    assert [shade(bits) for bits in (-0.1, 0, 3, 1000)] == [
        SHADES[0],
        SHADES[0],
        SHADES[1],
        SHADES[-1],
    ]


def test_sample_shows_every_strategy_and_that_it_repeats(data: Path) -> None:
    found = json.loads(
        lmcore(
            data, "sample", "llama", "The old man", "Nobody", "--max-new-tokens", "4", "--json"
        ).stdout
    )
    assert (
        set(found["statistics"]) == {"greedy", "temperature", "top_k", "top_p", "min_p", "typical"}
        and len(found["texts"]) == 12
    )
    assert all(values["same_again"] == 1 for values in found["statistics"].values())
    assert (
        "distinct_2"
        in lmcore(data, "sample", "llama", "The old man", "--max-new-tokens", "2").stdout
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["next", "nobody", "a"],
            "error: nobody: no such model; expected a name (llama), a folder or a hub id",
        ),
        (["next", "llama", "a", "-k", "0"], "error: k must be from 1 to"),
        (
            ["surprisal", "llama", "nowhere.txt"],
            "error: nowhere.txt: no such file; expected a text file",
        ),
        (
            ["surprisal", "llama", "--by", "line"],
            "error: by must be one of token, word, not 'line'",
        ),
        (
            ["surprisal", "llama", "--format", "xml"],
            "error: the format must be one of table, csv, jsonl, colour, not 'xml'",
        ),
        (
            ["blend", "llama", "--prompt", "a", "--way", "odd"],
            "error: way must be one of embeddings, mixture, product, not 'odd'",
        ),
        (
            ["blend", "llama", "--prompt", "a", "--align", "middle"],
            "error: align must be one of left, right, not 'middle'",
        ),
    ],
)
def test_errors_are_one_line(data: Path, arguments: list[str], message: str) -> None:
    result = lmcore(data, *arguments, input="some text")
    assert (
        result.exit_code == 1
        and result.stderr.startswith(message)
        and result.stderr.count("\n") == 1
    )


@pytest.mark.parametrize("command", ["next", "surprisal", "sample", "blend"])
def test_help_has_an_example(command: str) -> None:
    assert f"lmcore {command} smollm2" in " ".join(
        CliRunner().invoke(app, [command, "--help"]).stdout.split()
    )
