"""Encoders of text and images: trained, evaluated, and joined to the indexes that search what they embed."""
