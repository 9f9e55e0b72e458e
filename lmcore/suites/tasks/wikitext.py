"""WikiText-2 (Merity et al. 2017, https://arxiv.org/abs/1609.07843; CC-BY-SA 3.0), the raw test split: 62 articles. Scored as in lm-eval's
`wikitext`: the detokenised article is the text, but words and bytes are those of the article as it stands.
"""

import re
from pathlib import Path

from lmcore.suites.records import Record, find, read_records
from lmcore.text_files import read_text

# Source: lm_eval/tasks/wikitext/preprocess_wikitext.py (MIT), in its order; its pattern "/' [0-9]/" never matches and is left out
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
    """Records of kind text from `wiki.test.raw`, or from the hub's Parquet of pages."""
    return [
        Record(
            {
                "text": detokenised(page),
                "words": len(re.split(r"\s+", page)),
                "bytes": len(page.encode()),
            },
            where,
        )
        for page, where in _pages(source)
    ]


def detokenised(page: str) -> str:
    for old, new in JOIN:
        page = page.replace(old, new)
    for pattern, new in BRACKETS + QUOTES:
        page = re.sub(pattern, new, page)
    for old, new in REST:
        page = page.replace(old, new)
    return page


def _pages(source: Path) -> list[tuple[str, str]]:
    """The articles and where they stand."""
    if parquet := sorted(source.glob("*.parquet")):
        return [(row["page"], row.where) for path in parquet for row in read_records(path)]
    path = find(source, ".raw")[0]
    articles = _articles(read_text(path, "WikiText's raw test split"))
    return [(article, f"{path}: article {number}") for number, article in enumerate(articles, 1)]


def _articles(text: str) -> list[str]:
    """The articles, cut as EleutherAI/wikitext_document_level cuts them: before each line ` = Title = `, whose newline is dropped."""
    starts = [match.start() for match in re.finditer(r"^ ?= (?!=).*(?<!=) = ?$", text, re.M)]
    return [
        text[start:end]
        for start, end in zip(
            starts, [*(start - 1 for start in starts[1:]), len(text)], strict=True
        )
    ]
