"""One file on disk, one writer."""
