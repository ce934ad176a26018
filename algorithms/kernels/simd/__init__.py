"""Many numbers at once: vector registers, the instructions that LLVM has and numba doesn't, and plain distances."""
