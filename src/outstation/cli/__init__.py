"""The commands, one file a subject. What a command needs is imported when it runs: `--help` must not wait."""
