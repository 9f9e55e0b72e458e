"""One stage on the tables of bench.big_tables, for a process of its own.

    python -m bench.big_tables_stage STAGE SUITE FOLDER

It prints the seconds of the stage and the peak memory of this process, in MB, as JSON.
"""

import json
import sys
import time
from pathlib import Path

from bench.analysis import SETTINGS, peak_kib
from bench.big_tables import COMPARISON
from bench.random_tables import MODELS, SUITES


def run(stage: str, suite: str, folder: Path) -> None:
    """Run a stage's function on the tables in `folder`, which also has its results."""
    suites = {suite: SUITES[suite]}
    if stage == "fold_scores":
        from lmcore.folds.fold import fold_scores

        inputs = (folder / "items", folder / "tokens", folder / "models")
        fold_scores(
            list(MODELS), suites, *inputs, folder / "scores", folder / "positions", top_k=10
        )
    elif stage == "aggregate":
        from lmcore.folds.metrics import aggregate

        aggregate(
            list(MODELS),
            suites,
            folder / "scores",
            folder / "metrics",
            folder / "intervals.json",
            folder / "headlines",
            confidence=0.95,
            digits=6,
        )
    elif stage == "compare_models":
        from lmcore.comparing.model_pairs import compare_models

        compare_models(
            list(MODELS),
            suites,
            folder / "scores",
            folder / "comparisons.json",
            folder / "comparisons",
            folder / "seeds.json",
            folder / "signal.json",
            **COMPARISON,
        )
    else:
        from lmcore.analysis.analyse import Paths, Settings, analyse_tokens

        paths = Paths(
            items=folder / "items",
            tokens=folder / "tokens",
            model_folder=folder / "models",
            out=folder / "analysis",
            summaries=folder / "summaries",
            comparison=folder / "model_comparison.json",
            plots=folder / "plots",
        )
        analyse_tokens(list(MODELS), suites, paths, Settings(**{**SETTINGS, "plot_suite": suite}))


if __name__ == "__main__":
    started = time.perf_counter()
    run(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
    print(json.dumps({"seconds": time.perf_counter() - started, "peak_mb": peak_kib() / 1024}))
