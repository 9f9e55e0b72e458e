import os
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from lmcore.errors import InputError
from lmcore.kept_files import keep
from lmcore.scoring import extract
from lmcore.scoring.engine import Engine
from lmcore.scoring.extract import extract_tokens
from lmcore.scoring.shards import shards
from lmcore.suites.build import build_suite
from lmcore.tables import ITEMS, TOKENS, read, write
from tests.lmcore.scored_items import score_items
from tests.lmcore.scoring.conftest import TEXTS, items

ROOT = Path(__file__).parents[3]
PARAMS = {"dtype": "float32", "token_budget": 64, "shard_chars": 60}
LONG = " ".join(TEXTS * 12)
COMMAND = """
import sys
from pathlib import Path
from lmcore.scoring.extract import extract_tokens
model, items, out, work = map(Path, sys.argv[1:])
extract_tokens(model, items, out, work, "code", dtype="float32", token_budget=64, shard_chars=60)
"""
KILLED_AFTER_THREE_SHARDS = """
import os, signal, time
from lmcore.kept_files import keep
from lmcore.scoring import extract
def keep_and_kill(path, write):
    keep(path, write)
    if len(list(path.parent.glob("part-*.parquet"))) >= 3:
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(60)
extract.keep = keep_and_kill
"""


@pytest.fixture
def suite(tmp_path) -> Path:
    path = tmp_path / "items" / "suite.parquet"
    write(items(TEXTS * 8), ITEMS, path)
    return path


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_extract_tokens_writes_what_score_items_gives_in_order(llama, suite, tmp_path, monkeypatch):
    monkeypatch.setenv("LMCORE_WORKERS", "1")
    extract_tokens(llama, suite, tmp_path / "out", tmp_path / "work", "code", **PARAMS)
    table = read(tmp_path / "out", TOKENS)
    assert len(contents(tmp_path / "out")) > 4
    expected = score_items(llama, read(suite, ITEMS))
    assert table.to_pylist() == expected.to_pylist()
    assert b"packed" in pq.read_schema(tmp_path / "out" / "part-00000.parquet").metadata[b"engine"]
    assert not [path for path in (tmp_path / "work").rglob("*") if path.suffix == ".parquet"]


@pytest.mark.parametrize("model", ["llama", "dummy"])
def test_extract_tokens_gives_the_same_bytes_whatever_the_workers(
    model, suite, tmp_path, monkeypatch, request
):
    for workers in ("1", "2", "3"):
        monkeypatch.setenv("LMCORE_WORKERS", workers)
        extract_tokens(
            request.getfixturevalue(model),
            suite,
            tmp_path / workers,
            tmp_path / "work",
            "code",
            **PARAMS,
        )
    assert contents(tmp_path / "1") == contents(tmp_path / "2") == contents(tmp_path / "3")


def test_extract_tokens_killed_and_run_again_ends_in_the_same_bytes(llama, tmp_path):
    suite = tmp_path / "suite.parquet"
    texts = [*TEXTS * 40, LONG, *TEXTS * 20]  # LONG is cut into windows
    write(items(texts, {"bos": "prefix", "window": 64}), ITEMS, suite)
    environment = os.environ | {"LMCORE_WORKERS": "2"}

    def start(out: str, work: str, first: str = "") -> subprocess.Popen:
        paths = [str(path) for path in (llama, suite, tmp_path / out, tmp_path / work)]
        command = [sys.executable, "-c", first + COMMAND, *paths]
        return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)

    killed = start("out", "work", KILLED_AFTER_THREE_SHARDS)
    killed.communicate()
    assert killed.returncode == -signal.SIGKILL
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "work").rglob("part-*.parquet")}
    assert kept and not (tmp_path / "out").exists()
    resumed, undisturbed = start("out", "work"), start("undisturbed", "other")
    assert "shards" in resumed.communicate()[1] and resumed.returncode == 0
    undisturbed.communicate()
    assert contents(tmp_path / "out") == contents(tmp_path / "undisturbed")
    linked = [tmp_path / "out" / f"{path.name.split('.')[0]}.parquet" for path in kept]
    assert [path.stat().st_mtime_ns for path in linked] == list(kept.values())


