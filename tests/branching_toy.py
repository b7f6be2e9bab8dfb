"""The toy model with branches: each node of a tree sees the sequence and its own path alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.toy_model import ToyModel

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from constrain.driver.branches import Node
    from constrain.driver.protocol import Logits


class BranchingToy(ToyModel):
    """A `BranchingModel` that checks what it is handed.

    Args:
        n_branches: continuations a tree may have.
        n_ctx: tokens that sequence 0 and a tree may have together.
    """

    def __init__(self, n_branches: int = 63, n_ctx: int = 256) -> None:
        super().__init__(n_ctx=n_ctx)
        self.n_branches = n_branches
        self.trees: list[list[Node]] = []

    def decode_branches(
        self, nodes: Sequence[Node], read: Callable[[int, Logits], None]
    ) -> None:
        self.trees.append(list(nodes))
        held = tuple(self.held[0])
        assert nodes, "an empty tree"
        assert len(held) + len(nodes) <= self.n_ctx, "past the context"
        paths: dict[int, tuple[int, ...]] = {}
        for index, node in enumerate(nodes):
            assert node.branches, "a node on no branch"
            assert all(0 <= branch < self.n_branches for branch in node.branches)
            (before,) = {paths.get(branch, ()) for branch in node.branches}
            path = (*before, node.token_id)
            assert node.position == len(held) + len(path) - 1, "not where its path ends"
            paths.update(dict.fromkeys(node.branches, path))
            if node.wanted:
                read(index, self.logits(held + path))
