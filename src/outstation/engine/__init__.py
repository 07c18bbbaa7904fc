"""The running node: asks the core, does what it says."""
