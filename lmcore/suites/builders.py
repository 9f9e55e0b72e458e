"""The function that builds each task of lmcore.suites.declare: its records, from its raw files.

A new task is one file in tasks/ (its citation, and a function from its raw files to the records of
a kind), one line here, and one line in lmcore.suites.declare.
"""

from collections.abc import Callable, Sequence

from lmcore.suites.tasks import (
    blimp,
    cloze,
    comps,
    copa,
    domains,
    entity_tracking,
    ewok,
    formats,
    heldout,
    hellaswag,
    lambada,
    memorisation,
    minimal_pairs,
    passages,
    piqa,
    prompting,
    sst2,
    swag,
    wikitext,
    winogrande,
    wug,
)

BUILDERS: dict[str, Callable[..., Sequence[dict]]] = {
    "blimp": blimp.build,
    "blimp_filtered": blimp.build,
    "blimp_supplement": blimp.build,
    "blimp_fast": blimp.build,
    "supplement_fast": blimp.build,
    "ewok": ewok.build,
    "ewok_fast": ewok.build,
    "entity_tracking": entity_tracking.build,
    "entity_tracking_fast": entity_tracking.build,
    "comps": comps.build,
    "wug_adj": wug.build,
    "wug_past": wug.build,
    "minimal_pairs": minimal_pairs.build,
    "swag": swag.build,
    "swag_partial": swag.build,
    "hellaswag_activitynet": hellaswag.activitynet,
    "copa": copa.build,
    "piqa": piqa.build,
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
