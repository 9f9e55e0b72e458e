"""Continuations: the same as token by token from scratch, with what the model said of each token.

Ends, windows and repeats, too.
"""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from lmcore.errors import InputError
from lmcore.files import sha256
from lmcore.generating.continuations import generate, generate_tokens, read_prompts
from lmcore.generating.generation import encode_prompts
from lmcore.generating.sampling import Decoding, entropy, truncated
from lmcore.models.dummy import DummyConfig, DummyForCausalLM
from lmcore.models.llama import new_llama, save_model, token_ids
from lmcore.models.load import load_model
from lmcore.models.unigram import UnigramConfig, UnigramForCausalLM
from lmcore.text.tokenizer import load_fast
from tests.lmcore.generating.test_generation import SHAPE

PROMPTS = ["The old man", "She gave him a letter, and", "Nobody"]
SAMPLED = {"temperature": 0.9, "top_p": 0.9, "seeds": [3, 4]}


@pytest.fixture(scope="module")
def llama(tokenizer: Path, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "llama"
    save_model(new_llama(SHAPE, tokenizer, 3), tokenizer, folder)
    return folder


def by_item(table) -> dict:
    rows: dict = {}
    for row in table.to_pylist():
        rows.setdefault((row["item"], row["variant"], row["sample"]), []).append(row)
    return rows


@pytest.mark.parametrize("batch_size", [1, 2, 16])
def test_every_token_is_what_the_model_says_without_cache_or_padding(
    llama: Path, batch_size: int
) -> None:
    tokens, texts = generate(
        llama, PROMPTS, "prefix", 12, "stop", batch_size, {"greedy": {}, "sampled": SAMPLED}
    )
    model, ids = load_model(llama), encode_prompts(load_fast(llama), llama, PROMPTS, "prefix", 39)
    for (item, variant, _), rows in by_item(tokens).items():
        context = list(ids[int(item.split("/")[1])])
        decoding = Decoding() if variant == "greedy" else Decoding(0.9, top_p=0.9)
        for number, row in enumerate(rows):
            with torch.no_grad():
                logits = model(input_ids=torch.tensor([context])).logits[:, -1]
            logprobs = logits.log_softmax(1)
            assert row["position"] == len(context) - 1 and row["current_id"] == context[-1], number
            assert row["logprob"] == pytest.approx(float(logprobs[0, row["next_id"]]), abs=1e-4)
            assert row["entropy"] == pytest.approx(float(entropy(logprobs)), abs=1e-4)
            assert row["sampling_entropy"] == pytest.approx(
                float(entropy(truncated(logits, decoding))), abs=1e-3
            )
            assert variant != "greedy" or (row["rank"], row["next_id"]) == (1, row["top_id"])
            context.append(row["next_id"])
    assert len(texts) == 9 and len({row["text"] for row in texts.to_pylist()}) > 4


def test_generation_repeats_and_does_not_depend_on_what_else_is_written(llama: Path) -> None:
    one = generate(llama, PROMPTS, "prefix", 8, "stop", 16, {"sampled": SAMPLED})
    again = generate(llama, PROMPTS, "prefix", 8, "stop", 16, {"sampled": SAMPLED})
    assert one[0].equals(again[0]) and one[1].equals(again[1])
    _, alone = generate(
        llama, PROMPTS[:1], "prefix", 8, "stop", 16, {"sampled": {**SAMPLED, "seeds": [3]}}
    )
    texts = {(row["item"], row["seed"]): row["text"] for row in one[1].to_pylist()}
    assert alone["text"].to_pylist()[0] == texts["prompt/0000", 3]


def test_spans_are_those_of_prompt_and_text(llama: Path) -> None:
    tokens, texts = generate(llama, PROMPTS, "prefix", 12, "stop", 16, {"sampled": SAMPLED})
    rows = by_item(tokens)
    for text in texts.to_pylist():
        own = rows[text["item"], text["variant"], text["sample"]]
        assert own[0]["start"] == len(text["prompt"]) and text["n_tokens"] == len(own)
        assert all(row["end"] == following["start"] for row, following in pairwise(own))
        assert own[-1]["end"] <= len(text["prompt"] + text["text"])


@pytest.mark.parametrize(("top", "reason", "n"), [("</s>", "eos", 1), ("e", "length", 9)])
def test_stop_reasons_of_a_model_that_repeats_one_token(
    tokenizer: Path, tmp_path: Path, top: str, reason: str, n: int
) -> None:
    counts = np.zeros(300, int)
    counts[load_fast(tokenizer).token_to_id(top)] = 9
    config = UnigramConfig(max_position_embeddings=64, **token_ids(tokenizer))
    save_model(UnigramForCausalLM.from_counts(counts, config), tokenizer, tmp_path / "unigram")
    _, texts = generate(
        tmp_path / "unigram",
        PROMPTS,
        "prefix",
        9,
        "stop",
        2,
        {"greedy": {}, "sampled": {"temperature": 1.0, "top_k": 1}},
    )
    assert {(row["stop_reason"], row["n_tokens"], row["text"]) for row in texts.to_pylist()} == {
        (reason, n, "e" * 9 if n > 1 else "")
    }


def test_a_full_window_stops_or_slides(llama: Path) -> None:
    stopped, texts = generate(llama, PROMPTS, "prefix", 100, "stop", 16, {"greedy": {}})
    reasons = set(texts["stop_reason"].to_pylist())
    assert reasons <= {"window", "eos"} and "window" in reasons
    assert max(stopped["position"].to_pylist()) == 38, (
        "the last token stands at the end of a window of 40"
    )
    slid, texts = generate(llama, PROMPTS, "prefix", 100, "slide", 16, {"greedy": {}})
    assert set(texts["stop_reason"].to_pylist()) <= {"length", "eos"}
    assert slid.num_rows > stopped.num_rows
    slid_rows = by_item(slid)
    for key, rows in by_item(stopped).items():
        ids = [row["next_id"] for row in rows[:3]]
        assert ids == [row["next_id"] for row in slid_rows[key][:3]]


def test_the_dummy_is_read_anew_for_every_token(tokenizer: Path, tmp_path: Path) -> None:
    config = DummyConfig(seeds=[0], max_position_embeddings=64, **token_ids(tokenizer))
    save_model(DummyForCausalLM(config), tokenizer, tmp_path / "dummy")
    tables = [
        generate(tmp_path / "dummy", PROMPTS, "prefix", 6, "stop", size, {"greedy": {}})[0]
        for size in (1, 16)
    ]
    assert tables[0].equals(tables[1])


STAGE = {
    "bos": "prefix",
    "max_new_tokens": 5,
    "at_window": "stop",
    "batch_size": 4,
    "threads": 1,
    "decodings": {"greedy": {}},
    "digits": 4,
}


def test_stage_gives_the_same_bytes_whatever_the_threads(tokenizer: Path, tmp_path: Path) -> None:
    # narrower ones give the same bits anyway
    wide = {**SHAPE, "hidden_size": 512, "intermediate_size": 1024}
    save_model(new_llama(wide, tokenizer, 3), tokenizer, tmp_path / "model")
    n_threads = torch.get_num_threads()
    try:
        for outside in (1, 2):
            torch.set_num_threads(outside)
            out = tmp_path / str(outside)
            generate_tokens(
                tmp_path / "model", out, tmp_path / f"{outside}.json", prompts=PROMPTS, **STAGE
            )
    finally:
        torch.set_num_threads(n_threads)
    assert sha256(tmp_path / "1") == sha256(tmp_path / "2")


def test_stage_writes_tables_and_statistics(llama: Path, tmp_path: Path) -> None:
    (tmp_path / "p.txt").write_text("The old\n\nNobody\n")
    generate_tokens(
        llama, tmp_path / "out", tmp_path / "m.json", prompts=str(tmp_path / "p.txt"), **STAGE
    )
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "generations.parquet",
        "tokens.parquet",
    ]
    assert '"n_texts": 2' in (tmp_path / "m.json").read_text()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"max_new_tokens": 5000}, "max_new_tokens must be from 1 to 4096, not 5000"),
        ({"at_window": "jump"}, "at_window must be one of stop, slide, not 'jump'"),
        ({"decodings": {"x": {"temprature": 1}}}, "decoding 'x': unknown key 'temprature'"),
        ({"decodings": {"x": {"seeds": [1, 2]}}}, "greedy decoding"),
        ({"decodings": {}}, "there are no decodings"),
    ],
)
def test_bad_settings_are_named(llama: Path, changes: dict, message: str) -> None:
    settings = {
        "bos": "prefix",
        "max_new_tokens": 5,
        "at_window": "stop",
        "batch_size": 4,
        "decodings": {"greedy": {}},
    }
    with pytest.raises(InputError, match=message):
        generate(llama, PROMPTS, *{**settings, **changes}.values())


def test_prompts_that_are_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_prompts(str(tmp_path / "none.txt"))
    with pytest.raises(InputError, match="there are no prompts"):
        read_prompts(["", " "])


def test_prompts_of_a_file_are_its_lines(tmp_path: Path) -> None:
    (tmp_path / "p.txt").write_bytes("\ufeffThe cat\u2028sat\r\n\r\nA dog\x85ran\n".encode())
    assert read_prompts(str(tmp_path / "p.txt")) == ["The cat\u2028sat", "A dog\x85ran"]
    (tmp_path / "p.txt").write_text("\n \n")
    with pytest.raises(InputError, match=r"p\.txt: there are no prompts"):
        read_prompts(str(tmp_path / "p.txt"))
