"""Rules tried on what was measured: the core of a node lives through a recording in a second.

`table` reads a CSV file; the store replays what a node has kept. `trial` drives the core through either, with
outputs that obey at once; `findings` is what came of it, and `words` says that to people.
"""
