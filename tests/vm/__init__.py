"""A real machine, in QEMU, in the place of the lab's instance."""

from .image import available
from .machine import Machine

__all__ = ["Machine", "available"]
