"""Memory of a training step with and without GradCache: `python tests/benchmarks/grad_cache.py`.

A BERT of MiniLM's size (6 layers, 384 wide) with random weights, pairs of 64 tokens, InfoNCE. Each case runs in a child
process of its own, which reports its highest resident set (`ru_maxrss`; Linux). Required: a batch of 1,024 with chunks
of 64 in the memory of a plain batch of 64, plus 20 %. A plain batch of 1,024 may take 8 GB of data, and says so if that
isn't enough. Some six minutes on one core.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time

SMALL, LARGE, CHUNK, LENGTH = 64, 1024, 64, 64
LIMIT = 8 * 2**30  # bytes
HEADROOM = 1.2
CASES = {"plain 64": (SMALL, None), "GradCache 1,024": (LARGE, CHUNK), "plain 1,024": (LARGE, None)}


def measure(batch: int, chunk: int | None) -> dict[str, float]:
    """Take one step; return seconds, the loss, and the peaks in MB before the step and after it."""
    import torch
    from transformers import BertConfig, BertModel

    from harness.embedding.grad_cache import Side, split, step
    from harness.embedding.losses.info_nce import info_nce

    torch.manual_seed(0)
    config = BertConfig(
        hidden_size=384,
        num_hidden_layers=6,
        num_attention_heads=12,
        intermediate_size=1536,
        max_position_embeddings=512,
    )
    model = BertModel(config, add_pooling_layer=False)

    def encode(ids: torch.Tensor) -> torch.Tensor:
        return model(ids).last_hidden_state.mean(1)

    sides = [torch.randint(config.vocab_size, (batch, LENGTH)) for _ in range(2)]
    before = peak()
    started = time.perf_counter()
    if chunk is None:
        loss = info_nce(*(encode(ids) for ids in sides))
        loss.backward()
    else:
        loss = step([Side(encode, split(ids, chunk)) for ids in sides], info_nce)
    return {"seconds": time.perf_counter() - started, "loss": loss.item(), "before": before, "peak": peak()}


def peak() -> float:
    """Return the highest resident set of this process so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def run(name: str) -> dict[str, float] | None:
    """Measure a case in a child process; None where it needs more than LIMIT."""
    done = subprocess.run([sys.executable, __file__, name], capture_output=True, text=True, check=False)
    if done.returncode and "allocate memory" not in done.stderr:
        raise RuntimeError(f"{name} failed:\n{done.stderr}")
    return None if done.returncode else json.loads(done.stdout)


def main() -> None:
    """Print each case, and whether the large batch stays within the small one's memory plus 20 %."""
    found = {}
    for name in CASES:
        seen = found[name] = run(name)
        if seen is None:
            sys.stdout.write(f"{name:16} needs more than {LIMIT / 2**30:.0f} GB\n")
        else:
            sys.stdout.write(
                f"{name:16} peak {seen['peak']:6.0f} MB ({seen['before']:.0f} before the step), "
                f"{seen['seconds']:6.1f} s, loss {seen['loss']:.4f}\n"
            )
        sys.stdout.flush()
    small, large = found["plain 64"], found["GradCache 1,024"]
    if small is None or large is None:
        sys.exit("the cases to compare need more memory than the limit")
    ratio = large["peak"] / small["peak"]
    sys.stdout.write(f"GradCache 1,024 / plain 64: {ratio:.3f} ({'within' if ratio <= HEADROOM else 'ABOVE'} 1.2)\n")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        resource.setrlimit(resource.RLIMIT_DATA, (LIMIT, LIMIT))
        json.dump(measure(*CASES[sys.argv[1]]), sys.stdout)
    else:
        main()
