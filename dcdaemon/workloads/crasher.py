"""A training that dies of an ordinary mistake: after two good epochs its new head does not fit its body."""

import argparse

import torch
from torch import nn
from torch.optim import AdamW

from dcdaemon.job import report
from dcdaemon.workloads import training

GOOD_EPOCHS = 2
FEATURES = 64


def main(argv: list[str] | None = None) -> None:
    """Train GOOD_EPOCHS epochs, then raise the RuntimeError of a shape mismatch."""
    argparse.ArgumentParser(prog="python -m dcdaemon.workloads.crasher", description=__doc__).parse_args(argv)
    torch.manual_seed(0)
    torch.set_num_threads(1)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    body = nn.Sequential(nn.Linear(16, FEATURES), nn.ReLU()).to(device)
    head = nn.Linear(FEATURES, 4).to(device)
    for epoch in range(1, GOOD_EPOCHS + 2):
        if epoch > GOOD_EPOCHS:
            head = nn.Linear(FEATURES // 2, 4).to(device)  # the mistake: half as wide as the body
        loss = train_epoch(body, head, device)
        report(step=epoch, loss=loss)
        print(f"epoch {epoch} loss={loss:.4g}", flush=True)


def train_epoch(body: nn.Module, head: nn.Module, device: torch.device) -> float:
    """Learn which quarter of the range the first number of a random row lies in; return the last loss."""
    optimiser = AdamW([*body.parameters(), *head.parameters()], lr=1e-2)
    loss = torch.zeros(())
    for _ in range(50):
        rows = torch.rand(64, 16, device=device)
        classes = (rows[:, 0] * 4).long()
        loss = nn.functional.cross_entropy(head(body(rows)), classes)
        training.descend(optimiser, loss)
    return loss.item()


if __name__ == "__main__":
    main()
