"""The language that nodes speak to their hub."""
