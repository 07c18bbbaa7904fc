"""The machine around the node."""
