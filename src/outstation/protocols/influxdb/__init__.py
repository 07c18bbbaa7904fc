"""The language of InfluxDB."""
