"""A door for plug-ins that were written for annbench 0.1: what was here is in `harness.engines.contract` now."""

from harness.engines.contract import *  # noqa: F403 - all of it, whatever that is
