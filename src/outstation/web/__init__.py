"""People and programs, over HTTP."""
