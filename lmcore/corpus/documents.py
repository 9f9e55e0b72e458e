"""Make documents of text files.

Raw sources go in. The tables `train`, `dev` and `test` of (document, group, text) come out, with
counts of everything that was dropped.

A document is a contiguous section of a few hundred to a few thousand words, never a single line, so
that a model sees real context. `group` is the book or the domain. Two layouts are recognised by
their file names:

- `*.txt`: each file is a book. The documents of every book are split into train, dev and test by
  a seeded draw.
- `*.train`, `*.dev`, `*.test` (BabyLM), also with `.txt` behind (BabyLM 2026): each file is a
  domain, which is split already. Without a test file, half of the dev documents become the test
  split.
"""

import codecs
import random
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Annotated, Literal

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import AfterValidator

from lmcore.corpus.survey import survey
from lmcore.errors import InputError
from lmcore.files import whole
from lmcore.params.ranges import Count, Line, OpenShare, Seed, SomeNames
from lmcore.params.schema import shown, together
from lmcore.text_files import BOM, NEWLINE

DOCUMENTS = pa.schema({"document": pa.string(), "group": pa.string(), "text": pa.string()})
SPLITS = ("train", "dev", "test")

_HEADING = re.compile(
    r"(chapter|volume|book|part|section|epilogue|prologue)\b.{0,80}"
    r"|[ivxlc]+\b\.?.{0,60}|finis\.?|the end\.?|\[.*\]",
    re.I | re.S,
)
_LICENCE = re.compile(r"^.*(project gutenberg|small print!).*$", re.I | re.M)
_SUBTITLE_CREDIT = re.compile(
    r"subtitles? by|subtitles? (downloaded|provided)|synchroni[sz]ed|www\.|http", re.I
)


def check_encoding(encoding: str) -> str:
    """The encoding itself. Raises ValueError for one that Python does not know."""
    try:
        codecs.lookup(encoding)
    except LookupError:
        raise ValueError(
            f"unknown encoding {shown(encoding)}; expected e.g. utf-8 or latin-1"
        ) from None
    return encoding


Encoding = Annotated[Line, AfterValidator(check_encoding)]


def check_shares(*, dev_share: float, test_share: float, **others) -> None:
    """Raises InputError where dev and test leave nothing to train on."""
    if dev_share + test_share >= 1:
        raise InputError(
            "the sum of dev_share and test_share must be below 1, so that some documents are left "
            f"for train; not {dev_share} + {test_share}"
        )


@together(check_shares)
def prepare_corpus(
    root: Path,
    out: Path,
    *,
    sources: SomeNames,
    encoding: Encoding,
    cleaning: Literal["prose", "babyllama", "none"],
    document_words: Count,
    dev_share: OpenShare,
    test_share: OpenShare,
    seed: Seed,
) -> dict:
    """Write `out`/{train,dev,test}.parquet from the text files in the folders `root`/SOURCE.

    Returns what `lmcore.corpus.survey` counts of every split, the documents that were `repeated`
    and thus dropped, by split, and what else was `dropped`. `cleaning` is `prose`
    (unwrap lines; drop headings, verse and licences), `babyllama` (the rules of the published
    recipe) or `none`. Documents are cut at `document_words` words.

    Raises InputError for a file that is not in `encoding`, for an unknown cleaning, and for a split
    without documents.
    """
    if cleaning not in CLEANINGS:
        raise InputError(
            f"prepare_corpus: unknown cleaning '{cleaning}'; expected one of {', '.join(CLEANINGS)}"
        )
    dropped: Counter[str] = Counter()
    splits: dict[str, list[dict]] = {name: [] for name in SPLITS}
    for path in _files(root, sources):
        domain, split = _domain_and_split(path)
        paragraphs = CLEANINGS[cleaning](read_text(path, encoding), domain, dropped)
        documents = _rows(domain, split, _documents(paragraphs, document_words))
        if split is None:
            shares = _spread(documents, dev_share, test_share, f"{seed} {domain}")
            for name, share in zip(SPLITS, shares, strict=True):
                splits[name] += share
        else:
            splits[split] += documents
    if not splits["test"]:
        splits["dev"], _, splits["test"] = _spread(splits["dev"], 0, 0.5, str(seed))
    repeated = _drop_repeated(splits, dropped)
    _refuse_empty(splits, sources, dropped)
    _write(splits, out)
    return {**survey(splits), "repeated": repeated, "dropped": dict(dropped)}


