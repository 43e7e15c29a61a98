"""A training job in PyTorch and loads of known size, one after the other: `gpu_load.py [SCALE]`.

Each phase is one line of JSON on stdout when it is over: name, epoch seconds of its begin and end, and what it moved
or computed. SCALE shortens all phases.
"""  # noqa: INP001  a script

import json
import sys
import time
from collections.abc import Callable

import torch
from torch import nn

_GIB = 2**30
_WIDTH, _LAYERS, _HEADS, _CONTEXT, _BATCH, _WORDS = 2048, 12, 16, 1024, 16, 4096
#: Multiply-adds of each element, enough that memory does not matter.
_CHAIN = 4096
_FMA_CODE = (
    "template <typename T> T chain(T x) { for (int i = 0; i < 4096; ++i) { x = x * T(0.999) + T(0.001); } return x; }"
)


class Predictor(nn.Module):
    """A transformer that foretells the next word."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(_WORDS, _WIDTH)
        layer = nn.TransformerEncoderLayer(
            _WIDTH, _HEADS, 4 * _WIDTH, dropout=0.0, batch_first=True, norm_first=True, device="cuda"
        )
        self.layers = nn.TransformerEncoder(layer, _LAYERS, enable_nested_tensor=False)
        self.out = nn.Linear(_WIDTH, _WORDS)

    def forward(self, text: torch.Tensor) -> torch.Tensor:
        """Return the scores of each next word."""
        mask = nn.Transformer.generate_square_subsequent_mask(text.shape[1], device=text.device)
        scores: torch.Tensor = self.out(self.layers(self.words(text), mask=mask, is_causal=True))
        return scores


class Training:
    """Training of the predictor in bf16 on text with a rule, so that the loss falls."""

    def __init__(self) -> None:
        self.model = Predictor().cuda()
        self.optimiser = torch.optim.AdamW(self.model.parameters(), lr=1e-4, fused=True)

    def step(self) -> float:
        """Train on one batch and return its loss."""
        begin = torch.randint(_WORDS, (_BATCH, 1), device="cuda")
        text = (begin + 7 * torch.arange(_CONTEXT + 1, device="cuda")) % _WORDS
        with torch.autocast("cuda", torch.bfloat16):
            scores = self.model(text[:, :-1])
            loss = nn.functional.cross_entropy(scores.flatten(0, 1), text[:, 1:].flatten())
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimiser.step()
        self.optimiser.zero_grad()
        return loss.item()


def repeat(name: str, for_s: float, work: Callable[[], None], **each: float) -> None:
    """Do the work again and again, and tell how much of what was done; its first time is not counted."""
    work()
    torch.cuda.synchronize()
    begin, times = time.time(), 0
    while time.time() < begin + for_s:
        work()
        torch.cuda.synchronize()
        times += 1
    tell(name, begin, times=times, **{what: much * times for what, much in each.items()})


def tell(name: str, begin: float, **more: object) -> None:
    """Write the line of a phase that is over."""
    sys.stdout.write(json.dumps({"phase": name, "begin": begin, "end": time.time(), **more}) + "\n")
    sys.stdout.flush()


def train(name: str, training: Training, for_s: float, pause_s: float = 0.0) -> None:
    """Train for so long, resting after each step."""
    begin, losses = time.time(), list[float]()
    while time.time() < begin + for_s:
        losses.append(training.step())
        time.sleep(pause_s)
    tell(name, begin, steps=len(losses), tokens=len(losses) * _BATCH * _CONTEXT, loss=[losses[0], losses[-1]])


def known_loads(for_s: float) -> None:
    """Load one unit of the GPU at a time, by a known amount."""
    first, second = (torch.randn(8192, 8192, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    out = torch.empty_like(first)

    def multiply() -> None:
        for _ in range(50):
            torch.mm(first, second, out=out)

    repeat("matmul", 1.5 * for_s, multiply, flops=50 * 2.0 * 8192**3)
    source = torch.empty(8 * _GIB, dtype=torch.uint8, device="cuda").fill_(1)
    target = torch.empty_like(source)
    repeat("copy", for_s, lambda: _keep(target.copy_(source)), bytes=2 * 8 * _GIB)
    chain = torch.cuda.jiterator._create_jit_fn(_FMA_CODE)  # noqa: SLF001
    for name, kind in (("fp32", torch.float32), ("fp64", torch.float64)):
        numbers = torch.rand(2**25, device="cuda", dtype=kind)
        repeat(name, for_s, lambda numbers=numbers: _keep(chain(numbers)), fmas=2.0**25 * _CHAIN)  # type: ignore[misc]
    here = torch.ones(4 * _GIB, dtype=torch.uint8).pin_memory()
    there = here.cuda()
    repeat("to_gpu", for_s, lambda: _keep(there.copy_(here, non_blocking=True)), bytes=4 * _GIB)
    repeat("from_gpu", for_s, lambda: _keep(here.copy_(there, non_blocking=True)), bytes=4 * _GIB)


def _keep(_: object) -> None:
    """Have done something for its effect."""


def main(scale: float) -> None:
    """Go through all phases; a load that this PyTorch cannot make is told as one that failed."""
    device = torch.cuda.get_device_properties(0)
    tell("device", time.time(), gpu=device.name, sms=device.multi_processor_count)
    training = Training()
    training.step()
    train("train", training, 60 * scale)
    try:
        known_loads(10 * scale)
    except (RuntimeError, AttributeError) as error:
        tell("failed", time.time(), error=str(error)[:500])
    torch.cuda.empty_cache()
    train("light", training, 20 * scale, pause_s=1.0)
    begin = time.time()
    time.sleep(10 * scale)
    tell("held", begin)


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 1.0)
