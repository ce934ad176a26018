"""What the authors of plug-ins use in their own tests."""