def read_documents(path: Path) -> list[dict]:
    """The documents of one split, in order."""
    if not path.exists():
        raise InputError(
            f"{path}: no such split; expected a Parquet table of (document, group, text)"
        )
    return pq.read_table(path, schema=DOCUMENTS).to_pylist()


def read_text(path: Path, encoding: str) -> str:
    """The text of a file with \\n line ends.

    Raises InputError, naming the byte, for a file that is not in `encoding`, and for a file whose
    byte-order mark says that it is UTF-8 although `encoding` is another.
    """
    content = path.read_bytes()
    utf_8 = ("utf-8", "utf-8-sig")
    try:
        if content.startswith(codecs.BOM_UTF8) and codecs.lookup(encoding).name not in utf_8:
            raise InputError(
                f"{path}: begins with a byte-order mark of UTF-8; expected {encoding} text"
            )
        return NEWLINE.sub("\n", content.decode(encoding).lstrip(BOM))
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: not {encoding} at byte {error.start}: {error.reason}; "
            f"expected {encoding} text"
        ) from error
    except LookupError as error:
        raise InputError(
            f"prepare_corpus: unknown encoding '{encoding}'; expected e.g. utf-8 or latin-1"
        ) from error


def _files(root: Path, sources: list[str]) -> list[Path]:
    """The text files of the sources, sorted: the order of the file system must not matter."""
    suffixes = (".txt", ".train", ".dev", ".test")
    all_files = []
    for source in sources:
        files = sorted(path for path in (root / source).glob("*") if path.suffix in suffixes)
        if not files:
            raise InputError(
                f"{root / source}: no *.txt, *.train, *.dev or *.test in it; expected text files"
            )
        all_files += files
    return all_files


def _domain_and_split(path: Path) -> tuple[str, str | None]:
    """The domain of a file and its split, or the name of a book and None."""
    domain, _, split = path.name.removesuffix(".txt").rpartition(".")
    return (domain, split) if domain and split in SPLITS else (path.stem, None)


def _rows(domain: str, split: str | None, texts: Iterable[str]) -> list[dict]:
    """The documents of one file as rows of DOCUMENTS."""
    prefix = f"{domain}/{split or 'txt'}"
    return [
        {"document": f"{prefix}/{number:05d}", "group": domain, "text": text}
        for number, text in enumerate(texts)
    ]


def _refuse_empty(splits: dict[str, list[dict]], sources: list[str], dropped: Counter[str]) -> None:
    """Raises InputError for a split without documents."""
    for name in SPLITS:
        if not splits[name]:
            raise InputError(
                f"prepare_corpus: the {name} split of {', '.join(sources)} is empty: "
                f"no text is left; dropped: {dict(dropped)}"
            )


def _write(splits: dict[str, list[dict]], out: Path) -> None:
    """Write a Parquet file for each split, sorted by document."""
    with whole(out) as folder:
        folder.mkdir()
        for name in SPLITS:
            rows = sorted(splits[name], key=lambda row: row["document"])
            pq.write_table(
                pa.Table.from_pylist(rows, DOCUMENTS),
                folder / f"{name}.parquet",
                compression="zstd",
            )


def _documents(paragraphs: list[str], document_words: int) -> Iterator[str]:
    """Paragraphs joined into contiguous documents of about `document_words` words.

    An empty paragraph marks the end of a section. A section is cut into equal documents. A section
    under a quarter of `document_words` is joined to the next.
    """
    section: list[str] = []
    for paragraph in [*paragraphs, ""]:
        if paragraph:
            section.append(paragraph)
            continue
        n_words = sum(len(text.split()) for text in section)
        if n_words >= document_words / 4:
            yield from _cut(section, n_words / max(1, round(n_words / document_words)))
            section = []
    if section:
        yield "\n".join(section)


def _cut(section: list[str], document_words: float) -> Iterator[str]:
    """The documents of about `document_words` words of a section, cut between paragraphs."""
    document: list[str] = []
    n_words = n_done = 0  # words read, and the multiples of document_words that they fill
    for paragraph in section:
        n_words += len(paragraph.split())
        document.append(paragraph)
        if n_words >= (n_done + 1) * document_words - 1e-6:
            n_done = int(n_words / document_words)
            yield "\n".join(document)
            document = []
    if document:
        yield "\n".join(document)


