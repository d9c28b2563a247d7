"""From a Plan to a repository: `files` is pure, `write` is the one that touches the disk."""
