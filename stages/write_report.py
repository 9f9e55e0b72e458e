"""Stage: write the report, one page that needs no network."""

from pathlib import Path

from lmcore.report.page import write_report
from stages.stage import params, run, section

TRAINED = ("trained", "distill_model", "finetune_model")


def main() -> None:
    values = params()
    write_report(
        list(values["models"]),
        values["suites"],
        metrics=Path("metrics/models"),
        intervals=Path("metrics/intervals.json"),
        seeds=Path("metrics/seeds.json"),
        curves={name: Path(f"metrics/plots/train/{name}.csv") for key in TRAINED for name in values[key]},
        scores=Path("data/scores"),
        items=Path("data/items"),
        tokens=Path("data/tokens"),
        findings=Path("data/findings/completions.parquet"),
        analysis=Path("data/analysis"),
        imported=list(values["import_model"]),
        validity=Path("data/context_validity.parquet"),
        judged_suite=section("judge_context.suite"),
        progression=Path("metrics/plots/tokens/progression"),
        writers=section("generate_tokens.models"),
        generated=Path("data/generated"),
        writing=Path("metrics/generated"),
        out=Path("report"),
        confidence=section("aggregate.confidence"),
    )


if __name__ == "__main__":
    run(main)