def test_extract_tokens_never_serves_the_shards_of_other_items_code_or_params(
    llama, suite, tmp_path, monkeypatch
):
    monkeypatch.setenv("LMCORE_WORKERS", "1")
    # Finished shards stay in the work folder, where all runs can find them
    monkeypatch.setattr("lmcore.scoring.extract.shutil.rmtree", lambda path: None)
    extract_tokens(llama, suite, tmp_path / "out", tmp_path / "work", "code", **PARAMS)
    extract_tokens(llama, suite, tmp_path / "out2", tmp_path / "work", "other code", **PARAMS)
    extract_tokens(
        llama,
        suite,
        tmp_path / "out3",
        tmp_path / "work",
        "code",
        **(PARAMS | {"token_budget": 65}),
    )
    write(items(TEXTS * 8, {"bos": "none"}), ITEMS, suite)
    extract_tokens(llama, suite, tmp_path / "out4", tmp_path / "work", "code", **PARAMS)
    assert len([path for path in (tmp_path / "work" / "tokens").iterdir() if path.is_dir()]) == 4


def test_extract_tokens_failure_in_a_worker_is_told_in_one_line(gpt2, tmp_path, monkeypatch):
    monkeypatch.setenv("LMCORE_WORKERS", "2")
    suite = tmp_path / "suite.parquet"
    write(items([*TEXTS, "a"], {"bos": "none"}), ITEMS, suite)
    with pytest.raises(
        InputError, match="item 'i/0005' option 0: no token of the target can be scored"
    ):
        extract_tokens(gpt2, suite, tmp_path / "out", tmp_path / "work", "code", **PARAMS)
    assert not (tmp_path / "out").exists()
    monkeypatch.setenv("LMCORE_WORKERS", "two")
    with pytest.raises(InputError, match="LMCORE_WORKERS must be a whole number"):
        extract_tokens(gpt2, suite, tmp_path / "out", tmp_path / "work", "code", **PARAMS)


def test_shards_of_overlapped_steps_and_of_processes_on_cards_are_the_same_bytes(
    llama, suite, tmp_path
):
    """A CPU does what GPUs do, except for the choice of the card."""
    table = read(suite, ITEMS)
    engine = Engine(llama, {"bos": "prefix"}, "float32", 64, kernel="torch")
    cut = shards(table, 60, engine)

    def jobs(name: str) -> list[extract.Job]:
        folder = tmp_path / name
        return [(shard, folder / f"part-{number:05d}.parquet") for number, shard in enumerate(cut)]

    counts = list(extract._in_turn(engine, table, jobs("a"), overlap=False))
    assert list(extract._in_turn(engine, table, jobs("b"), overlap=True)) == counts
    unloaded = Engine(llama, {"bos": "prefix"}, "float32", 64, kernel="torch")
    with extract._pool_on_cards(unloaded, table, 2) as pool:
        assert pool.submit(extract._score_here, jobs("c")).result() == counts
    assert contents(tmp_path / "a") == contents(tmp_path / "b") == contents(tmp_path / "c")


def test_extract_tokens_with_a_killed_worker_says_what_to_do_and_keeps_what_was_done(
    llama, suite, tmp_path, monkeypatch
):
    def keep_and_die(path, write):
        keep(path, write)
        os.kill(os.getpid(), signal.SIGKILL)

    monkeypatch.setenv("LMCORE_WORKERS", "2")
    monkeypatch.setattr("lmcore.scoring.extract.keep", keep_and_die)
    message = (
        r"llama suite: a scoring process was killed \(out of memory\?\);"
        " run again, with fewer LMCORE_WORKERS"
    )
    with pytest.raises(OSError, match=message):
        extract_tokens(llama, suite, tmp_path / "out", tmp_path / "work", "code", **PARAMS)
    assert not (tmp_path / "out").exists() and list((tmp_path / "work").rglob("part-*.parquet"))


def test_extract_tokens_is_small_on_disk(llama, tmp_path, monkeypatch):
    monkeypatch.setenv("LMCORE_WORKERS", "1")
    suite = tmp_path / "suite.parquet"
    write(items(TEXTS * 500), ITEMS, suite)
    extract_tokens(
        llama,
        suite,
        tmp_path / "out",
        tmp_path / "work",
        "code",
        **(PARAMS | {"shard_chars": 10**6, "token_budget": 4096}),
    )
    (part,) = (tmp_path / "out").iterdir()
    assert part.stat().st_size / pq.read_metadata(part).num_rows < 20


def test_shards_hold_whole_items_of_about_equal_size(llama):
    engine = Engine(llama, {}, "float32", 64)
    table = items([("", "x" * 10)] * 7)
    assert [tuple(shard) for shard in shards(table, 25, engine)] == [
        (0, 3, 0, 1),
        (3, 5, 0, 1),
        (5, 7, 0, 1),
    ]
    assert [shard[:2] for shard in shards(table, 10, engine)] == [(i, i + 1) for i in range(7)]
    assert [shard[:2] for shard in shards(table, 10**9, engine)] == [(0, 7)]


