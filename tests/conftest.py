"""Settings of all tests."""

from __future__ import annotations

import os

# Two tests at a time share the cores: OpenMP threads that spin while they wait would take them from each other.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
