// Weights of optional properties, pushed forward.
//
// An object is worth the weights it has collected and those above 0 that may still come, be it
// before or after a member. Once a comma has been read it is worth the best key that may come
// next, within a key the best name that goes on like it. At the end it is worth what it has
// collected, so along any path the biases add up to the weights of the properties that are there
// less the weights above 0 of all. Bounds on the number of members are not looked at.
//
// Cost: linear in the number of properties, for each key that is looked at.
#include "machine.h"

namespace constrain {

float Machine::weight_left(const Cell& cell) const {
  const ObjectSpec& spec = program_.objects[cell.node];
  const uint32_t* state = arena_.objects.begin(cell.state);
  float left = 0.0f;
  for (uint32_t i = 0; i < spec.properties.size(); ++i) {
    const PropertySpec& p = spec.properties[i];
    if (p.weight > 0.0f && p.possible && !seen(spec, state, i)) left += p.weight;
  }
  return left;
}

float Machine::weight_with(const Cell& cell, uint32_t property) const {
  const ObjectSpec& spec = program_.objects[cell.node];
  const bool any_order = program_.forms[spec.form].any_order;
  if (any_order) {
    const float left = weight_left(cell);
    return property == kNone ? left : left + std::min(spec.properties[property].weight, 0.0f);
  }
  if (property == kNone || spec.properties[property].floating) return 0.0f;
  float left = spec.properties[property].weight;
  for (const PropertySpec& p : spec.properties)
    if (p.weight > 0.0f && p.possible && p.order > spec.properties[property].order)
      left += p.weight;
  return left;
}

float Machine::weight_ahead(const Key& key, const Cell& cell) const {
  const ObjectSpec& spec = program_.objects[cell.node];
  const uint32_t* state = arena_.objects.begin(cell.state);
  float best = -std::numeric_limits<float>::infinity();
  if (key.other != ExprPool::kEmptyExpr) best = weight_with(cell, kNone);
  if (key.name != kNone) {
    const NameTree::Node& node = spec.names.nodes[key.name];
    const bool escaped = key.escape != kNoEscape;
    const uint32_t depth = escaped ? name_depth(spec, key.name) : 0;
    for (uint32_t i = node.lo; i < node.hi; ++i)
      if ((!escaped || escape_spells(spec, i, depth, key.escape)) && may_use(spec, state, i))
        best = std::max(best, weight_with(cell, i));
  }
  return best == -std::numeric_limits<float>::infinity() ? 0.0f : best;
}

float Machine::weight_ahead(const Cell& cell) const { return weight_ahead(new_key(cell), cell); }

float Machine::weight_between(const Cell& cell, ExprId state) const {
  const ObjectSpec& spec = program_.objects[cell.node];
  const uint32_t* words = arena_.objects.begin(cell.state);
  const bool ended = pool_.tags(state) != 0;
  const auto reaches = [&](uint32_t tag) { return pool_.min_length(state, tag) < kInfinite; };
  const bool closes = reaches(kTagClose), goes_on = reaches(kTagComma) || reaches(kTagQuote);
  // Where there is no choice to begin with, white space decides nothing.
  const bool chooses = can_close(spec, words) && can_continue(spec, cell.node, words);
  if (!ended && (!chooses || (closes && goes_on))) return weight_left(cell);
  return closes ? 0.0f : weight_ahead(cell);
}

}  // namespace constrain
