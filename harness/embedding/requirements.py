"""What encoders need beyond annbench's own requirements; a module of its own, so that asking doesn't need it yet."""

from __future__ import annotations

from harness.core.errors import AnnbenchError


def require_torch() -> None:
    """Raise AnnbenchError where the libraries of the extra `embed` are missing."""
    try:
        import torch  # noqa: F401
        import transformers  # noqa: F401
    except ImportError as missing:
        raise AnnbenchError(
            f"{missing.name} is not installed; encoders need it: pip install 'annbench[embed]'"
        ) from None
