"""What a backend is given and what it says of an interface's present configuration."""
from __future__ import absolute_import, print_function, unicode_literals

from collections import namedtuple

from ec2net_legacy._typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import List, Optional, Protocol  # novm (only a type checker reads this)
else:
    Protocol = object


class Reader(Protocol):
    """How a backend looks at files; `host.files.Files` is the real one."""

    def exists(self, path):
        # type: (str) -> bool
        """Return whether `path` is there."""
        raise NotImplementedError

    def read(self, path):
        # type: (str) -> Optional[str]
        """Return the text of a regular file, None where there is none."""
        raise NotImplementedError

    def may_write(self, path):
        # type: (str) -> bool
        """Return whether `path` is a regular file or not there at all."""
        raise NotImplementedError

    def glob(self, pattern):
        # type: (str) -> List[str]
        """Return the paths that match a shell pattern, sorted."""
        raise NotImplementedError


Configuration = namedtuple(
    "Configuration", ["exists", "text", "keep", "edited", "inherited", "knobs"]
)
"""What the distribution has for an interface now.

`exists`: whether there is a file where ours would be, generated or not. `text`: that of the
generated one, "" where there is none. `keep`: why this configuration is the administrator's and
stays as it is, "" where it is ours. `edited`: whether that is because a file at the place of ours
is not, or no longer, a generated one, which may be somebody's surprise. `inherited`: whether it is
ours, but still as an older tool wrote it. `knobs`: what its user wants otherwise.
"""
