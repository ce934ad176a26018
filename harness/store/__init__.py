"""Result files: what was asked for, what was measured, and the formats of earlier versions."""
