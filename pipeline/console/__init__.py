"""What each command is asked and answers, a file for each section of their list; `pipeline/commands/` does the work."""
