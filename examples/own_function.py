"""A method of one's own as a function, with three settings: fine-tune on what is kept, ascend a little on the rest.

expunge info examples/own_function.py:push_away
expunge bench digits --method examples/own_function.py:push_away --set push_away.lr=0.02 --method all
expunge tune examples/own_function.py:push_away digits --out push_away.json
expunge bench digits --method examples/own_function.py:push_away --settings push_away.json
"""

import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader

from expunge.methods.spaces import RATES, Between


def push_away(model, retain, forget, seed, *, lr=0.01, epochs=1, push=0.05):
    """Descend on ``CE(retain) - push * CE(forget)``, a batch of each at every step."""
    optimizer = torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9)
    model.train()
    for _ in range(epochs):
        gone = iter(DataLoader(forget, 16, shuffle=True))
        for x, y in DataLoader(retain, 64, shuffle=True):
            loss = F.cross_entropy(model(x), y)
            if batch := next(gone, None):
                loss = loss - push * F.cross_entropy(model(batch[0]), batch[1])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return model


# Where `expunge tune` looks; without it the function can be benched, but not tuned.
push_away.search = {"lr": RATES, "epochs": Between(1, 5, whole=True), "push": Between(0.001, 0.5, log=True)}
