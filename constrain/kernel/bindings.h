// The pieces of the extension module, one function for each part.
#pragma once

#include <nanobind/nanobind.h>

namespace constrain {

void bind_builder(nanobind::module_& m);
void bind_matcher(nanobind::module_& m);
void bind_measure(nanobind::module_& m);

}  // namespace constrain

void bind_sampler(nanobind::module_& m);
