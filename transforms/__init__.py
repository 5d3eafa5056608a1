"""What makes it so: one file per stage, in the order of the flow.

    sources    what a recipe calls a source; files into splits         (no Beam)
    readers    split -> documents and quarantine                       (no Beam)
    survey     split -> signals: the text is read here
    attribute  signals -> origin
    dedup      signals -> clusters -> one survivor each
    balance    the ratio of real to synthetic text
    record     the ledger
    measure    metrics (tally: what is counted; metrics: what it says)
    gate       verdict
    emit       shards: the text is read again here

After a release: `released` reads it, `audit_sample` draws what people label, `labels` are their answers, `certificate` what these
say, `audited` holds that against the metrics, `reviewed` makes the next run believe them.

`store` keeps signals between runs, `detector` and `training` are the detector's two lives, `coders` is how batches
travel. The work is done in `kernels`.
"""
