"""The kernel's addresses, routes and rules, through `ip`."""
