"""Grammars in other people's decode loops: llama-cpp-python's `Llama`, and transformers."""
