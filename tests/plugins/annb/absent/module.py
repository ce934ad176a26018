"""A plug-in whose library isn't installed."""

import no_such_library

from ..base.module import BaseANN  # noqa: TID252 - what is tested


class Absent(BaseANN):
    """Can't be imported."""

    def __init__(self, metric, number):
        self.index = no_such_library.Index(metric, number)
