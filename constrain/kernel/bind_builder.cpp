// Building a compiled grammar from Python (see constrain/lowering.py).
#include <nanobind/stl/pair.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include "bindings.h"
#include "compiled.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace constrain {

namespace {

using Ids = std::vector<uint32_t>;

std::string to_string(const nb::bytes& bytes) { return {bytes.c_str(), bytes.size()}; }

uint32_t bounded(int64_t n) {  // -1: without bound
  return n < 0 || n >= kInfinite ? kInfinite : static_cast<uint32_t>(n);
}

Universe universe_of(int n) { return static_cast<Universe>(n); }

EscapeMode mode_of(int universe) {
  return universe == static_cast<int>(Universe::kAny) ? EscapeMode::kAny : EscapeMode::kMinimal;
}

Limits read_limits(const nb::object& o) {
  Limits limits;
  limits.expressions = nb::cast<uint64_t>(o.attr("expressions"));
  limits.expression_depth = nb::cast<uint32_t>(o.attr("expression_depth"));
  limits.nodes = nb::cast<uint64_t>(o.attr("nodes"));
  limits.threads = nb::cast<uint32_t>(o.attr("threads"));
  limits.depth = nb::cast<uint32_t>(o.attr("depth"));
  limits.arena_bytes = nb::cast<uint64_t>(o.attr("arena_bytes"));
  limits.search_states = nb::cast<uint64_t>(o.attr("search_states"));
  limits.seconds = nb::cast<double>(o.attr("seconds"));
  return limits;
}

void check_nodes(const Compiled& c) {
  const Program& p = c.program;
  const uint64_t n = p.values.size() + p.objects.size() + p.arrays.size() + p.nodes.size();
  if (n > c.limits.nodes)
    throw LimitExceeded("nodes", static_cast<double>(n), static_cast<double>(c.limits.nodes));
}

using Pairs = std::vector<std::pair<uint32_t, uint32_t>>;

std::vector<Way> ways_of(const Pairs& pairs) {
  std::vector<Way> ways;
  for (const auto& [value, settles] : pairs) ways.push_back({value, settles});
  return ways;
}

// properties: (name, value, is required) and where it says more (ways, demands settled by its
// absence, weight); others: (key, value, ways); ways: (value, demands it settles); demands: (under,
// over), over -1 for none.
uint32_t add_object(Compiled& c, uint32_t form, const nb::list& properties,
                    const std::vector<std::tuple<int64_t, uint32_t, Pairs>>& others,
                    uint32_t min, int64_t max,
                    const std::vector<std::pair<uint32_t, int64_t>>& demands) {
  ObjectSpec spec;
  for (const auto& [under, over] : demands) spec.demands.push_back({under, bounded(over)});
  spec.form = form;
  spec.properties.reserve(properties.size());
  for (const nb::handle item : properties) {
    const auto entry = nb::borrow<nb::tuple>(item);
    PropertySpec p;
    p.name = to_string(nb::cast<nb::bytes>(entry[0]));
    p.value = nb::cast<uint32_t>(entry[1]);
    p.required = nb::cast<bool>(entry[2]);
    if (entry.size() > 3) {
      p.ways = ways_of(nb::cast<Pairs>(entry[3]));
      p.absent = nb::cast<uint32_t>(entry[4]);
      if (!p.required) p.weight = nb::cast<float>(entry[5]);
      spec.weighted |= p.weight != 0.0f;
    }
    spec.properties.push_back(std::move(p));
  }
  spec.min_properties = min;
  spec.max_properties = bounded(max);
  const EscapeMode mode = c.program.forms[form].escapes;
  const Universe universe = mode == EscapeMode::kAny ? Universe::kAny : Universe::kMinimal;
  for (const auto& [key, value, ways] : others)  // -1: every key
    spec.others.push_back({key >= 0 ? static_cast<ExprId>(key)
                                    : c.engine->pool.any_text(universe),
                           value, ways_of(ways)});
  check_nodes(c);
  return c.program.add_object(std::move(spec));
}

// tallies: (min, max, under, over), -1 for no maximum; ways: by position, the last for the rest.
uint32_t add_array(Compiled& c, uint32_t form, Ids prefix, int64_t items, uint32_t min,
                   int64_t max,
                   const std::vector<std::tuple<uint32_t, int64_t, uint32_t, int64_t>>& tallies,
                   const std::vector<Pairs>& ways, bool unique) {
  ArraySpec spec;
  for (const auto& [least, most, under, over] : tallies)
    spec.tallies.push_back({least, bounded(most), under, bounded(over)});
  for (const Pairs& pairs : ways) spec.ways.push_back(ways_of(pairs));
  spec.form = form;
  spec.prefix = std::move(prefix);
  spec.items = items < 0 ? kNone : static_cast<uint32_t>(items);
  spec.min_items = min;
  spec.max_items = bounded(max);
  spec.unique = unique;
  check_nodes(c);
  return c.program.add_array(std::move(spec));
}

uint32_t add_node(Compiled& c, NodeKind kind, Ids children) {
  GrammarNode node;
  node.kind = kind;
  node.children = std::move(children);
  check_nodes(c);
  return c.program.add_node(std::move(node));
}

uint32_t add_lexeme(Compiled& c, ExprId expr) {
  GrammarNode node;
  node.expr = expr;
  return c.program.add_node(std::move(node));
}

uint32_t add_repeat(Compiled& c, uint32_t child, uint32_t min, int64_t max) {
  GrammarNode node;
  node.kind = NodeKind::kRepeat;
  node.children = {child};
  node.min = min;
  node.max = bounded(max);
  return c.program.add_node(std::move(node));
}

// A JSON text: the value, then the white space the form allows after it.
uint32_t add_json(Compiled& c, uint32_t value) {
  GrammarNode node;
  node.kind = NodeKind::kValue;
  node.value = value;
  const uint32_t id = c.program.add_node(std::move(node));
  const ExprId trailing = c.program.forms[c.program.values[value].form].trailing;
  if (trailing == ExprPool::kEpsilon) return id;
  return add_node(c, NodeKind::kSequence, {id, add_lexeme(c, trailing)});
}

void bind_expressions(nb::class_<Compiled>& cls) {
  cls.def("chars", [](Compiled& c, const std::vector<std::pair<uint32_t, uint32_t>>& ranges,
                      int u) {
       std::vector<CodeRange> list;
       for (const auto& [lo, hi] : ranges) list.push_back({lo, hi});
       return c.engine->pool.chars(list, universe_of(u));
     })
      .def("literals", [](Compiled& c, const std::vector<nb::bytes>& texts, int u) {
        std::vector<std::string> list;
        for (const auto& t : texts) list.push_back(to_string(t));
        return c.engine->pool.literals(std::move(list), universe_of(u));
      })
      .def("weighted", [](Compiled& c, const std::vector<std::pair<nb::bytes, float>>& texts) {
        std::vector<std::pair<std::string, float>> list;
        for (const auto& [text, weight] : texts) list.emplace_back(to_string(text), weight);
        return c.engine->pool.weighted(std::move(list));
      })
      .def("concat", [](Compiled& c, const Ids& parts) {
        ExprId all = ExprPool::kEpsilon;
        for (size_t i = parts.size(); i-- > 0;) all = c.engine->pool.concat(parts[i], all);
        return all;
      })
      .def("alternatives", [](Compiled& c, Ids parts) {
        return c.engine->pool.alternatives(std::move(parts));
      })
      .def("intersection", [](Compiled& c, Ids parts) {
        return c.engine->pool.intersection(std::move(parts));
      })
      .def("complement", [](Compiled& c, uint32_t part, int u) {
        return c.engine->pool.complement(part, universe_of(u));
      })
      .def("repeat_expr", [](Compiled& c, uint32_t part, uint32_t min, int64_t max) {
        return c.engine->pool.repeat(part, min, bounded(max));
      })
      .def("multiple", [](Compiled& c, uint64_t divisor, uint32_t places) {
        return c.engine->pool.multiple(divisor, places);
      })
      .def("any_text", [](Compiled& c, int u) { return c.engine->pool.any_text(universe_of(u)); })
      .def("quoted", [](Compiled& c, uint32_t inner, int u) {
        return c.engine->pool.quoted(inner, mode_of(u));
      })
      .def("is_empty", [](Compiled& c, uint32_t e) { return !c.engine->pool.is_alive(e); });
}

}  // namespace

