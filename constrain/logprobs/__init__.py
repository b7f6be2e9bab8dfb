"""What log-probabilities tell: per token, and per field of a JSON text.

`distribution` has the definitions on one row of logits, `measure` the same in one native
call; `json_part` says where an output has its JSON text, `paths` and `json_spans` where the
values of that lie, `layout` what of it is white space, `replay` where the grammar left a
choice, and `fields` puts tokens and values together. `html_report` shows all.
"""

from constrain.logprobs.fields import Field, RunnerUp, ScoredToken
from constrain.logprobs.measure import Alternative, Measurement, measure

__all__ = ["Alternative", "Field", "Measurement", "RunnerUp", "ScoredToken", "measure"]
