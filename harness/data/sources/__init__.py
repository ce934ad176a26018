"""Where datasets come from: a catalogue of names, downloads, packages, generators and a user's own files."""
