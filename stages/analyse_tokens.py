"""Stage: what the tokens say.

By token, by entropy, in summary, and model against model on the same text.
"""

from pathlib import Path

from lmcore.analysis.analyse import Paths, Settings, analyse_tokens
from lmcore.params.ranges import Digits, Names, OpenShare, SomeEntries, SomeNames
from lmcore.training.kept import KeptSteps
from stages.stage import call, clear_leftovers, run, section

PATHS = Paths(
    items=Path("data/items"),
    tokens=Path("data/tokens"),
    model_folder=Path("data/models"),
    out=Path("data/analysis"),
    summaries=Path("metrics/tokens"),
    comparison=Path("metrics/model_comparison.json"),
    plots=Path("metrics/plots/tokens"),
    metrics=Path("metrics/models"),
    generated=Path("data/generated"),
    trained=Path("metrics/train"),
)


def main() -> None:
    clear_leftovers("data/generated", "data/models", "data/tokens", "metrics/train")
    models = section("models", SomeNames)
    suites = section("suites", SomeEntries)
    writers = section("generate_tokens.models", Names)
    settings = call(
        Settings,
        "analyse_tokens",
        confidence=section("aggregate.confidence", OpenShare),
        digits=section("aggregate.digits", Digits),
    )
    kept = section("keep_checkpoint", KeptSteps)
    analyse_tokens(models, suites, PATHS, settings, writers, kept)


if __name__ == "__main__":
    run(main)
