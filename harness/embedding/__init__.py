"""Encoders of text and images: trained, evaluated, and joined to the indexes that search what they embed."""

from harness.core.waiting import wait_briefly

# Before anything here imports torch, whose pool of threads reads it as it is loaded.
wait_briefly()
