"""From decisions to METRICS: every number that a suite is judged on and the report shows."""
