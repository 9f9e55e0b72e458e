"""From text files to documents: raw sources go in, `train`, `dev` and `test` tables of (document, group, text) come out, with a count of
all that was dropped.

A document is a contiguous section of a few hundred to a few thousand words, never a single line, so that a model sees real context.
`group` is the book or the domain. Two layouts are known by their file names:

- `*.txt`: each file is a book; its documents are split into train, dev and test, seeded and spread over every book;
- `*.train`, `*.dev`, `*.test` (BabyLM): one file a domain, split already; without a `.test`, half of the dev documents become the test.
"""

import codecs
import random
import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Literal

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import AfterValidator

from lmcore.errors import InputError
from lmcore.files import whole
from lmcore.params.ranges import Count, Line, OpenShare, Seed, SomeNames
from lmcore.params.schema import shown, together
from lmcore.text_files import BOM, NEWLINE

DOCUMENTS = pa.schema({"document": pa.string(), "group": pa.string(), "text": pa.string()})
SPLITS = ("train", "dev", "test")

_HEADING = re.compile(
    r"(chapter|volume|book|part|section|epilogue|prologue)\b.{0,80}|[ivxlc]+\b\.?.{0,60}|finis\.?|the end\.?|\[.*\]",
    re.I | re.S,
)
_LICENCE = re.compile(r"^.*(project gutenberg|small print!).*$", re.I | re.M)


def check_encoding(encoding: str) -> str:
    """Raises ValueError for an encoding that Python does not know."""
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
            f"dev_share and test_share must leave some for train, not {dev_share} and {test_share}"
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
    """Write `out`/{train,dev,test}.parquet from the text files in the folders `root`/SOURCE and return the counts.

    `cleaning` is `prose` (unwrap lines; drop headings, verse and licences), `babyllama` (the published recipe's rules) or `none`.
    Documents are cut at `document_words` words. Raises InputError for a file that is not in `encoding`, a cleaning it does not know, and a
    split without documents.
    """
    if cleaning not in CLEANINGS:
        raise InputError(
            f"prepare_corpus: unknown cleaning '{cleaning}'; expected one of {', '.join(CLEANINGS)}"
        )
    dropped: Counter[str] = Counter()
    split: dict[str, list[dict]] = {name: [] for name in SPLITS}
    for path in _files(root, sources):
        paragraphs = CLEANINGS[cleaning](read_text(path, encoding), path.stem, dropped)
        documents = [
            {
                "document": f"{path.stem}/{path.suffix[1:]}/{number:05d}",
                "group": path.stem,
                "text": text,
            }
            for number, text in enumerate(_documents(paragraphs, document_words))
        ]
        if path.suffix == ".txt":
            for name, part in zip(
                SPLITS,
                _spread(documents, dev_share, test_share, f"{seed} {path.stem}"),
                strict=True,
            ):
                split[name] += part
        else:
            split[path.suffix[1:]] += documents
    if not split["test"]:
        split["dev"], _, split["test"] = _spread(split["dev"], 0, 0.5, str(seed))
    _drop_repeated(split, dropped)
    for name in SPLITS:
        if not split[name]:
            raise InputError(
                f"prepare_corpus: the {name} split of {', '.join(sources)} is empty: no text is left; dropped: {dict(dropped)}"
            )
    with whole(out) as folder:
        folder.mkdir()
        for name in SPLITS:
            pq.write_table(
                pa.Table.from_pylist(
                    sorted(split[name], key=lambda row: row["document"]), DOCUMENTS
                ),
                folder / f"{name}.parquet",
                compression="zstd",
            )
    counts = {
        name: {
            "documents": len(split[name]),
            "words": sum(len(row["text"].split()) for row in split[name]),
        }
        for name in SPLITS
    }
    return {**counts, "dropped": dict(dropped)}


def read_documents(path: Path) -> list[dict]:
    """The documents of one split, in order."""
    if not path.exists():
        raise InputError(
            f"{path}: no such split; expected a Parquet table of (document, group, text)"
        )
    return pq.read_table(path, schema=DOCUMENTS).to_pylist()


def read_text(path: Path, encoding: str) -> str:
    """The text of a file with \\n line ends.

    Raises InputError naming the byte that is not in `encoding`, and for a file that says by its byte-order mark that it is UTF-8, though
    `encoding` is another.
    """
    content = path.read_bytes()
    try:
        if content.startswith(codecs.BOM_UTF8) and codecs.lookup(encoding).name not in (
            "utf-8",
            "utf-8-sig",
        ):
            raise InputError(
                f"{path}: begins with a byte-order mark of UTF-8; expected {encoding} text"
            )
        return NEWLINE.sub("\n", content.decode(encoding).lstrip(BOM))
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: not {encoding} at byte {error.start}: {error.reason}; expected {encoding} text"
        ) from error
    except LookupError as error:
        raise InputError(
            f"prepare_corpus: unknown encoding '{encoding}'; expected e.g. utf-8 or latin-1"
        ) from error


