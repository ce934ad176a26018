"""Pictures and tables of what was measured. Only this package imports matplotlib."""
