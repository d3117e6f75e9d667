"""What a host looks like, and what became different."""


def look(lab, files=True):
    """Return everything there is, in an order that does not tell what came when."""
    taken = lab.snapshot()
    texts = ["{}: {}".format(*item) for item in taken.pop("files").items() if files]
    return {key: sorted(value) for key, value in dict(taken, files=texts).items()}


def changes(before, after):
    """Return what is in one of two looks only."""
    return [
        sign + line
        for key in before
        for sign, some, others in (("-", before, after), ("+", after, before))
        for line in some[key]
        if line not in others[key]
    ]
