"""What an index must be, where indexes are found, and the rules that they are checked by."""
