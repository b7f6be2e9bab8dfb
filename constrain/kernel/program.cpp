#include "program.h"

#include "forms.h"

namespace constrain {

namespace {

constexpr size_t kMostKeyClasses = 60;  // tags of one lexeme are bits of a word
constexpr uint32_t kOneByteKeys = 60;   // over 60 printable characters make a key of length 1
constexpr size_t kMostLengths = 4096;   // of shortest other keys

// The n-th of ascending lengths, of which the first are listed. Those after them are taken to
// grow by the widest step listed: lengths of a regular language repeat their steps.
uint32_t nth_length(const std::vector<uint32_t>& lengths, uint32_t n) {
  if (n < lengths.size()) return lengths[n];
  if (lengths.size() < 2) return kInfinite;
  uint32_t step = 1;
  for (size_t i = 1; i < lengths.size(); ++i) step = std::max(step, lengths[i] - lengths[i - 1]);
  const auto further = static_cast<uint32_t>(n + 1 - lengths.size());
  return add_length(lengths.back(), mul_length(step, further));
}

}  // namespace

uint32_t NameTree::child(uint32_t node, uint8_t byte) const {
  const Node& n = nodes[node];
  const auto begin = nodes.begin() + n.first_child, end = begin + n.n_children;
  const auto at = std::lower_bound(begin, end, byte,
                                   [](const Node& c, uint8_t b) { return c.byte < b; });
  return at != end && at->byte == byte ? static_cast<uint32_t>(at - nodes.begin()) : kNone;
}

uint32_t Program::add_form(const std::string& whitespace, bool any_order, EscapeMode escapes,
                           const Wishes& wishes) {
  forms.push_back(make_form(pool, whitespace, any_order, escapes));
  Form& form = forms.back();
  form.wishes = wishes;
  // Elsewhere white space is never a matter of choice.
  if (whitespace != "bounded" && whitespace != "flexible") form.wishes.compact = 0.0f;
  has_wishes |= form.wishes.any();
  return static_cast<uint32_t>(forms.size() - 1);
}

uint32_t Program::add_value(uint32_t form) {
  values.emplace_back();
  values.back().form = form;
  return static_cast<uint32_t>(values.size() - 1);
}

uint32_t Program::add_object(ObjectSpec spec) {
  if (!forms[spec.form].can_separate) spec.max_properties = std::min(spec.max_properties, 1u);
  prepare_names(pool, forms[spec.form], spec);
  prepare_demands(spec);
  objects.push_back(std::move(spec));
  return static_cast<uint32_t>(objects.size() - 1);
}

uint32_t Program::add_array(ArraySpec spec) {
  if (!forms[spec.form].can_separate) spec.max_items = std::min(spec.max_items, 1u);
  complete_array(spec);
  spec.unique &= spec.max_items > 1;
  arrays.push_back(std::move(spec));
  return static_cast<uint32_t>(arrays.size() - 1);
}

uint32_t Program::add_node(GrammarNode node) {
  nodes.push_back(std::move(node));
  return static_cast<uint32_t>(nodes.size() - 1);
}

uint32_t Program::place_len(uint32_t form, ValuePlace place) const {
  return pool.facts(forms[form].before[place]).min_len;
}

uint32_t Program::value_of_item(const ArraySpec& spec, uint32_t index) const {
  if (index >= spec.max_items) return kNone;
  const uint32_t value = index < spec.prefix.size() ? spec.prefix[index] : spec.items;
  return value == kNone || values[value].min_len == kInfinite ? kNone : value;
}

uint32_t Program::items_rest(const ArraySpec& spec, uint32_t count) const {
  if (count >= spec.min_items) return 0;
  if (!spec.costs.empty()) return spec.rest_min[count];
  const auto n_prefix = static_cast<uint32_t>(spec.prefix.size());
  if (count < n_prefix) return spec.rest_min[count];
  const uint32_t item = spec.items == kNone ? kInfinite : values[spec.items].min_len;
  const uint32_t comma = forms[spec.form].comma_len;
  return mul_length(add_length(item, comma), spec.min_items - count);
}

bool Program::update_value(Value& value) {
  uint32_t least = pool.is_alive(value.scalar) ? pool.min_length(value.scalar, 0) : kInfinite;
  for (const uint32_t o : value.objects) least = std::min(least, objects[o].min_len);
  for (const uint32_t a : value.arrays) least = std::min(least, arrays[a].min_len);
  const bool changed = least < value.min_len;
  value.min_len = std::min(value.min_len, least);
  return changed;
}

uint32_t Program::other_cost(const ObjectSpec& spec, uint32_t n) const {
  if (!spec.may_run_out)  // one key is empty, some tens have one character, thousands have three
    return add_length(spec.additional_cost, n == 0 ? 0 : n <= kOneByteKeys ? 1 : 3);
  return nth_length(spec.other_costs, n);
}

uint32_t Program::keys_taken(const ObjectSpec& spec, uint32_t n_used, bool short_taken) {
  return spec.may_run_out ? spec.n_declared + n_used
                          : short_taken || spec.names.nodes[0].terminal;
}

uint32_t Program::key_growth(const ObjectSpec& spec, const ObjectSpec::OtherKeys& other,
                             uint32_t n) const {
  if (!spec.may_run_out) return n == 0 ? 0 : n <= kOneByteKeys ? 1 : 3;
  const uint32_t length = nth_length(other.lengths, n);
  return length >= kInfinite ? kInfinite : length - other.lengths[0];
}

// What the cheapest `n` more members cost, commas included, out of `optional` (ascending) and
// other keys.
uint32_t Program::cheapest_members(const ObjectSpec& spec, const std::vector<uint32_t>& optional,
                                   uint32_t n, uint32_t n_taken) const {
  const uint32_t comma = forms[spec.form].comma_len;
  uint32_t total = 0, n_other = 0;
  for (size_t i = 0; n > 0; --n) {
    const uint32_t other = other_cost(spec, n_other + n_taken);
    const bool take_optional = i < optional.size() && optional[i] <= other;
    total = add_length(total, add_length(take_optional ? optional[i] : other, comma));
    if (total == kInfinite) break;
    if (take_optional) ++i; else ++n_other;
    if (i >= optional.size() && n_other > kOneByteKeys && !spec.may_run_out) {  // all alike
      return add_length(total, mul_length(add_length(other, comma), n - 1));
    }
  }
  return total;
}

void Program::update_others(ObjectSpec& spec) {
  const Form& form = forms[spec.form];
  spec.additional_cost = kInfinite;
  spec.other_costs.clear();
  for (ObjectSpec::OtherKeys& other : spec.others) {
    const ExprId quoted = pool.quoted_rest(other.key, form.escapes);
    if (!pool.is_alive(quoted)) continue;
    other.cost = add_length(pool.min_length(quoted, 0), 1 + form.colon_len);
    const uint32_t value = values[other.value].min_len;
    spec.additional_cost = std::min(spec.additional_cost, add_length(other.cost, value));
    if (!spec.may_run_out) continue;
    const size_t wanted = 64 + 2 * size_t{spec.min_properties} + spec.n_declared;
    auto& lengths = other.lengths;
    if (lengths.empty()) lengths = pool.shortest_texts(other.key, std::min(wanted, kMostLengths));
    for (const uint32_t n : lengths)
      spec.other_costs.push_back(add_length(n + 2 + form.colon_len, value));
  }
  std::sort(spec.other_costs.begin(), spec.other_costs.end());
}

// '{' members '}': required ones, then the cheapest others until min_properties.
bool Program::update_object(ObjectSpec& spec) {
  const Form& form = forms[spec.form];
  uint32_t total = 0;
  std::vector<uint32_t> optional;
  for (PropertySpec& p : spec.properties) {
    const uint32_t value = p.possible ? values[p.value].min_len : kInfinite;
    p.cost = add_length(add_length(p.key_len, form.colon_len), value);
    if (p.required) total = add_length(total, add_length(p.cost, form.comma_len));
    else if (p.cost < kInfinite && spec.min_properties) optional.push_back(p.cost);
  }
  update_others(spec);
  if (!spec.demands.empty()) total = demanded_rest(spec, {});
  if (spec.n_required > spec.max_properties || spec.min_properties > spec.max_properties)
    total = kInfinite;
  if (spec.demands.empty() && spec.min_properties > spec.n_required && total < kInfinite) {
    std::sort(optional.begin(), optional.end());
    total = add_length(total, cheapest_members(spec, optional,
                                               spec.min_properties - spec.n_required,
                                               keys_taken(spec, 0, false)));
  }
  // The first member has no comma before it; white space after '{' may be nothing in any form.
  const uint32_t any = total ? total - std::min(total, form.comma_len) : 0;
  const uint32_t least =
      total >= kInfinite ? kInfinite : add_length(any, 1 + form.object_close_len);
  const bool changed = least < spec.min_len;
  spec.min_len = std::min(spec.min_len, least);
  return changed;
}

bool Program::update_array(ArraySpec& spec) {
  const Form& form = forms[spec.form];
  if (!spec.costs.empty()) {  // different items
    spec.rest_min.assign(spec.min_items + 1, 0);
    for (uint32_t i = spec.min_items; i-- > 0;)
      spec.rest_min[i] =
          add_length(spec.rest_min[i + 1], add_length(spec.costs[i], form.comma_len));
    const uint32_t all = spec.rest_min[0];
    const uint32_t before = spec.min_len;
    spec.min_len = add_length(all, all < kInfinite ? 1 + form.array_close_len - form.comma_len : 0);
    return spec.min_len < before;
  }
  const auto n_prefix = static_cast<uint32_t>(spec.prefix.size());
  if (!spec.tallies.empty()) return update_tallied(spec);
  const uint32_t known = std::min(n_prefix, spec.min_items);
  spec.rest_min.assign(n_prefix + 1, 0);
  const uint32_t item = spec.items == kNone ? kInfinite : values[spec.items].min_len;
  uint32_t rest = spec.min_items > n_prefix
                      ? mul_length(add_length(item, form.comma_len), spec.min_items - n_prefix) : 0;
  spec.rest_min[known] = rest;
  for (uint32_t i = known; i-- > 0;) {
    rest = add_length(rest, add_length(values[spec.prefix[i]].min_len, form.comma_len));
    spec.rest_min[i] = rest;
  }
  if (spec.min_items > spec.max_items) rest = kInfinite;
  const uint32_t inner = rest ? rest - std::min(rest, form.comma_len) : 0;
  const uint32_t least = rest >= kInfinite
                             ? kInfinite
                             : add_length(inner, 1 + form.array_close_len);
  const bool changed = least < spec.min_len;
  spec.min_len = std::min(spec.min_len, least);
  return changed;
}

bool Program::update_node(GrammarNode& node) {
  uint32_t least = kInfinite;
  switch (node.kind) {
    case NodeKind::kLexeme:
      if (pool.is_alive(node.expr)) least = pool.min_length(node.expr, 0);
      break;
    case NodeKind::kSequence:
      least = 0;
      node.rest.assign(node.children.size() + 1, 0);
      for (size_t i = node.children.size(); i-- > 0;)
        node.rest[i] = least = add_length(least, nodes[node.children[i]].min_len);
      break;
    case NodeKind::kChoice:
      for (const uint32_t c : node.children) least = std::min(least, nodes[c].min_len);
      break;
    case NodeKind::kRepeat:
      least = node.min ? mul_length(nodes[node.children[0]].min_len, node.min) : 0;
      break;
    case NodeKind::kRule:
      least = nodes[node.children[0]].min_len;
      break;
    case NodeKind::kValue:
      least = add_length(values[node.value].min_len,
                         place_len(values[node.value].form, kPlaceTop));
      break;
  }
  const bool changed = least < node.min_len;
  node.min_len = std::min(node.min_len, least);
  return changed;
}

void Program::prune(Value& value) {
  std::erase_if(value.objects, [&](uint32_t o) { return objects[o].min_len == kInfinite; });
  std::erase_if(value.arrays, [&](uint32_t a) { return arrays[a].min_len == kInfinite; });
  if (!pool.is_alive(value.scalar)) value.scalar = ExprPool::kEmptyExpr;
}

void Program::complete_object(ObjectSpec& spec) {
  const auto n = static_cast<uint32_t>(spec.properties.size());
  const uint32_t comma = forms[spec.form].comma_len;
  for (PropertySpec& p : spec.properties) p.possible &= p.cost < kInfinite;
  const EscapeMode mode = forms[spec.form].escapes;
  std::erase_if(spec.others, [&](const ObjectSpec::OtherKeys& o) {
    return forms[spec.form].colon_len >= kInfinite || values[o.value].min_len == kInfinite ||
           !pool.is_alive(pool.quoted_rest(o.key, mode));
  });
  if (spec.others.size() > kMostKeyClasses)
    throw LimitExceeded("key_classes", static_cast<double>(spec.others.size()), kMostKeyClasses);
  std::vector<ExprId> keys;
  for (uint32_t i = 0; i < spec.others.size(); ++i)
    keys.push_back(pool.concat(pool.quoted_rest(spec.others[i].key, mode), pool.tag(i)));
  if (!spec.demands.empty()) spec.by_class = keys;
  const auto dead = [&](const Way& way) { return values[way.value].min_len == kInfinite; };
  for (PropertySpec& p : spec.properties) std::erase_if(p.ways, dead);
  for (ObjectSpec::OtherKeys& other : spec.others) std::erase_if(other.ways, dead);
  spec.other = pool.alternatives(std::move(keys));
  spec.next_required.assign(n + 1, n);
  spec.rest_required.assign(n + 1, 0);
  spec.optional_after.assign(n + 1, 0);
  for (uint32_t at = n; at-- > 0;) {
    const PropertySpec& p = spec.properties[spec.by_order[at]];
    spec.next_required[at] = p.required ? at : spec.next_required[at + 1];
    spec.optional_after[at] =
        spec.optional_after[at + 1] + (!p.required && p.possible && !p.floating);
    spec.rest_required[at] =
        add_length(spec.rest_required[at + 1], p.required ? add_length(p.cost, comma) : 0);
  }
  spec.required_cost = spec.rest_required[0];
  for (uint32_t i = 0; i < n && spec.min_properties; ++i)
    if (!spec.properties[i].required && spec.properties[i].possible) spec.cheapest.push_back(i);
  std::sort(spec.cheapest.begin(), spec.cheapest.end(), [&](uint32_t a, uint32_t b) {
    return spec.properties[a].cost < spec.properties[b].cost;
  });
}

void Program::complete_array(ArraySpec& spec) {
  const size_t n_ways = spec.ways.empty() ? 0 : spec.ways.size() - 1;
  const auto n_prefix = static_cast<uint32_t>(std::max(spec.prefix.size(), n_ways));
  spec.saturation = spec.max_items == kInfinite ? std::max(n_prefix, spec.min_items) : kInfinite;
  for (const ArraySpec::Tally& t : spec.tallies) {
    if (spec.max_items < kInfinite) break;
    spec.saturation = std::max(spec.saturation, t.under);
    if (t.over < kInfinite) spec.saturation = std::max(spec.saturation, t.over + 1);
  }
}

void Program::reset_lengths() {
  for (Value& v : values) {
    v.min_len = kInfinite;
    std::fill(std::begin(v.start), std::end(v.start), kNone);
  }
  for (ObjectSpec& o : objects) {
    o.min_len = kInfinite;
    o.cheapest.clear();
  }
  for (ArraySpec& a : arrays) {
    a.min_len = kInfinite;
    a.first = kNone;
  }
  for (GrammarNode& n : nodes) n.min_len = kInfinite;
}

void Program::finish(uint32_t root_node) {
  root = root_node;
  reset_lengths();
  // Values are mostly added before those they hold, so few rounds backwards suffice; lengths
  // only fall.
  for (bool changed = true; changed;) {
    changed = false;
    for (size_t v = values.size(); v-- > 0;) {
      for (const uint32_t o : values[v].objects) changed |= update_object(objects[o]);
      for (const uint32_t a : values[v].arrays) changed |= update_array(arrays[a]);
      changed |= update_value(values[v]);
    }
  }
  for (bool changed = true; changed;) {
    changed = false;
    for (auto& n : nodes) changed |= update_node(n);
  }
  for (auto& v : values) prune(v);
  for (const Value& v : values) weighted |= pool.is_weighted(v.scalar);
  for (const ObjectSpec& o : objects) weighted |= o.weighted;
  for (const GrammarNode& n : nodes)
    weighted |= n.kind == NodeKind::kLexeme && pool.is_weighted(n.expr);
  for (auto& o : objects) complete_object(o);
  for (auto& a : arrays)
    for (auto& ways : a.ways)
      std::erase_if(ways, [&](const Way& w) { return values[w.value].min_len == kInfinite; });
  find_plenty();
}

ExprId Program::start(uint32_t id, ValuePlace place) {
  Value& value = values[id];
  ExprId& known = value.start[place];
  if (known == kNone) {
    const ExprId open = value_lexeme(pool, value.scalar, !value.objects.empty(),
                                     !value.arrays.empty());
    known = pool.concat(forms[value.form].before[place], open);
  }
  return known;
}

ExprId Program::array_first(uint32_t id) {
  ArraySpec& spec = arrays[id];
  if (spec.first == kNone) {
    const uint32_t value = value_of_item(spec, 0);
    const ExprId item = value == kNone ? ExprPool::kEmptyExpr : start(value, kPlaceFirst);
    const ExprId close =
        spec.min_items == 0 ? forms[spec.form].empty_array : ExprPool::kEmptyExpr;
    spec.first = pool.alternatives({item, close});
  }
  return spec.first;
}

}  // namespace constrain
