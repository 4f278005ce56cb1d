"""Where a call comes from: the address that the server sees, and the network that stands for its caller."""

from functools import lru_cache
from ipaddress import ip_address


@lru_cache(maxsize=4096)
def address_of_host(host: str) -> str | None:
    """The address as PostgreSQL's inet knows it, without an IPv6 zone (`fe80::1%eth0`); None where it is none."""
    try:
        return str(ip_address(host.partition("%")[0]))
    except ValueError:
        return None


def network_of(address: str) -> str:
    """An IPv4 address itself, or the /64 of an IPv6 one, all of which is one caller's to choose from."""
    found = ip_address(address)
    return address if found.version == 4 else str(ip_address(int(found) >> 64 << 64))
