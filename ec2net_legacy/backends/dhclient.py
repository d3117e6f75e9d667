"""Renewing by broadcast: a paragraph of ours in Debian's ``/etc/dhcp/dhclient.conf``.

A unicast renewal leaves by whatever main says, with two ENIs in one subnet by the wrong one. With
the server identifier 255.255.255.255 dhclient broadcasts on the lease's own interface instead.
Only in the acknowledgement (message type 5): superseded in the offer as well, dhclient asks for the
lease in the name of server 255.255.255.255, and a strict server answers NAK (seen with dnsmasq).

Debian's dhclient reads no file of an interface's own, so it has to go into the common one; what
the administrator has there stays byte for byte. And the interface has to be told by its hardware
address: every dhclient, the primary's too, also runs on each interface that has an
``interface "ethN" {}`` block (seen: after a reboot it took the secondary's lease without its
metric, and the primary was cut off).
"""
from __future__ import absolute_import, print_function, unicode_literals

import re

from ec2net_legacy._typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Optional

PATH = "/etc/dhcp/dhclient.conf"

_PARAGRAPH = """# ec2net {name}: begin. Renew by broadcast on the interface of the lease.
if option dhcp-message-type = 5 and hardware = 1:{mac} {{
  supersede dhcp-server-identifier 255.255.255.255;
}}
# ec2net {name}: end
"""


def with_broadcast_renewal(text, interface, mac):
    # type: (Optional[str], str, str) -> Optional[str]
    """Return the configuration `text` (None: no file) with the paragraph of `interface`."""
    paragraph = _PARAGRAPH.format(name=interface, mac=mac)
    if text is not None and paragraph in text:
        return text
    others = without_broadcast_renewal(text, interface)
    # It brings a line end of its own, so that taking it out again restores also a last line
    # without one.
    return paragraph if others is None else others + "\n" + paragraph


def without_broadcast_renewal(text, interface):
    # type: (Optional[str], str) -> Optional[str]
    """Return the configuration `text` without the paragraph; None where nothing else was there."""
    if text is None:
        return None
    # From a begin to its own end: one whose end somebody deleted takes nothing else along.
    paragraph = r"(?:\A|\n)# ec2net {0}: begin\b.*\n(?:(?!# ec2net ).*\n)*?# ec2net {0}: end\n"
    rest = re.sub(paragraph.format(re.escape(interface)), "", text)
    return None if not rest and text.startswith("# ec2net ") else rest
