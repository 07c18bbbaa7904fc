"""The small process that stays when the server dies: it holds the output lines and makes them safe.

The law of this package: no asyncio, no framework, nothing of ours but `wire`. What is not here cannot fail.
Started as a script, without site-packages: `python -I -S .../supervisor/__main__.py`.
"""
