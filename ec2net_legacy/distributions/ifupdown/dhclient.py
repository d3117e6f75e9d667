"""Leases that are renewed by broadcast: a paragraph of ours in Debian's /etc/dhcp/dhclient.conf.

A renewal by unicast leaves by whatever main says, which may be another ENI on the same subnet. With
the server identifier 255.255.255.255 dhclient broadcasts it on the lease's own interface. This is
superseded in the acknowledgement alone (message type 5): with a changed offer dhclient would ask
for the lease in the name of server 255.255.255.255, and a strict server answers NAK.

Debian's dhclient reads no file for one interface, so the paragraph has to go into the file of all
interfaces, where the rest stays byte for byte. It names the interface by its hardware address,
because each dhclient, also the primary's, runs on every interface for which there is a block
``interface "ethN" {}``, and would take the lease of a secondary (docs/facts.md).
"""
from __future__ import absolute_import, print_function, unicode_literals

import re

from ec2net_legacy._typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Optional

PATH = "/etc/dhcp/dhclient.conf"

_MARKER = "# ec2net "
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
    # A line end goes in and out with the paragraph, so that a last line without one is restored.
    return paragraph if others is None else others + "\n" + paragraph


def without_broadcast_renewal(text, interface):
    # type: (Optional[str], str) -> Optional[str]
    """Return the configuration `text` without the paragraph, None where nothing else was there."""
    if text is None or _MARKER not in text:
        return text
    # No other paragraph begins before the end that is looked for: somebody may have deleted it.
    paragraph = r"(?:\A|\n)# ec2net {0}: begin\b.*\n(?:(?!# ec2net ).*\n)*?# ec2net {0}: end\n"
    rest = re.sub(paragraph.format(re.escape(interface)), "", text)
    return None if not rest and text.startswith(_MARKER) else rest
