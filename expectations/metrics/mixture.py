"""What the ratio of real to synthetic text did."""

from expectations.metrics.metric import COUNT, NUMBER, Metric

MIXTURE = (
    Metric("ratio.dropped", "Synthetic text dropped for the ratio", COUNT),
    Metric("ratio.conflicts", "Number of the mixture's limits that cannot be kept together", COUNT, "limits"),
    Metric("ratio.way_out", "What one change of the recipe would have to be for the limits to be kept", NUMBER),
    Metric("ratio.copied", "Text that counts again because it is copied", COUNT),
    Metric("ratio.available", "Text that there is for the mixture", COUNT),
    Metric("ratio.taken", "Text that the mixture takes, with every copy", COUNT),
    Metric("ratio.hidden", "Undeclared text that counts as synthetic", COUNT),
    Metric("ratio.real", "Real text that there is for the mixture", COUNT),
    Metric("ratio.real_taken", "Real text that the mixture takes", COUNT),
    Metric("ratio.limit", "Share that a limit of the mixture is about", NUMBER),
    Metric("ratio.weight", "Weight of a favoured stratum or structure", NUMBER, "ratio"),
    Metric("ratio.missing", "Real text missing for all synthetic text", COUNT),
)
