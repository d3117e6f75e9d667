"""Renewing by broadcast: a paragraph of ours in Debian's ``/etc/dhcp/dhclient.conf``.

A unicast renewal leaves by whatever main says, with two ENIs in one subnet by the wrong one. With
the server identifier 255.255.255.255 dhclient broadcasts on the lease's own interface instead.
Only in the acknowledgement (message type 5): superseded in the offer as well, dhclient asks for the
lease in the name of server 255.255.255.255, and a strict server answers NAK (seen with dnsmasq).
Debian's dhclient reads no file of an interface's own, so it has to go into the common one; what
the administrator has there stays byte for byte.
"""
from __future__ import absolute_import, print_function, unicode_literals

import re

from ec2net_legacy._typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Callable

    Change = Callable[[str, str], str]

PATH = "/etc/dhcp/dhclient.conf"

# Begins with a line end of its own, so that taking it out again restores also a file whose last
# line has none.
_PARAGRAPH = """
# ec2net {name}: begin. Renew by broadcast, out of the interface that has the lease.
interface "{name}" {{
  if option dhcp-message-type = 5 {{
    supersede dhcp-server-identifier 255.255.255.255;
  }}
}}
# ec2net {name}: end
"""


def with_broadcast_renewal(text, interface):
    # type: (str, str) -> str
    """Return the configuration `text` with the paragraph of `interface`, at the end."""
    if _PARAGRAPH.format(name=interface) in text:
        return text
    # At the end: an interface's paragraph starts from the general options said so far.
    return without_broadcast_renewal(text, interface) + _PARAGRAPH.format(name=interface)


def without_broadcast_renewal(text, interface):
    # type: (str, str) -> str
    """Return the configuration `text` without the paragraph of `interface`."""
    # From a begin to its own end: one whose end somebody deleted takes nothing else along.
    paragraph = r"\n# ec2net {0}: begin\b.*\n(?:(?!# ec2net ).*\n)*?# ec2net {0}: end\n"
    return re.sub(paragraph.format(re.escape(interface)), "", text)
