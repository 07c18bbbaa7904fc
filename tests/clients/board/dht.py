"""The DHT22 as MicroPython reads it."""


class DHT22:
    """A sensor that counts how often it was asked."""

    asked = 0

    def __init__(self, pin: object) -> None:
        self.pin = pin

    def measure(self) -> None:
        """Ask it. The first answer is garbled."""
        DHT22.asked += 1
        if DHT22.asked == 1:
            raise Exception("checksum error")  # noqa: TRY002  as MicroPython does

    def temperature(self) -> float:
        """Return what it said last."""
        return -3.5

    def humidity(self) -> float:
        """Return what it said last."""
        return 81.2
