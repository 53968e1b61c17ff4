"""Where the API key comes from, and which addresses are this machine's."""

from __future__ import annotations

import ipaddress

KEY = "POLYPREFIX_API_KEY"
"""The variable that holds the API key: what stands on a command line is seen by every user of the machine."""


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address.

    >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("::1"), is_loopback("0.0.0.0")
    (True, True, True, False)
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
