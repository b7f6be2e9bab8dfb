// Objects with demands: which of them the members still to come can settle, and how cheaply.
//
// A demand is a disjunction ("not this schema": a property fails, or a key is missing, or there
// are too few members, ...). The state of the object has a bit for each demand that is settled.
// A member that several demands speak of can be read in several ways, each of which settles
// some of them; the machine splits into threads there and nowhere else.
//
// What can still be settled is found by a dynamic program over the keys that matter, one after
// the other: which sets of demands can be settled, with how many more members, at which length.
#include <bit>
#include <unordered_map>

#include "program.h"

namespace constrain {

namespace {

constexpr uint32_t kMostDemands = 32;  // bits of a word
constexpr size_t kMostWays = 64;       // ... of a longer one
constexpr size_t kMostNames = 60'000;  // so that members are counted in 16 bits

// What was made of an object: settled demands, members added if their number matters, and how
// many of these have other keys.
struct Made {
  uint32_t settled = 0;
  uint16_t added = 0, others = 0;
  uint64_t word() const { return uint64_t{others} << 48 | uint64_t{added} << 32 | settled; }
  static Made of(uint64_t word) {
    return {static_cast<uint32_t>(word), static_cast<uint16_t>(word >> 32),
            static_cast<uint16_t>(word >> 48)};
  }
};

// Made -> shortest length.
class Reached {
 public:
  explicit Reached(uint64_t limit) : limit_(limit) {}

  void add(const Made& made, uint32_t length) {
    if (length >= kInfinite) return;
    const auto [at, is_new] = lengths_.emplace(made.word(), length);
    at->second = std::min(at->second, length);
    if (is_new && lengths_.size() > limit_)
      throw LimitExceeded("search_states", static_cast<double>(lengths_.size()),
                          static_cast<double>(limit_));
  }
  const std::unordered_map<uint64_t, uint32_t>& lengths() const { return lengths_; }
  // Drops what settles no more than something that is no longer. Where there is much to compare
  // it would cost more than it saves.
  void drop_outdone() {
    constexpr size_t kFew = 64;
    if (lengths_.size() > kFew) return;
    std::erase_if(lengths_, [&](const auto& one) {
      for (const auto& [word, length] : lengths_)
        if (word != one.first && length <= one.second && (one.first & ~word) == 0 &&
            (length < one.second || word > one.first))
          return true;
      return false;
    });
  }
  bool contains(const Made& made, uint32_t length) const {
    const auto at = lengths_.find(made.word());
    return at != lengths_.end() && at->second <= length;
  }