void bind_builder(nb::module_& m) {
  nb::class_<Compiled> cls(m, "Compiled");
  cls.def("__init__", [](Compiled* c, std::shared_ptr<Engine> engine, const nb::object& limits) {
    new (c) Compiled(std::move(engine), read_limits(limits));
  });
  bind_expressions(cls);
  cls.def("form", [](Compiled& c, const std::string& whitespace, bool any_order, int u,
                     const std::tuple<float, float, float, float>& wishes) {
       const auto& [strings, arrays, numbers, compact] = wishes;
       return c.program.add_form(whitespace, any_order, mode_of(u),
                                 {strings, arrays, numbers, compact});
     })
      .def("value", [](Compiled& c, uint32_t form) {
        check_nodes(c);
        return c.program.add_value(form);
      })
      .def("set_value", [](Compiled& c, uint32_t id, uint32_t scalar, Ids objects, Ids arrays) {
        Value& value = c.program.values[id];
        value.scalar = scalar;
        value.objects = std::move(objects);
        value.arrays = std::move(arrays);
      })
      .def("object", &add_object)
      .def("array", &add_array)
      .def("lexeme", &add_lexeme)
      .def("json", &add_json)
      .def("sequence", [](Compiled& c, Ids parts) {
        return add_node(c, NodeKind::kSequence, std::move(parts));
      })
      .def("choice", [](Compiled& c, Ids parts) {
        return add_node(c, NodeKind::kChoice, std::move(parts));
      })
      .def("repeat", &add_repeat)
      .def("rule", [](Compiled& c) { return add_node(c, NodeKind::kRule, {}); })
      .def("set_rule", [](Compiled& c, uint32_t rule, uint32_t body) {
        c.program.nodes[rule].children = {body};
      })
      .def("finish", &Compiled::finish)
      .def("value_length", [](Compiled& c, uint32_t v) { return c.program.values[v].min_len; })
      .def("node_length", [](Compiled& c, uint32_t n) { return c.program.nodes[n].min_len; })
      .def_prop_ro("complete", [](const Compiled& c) { return c.engine->complete; })
      .def_prop_ro("memory_bytes", &Compiled::memory)
      .def_prop_ro("engine_bytes", [](const Compiled& c) { return c.engine->memory(); });
  m.attr("INFINITE") = kInfinite;
}

}  // namespace constrain
