"""Tests of `constrain`; `oracle/` holds slow recognizers, `benchmarks/` measurements."""
