"""Files that tasks and training examples come in: BEIR folders, STS tables, labelled texts, JSONL."""
