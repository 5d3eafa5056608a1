"""What must not be in a release, whatever it is like: evaluation items, what was withdrawn, licences that are not allowed."""
