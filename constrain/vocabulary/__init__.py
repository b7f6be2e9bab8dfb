"""A model's vocabulary, from wherever it is kept.

`vocabulary` holds the one class; the readers beside it give it a token table: `gguf_file`,
`llama_model` and `tokenizer_json`. `token_bytes` knows how tokenizers spell bytes.
"""

from constrain.vocabulary.vocabulary import Vocabulary

__all__ = ["Vocabulary"]
