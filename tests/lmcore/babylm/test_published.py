"""Published data of the evaluation pass the check with the sizes that the collation asserts."""

import shutil
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from lmcore.babylm.check import check_revision
from lmcore.babylm.evaluations import evaluation
from lmcore.babylm.tree import Project, write_revision
from lmcore.files import write_json
from lmcore.suites.build import build_suite
from lmcore.tables import ITEMS, TOKENS, write

PASSWORD = b"iamnotaLM"  # as published beside the data


def one_token_a_text(items: pa.Table) -> pa.Table:
    """What a model says whose every target is one token, the more probable the shorter it is."""
    n = items.num_rows
    lengths = pa.compute.utf8_length(items["target"]).to_numpy()
    columns: dict[str, object] = {
        "item": items["item"].combine_chunks().dictionary_encode(),
        "variant": items["variant"].combine_chunks().dictionary_encode(),
        "option": items["option"].combine_chunks(),
        "is_target": np.ones(n, bool),
        "logprob": -lengths.astype(np.float32),
        "rank": np.ones(n, np.int32),
    }
    return pa.table(
        [
            pa.array(columns.get(field.name, np.zeros(n)), field.type)
            if not isinstance(columns.get(field.name), pa.Array)
            else columns[field.name]
            for field in TOKENS
        ],
        schema=TOKENS,
    )


def scored(folder: Path, tokenizer: Path, sources: dict[str, Path]) -> Project:
    """The project of a model that was scored on these suites."""
    shutil.copytree(tokenizer, folder / "models/mine")
    write_json(
        {"model_type": "lmcore_dummy", "vocab_size": 300}, folder / "models/mine/config.json"
    )
    suites = {}
    for suite, source in sources.items():
        suites[suite] = {"path": str(source), "convention": "babylm2025"}
        items = build_suite(suite, suites[suite], folder, folder)
        write(items, ITEMS, folder / "items" / f"{suite}.parquet")
        tokens = one_token_a_text(items)
        write(tokens, TOKENS, folder / "tokens/mine" / suite / "part-00000.parquet")
    return Project(folder, suites)


@pytest.fixture
def sources(tmp_path: Path, data: Path) -> dict[str, Path]:
    of_evaluation = data / "babylm_eval"
    with zipfile.ZipFile(of_evaluation / "entity-tracking/entity_tracking.zip") as archive:
        archive.extractall(tmp_path / "unzipped", pwd=PASSWORD)
    return {
        "blimp_fast": of_evaluation / "fast_eval/blimp_fast",
        "supplement_fast": of_evaluation / "fast_eval/supplement_fast",
        "blimp_filtered": data / "blimp_filtered",
        "blimp_supplement": data / "blimp_supplement_filtered",
        "wug_adj": of_evaluation / "full_eval/wug_adj_nominalization",
        "entity_tracking": tmp_path / "unzipped/full_eval/entity_tracking",
        "entity_tracking_fast": tmp_path / "unzipped/fast_eval/entity_tracking_fast",
    }


@pytest.mark.parametrize("year", [2025, 2026])
def test_published_data_have_the_asserted_sizes(year, sources, tmp_path, tokenizer):
    project = scored(tmp_path / "data", tokenizer, sources)
    for is_fast in (False, True):
        folder = tmp_path / ("chck_1M" if is_fast else "main")
        write_revision(project, evaluation(year), "mine", folder, is_fast=is_fast)
        report = check_revision(folder, evaluation(year), is_fast=is_fast)
        assert report.wrong == [] and report.subsets == []
        n_parts = {(2025, False): 4, (2025, True): 4, (2026, False): 3, (2026, True): 3}
        assert len(report.present) == n_parts[year, is_fast]
    items = "2,238" if year == 2026 else "3,152"
    assert f"entity_tracking/entity_tracking_fast: {items} predictions of 6 UIDs" in report.present
