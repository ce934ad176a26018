"""What a plug-in must not do: rules of one sentence each, checked on small sets in a child that a plug-in may crash."""

from harness.engines.conformance.catalogue import CHECKS, find_checks
from harness.engines.conformance.check import Check, Verdict, examine
from harness.engines.conformance.samples import fingerprint
from harness.engines.conformance.subject import Subject

__all__ = ["CHECKS", "Check", "Subject", "Verdict", "examine", "find_checks", "fingerprint"]
