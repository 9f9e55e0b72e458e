"""Stage: clean the corpus into documents and split them."""

from pathlib import Path

from lmcore.corpus.documents import prepare_corpus
from lmcore.files import write_json
from stages.stage import call, run


def main() -> None:
    counts = call(
        prepare_corpus, "prepare_corpus", root=Path("data/sources"), out=Path("data/corpus")
    )
    write_json(counts, Path("metrics/corpus.json"))


if __name__ == "__main__":
    run(main)
