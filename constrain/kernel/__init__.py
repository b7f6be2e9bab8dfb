"""The native core: token trees, regular expressions by derivatives, masks, sampling.

Its parts are documented in the C++ headers beside this file; Python code uses
`constrain.automaton` and `constrain.sampling`.
"""

from constrain.kernel._native import INFINITE, Compiled, Engine, Matcher, make_engine

__all__ = ["INFINITE", "Compiled", "Engine", "Matcher", "make_engine"]
