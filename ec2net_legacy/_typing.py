"""The guard in front of ``typing``, which Python 2.7 and 3.4 lack.

A checker takes ``TYPE_CHECKING`` for true; no interpreter ever does, so the import costs nothing on
a boot path.
"""

TYPE_CHECKING = False
