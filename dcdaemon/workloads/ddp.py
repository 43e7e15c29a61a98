"""Distributed training: one model learns handwritten digits in several ranks, on GPUs by NCCL, on CPUs by gloo.

Start it with `dcd submit --launcher torchrun`. It shows what a distributed job does about checkpoints: all ranks agree
when to stop, one writes the checkpoint, and tells so when it is safe.
"""

import argparse
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim import AdamW

from dcdaemon.job import checkpoint_saved, report, should_checkpoint
from dcdaemon.workloads import digits
from dcdaemon.workloads.options import positive_int
from dcdaemon.workloads.supervised import Examples, accuracy

BATCH = 64
STOPPED = 143


def main(argv: list[str] | None = None) -> None:
    """Train, going on from the checkpoint if there is one; exits with 143 when it was asked to stop."""
    options = _options(argv)
    torch.manual_seed(options.seed)
    torch.set_num_threads(1)
    device = _join()
    try:
        stopped = train(options.epochs, options.checkpoint, device)
    finally:
        distributed.destroy_process_group()
    sys.exit(STOPPED if stopped else 0)


def _options(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m dcdaemon.workloads.ddp", description=__doc__)
    parser.add_argument("--epochs", type=positive_int, default=20, help="epochs to train (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="same seed, same run (%(default)s)")
    name = f"ddp-job{os.environ.get('DCD_JOB_ID', '')}.pt"
    parser.add_argument("--checkpoint", type=Path, default=Path(name).absolute(), help="where to save (%(default)s)")
    return parser.parse_args(argv)


def _join() -> torch.device:
    """Meet the other ranks, and return this one's device."""
    if not torch.cuda.is_available():
        distributed.init_process_group("gloo")
        return torch.device("cpu")
    device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
    torch.cuda.set_device(device)
    distributed.init_process_group("nccl", device_id=device)
    return device


def train(epochs: int, path: Path, device: torch.device) -> bool:
    """Train until the last epoch, or until all ranks have agreed to stop: then return True."""
    rank, examples = distributed.get_rank(), digits.load().to(device)
    net = nn.Sequential(nn.Flatten(), nn.Linear(digits.SIDE**2, 64), nn.ReLU(), nn.Linear(64, digits.CLASSES)).to(
        device
    )
    optimiser = AdamW(net.parameters(), lr=1e-3)
    done = _resume(path, net, optimiser)
    model = DistributedDataParallel(net, device_ids=[device.index] if device.type == "cuda" else None)
    for epoch in range(done + 1, epochs + 1):
        loss = _epoch(model, optimiser, examples, epoch)
        if rank == 0:
            metrics = {"loss": loss, **accuracy(net(examples.inputs), examples.answers)}
            report(step=epoch, **metrics)
            print(f"epoch {epoch}/{epochs} loss={loss:.4g} accuracy={metrics['accuracy']:.3f}", flush=True)
        stop = _any_rank(device, wanted=should_checkpoint())
        if rank == 0 and (stop or epoch == epochs or epoch % 10 == 0):
            _save(path, epoch, net, optimiser)
        if stop:
            return True
    return False


def _epoch(model: nn.Module, optimiser: AdamW, examples: Examples, epoch: int) -> float:
    total, steps = torch.zeros((), device=examples.inputs.device), 0
    for inputs, answers in _shard(examples, epoch):
        loss = nn.functional.cross_entropy(model(inputs), answers)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        total, steps = total + loss.detach(), steps + 1
    return float(total / steps)


def _shard(examples: Examples, epoch: int) -> Iterator[Examples]:
    """Yield this rank's share of all examples, in an order that all ranks draw alike; each has the same number."""
    rank, ranks = distributed.get_rank(), distributed.get_world_size()
    order = torch.randperm(len(examples.answers), generator=torch.Generator().manual_seed(epoch))
    share = order[: len(order) // ranks * ranks][rank::ranks].to(examples.inputs.device)
    for indices in torch.split(share, BATCH):
        yield examples.at(indices)


def _any_rank(device: torch.device, *, wanted: bool) -> bool:
    """Tell whether any rank wants it: what one decided alone would leave the others waiting for it."""
    flag = torch.tensor(float(wanted), device=device)
    distributed.all_reduce(flag, distributed.ReduceOp.MAX)
    return bool(flag.item())


def _save(path: Path, epoch: int, net: nn.Module, optimiser: AdamW) -> None:
    draft = path.with_name(f".{path.name}.tmp")
    torch.save({"epoch": epoch, "net": net.state_dict(), "optimiser": optimiser.state_dict()}, draft)
    draft.replace(path)
    checkpoint_saved(epoch)


def _resume(path: Path, net: nn.Module, optimiser: AdamW) -> int:
    """Load the checkpoint in every rank; return the epochs done."""
    if not path.exists():
        return 0
    saved: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    net.load_state_dict(saved["net"])
    optimiser.load_state_dict(saved["optimiser"])
    if distributed.get_rank() == 0:
        print(f"resumed after epoch {saved['epoch']} from {path}", flush=True)
    return int(saved["epoch"])


if __name__ == "__main__":
    main()
