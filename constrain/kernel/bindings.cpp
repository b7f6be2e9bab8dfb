// The extension module constrain.kernel._native: errors and the engine.
#include "bindings.h"

#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "compiled.h"

namespace nb = nanobind;
using namespace constrain;

namespace {

void raise(const char* name, nb::tuple arguments) {
  const nb::object type = nb::module_::import_("constrain.errors").attr(name);
  PyErr_SetObject(type.ptr(), type(*arguments).ptr());
}

std::shared_ptr<Engine> make_engine(const nb::list& tokens, std::vector<uint32_t> end_ids,
                                    std::vector<uint32_t> control_ids) {
  std::vector<std::string> texts;
  texts.reserve(tokens.size());
  for (const nb::handle token : tokens) {
    const auto bytes = nb::cast<nb::bytes>(token);
    texts.emplace_back(bytes.c_str(), bytes.size());
  }
  return std::make_shared<Engine>(std::move(texts), std::move(end_ids), std::move(control_ids));
}

}  // namespace

NB_MODULE(_native, m) {
  // Objects that live until the interpreter ends (a user's global) are no leak worth a warning.
  nb::set_leak_warnings(false);
  nb::register_exception_translator([](const std::exception_ptr& p, void*) {
    try {
      std::rethrow_exception(p);
    } catch (const LimitExceeded& e) {
      raise("LimitError", nb::make_tuple(e.limit_name, e.given, e.limit));
    } catch (const BadGrammar& e) {
      raise("GrammarError", nb::make_tuple(e.reason));
    }
  });
  nb::class_<Engine>(m, "Engine")
      .def_prop_ro("n_vocab", [](const Engine& e) { return e.n_vocab; })
      .def_prop_ro("complete", [](const Engine& e) { return e.complete; })
      .def_prop_ro("memory_bytes", &Engine::memory);
  m.def("make_engine", &make_engine, nb::arg("tokens"), nb::arg("end_ids"),
        nb::arg("control_ids"));
  bind_builder(m);
  bind_matcher(m);
  bind_measure(m);
  bind_sampler(m);
}
