// Objects with demands in the machine: which members lead to an end, in which ways.
#include "machine.h"

namespace constrain {

namespace {

uint32_t bits_words(const ObjectSpec& spec) {
  return (static_cast<uint32_t>(spec.properties.size()) + 31) / 32;
}

// Is there another way that settles as much of what is left and demands less of the value?
bool is_outdone(const std::vector<Way>& ways, uint32_t way, uint32_t settled) {
  const uint32_t all = ways[way].settles;
  for (const Way& other : ways)
    if (other.settles != all && (other.settles & ~all) == 0 &&
        ((all & ~other.settles) & ~settled) == 0)
      return true;
  return false;
}

}  // namespace

Members Machine::members_of(const ObjectSpec& spec, const uint32_t* state) const {
  Members members;
  members.count = state[kCount];
  members.position = state[kPosition];
  members.settled = state[kSettled];
  members.seen = has_bits(spec) ? state + kSeen : nullptr;
  members.n_used = spec.may_run_out ? arena_.used_size(state[kUsedNames]) : 0;
  members.short_taken = arena_.used_terminal(state[kUsedNames]);
  return members;
}

const MemberPlan& Machine::plan(const ObjectSpec& spec, const uint32_t* state) const {
  const Members now = members_of(spec, state);
  std::vector<uint32_t> words{static_cast<uint32_t>(&spec - program_.objects.data()), now.count,
                              now.position, now.settled, now.n_used, now.short_taken};
  if (now.seen) words.insert(words.end(), now.seen, now.seen + bits_words(spec));
  const uint32_t id = arena_.plan_keys.intern(words.data(), words.size());
  if (id >= arena_.plans.size()) arena_.plans.resize(id + 1);
  MemberPlan& known = arena_.plans[id];
  if (!known.is_made) {
    // The key holds the state's words: `state` itself may be moved by what is computed here.
    Members kept = now;
    kept.seen = now.seen ? words.data() + 6 : nullptr;
    known = make_plan(spec, kept, state[kMissing]);
    known.is_made = true;
  }
  return known;
}

// The ways (as bits) in which one more member leaves a way to the end, and the shortest length
// of its value and what follows. `property`: kNone for an other key.
std::pair<uint64_t, uint32_t> Machine::ways_on(const ObjectSpec& spec,
                                               const std::vector<Way>& ways, const Members& now,
                                               uint32_t property) const {
  const bool any_order = program_.forms[spec.form].any_order;
  const PropertySpec* p = property == kNone ? nullptr : &spec.properties[property];
  const bool by_bit = p && (any_order || p->floating);
  Members after = now;
  std::vector<uint32_t> seen(bits_words(spec), 0);
  if (now.seen) std::copy_n(now.seen, seen.size(), seen.begin());
  if (by_bit) seen[property / 32] |= 1u << (property % 32);
  if (has_bits(spec)) after.seen = seen.data();
  if (spec.max_properties < kInfinite || after.count < spec.saturation) ++after.count;
  if (!p && spec.may_run_out) ++after.n_used;
  if (!any_order) {
    after.position = p && !p->floating ? p->order + 1 : spec.n_declared;
    const uint32_t to = p && !p->floating ? p->order : spec.n_declared;
    after.settled |= program_.settled_by_skipping(spec, now.position, to);
  }
  const uint32_t skipped = after.settled;
  uint64_t on = 0;
  uint32_t least = kInfinite;
  uint32_t known = kNone, known_rest = kInfinite;
  for (uint32_t w = 0; w < ways.size(); ++w) {
    if (is_outdone(ways, w, skipped)) continue;
    after.settled = skipped | ways[w].settles;
    if (after.settled != known) {
      known = after.settled;
      known_rest = program_.demanded_rest(spec, after);
    }
    if (known_rest >= kInfinite) continue;
    on |= uint64_t{1} << w;
    least = std::min(least, add_length(program_.values[ways[w].value].min_len, known_rest));
  }
  return {on, least};
}

MemberPlan Machine::make_plan(const ObjectSpec& spec, const Members& now,
                              uint32_t missing) const {
  const bool any_order = program_.forms[spec.form].any_order;
  MemberPlan plan;
  plan.rest = program_.demanded_rest(spec, now);
  plan.may_close = plan.rest == 0 && missing == 0 && now.count >= spec.min_properties;
  const auto n = static_cast<uint32_t>(spec.properties.size());
  plan.ways.assign(n, 0);
  plan.costs.assign(n, kInfinite);
  for (uint32_t i = 0; i < n; ++i) {
    const PropertySpec& p = spec.properties[i];
    if (!p.possible || program_.passed(spec, now, i)) continue;
    if (!any_order &&
        (p.floating ? missing > 0 : p.order > spec.next_required[now.position]))
      continue;  // a required one would be skipped
    std::tie(plan.ways[i], plan.costs[i]) = ways_on(spec, p.ways, now, i);
  }
  for (uint32_t c = 0; c < spec.others.size(); ++c) {
    std::pair<uint64_t, uint32_t> on{0, kInfinite}, on_short{0, kInfinite};
    if (any_order || missing == 0) {
      on = ways_on(spec, spec.others[c].ways, now, kNone);
      Members taken = now;
      taken.short_taken = true;
      on_short = ways_on(spec, spec.others[c].ways, taken, kNone);
    }
    plan.short_costs.push_back(on_short.second);
    plan.other_ways.push_back(on.first);
    plan.other_costs.push_back(on.second);
    if (on.first) plan.classes |= uint64_t{1} << c;
  }
  return plan;
}

// The other keys that lead to an end: those of the classes that do.
ExprId Machine::other_keys(const ObjectSpec& spec, const uint32_t* state) const {
  const uint64_t classes = plan(spec, state).classes;
  if (classes == (uint64_t{1} << spec.others.size()) - 1)
    return spec.other;
  std::vector<ExprId> keys;
  for (uint32_t c = 0; c < spec.others.size(); ++c)
    if (classes >> c & 1) keys.push_back(spec.by_class[c]);
  return pool_.alternatives(std::move(keys));
}

void Machine::begin_ways(Cell cell, uint32_t property, uint32_t tag, uint32_t used,
                         Threads& out) {
  const ObjectSpec& spec = program_.objects[cell.node];
  const uint32_t before = cell.state;
  const MemberPlan& known = plan(spec, arena_.objects.begin(before));
  const uint64_t on = property == kNone ? known.other_ways[tag] : known.ways[property];
  const auto& ways = property == kNone ? spec.others[tag].ways : spec.properties[property].ways;
  for (uint32_t w = 0; w < ways.size(); ++w) {
    if (!(on >> w & 1)) continue;
    cell.state = state_after(spec, arena_.objects.begin(before), property, used,
                             ways[w].settles);
    begin_value(cell, ways[w].value, out);
  }
}

}  // namespace constrain
