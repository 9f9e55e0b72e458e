"""Task `minimal_pairs`: which of two sentences, alike but for one place, does the model find likelier? The corpus goes in, items come out.

The sentences are our own: each paradigm of `minimal_pairs_grammar` is a few templates, filled with words by a seeded draw. In a template
`{person.sg}` is a slot (a class and a form; `{person2.sg}` another word of that class) and `[is|are]` the one place where the
grammatical sentence (first) and the ungrammatical one (second) part. Both have the same number of words, and where the grammar allows it
templates come in opposite pairs (`[is|are]`, `[are|is]`), so that neither length nor a word's frequency decides. Only words that the
training text holds at least MIN_COUNT times are used. The design follows BLiMP, the data does not: figures on this suite are not BLiMP
figures.

Source: Warstadt et al. 2020, BLiMP: The Benchmark of Linguistic Minimal Pairs for English, TACL 8, 377-392, https://aclanthology.org/2020.tacl-1.25
"""

import random
import re
from collections import Counter
from pathlib import Path
from typing import Annotated

import pyarrow.parquet as pq
from pydantic import Field

from lmcore.errors import InputError
from lmcore.params.ranges import RANGE, Seed
from lmcore.suites.tasks.minimal_pairs_grammar import CLASSES, PARADIGMS, UNIONS

Pairs = Annotated[int, Field(ge=1, le=100_000), RANGE]
MIN_COUNT = 5  # occurrences in the training text below which a word counts as unknown
DRAWS = 100  # per pair wanted: enough to find nearly all pairs that a paradigm can give
SLOT = re.compile(r"\{([a-z_]+)(\d*)(?:\.([a-z]+))?\}")  # class, which word of it, form
LOCUS = re.compile(r"\[(.*?)\|(.*?)\]")


def build(corpus: Path, *, n: Pairs, seed: Seed) -> list[dict]:
    """Records of kind pairs: `n` distinct pairs for each paradigm, which is the group.

    `corpus` holds `train.parquet`, which decides the vocabulary; the same text, `n` and `seed` give
    the same records anywhere. Raises InputError naming the paradigm and its count where the
    vocabulary leaves fewer than `n` pairs.
    """
    vocabulary = frequent_words(corpus / "train.parquet")
    records = []
    for paradigm in PARADIGMS:
        pairs = draw_pairs(paradigm, n, seed, vocabulary)
        if len(pairs) < n:
            raise InputError(
                f"minimal_pairs: paradigm '{paradigm}' gives {len(pairs)} distinct pairs with the words of {corpus}; expected {n}"
            )
        records += [{"group": paradigm, "good": good, "bad": bad} for good, bad in pairs]
    return records


def words(text: str) -> list[str]:
    """The words of `text` in lower case: runs of letters, which may hold hyphens."""
    return re.findall(r"[a-z]+(?:-[a-z]+)*", text.lower())


def frequent_words(train: Path) -> set[str]:
    """The words that the column `text` of `train` holds at least MIN_COUNT times."""
    counts: Counter[str] = Counter()
    for batch in pq.ParquetFile(train).iter_batches(columns=["text"]):
        for text in batch.column("text"):
            counts.update(words(text.as_py()))
    return {word for word, count in counts.items() if count >= MIN_COUNT}


def draw_pairs(paradigm: str, n: int, seed: int, vocabulary: set[str]) -> list[tuple[str, str]]:
    """Up to `n` distinct (grammatical, ungrammatical) pairs of the paradigm, its templates in turn, in words of `vocabulary`."""
    rng = random.Random(
        f"{seed} {paradigm}"
    )  # of its own, so that a new paradigm leaves the others as they are
    templates = [
        (template, entries)
        for template in PARADIGMS[paradigm]
        if (entries := slot_entries(template, vocabulary))
    ]
    pairs: dict[tuple[str, str], None] = {}  # in order of drawing
    for attempt in range(DRAWS * n if templates else 0):
        template, entries = templates[attempt % len(templates)]
        chosen = {slot: rng.choice(candidates) for slot, candidates in entries.items()}
        good, bad = (sentence(LOCUS.sub(choice, template), chosen) for choice in (r"\1", r"\2"))
        if good != bad and not repeats(chosen):
            pairs.setdefault((good, bad))
        if len(pairs) == n:
            break
    return list(pairs)


def sentence(template: str, chosen: dict[str, dict[str, str]]) -> str:
    """The template with the chosen word in every slot, as a sentence."""
    text = SLOT.sub(lambda match: chosen[match[1] + match[2]][match[3] or ""], template).replace(
        "_", " "
    )
    return text[0].upper() + text[1:]


def repeats(chosen: dict[str, dict[str, str]]) -> bool:
    """Whether two slots hold the same word in any form: nobody meets the captain beside the captain."""
    forms = [form for entry in chosen.values() for form in set(entry.values())]
    return len(forms) > len(set(forms))


def slot_entries(template: str, vocabulary: set[str]) -> dict[str, list[dict[str, str]]]:
    """For each slot the entries whose forms, as the template uses them, are in the vocabulary; {} if a slot or a fixed word has none."""
    used: dict[str, set[str]] = {}
    for name, number, form in SLOT.findall(template):
        used.setdefault(name + number, set()).add(form)
    entries = {
        slot: [
            entry
            for entry in entries_of(slot.rstrip("0123456789"))
            if all(vocabulary.issuperset(words(entry[form])) for form in forms)
        ]
        for slot, forms in used.items()
    }
    fixed = words(SLOT.sub(" ", template))
    return entries if all(entries.values()) and vocabulary.issuperset(fixed) else {}


def entries_of(name: str) -> list[dict[str, str]]:
    """The entries of a class or of a union of classes: form to word; the first form also answers a slot that names none."""
    entries = []
    for part in UNIONS.get(name, [name]):
        forms, *lines = CLASSES[part].splitlines()
        for entry in " ".join(lines).split():
            spelled = dict(zip(forms.split(), entry.split("/"), strict=True))
            entries.append({"": next(iter(spelled.values())), **spelled})
    return entries
