"""Stage: write the report, one page that needs no network."""

from pathlib import Path

from lmcore.params.ranges import Entries, Name, Names, OpenShare, SomeNames
from lmcore.report.page import Inputs, write_report
from lmcore.suites.declare import Suites
from stages.stage import clear_leftovers, run, section

TRAINED = ("trained", "distill_model", "finetune_model")


def main() -> None:
    clear_leftovers("data/generated", "data/models", "data/tokens")
    clear_leftovers("metrics/generated", "metrics/plots/train", "metrics/train")
    trained: list[str] = []
    for key in TRAINED:
        trained.extend(section(key, Entries))
    inputs = Inputs(
        metrics=Path("metrics/models"),
        intervals=Path("metrics/intervals.json"),
        seeds=Path("metrics/seeds.json"),
        signal=Path("metrics/signal.json"),
        comparisons=Path("metrics/comparisons.json"),
        trained=Path("metrics/train"),
        curves={name: Path(f"metrics/plots/train/{name}.csv") for name in trained},
        scores=Path("data/scores"),
        items=Path("data/items"),
        tokens=Path("data/tokens"),
        model_folders=Path("data/models"),
        findings=Path("data/findings/completions.parquet"),
        analysis=Path("data/analysis"),
        validity=Path("data/context_validity.parquet"),
        progression=Path("metrics/plots/tokens/progression"),
        explorations=Path("metrics/plots/explorations"),
        generated=Path("data/generated"),
        writing=Path("metrics/generated"),
    )
    write_report(
        section("models", SomeNames),
        section("suites", Suites),
        inputs,
        out=Path("report"),
        imported=list(section("import_model", Entries)),
        kept=section("keep_checkpoint", Entries),
        recipes=section("compare_models.recipes", dict[Name, SomeNames] | None),
        judged_suite=section("judge_context.suite", Name),
        writers=section("generate_tokens.models", Names),
        confidence=section("aggregate.confidence", OpenShare),
    )


if __name__ == "__main__":
    run(main)
