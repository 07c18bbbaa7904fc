"""A sign of life for whoever watches that it comes."""
