"""The function that builds each task of lmcore.suites.declare: its records, from its raw files.

A new task is one file in tasks/ (its citation, and a function from its raw files to the records of
a kind), one line here, and one line in lmcore.suites.declare.
"""

from collections.abc import Callable, Sequence

from lmcore.suites.tasks import (
    arc,
    blimp,
    boolq,
    cloze,
    commonsense_qa,
    copa,
    domains,
    formats,
    heldout,
    hellaswag,
    lambada,
    memorisation,
    minimal_pairs,
    openbookqa,
    passages,
    piqa,
    prompting,
    sciq,
    social_iqa,
    sst2,
    swag,
    wikitext,
    winogrande,
)

BUILDERS: dict[str, Callable[..., Sequence[dict]]] = {
    "blimp": blimp.build,
    "blimp_filtered": blimp.build,
    "blimp_supplement": blimp.build,
    "minimal_pairs": minimal_pairs.build,
    "swag": swag.build,
    "swag_partial": swag.build,
    "hellaswag_activitynet": hellaswag.activitynet,
    "arc_easy": arc.build,
    "arc_challenge": arc.build,
    "boolq": boolq.build,
    "commonsense_qa": commonsense_qa.build,
    "copa": copa.build,
    "openbookqa": openbookqa.build,
    "piqa": piqa.build,
    "sciq": sciq.build,
    "social_iqa": social_iqa.build,
    "winogrande": winogrande.build,
    "sst2": sst2.build,
    "lambada_flat": lambada.flat,
    "lambada_openai": lambada.openai,
    "lambada_standard": lambada.standard,
    "wikitext2": wikitext.build,
    "heldout": heldout.build,
    "cloze": cloze.build,
    "formats": formats.build,
    "prompting": prompting.build,
    "memorisation": memorisation.build,
    "passages": passages.build,
    "domains": domains.build,
}
