"""Stage: let one model continue the prompts, and write what it says of every token it picks."""

from pathlib import Path

from lmcore.generating.continuations import generate_tokens
from lmcore.params.ranges import Digits, Names
from stages.stage import call, run, section


def main(model: str) -> None:
    section("generate_tokens.models", Names)
    call(
        generate_tokens,
        "generate_tokens",
        without=("models",),
        model=Path("data/models") / model,
        out=Path("data/generated") / model,
        metrics=Path("metrics/generated") / f"{model}.json",
        digits=section("aggregate.digits", Digits),
    )


if __name__ == "__main__":
    run(main)
