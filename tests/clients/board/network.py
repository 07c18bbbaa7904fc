"""Wi-Fi: there is a network, or there is none."""

STA_IF, AP_IF = 0, 1

asked = []


class WLAN:
    """An interface. near: whether the network can be heard."""

    near = True

    def __init__(self, interface: int) -> None:
        self.interface = interface

    def active(self, wanted: bool | None = None) -> bool:
        """Switch it; or tell how it is."""
        return False

    def connect(self, name: str, password: str) -> None:
        """Ask to be let in; as an ESP32 does, which goes on trying by itself and minds being asked again."""
        if asked:
            raise OSError("Wifi Internal Error")
        asked.append((name, password))

    def isconnected(self) -> bool:
        """Tell whether it was let in."""
        return WLAN.near and bool(asked)