 private:
  uint64_t limit_;
  std::unordered_map<uint64_t, uint32_t> lengths_;
};

uint32_t all_demands(const ObjectSpec& spec) {
  return static_cast<uint32_t>((uint64_t{1} << spec.demands.size()) - 1);
}

// How many of the shortest other keys are taken.
uint32_t taken_keys(const ObjectSpec& spec, const Members& members, const Made& made) {
  return made.others + Program::keys_taken(spec, members.n_used, members.short_taken);
}

void check_ways(const std::vector<Way>& ways) {
  if (ways.size() > kMostWays)
    throw LimitExceeded("demands", static_cast<double>(ways.size()), kMostWays);
}

}  // namespace

void Program::prepare_demands(ObjectSpec& spec) const {
  if (spec.demands.empty()) return;
  if (spec.demands.size() > kMostDemands)
    throw LimitExceeded("demands", static_cast<double>(spec.demands.size()), kMostDemands);
  if (spec.properties.size() > kMostNames)
    throw LimitExceeded("demands", static_cast<double>(spec.properties.size()), kMostNames);
  for (const PropertySpec& p : spec.properties) check_ways(p.ways);
  for (const ObjectSpec::OtherKeys& other : spec.others) check_ways(other.ways);
  spec.bounds_count = spec.min_properties > 0 || spec.max_properties < kInfinite;
  spec.saturation = spec.min_properties;
  for (const ObjectSpec::Demand& d : spec.demands) {
    spec.bounds_count |= d.under > 0 || d.over < kInfinite;
    spec.saturation = std::max(spec.saturation, d.under);
    if (d.over < kInfinite) spec.saturation = std::max(spec.saturation, d.over + 1);
  }
  if (spec.max_properties < kInfinite) spec.saturation = kInfinite;
}

bool Program::passed(const ObjectSpec& spec, const Members& members, uint32_t property) const {
  const PropertySpec& p = spec.properties[property];
  if (!forms[spec.form].any_order && !p.floating) return p.order < members.position;
  return members.seen && (members.seen[property / 32] >> (property % 32) & 1);
}

uint32_t Program::settled_by_skipping(const ObjectSpec& spec, uint32_t from, uint32_t to) const {
  uint32_t settled = 0;
  for (uint32_t at = from; at < to; ++at) {
    const PropertySpec& p = spec.properties[spec.by_order[at]];
    if (!p.floating) settled |= p.absent;
  }
  return settled;
}

// The shortest length with which members may be filled up so that all is settled at the end.
static uint32_t closing_length(const Program& program, const ObjectSpec& spec,
                               const Members& members, const std::vector<uint32_t>& optional,
                               const Made& made) {
  const uint32_t all = all_demands(spec);
  if (!spec.bounds_count) return made.settled == all ? 0 : kInfinite;
  const uint32_t have = members.count + made.added;
  std::vector<uint32_t> counts{std::max(have, spec.min_properties)};
  for (const ObjectSpec::Demand& d : spec.demands)
    if (d.over < kInfinite && d.over + 1 > counts[0]) counts.push_back(d.over + 1);
  uint32_t least = kInfinite;
  for (const uint32_t count : counts) {
    if (count > spec.max_properties) continue;
    uint32_t at_end = made.settled;
    for (uint32_t j = 0; j < spec.demands.size(); ++j)
      if (count < spec.demands[j].under || count > spec.demands[j].over) at_end |= 1u << j;
    if (at_end != all) continue;
    const uint32_t taken = taken_keys(spec, members, made);
    least = std::min(least, program.cheapest_members(spec, optional, count - have, taken));
  }
  return least;
}

// Other keys that settle something: each adds to what is settled, so sets grow and this ends.
static void add_other_keys(const Program& program, const ObjectSpec& spec,
                           const Members& members, Reached& reached) {
  const uint32_t comma = program.forms[spec.form].comma_len;
  std::vector<std::pair<uint64_t, uint32_t>> pending(reached.lengths().begin(),
                                                     reached.lengths().end());
  while (!pending.empty()) {
    const auto [word, length] = pending.back();
    pending.pop_back();
    const Made made = Made::of(word);
    for (const ObjectSpec::OtherKeys& other : spec.others) {
      const uint32_t longer = program.key_growth(spec, other, taken_keys(spec, members, made));
      for (const Way& way : other.ways) {
        if (!(way.settles & ~made.settled)) continue;
        const uint32_t member = add_length(add_length(other.cost, longer),
                                           add_length(program.values[way.value].min_len, comma));
        const uint32_t total = add_length(length, member);
        Made after = made;
        after.settled |= way.settles;
        after.added += spec.bounds_count;
        ++after.others;
        if (total >= kInfinite || reached.contains(after, total)) continue;
        reached.add(after, total);
        pending.emplace_back(after.word(), total);
      }
    }
  }
}

// Demands that a property can still settle, by coming in some way or by not coming.
static uint32_t touched_by(const PropertySpec& p) {
  uint32_t touched = p.absent;
  for (const Way& way : p.ways) touched |= way.settles;
  return touched;
}

// Demands that can be settled without any declared property.
static uint32_t settled_otherwise(const ObjectSpec& spec) {
  uint32_t settled = 0;
  for (const ObjectSpec::OtherKeys& other : spec.others)
    for (const Way& way : other.ways) settled |= way.settles;
  for (uint32_t j = 0; j < spec.demands.size(); ++j)
    if (spec.demands[j].under > 0 || spec.demands[j].over < kInfinite) settled |= 1u << j;
  return settled;
}

// One more property, absent or read in each of its ways. What leaves a demand unsettled that
// only properties up to this one could settle is dropped (`later`: what others still can).
static Reached with_property(const Program& program, const ObjectSpec& spec,
                             const PropertySpec& p, const Reached& before, uint32_t later) {
  const Form& form = program.forms[spec.form];
  const uint32_t all = all_demands(spec);
  const uint32_t key = add_length(add_length(p.key_len, form.colon_len), form.comma_len);
  Reached after(program.limits.search_states);
  const auto add = [&](const Made& made, uint32_t length) {
    if ((all & ~made.settled & ~later) == 0) after.add(made, length);
  };
  for (const auto& [word, length] : before.lengths()) {
    const Made made = Made::of(word);
    const auto n = static_cast<uint16_t>(made.added + spec.bounds_count);
    if (!p.required) add({made.settled | p.absent, made.added}, length);
    for (const Way& way : p.ways)
      add({made.settled | way.settles, n},
          add_length(length, add_length(key, program.values[way.value].min_len)));
  }
  if (!spec.bounds_count) after.drop_outdone();
  return after;
}

uint32_t Program::demanded_rest(const ObjectSpec& spec, const Members& members) const {
  uint32_t settled = members.settled;
  std::vector<uint32_t> relevant, optional;
  for (uint32_t i = 0; i < spec.properties.size(); ++i) {
    const PropertySpec& p = spec.properties[i];
    if (passed(spec, members, i)) continue;
    if (!p.possible || p.cost >= kInfinite) {
      if (p.required) return kInfinite;
      settled |= p.absent;
    } else if (p.required || (touched_by(p) & ~members.settled)) {
      relevant.push_back(i);
    } else {
      optional.push_back(p.cost);
    }
  }
  std::sort(optional.begin(), optional.end());
  // Properties that settle the same demands follow each other, so that few are open at a time.
  const auto first_demand = [&](uint32_t i) {
    return std::countr_zero(touched_by(spec.properties[i]) & ~settled);
  };
  std::stable_sort(relevant.begin(), relevant.end(), [&](uint32_t a, uint32_t b) {
    return first_demand(a) < first_demand(b);
  });
  std::vector<uint32_t> later(relevant.size() + 1, settled_otherwise(spec));
  for (size_t i = relevant.size(); i-- > 0;)
    later[i] = later[i + 1] | touched_by(spec.properties[relevant[i]]);
  Reached reached(limits.search_states);
  reached.add({settled}, 0);
  for (size_t i = 0; i < relevant.size(); ++i)
    reached = with_property(*this, spec, spec.properties[relevant[i]], reached, later[i + 1]);
  add_other_keys(*this, spec, members, reached);
  uint32_t least = kInfinite;
  for (const auto& [word, length] : reached.lengths())
    least = std::min(least, add_length(length, closing_length(*this, spec, members, optional,
                                                              Made::of(word))));
  return least;
}

}  // namespace constrain
