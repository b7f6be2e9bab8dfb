"""Logits to token: `Sampling` says how, `Sampler` does it, `processors` define each step."""

from constrain.sampling.sampler import Sample, Sampler
from constrain.sampling.settings import Sampling

__all__ = ["Sample", "Sampler", "Sampling"]