def _files(root: Path, sources: list[str]) -> list[Path]:
    """The text files of the sources by name: the order of the file system must not matter."""
    found = []
    for source in sources:
        files = sorted(
            path
            for path in (root / source).glob("*")
            if path.suffix in (".txt", ".train", ".dev", ".test")
        )
        if not files:
            raise InputError(
                f"{root / source}: no *.txt, *.train, *.dev or *.test in it; expected text files"
            )
        found += files
    return found


def _documents(paragraphs: list[str], document_words: int) -> Iterator[str]:
    """Paragraphs joined into contiguous documents of about `document_words` words; an empty one marks the end of a section.

    A section is cut into equal parts; a section under a quarter of the length is joined to the next.
    """
    section: list[str] = []
    for paragraph in [*paragraphs, ""]:
        if paragraph:
            section.append(paragraph)
            continue
        words = sum(len(text.split()) for text in section)
        if words >= document_words / 4:
            yield from _cut(section, words / max(1, round(words / document_words)))
            section = []
    if section:
        yield "\n".join(section)


def _cut(section: list[str], words: float) -> Iterator[str]:
    """A section in parts of about `words` words, cut between paragraphs."""
    part: list[str] = []
    before = done = 0
    for paragraph in section:
        before += len(paragraph.split())
        part.append(paragraph)
        if before >= (done + 1) * words - 1e-6:
            done = int(before / words)
            yield "\n".join(part)
            part = []
    if part:
        yield "\n".join(part)


def _spread(
    documents: list[dict], dev_share: float, test_share: float, seed: str
) -> tuple[list[dict], list[dict], list[dict]]:
    """train, dev and test of one file's documents: each file gives its share to every split, drawn by the seed."""
    order = random.Random(seed).sample(range(len(documents)), len(documents))
    n_dev, n_test = round(len(documents) * dev_share), round(len(documents) * test_share)
    picked = [order[n_dev + n_test :], order[:n_dev], order[n_dev : n_dev + n_test]]
    train, dev, test = ([documents[i] for i in sorted(part)] for part in picked)
    return train, dev, test


def _drop_repeated(split: dict[str, list[dict]], dropped: Counter[str]) -> None:
    """Keep the first of equal documents, held-out splits first: what is tested must not be trained on."""
    seen: set[str] = set()
    for name in reversed(SPLITS):
        kept = [row for row in split[name] if not (row["text"] in seen or seen.add(row["text"]))]  # type: ignore[func-returns-value]
        dropped["repeated documents"] += len(split[name]) - len(kept)
        split[name] = kept


def _prose(text: str, stem: str, dropped: Counter[str]) -> list[str]:
    """Paragraphs of a book on one line each, "" at headings. Dropped and counted: headings, verse (indented lines), what the publisher
    added.
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
        if paragraph.upper() == paragraph or (
            len(paragraph) < 90 and _HEADING.fullmatch(paragraph)
        ):
            dropped["headings"] += 1
            paragraphs.append("")
        elif all(line.startswith("   ") for line in lines):
            dropped["indented paragraphs"] += 1
        else:
            paragraphs.append(paragraph)
    return paragraphs


def _babyllama(text: str, stem: str, dropped: Counter[str]) -> list[str]:
    """Lines cleaned by the rules of BabyLlama's published recipe (github.com/timinar/BabyLlama, mrclean.py), which depend on the domain."""
    if "simple_wiki" in stem:
        text = text.replace("\n\n", "\n")
    elif "wikipedia" in stem:
        text = re.sub(r"= = = (.+?) = = =\n", r"\1\n", text)
    if any(
        domain in stem
        for domain in ("bnc", "childes", "cbt", "children_stories", "subtitles", "qed", "wiki")
    ):
        text = re.sub(r"[ \t\u00a0]+", " ", text)
    if any(domain in stem for domain in ("bnc", "childes", "cbt")):
        text = re.sub(r" ([.,;!?])", r"\1", text)
    lines = text.split("\n")
    if "subtitles" in stem:
        kept = [
            line
            for line in lines
            if not re.search(
                r"subtitles? by|subtitles? (downloaded|provided)|synchroni[sz]ed|www\.|http",
                line,
                re.I,
            )
        ]
        dropped["subtitle credits"] += len(lines) - len(kept)
        lines = kept
    if "qed" in stem:
        lines = [_recase(line) for line in lines]
    return [line.strip() for line in lines]


def _recase(line: str) -> str:
    """A subtitle line set mostly in capitals, in ordinary case; such lines write l for I."""
    letters = [character for character in line if character.isalpha()]
    if not letters or sum(
        character.isupper() or character == "l" for character in letters
    ) < 0.5 * len(letters):
        return line
    return line.replace("l", "I").lower().capitalize()


def _lines(text: str, stem: str, dropped: Counter[str]) -> list[str]:
    return [line.rstrip() for line in text.split("\n")]


CLEANINGS: dict[str, Callable[[str, str, Counter[str]], list[str]]] = {
    "prose": _prose,
    "babyllama": _babyllama,
    "none": _lines,
}
