"""Stage: what the tokens say: by token, by entropy, in summary, and model against model on the same text."""

from pathlib import Path

from lmcore.analysis.analyse import analyse_tokens
from stages.stage import call, params, run, section


def main() -> None:
    values = params()
    call(
        analyse_tokens,
        "analyse_tokens",
        models=list(values["models"]),
        suites=list(values["suites"]),
        items=Path("data/items"),
        tokens=Path("data/tokens"),
        model_folder=Path("data/models"),
        out=Path("data/analysis"),
        summaries=Path("metrics/tokens"),
        comparison=Path("metrics/model_comparison.json"),
        plots=Path("metrics/plots/tokens"),
        metrics=Path("metrics/models"),
        generated=Path("data/generated"),
        writers=section("generate_tokens.models"),
        confidence=section("aggregate.confidence"),
        digits=section("aggregate.digits"),
    )


if __name__ == "__main__":
    run(main)
