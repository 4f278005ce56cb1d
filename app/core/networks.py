"""Networks of callers: the address that the server sees, and the network by which a caller is limited."""

from functools import lru_cache
from ipaddress import ip_address


@lru_cache(maxsize=4096)
def parse_address(host: str) -> str | None:
    """Return the address as PostgreSQL's inet accepts it, without an IPv6 zone (`fe80::1%eth0`), or None if it is not
    one."""
    try:
        return str(ip_address(host.partition("%")[0]))
    except ValueError:
        return None


def get_network(address: str) -> str:
    """Return an IPv4 address itself, or the /64 of an IPv6 address: one caller can use every address of a /64."""
    found = ip_address(address)
    return address if found.version == 4 else str(ip_address(int(found) >> 64 << 64))
