"""WikiText-2, the raw test split: 62 articles.

It is scored as in lm-eval's `wikitext`: the text is the detokenised article, but words and bytes
are counted in the article as the file has it.

Source: Merity et al. 2017, https://arxiv.org/abs/1609.07843; CC-BY-SA 3.0.
"""

import re
from pathlib import Path

from lmcore.errors import InputError
from lmcore.suites.records import Record, find, read_records
from lmcore.text_files import read_text

# Source: lm_eval/tasks/wikitext/preprocess_wikitext.py (MIT), in its order. Its pattern
# "/' [0-9]/" never matches and is left out.
JOIN = [("s '", "s'"), (" @-@ ", "-"), (" @,@ ", ","), (" @.@ ", ".")] + [
    (f" {mark} ", f"{mark} ") for mark in ":;.!?,"
]
BRACKETS = [
    (r"\(\s*([^\)]*?)\s*\)", r"(\1)"),
    (r"\[\s*([^\]]*?)\s*\]", r"[\1]"),
    (r"{\s*([^}]*?)\s*}", r"{\1}"),
]
QUOTES = [(r"\"\s*([^\"]*?)\s*\"", r'"\1"'), (r"'\s*([^']*?)\s*'", r"'\1'")]
REST = [
    ("= = = =", "===="),
    ("= = =", "==="),
    ("= =", "=="),
    (" ° ", "°"),
    (" \n", "\n"),
    ("\n ", "\n"),
    (" N ", " 1 "),
    (" 's", "'s"),
]


def build(source: Path) -> list[Record]:
    """Records of kind text from `.raw` files, or from the hub's Parquet of pages."""
    records = []
    for page, where in _pages(source):
        values = {
            "text": detokenised(page),
            "words": len(re.split(r"\s+", page)),
            "bytes": len(page.encode()),
        }
        records.append(Record(values, where))
    return records


def detokenised(page: str) -> str:
    """The article without the spaces and marks that the tokenisation of WikiText put in."""
    for old, new in JOIN:
        page = page.replace(old, new)
    for pattern, new in BRACKETS + QUOTES:
        page = re.sub(pattern, new, page)
    for old, new in REST:
        page = page.replace(old, new)
    return page


def _pages(source: Path) -> list[tuple[str, str]]:
    """The articles of all files, each with its place: the row of a Parquet file, or its number.

    Raises InputError for a raw file without an article.
    """
    if parquet := sorted(source.glob("*.parquet")):
        return [(row["page"], row.where) for path in parquet for row in read_records(path)]
    pages = []
    for path in find(source, ".raw"):
        articles = _articles(read_text(path, "WikiText's raw test split"))
        if not articles:
            raise InputError(
                f"{path}: no line ` = Title = `, with which an article begins; "
                "expected WikiText's raw test split"
            )
        for number, article in enumerate(articles, 1):
            pages.append((article, f"{path}: article {number}"))
    return pages


def _articles(text: str) -> list[str]:
    """The articles, cut as EleutherAI/wikitext_document_level cuts them.

    The cuts are before each line ` = Title = `, and the newline before that line is dropped.
    """
    starts = [match.start() for match in re.finditer(r"^ ?= (?!=).*(?<!=) = ?$", text, re.M)]
    if not starts:
        return []
    ends = [*(start - 1 for start in starts[1:]), len(text)]
    return [text[start:end] for start, end in zip(starts, ends, strict=True)]
