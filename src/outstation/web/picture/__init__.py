"""Pictures of what sensors said: plots by URL, and sparklines for cards."""
