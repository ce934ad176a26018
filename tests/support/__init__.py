"""What several folders of tests share: made-up results, small models and a task for them, and a browser."""
