"""What must be true: contracts, measures, suites, the verdict and the report. No Beam here."""
