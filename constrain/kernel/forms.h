// How JSON text is laid out: the structural lexemes of each white-space form, and the names of
// an object laid out for matching.
#pragma once

#include "program.h"

namespace constrain {

// `whitespace`: "compact", "spaced", "bounded" or "flexible" (see constrain.json_schema).
Form make_form(ExprPool& pool, const std::string& whitespace, bool any_order, EscapeMode escapes);

// A scalar, '{' or '[' as one lexeme, each with its tag.
ExprId value_lexeme(ExprPool& pool, ExprId scalar, bool object, bool array);

// Sorts the properties and fills everything about them that needs no shortest lengths.
// Names that this vocabulary cannot spell become impossible.
void prepare_names(ExprPool& pool, const Form& form, ObjectSpec& spec);

}  // namespace constrain
