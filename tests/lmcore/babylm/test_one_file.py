import gzip
import json
from pathlib import Path

import pyarrow as pa
import pytest

from lmcore.babylm.one_file import export_babylm
from lmcore.errors import InputError
from lmcore.folds import runs
from lmcore.folds.metrics import suite_metrics
from lmcore.suites.build import build_suite
from lmcore.suites.declare import TASKS
from lmcore.tables import ITEMS, TOKEN_KEY, TOKENS, read, write
from tests.lmcore.folds.test_fold import OPTIONS
from tests.lmcore.suites.test_build import jsonl
from tests.lmcore.token_tables import fold, tokens_of

FILES = {
    "hypernym": [
        {"sentence_good": f"A dog {n}.", "sentence_bad": f"A cat {n} too."} for n in range(3)
    ],
    "turn_taking": [
        {"sentence_good": "A: So?\nB: No.", "sentence_bad": "A: So?\nB: Yes, no."},
        {"sentence_good": "Same", "sentence_bad": "Same"},
    ],
}


def by_the_pipeline(predictions: dict, task: str, folder: Path) -> dict[str, float]:
    """{subtask: accuracy}, as score_predictions.py of the 2024 pipeline computes it for sentences.

    As there, predictions are zipped with the lines of the file, and compared without case.
    """
    scores = {}
    for subtask in predictions[task]:
        text = (folder / f"{subtask}.jsonl").read_text("utf-8")
        lines = [json.loads(line) for line in text.splitlines()]
        is_right = []
        for prediction, line in zip(predictions[task][subtask]["predictions"], lines):
            gold = line["sentence_good"].strip().lower()
            is_right.append(prediction["pred"].strip().lower() == gold)
        scores[subtask] = sum(is_right) / len(is_right)
    return scores


@pytest.fixture
def scored(tmp_path: Path, monkeypatch) -> Path:
    """A supplement of five items, built from its files.

    It is scored by a model that likes short words.
    """
    monkeypatch.setitem(
        TASKS, "blimp_supplement", TASKS["blimp_supplement"]._replace(n_items=5, n_groups=2)
    )
    (tmp_path / "blimp_supplement").mkdir()
    for name, records in FILES.items():
        jsonl(tmp_path / "blimp_supplement" / f"{name}.jsonl", records)
    items = build_suite("blimp_supplement", {"convention": "babylm2024"}, tmp_path, tmp_path)
    write(items, ITEMS, tmp_path / "items" / "blimp_supplement.parquet")
    tokens = tokens_of(
        items, lambda draw, before, word: -len(word) * (1.0 if draw == 0 else -1.0), draws=2
    )
    write(tokens, TOKENS, tmp_path / "tokens" / "blimp_supplement" / "part-00000.parquet")
    return tmp_path


def test_export_is_scored_by_the_pipeline_as_we_score_it(scored: Path):
    out = scored / "predictions.json.gz"
    assert export_babylm(scored / "items", scored / "tokens", out) == {"blimp_supplement": 5}
    predictions = json.loads(gzip.decompress(out.read_bytes()))
    theirs = by_the_pipeline(predictions, "blimp_supplement", scored / "blimp_supplement")
    items = build_suite("blimp_supplement", {}, scored, scored)
    tokens = tokens_of(items, lambda draw, before, word: -float(len(word)))
    ours = suite_metrics(fold(items, tokens, kind="pairs", **{**OPTIONS, "ties": "win"}), 0.95)[0][
        "accuracy"
    ]
    assert ours == sum(theirs.values()) / 2 == 1.0
    assert predictions["blimp_supplement"]["turn_taking"]["predictions"] == [
        {"id": "turn_taking_0", "pred": " A: So?\nB: No."},
        {"id": "turn_taking_1", "pred": " Same"},
    ]


def test_export_twice_gives_equal_bytes_and_another_draw_others(scored: Path):
    files = [scored / name for name in ("a.json", "b.json", "c.json")]
    for path, draw in zip(files, (0, 0, 1)):
        export_babylm(scored / "items", scored / "tokens", path, draw=draw)
    assert files[0].read_bytes() == files[1].read_bytes() != files[2].read_bytes()
    with pytest.raises(InputError, match="there is no draw 2; draws are 0 to 1"):
        export_babylm(scored / "items", scored / "tokens", files[0], draw=2)


def test_export_in_runs_of_items_gives_equal_bytes(scored: Path, monkeypatch):
    out, path = scored / "out.json", scored / "tokens" / "blimp_supplement" / "part-00000.parquet"
    rows = read(path, TOKENS).to_pylist()
    rows.sort(key=lambda row: [row[name] for name in TOKEN_KEY])
    write(pa.Table.from_pylist(rows, TOKENS), TOKENS, path)
    export_babylm(scored / "items", scored / "tokens", out, draw=1)
    at_once = out.read_bytes()
    monkeypatch.setattr(runs, "RUN_ROWS", 1)
    monkeypatch.setattr(runs, "BATCH_ROWS", 3)
    export_babylm(scored / "items", scored / "tokens", out, draw=1)
    assert out.read_bytes() == at_once


def test_export_of_part_of_a_suite_is_refused(scored: Path, monkeypatch):
    monkeypatch.setitem(
        TASKS, "blimp_supplement", TASKS["blimp_supplement"]._replace(n_items=5_218)
    )
    with pytest.raises(
        InputError, match="has 5 of 5,218 items; predictions are exported for a whole suite"
    ):
        export_babylm(scored / "items", scored / "tokens", scored / "out.json")
    assert not (scored / "out.json").exists()


@pytest.mark.parametrize(
    ("ids", "limit", "message"),
    [
        (["x1", "x2", "x3"], None, "item 'ewok/x1' is not ewok/weather/0000"),
        ([None] * 3, 1, r"item 'ewok/weather/000\d' is not ewok/weather/0000"),
    ],
)
def test_export_of_ewok_with_ids_of_its_own_or_in_part_is_refused(
    ids, limit, message, scored: Path, monkeypatch
):
    n_items = 1 if limit else len(ids)
    monkeypatch.setitem(TASKS, "ewok", TASKS["ewok"]._replace(n_items=n_items))
    (scored / "items" / "blimp_supplement.parquet").unlink()
    record = {"context": "It rains.", "good": "Go in.", "bad": "Go out.", "group": "weather"}
    path = jsonl(
        scored / "ewok.jsonl", [{**record, **({"id": name} if name else {})} for name in ids]
    )
    items = build_suite(
        "ewok", {"kind": "pairs", "path": path, "limit": limit, "seed": 1}, scored, scored
    )
    write(items, ITEMS, scored / "items" / "ewok.parquet")
    write(
        tokens_of(items, lambda draw, before, word: -1.0),
        TOKENS,
        scored / "tokens" / "ewok" / "part-00000.parquet",
    )
    with pytest.raises(InputError, match=message):
        export_babylm(scored / "items", scored / "tokens", scored / "out.json")


def test_export_without_a_suite_of_the_pipeline_or_its_tokens_is_refused(scored: Path):
    with pytest.raises(
        InputError, match="none of the suites blimp_filtered, blimp_supplement, ewok"
    ):
        export_babylm(scored, scored / "tokens", scored / "out.json")
    with pytest.raises(InputError, match="nobody/blimp_supplement: no such table"):
        export_babylm(scored / "items", scored / "nobody", scored / "out.json")
