"""The commands under one name, for tests that go from one to the next."""
from __future__ import absolute_import, print_function, unicode_literals

from ec2net_legacy.commands.add import add, up  # noqa: F401
from ec2net_legacy.commands.lease import lease  # noqa: F401
from ec2net_legacy.commands.refresh import refresh  # noqa: F401
from ec2net_legacy.commands.remove import detach, down, remove  # noqa: F401
from ec2net_legacy.commands.scan import catch_up  # noqa: F401
from ec2net_legacy.commands.settle import look_and_decide, settle  # noqa: F401
from ec2net_legacy.commands.survey import survey  # noqa: F401
