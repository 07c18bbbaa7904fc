"""The ThingSpeak dialect."""
