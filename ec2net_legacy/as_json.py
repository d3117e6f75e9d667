"""Plans and states as JSON, for programs."""
from __future__ import absolute_import, print_function, unicode_literals

import json
from collections import OrderedDict

from ec2net_legacy._typing import TYPE_CHECKING
from ec2net_legacy.model import Parameter
from ec2net_legacy.report import (
    alternative_names,
    chains,
    how_main_is_asked,
    kernel_changes,
    marked_families,
    shared_summary,
    state_of,
)
from ec2net_legacy.shared import items

if TYPE_CHECKING:
    from typing import Any, Sequence, Tuple

    from ec2net_legacy.kernel.diff import Change
    from ec2net_legacy.model import Device
    from ec2net_legacy.plan import Plan
    from ec2net_legacy.shared import SharedPlan


def plans(found, shared):
    # type: (Sequence[Plan], SharedPlan) -> str
    """Return what `add` would do."""
    return _json(
        OrderedDict(
            [
                ("interfaces", [_plan_object(plan) for plan in found]),
                ("all_enis", _shared_object(shared)),
            ]
        )
    )


def _shared_object(shared):
    # type: (SharedPlan) -> OrderedDict[str, Any]
    marks = [
        OrderedDict([("family", chain.family), ("rules", list(chain.rules))])
        for chain in chains(shared)
    ]
    return OrderedDict(
        [
            ("kernel", [_change_object(change) for change in kernel_changes(shared)]),
            ("parameters", OrderedDict(items(shared, Parameter))),
            ("marks", marks),
            ("problem", shared.problem or None),
        ]
    )


def _change_object(step):
    # type: (Change) -> OrderedDict[str, Any]
    return OrderedDict([("family", step.family), ("add", step.add), ("ip", step.line)])


def _plan_object(plan):
    # type: (Plan) -> OrderedDict[str, Any]
    item = OrderedDict([("name", plan.name)])  # type: OrderedDict[str, Any]
    item["left_alone"] = plan.left_alone or None
    item["warning"] = plan.warning or None
    item["live"] = plan.live
    item["files"] = [
        OrderedDict([("path", path), ("before", plan.before[path]), ("after", plan.files[path])])
        for path in sorted(plan.files)
    ]
    item["kernel"] = [_change_object(step) for step in plan.steps]
    return item


def status(found, shared):
    # type: (Sequence[Tuple[Device, Plan]], SharedPlan) -> str
    """Return how the interfaces are."""
    missing = shared_summary(shared)
    together = OrderedDict(
        [
            ("state", "differs" if missing else "in step"),
            ("why", missing or None),
            ("main", how_main_is_asked(shared) or None),
            ("marked_families", marked_families(shared)),
            ("alternative_names", OrderedDict(sorted(alternative_names(shared).items()))),
            ("problem", shared.problem or None),
        ]
    )
    interfaces = [_status_object(device, plan) for device, plan in found]
    return _json(OrderedDict([("interfaces", interfaces), ("all_enis", together)]))


def _status_object(device, plan):
    # type: (Device, Plan) -> OrderedDict[str, Any]
    eni, (state, why) = plan.eni, state_of(plan)
    item = OrderedDict([("name", device.name), ("mac", device.mac)])  # type: OrderedDict[str, Any]
    item["interface_id"] = eni.interface_id if eni else None
    item["network_card"] = eni.card if eni else None
    item["device_number"] = eni.device_number if eni else None
    item["table"] = plan.state.table if plan.state and not plan.is_primary else None
    item["addresses"] = list(eni.addresses + eni.addresses6) if eni else []
    item["prefixes"] = list(eni.prefixes + eni.prefixes6) if eni else []
    item["state"] = state
    item["why"] = why or None
    item["warning"] = plan.warning or None
    return item


def _json(value):
    # type: (Any) -> str
    return json.dumps(value, indent=2, separators=(",", ": ")) + "\n"
