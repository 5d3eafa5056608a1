"""What a run says of itself, to the terminal and to the report: remarks, ways out, what would mend it, examples."""
