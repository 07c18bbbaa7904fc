"""Wire protocols that boards and other nodes speak, one folder each."""
