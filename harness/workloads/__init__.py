"""What is measured: each workload says its own fields, its truth, how an engine is driven, and what is recorded."""