def _spread(
    documents: list[dict], dev_share: float, test_share: float, seed: str
) -> tuple[list[dict], list[dict], list[dict]]:
    """The train, dev and test documents of one file, drawn by the seed.

    Each file gives the same shares of its documents to the three splits.
    """
    order = random.Random(seed).sample(range(len(documents)), len(documents))
    n_dev, n_test = round(len(documents) * dev_share), round(len(documents) * test_share)

    def in_order(places: list[int]) -> list[dict]:
        return [documents[place] for place in sorted(places)]

    train = in_order(order[n_dev + n_test :])
    dev = in_order(order[:n_dev])
    test = in_order(order[n_dev : n_dev + n_test])
    return train, dev, test


def _drop_repeated(
    splits: dict[str, list[dict]], dropped: Counter[str]
) -> dict[str, dict[str, int]]:
    """Keep the first of equal documents.

    Held-out splits come first, because a model must not be trained on what it is tested on. Returns
    {split: how many of its documents were dropped because the same stands in it (`within`), or in a
    split that is held out more strictly (`held_out`)}.
    """
    keepers: dict[str, str] = {}  # {text: the split that keeps it}
    repeated = {}
    for name in reversed(SPLITS):
        kept = []
        counts = {"held_out": 0, "within": 0}
        for row in splits[name]:
            keeper = keepers.get(row["text"])
            if keeper is None:
                keepers[row["text"]] = name
                kept.append(row)
            else:
                counts["within" if keeper == name else "held_out"] += 1
        dropped["repeated documents"] += len(splits[name]) - len(kept)
        splits[name] = kept
        repeated[name] = counts
    return repeated


def _prose(text: str, stem: str, dropped: Counter[str]) -> list[str]:
    """The paragraphs of a book, each on one line, and "" where a heading was.

    Dropped and counted are headings, verse (indented lines) and what the publisher added.
    """
    if licence := _LICENCE.search(text):
        start = text.rfind("\n\n", 0, licence.start())
        dropped["licence words"] += len(text[start:].split())
        text = text[:start]
    paragraphs = []
    for block in re.split(r"\n\s*\n", text):
        lines = [line for line in block.split("\n") if line.strip()]
        paragraph = re.sub(r"\s+", " ", block.replace("_", "")).strip()
        if not paragraph:
            continue
        if _is_heading(paragraph):
            dropped["headings"] += 1
            paragraphs.append("")
        elif all(line.startswith("   ") for line in lines):
            dropped["indented paragraphs"] += 1
        else:
            paragraphs.append(paragraph)
    return paragraphs


def _is_heading(paragraph: str) -> bool:
    """Whether the paragraph is set in capitals, or is short and begins as headings do."""
    if paragraph.upper() == paragraph:
        return True
    return len(paragraph) < 90 and _HEADING.fullmatch(paragraph) is not None


def _babyllama(text: str, stem: str, dropped: Counter[str]) -> list[str]:
    """Lines cleaned by the rules of BabyLlama's published recipe, which depend on the domain.

    Source: github.com/timinar/BabyLlama, mrclean.py.
    """

    def is_any_of(*domains: str) -> bool:
        return any(domain in stem for domain in domains)

    if "simple_wiki" in stem:
        text = text.replace("\n\n", "\n")
    elif "wikipedia" in stem:
        text = re.sub(r"= = = (.+?) = = =\n", r"\1\n", text)
    if is_any_of("bnc", "childes", "cbt", "children_stories", "subtitles", "qed", "wiki"):
        text = re.sub(r"[ \t\u00a0]+", " ", text)
    if is_any_of("bnc", "childes", "cbt"):
        text = re.sub(r" ([.,;!?])", r"\1", text)
    lines = text.split("\n")
    if "subtitles" in stem:
        kept = [line for line in lines if not _SUBTITLE_CREDIT.search(line)]
        dropped["subtitle credits"] += len(lines) - len(kept)
        lines = kept
    if "qed" in stem:
        lines = [_recase(line) for line in lines]
    return [line.strip() for line in lines]


def _recase(line: str) -> str:
    """A subtitle line that is mostly in capitals, in ordinary case; such lines write l for I."""
    letters = [character for character in line if character.isalpha()]
    n_capitals = sum(character.isupper() or character == "l" for character in letters)
    if not letters or n_capitals < 0.5 * len(letters):
        return line
    return line.replace("l", "I").lower().capitalize()


def _lines(text: str, stem: str, dropped: Counter[str]) -> list[str]:
    return [line.rstrip() for line in text.split("\n")]


# {cleaning: its function of (text, stem of the file, counts of what is dropped)}
CLEANINGS: dict[str, Callable[[str, str, Counter[str]], list[str]]] = {
    "prose": _prose,
    "babyllama": _babyllama,
    "none": _lines,
}
