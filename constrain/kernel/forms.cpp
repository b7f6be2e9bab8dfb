#include "forms.h"

#include <unordered_set>

namespace constrain {

namespace {

ExprId one_byte(ExprPool& pool, char c) {
  ByteSet set;
  set.add(static_cast<uint8_t>(c));
  return pool.bytes(set & pool.alphabet());
}

// Nothing, one space, or a newline with up to 40 spaces or 20 tabs of indentation.
ExprId bounded_space(ExprPool& pool) {
  const ExprId space = one_byte(pool, ' ');
  const ExprId indent = pool.alternatives(
      {pool.repeat(space, 0, 40), pool.repeat(one_byte(pool, '\t'), 0, 20)});
  return pool.alternatives(
      {ExprPool::kEpsilon, space, pool.concat(one_byte(pool, '\n'), indent)});
}

ExprId any_space(ExprPool& pool) {
  ByteSet set;
  for (const char c : {' ', '\t', '\n', '\r'}) set.add(static_cast<uint8_t>(c));
  return pool.repeat(pool.bytes(set & pool.alphabet()), 0, kInfinite);
}

// The white space allowed at each kind of place.
struct Spaces {
  ExprId around_text, open, close, before_separator, after_colon, after_comma;
};

Spaces spaces_of(ExprPool& pool, const std::string& whitespace) {
  const ExprId none = ExprPool::kEpsilon;
  if (whitespace == "flexible") {
    const ExprId any = any_space(pool);
    return {any, any, any, any, any, any};
  }
  if (whitespace == "bounded") {
    const ExprId space = bounded_space(pool);
    const ExprId colon = pool.repeat(one_byte(pool, ' '), 0, 1);
    return {none, space, space, none, colon, space};
  }
  if (whitespace == "spaced") {
    const ExprId one = one_byte(pool, ' ');
    return {none, none, none, none, one, one};
  }
  return {none, none, none, none, none, none};
}

void build_name_tree(ObjectSpec& spec) {
  auto& nodes = spec.names.nodes;
  const auto n = static_cast<uint32_t>(spec.properties.size());
  const auto name = [&](uint32_t i) -> const std::string& { return spec.properties[i].name; };
  nodes.push_back({0, 0, 0, n, 0, n > 0 && name(0).empty()});
  std::vector<uint32_t> depth{0};
  for (uint32_t at = 0; at < nodes.size(); ++at) {  // breadth first: children are contiguous
    const uint32_t d = depth[at], hi = nodes[at].hi;
    nodes[at].first_child = static_cast<uint32_t>(nodes.size());
    for (uint32_t lo = nodes[at].lo + nodes[at].terminal; lo < hi;) {
      const char byte = name(lo)[d];
      uint32_t end = lo;
      while (end < hi && name(end)[d] == byte) ++end;
      nodes.push_back({0, 0, lo, end, static_cast<uint8_t>(byte), name(lo).size() == d + 1});
      depth.push_back(d + 1);
      ++nodes[at].n_children;
      lo = end;
    }
  }
}

// A class of a few names is as good as declared ones, and then no name of it is forgotten.
void declare_few(ExprPool& pool, ObjectSpec& spec) {
  constexpr size_t kFew = 256;
  std::vector<ObjectSpec::OtherKeys> many;
  std::unordered_set<std::string> declared;
  for (const PropertySpec& p : spec.properties) declared.insert(p.name);
  for (const auto& others : spec.others) {
    if (pool.is_any_text(others.key)) {
      many.push_back(others);
      continue;
    }
    std::vector<std::string> names;
    if (!pool.enumerate(others.key, kFew, names)) {
      spec.may_run_out = true;
      many.push_back(others);
      continue;
    }
    for (std::string& name : names) {
      if (declared.contains(name)) continue;
      PropertySpec p;
      p.name = std::move(name);
      p.value = others.value;
      p.ways = others.ways;
      p.floating = true;
      spec.properties.push_back(std::move(p));
    }
  }
  spec.others = std::move(many);
}

}  // namespace

ExprId value_lexeme(ExprPool& pool, ExprId scalar, bool object, bool array) {
  std::vector<ExprId> parts{scalar};
  if (object) parts.push_back(pool.concat(one_byte(pool, '{'), pool.tag(kTagObject)));
  if (array) parts.push_back(pool.concat(one_byte(pool, '['), pool.tag(kTagArray)));
  return pool.alternatives(std::move(parts));
}

Form make_form(ExprPool& pool, const std::string& whitespace, bool any_order,
               EscapeMode escapes) {
  const Spaces spaces = spaces_of(pool, whitespace);
  const auto lexeme = [&](ExprId space, char c, LexemeTag tag) {
    return pool.concat(space, pool.concat(one_byte(pool, c), pool.tag(tag)));
  };
  Form form;
  form.escapes = escapes;
  form.any_order = any_order;
  const ExprId colon =
      pool.concat(spaces.before_separator, pool.concat(one_byte(pool, ':'), spaces.after_colon));
  form.before[kPlaceTop] = form.trailing = spaces.around_text;
  form.before[kPlaceFirst] = spaces.open;
  form.before[kPlaceComma] = spaces.after_comma;
  form.before[kPlaceColon] = colon;
  form.first_key = lexeme(spaces.open, '"', kTagQuote);
  form.first_close = lexeme(spaces.open, '}', kTagClose);
  form.first_both = pool.alternatives({form.first_key, form.first_close});
  form.next_key = lexeme(spaces.after_comma, '"', kTagQuote);
  form.after_comma = lexeme(spaces.before_separator, ',', kTagComma);
  form.after_close = lexeme(spaces.close, '}', kTagClose);
  form.after_both = pool.alternatives({form.after_comma, form.after_close});
  form.item_comma = form.after_comma;
  form.item_close = lexeme(spaces.close, ']', kTagClose);
  form.item_both = pool.alternatives({form.item_comma, form.item_close});
  form.empty_array = lexeme(spaces.open, ']', kTagClose);
  form.colon_len = pool.facts(colon).min_len;
  // A vocabulary that cannot write the separator writes at most one member or item.
  form.can_separate = form.after_comma != ExprPool::kEmptyExpr &&
                      form.next_key != ExprPool::kEmptyExpr &&
                      spaces.after_comma != ExprPool::kEmptyExpr;
  form.comma_len = !form.can_separate ? 0
                                      : pool.facts(form.after_comma).min_len +
                                            pool.facts(spaces.after_comma).min_len;
  const auto brackets = [&](char open, ExprId close) {
    return one_byte(pool, open) == ExprPool::kEmptyExpr ? kInfinite : pool.facts(close).min_len;
  };
  form.object_close_len = brackets('{', form.after_close);
  form.array_close_len = brackets('[', form.item_close);
  return form;
}

void prepare_names(ExprPool& pool, const Form& form, ObjectSpec& spec) {
  spec.n_declared = static_cast<uint32_t>(spec.properties.size());
  declare_few(pool, spec);
  for (uint32_t i = 0; i < spec.properties.size(); ++i) spec.properties[i].order = i;
  std::sort(spec.properties.begin(), spec.properties.end(),
            [](const PropertySpec& a, const PropertySpec& b) { return a.name < b.name; });
  spec.by_order.resize(spec.properties.size());
  const Universe universe =
      form.escapes == EscapeMode::kAny ? Universe::kAny : Universe::kMinimal;
  for (uint32_t i = 0; i < spec.properties.size(); ++i) {
    PropertySpec& p = spec.properties[i];
    spec.by_order[p.order] = i;
    p.possible = pool.can_spell(p.name, universe) && pool.alphabet().has('"');
    p.key_len = 2 + spelled_length(p.name, 0, pool.alphabet());
    spec.names_need_escapes |= p.key_len != 2 + p.name.size();
    spec.n_required += p.required;
  }
  if (form.escapes == EscapeMode::kAny) spec.names_need_escapes = true;
  build_name_tree(spec);
}

}  // namespace constrain
