"""The decode loop: prompts in, valid text and its figures out.

Only `llama.py` knows llama_cpp; everything else speaks to the `LanguageModel` protocol.
"""
