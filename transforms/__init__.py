"""What makes it so: one room for each part of the flow (docs/ARCHITECTURE.md draws the house).

    ingest     what a recipe calls a source; files into splits; split -> documents and quarantine
    survey     split -> signals (in `signals`): the text is read here, and scored by `detector`
    origin     signals -> what is known of each document's origin
    dedup      signals -> clusters -> one survivor each
    mixture    the ratio of real to synthetic text
    measures   METRICS: what is counted, and what it says
    structures what stakeholders call diversity
    release    ledger, verdict, shards (the text is read again here); a release read again
    audit      people's labels of a release, and what they certify

`engine` is how batches travel and work is spread; arithmetic is done in `kernels`.
"""

from transforms.engine import cache_folder

cache_folder.choose()
