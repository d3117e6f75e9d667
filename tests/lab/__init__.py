"""A miniature VPC made of Linux network namespaces; see README.md beside this file."""

from .lab import Lab
from .namespaces import CommandFailed, LabUnavailable, available, wait_for
from .tcp import ask
from .vpc import Eni

__all__ = ["CommandFailed", "Eni", "Lab", "LabUnavailable", "ask", "available", "wait_for"]
