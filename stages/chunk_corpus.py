"""Stage: cut the token stream of train and dev into chunks."""

from pathlib import Path

from lmcore.files import write_json
from lmcore.text.chunks import chunk_corpus
from stages.stage import call, run


def main() -> None:
    tokenizer = Path("data/tokenizer")
    counts = call(
        chunk_corpus,
        "chunk_corpus",
        corpus=Path("data/corpus"),
        tokenizer_path=tokenizer,
        out=Path("data/chunks"),
    )
    write_json(counts, Path("metrics/chunks.json"))


if __name__ == "__main__":
    run(main)
