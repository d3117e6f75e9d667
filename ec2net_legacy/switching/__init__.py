"""Taking a running host from one network configuration to another: what has to be decided for it.

`declared` is what an interface is configured to be, whoever says so; `stanzas` and `networks` read
and write it as ifupdown and as systemd-networkd have it. `state` is what has to be known to go
back, `verdict` says whether the host is as it was. Nothing here does input or output.
"""
