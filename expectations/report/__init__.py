"""What a person looks at: the HTML report of a release and of what moved between releases."""