def test_shards_cut_a_long_text_between_its_windows(llama, dummy):
    table = items(["short one.", "The cats annoy Tim. " * 40, "short two.", "short three."])
    engine = Engine(llama, {"window": 64}, "float32", 64)
    n_windows = engine.count_windows(table.slice(1, 1))
    assert n_windows > 3
    assert shards(table, 300, engine) == [
        (0, 1, 0, 1),
        *((1, 2, part, 3) for part in range(3)),
        (2, 4, 0, 1),
    ]
    assert len(shards(table, 22, engine)) == n_windows + 2
    of_draws = shards(table, 300, Engine(dummy, {"window": 64}, "float32", 64))
    assert of_draws[0] == (0, 2, 0, 1), "the rows of a draw stay together"


@pytest.mark.parametrize(
    "window", [{}, {"window": 64, "stride": 16}, {"window": 33, "stride": 8, "bow": True}]
)
def test_extract_tokens_of_a_long_text_is_the_same_whatever_shards_and_workers(
    llama, tmp_path, monkeypatch, window
):
    suite = tmp_path / "suite.parquet"
    write(
        items(["short one.", " ".join(TEXTS * 12), "short two."], {"bos": "prefix", **window}),
        ITEMS,
        suite,
    )
    expected = score_items(llama, read(suite, ITEMS))
    for workers, shard_chars in (("1", 10**6), ("2", 200), ("3", 1)):
        monkeypatch.setenv("LMCORE_WORKERS", workers)
        extract_tokens(
            llama,
            suite,
            tmp_path / workers,
            tmp_path / "work",
            "code",
            **(PARAMS | {"shard_chars": shard_chars}),
        )
        assert read(tmp_path / workers, TOKENS).to_pylist() == expected.to_pylist()


def test_controls_import_no_transformers(dummy, tmp_path):
    write(items(TEXTS, {"bos": "prefix"}), ITEMS, tmp_path / "suite.parquet")
    paths = [
        str(path)
        for path in (dummy, tmp_path / "suite.parquet", tmp_path / "out", tmp_path / "work")
    ]
    code = (
        "import sys; from pathlib import Path; from lmcore.scoring.extract import extract_tokens\n"
        f"extract_tokens(*map(Path, {paths}), 'code', **{PARAMS});"
        " sys.exit('transformers' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.parametrize("reader", ["pandas", "duckdb", "polars", "pyarrow"])
def test_token_files_are_read_alike_by_other_tools(llama, tmp_path, reader):
    library = pytest.importorskip(reader)
    suite = tmp_path / "suite.parquet"
    write(items(TEXTS, {"bos": "prefix", "top_k": 2, "bow": True}), ITEMS, suite)
    extract_tokens(llama, suite, tmp_path / "out", tmp_path / "work", "code", **PARAMS)
    expected = read(tmp_path / "out", TOKENS).to_pylist()
    files = sorted((tmp_path / "out").iterdir())
    assert len(files) > 1
    if reader == "pandas":
        found = library.concat([library.read_parquet(file) for file in files]).to_dict("records")
    elif reader == "duckdb":
        relation = library.sql(
            f"SELECT * FROM read_parquet('{tmp_path}/out/*.parquet')"
            " ORDER BY item, draw, option, variant, position"
        )
        found = [dict(zip(relation.columns, row)) for row in relation.fetchall()]
    elif reader == "polars":
        found = library.concat([library.read_parquet(file) for file in files]).to_dicts()
    else:
        found = []
        for file in files:
            found += pq.read_table(file).to_pylist()
    for row in found:
        row |= {name: list(row[name]) for name in ("top_ids", "top_logprobs")}
    assert found == expected


@pytest.mark.parametrize(("suite", "limit", "most"), [("blimp", 300, 16), ("wikitext2", 1, 20)])
def test_token_files_of_real_text_are_small(data, tmp_path, suite, limit, most):
    model = Path(os.environ.get("LMCORE_MODELS", ROOT / "data/models")) / "smollm2"
    if not model.exists():
        pytest.skip("needs smollm2: run `dvc repro`, or say in LMCORE_MODELS where models are")
    table = build_suite(suite, {"limit": limit}, data, tmp_path)
    write(table, ITEMS, tmp_path / "suite.parquet")
    extract_tokens(
        model,
        tmp_path / "suite.parquet",
        tmp_path / "out",
        tmp_path / "work",
        "code",
        dtype="float32",
        token_budget=2048,
        shard_chars=50_000,
    )
    files = list((tmp_path / "out").iterdir())
    assert sum(file.stat().st_size for file in files) <= most * sum(
        pq.read_metadata(file).num_rows for file in files
    )
