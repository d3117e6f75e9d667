"""Policy routing for EC2 network interfaces on network-scripts and ifupdown."""

__version__ = "0.1.0"
