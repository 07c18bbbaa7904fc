"""The language of the WiFi weather stations."""
