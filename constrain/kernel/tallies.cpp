// Arrays with tallies: how many items of a kind there are, as `contains` and "not this array"
// ask for. The state of such an array is the number of items and one count for each tally.
//
// An item that is of a kind and one that is not are read in different ways; what can still be
// reached is found by a search over the states for the shortest rest.
#include <queue>

#include "machine.h"

namespace constrain {

namespace {

using Words = std::vector<uint32_t>;

struct HashWords {
  size_t operator()(const Words& words) const {
    uint64_t h = words.size();
    for (const uint32_t w : words) h = mix(h, w);
    return h;
  }
};

}  // namespace

// How the next item can be read, `words` being the state before it.
std::vector<Way> Program::ways_of_item(const ArraySpec& spec, const Words& words) const {
  if (words[0] >= spec.max_items) return {};
  bool full = true;
  for (uint32_t i = 0; i < spec.tallies.size(); ++i)
    full &= words[i + 1] >= spec.tallies[i].min && spec.tallies[i].max == kInfinite;
  std::vector<Way> ways;
  for (const Way& way : spec.ways[std::min<size_t>(words[0], spec.ways.size() - 1)]) {
    if (way.settles != kWhenFull) ways.push_back(way);
    else if (full) return {{way.value, 0}};
  }
  return ways;
}

bool Program::tally(const ArraySpec& spec, const Way& way, Words& words) const {
  for (uint32_t i = 0; i < spec.tallies.size(); ++i) {
    if (!(way.settles >> i & 1)) continue;
    const ArraySpec::Tally& t = spec.tallies[i];
    if (t.max < kInfinite && words[i + 1] >= t.max) return false;
    // Without an upper bound, counts above the lower one are alike.
    if (t.max < kInfinite || words[i + 1] < t.min) ++words[i + 1];
  }
  if (words[0] <= spec.saturation) ++words[0];
  return true;
}

bool Program::may_end_tallied(const ArraySpec& spec, const uint32_t* words) const {
  if (words[0] < spec.min_items) return false;
  for (uint32_t i = 0; i < spec.tallies.size(); ++i) {
    const ArraySpec::Tally& t = spec.tallies[i];
    const bool counted = t.min <= words[i + 1] && words[i + 1] <= t.max;
    if (!counted && words[0] >= t.under && words[0] <= t.over) return false;
  }
  return true;
}

uint32_t Program::tallied_rest(const ArraySpec& spec, const Words& words) const {
  using Entry = std::pair<uint32_t, const Words*>;
  const auto later = [](const Entry& a, const Entry& b) { return a.first > b.first; };
  std::priority_queue<Entry, std::vector<Entry>, decltype(later)> queue(later);
  std::unordered_map<Words, uint32_t, HashWords> lengths;
  queue.emplace(0, &lengths.emplace(words, 0).first->first);
  while (!queue.empty()) {
    const auto [length, at] = queue.top();
    queue.pop();
    if (length > lengths[*at]) continue;
    if (may_end_tallied(spec, at->data())) return length;
    for (const Way& way : ways_of_item(spec, *at)) {
      Words next = *at;
      if (values[way.value].min_len >= kInfinite || !tally(spec, way, next)) continue;
      const uint32_t total =
          length + add_length(values[way.value].min_len, forms[spec.form].comma_len);
      const auto [known, is_new] = lengths.emplace(std::move(next), total);
      if (!is_new && known->second <= total) continue;
      known->second = total;
      queue.emplace(total, &known->first);
      if (lengths.size() > limits.search_states)
        throw LimitExceeded("search_states", static_cast<double>(lengths.size()),
                            static_cast<double>(limits.search_states));
    }
  }
  return kInfinite;
}

bool Program::update_tallied(ArraySpec& spec) {
  const Form& form = forms[spec.form];
  const uint32_t rest = tallied_rest(spec, Words(1 + spec.tallies.size(), 0));
  const uint32_t inner = rest ? rest - std::min(rest, form.comma_len) : 0;
  const uint32_t least =
      rest >= kInfinite ? kInfinite : add_length(inner, 1 + form.array_close_len);
  const bool changed = least < spec.min_len;
  spec.min_len = std::min(spec.min_len, least);
  return changed;
}

Words Machine::tally_words(const Cell& cell) const {
  return {arena_.objects.begin(cell.state), arena_.objects.end(cell.state)};
}

// Shortest length of the items still needed, remembered by state.
uint32_t Machine::tallied_rest(uint32_t array, const Words& words) const {
  Words key{array};
  key.insert(key.end(), words.begin(), words.end());
  const uint32_t id = arena_.tally_keys.intern(key.data(), key.size());
  if (id >= arena_.tally_rests.size()) arena_.tally_rests.resize(id + 1, kNone);
  if (arena_.tally_rests[id] == kNone)
    arena_.tally_rests[id] = program_.tallied_rest(program_.arrays[array], words);
  return arena_.tally_rests[id];
}

// A thread for each way to read the next item that leaves a way to the end.
void Machine::read_tallied(const Cell& cell, ValuePlace place, Closure& work) {
  const ArraySpec& spec = program_.arrays[cell.node];
  const Words words = tally_words(cell);
  for (const Way& way : program_.ways_of_item(spec, words)) {
    Words after = words;
    if (!program_.tally(spec, way, after)) continue;
    if (tallied_rest(cell.node, after) >= kInfinite) continue;
    Cell next = cell;
    next.phase = Phase::kValue;
    next.a = way.value;
    next.state = arena_.objects.intern(after.data(), after.size());
    read_value(next, way.value, place, work);
  }
}

bool Machine::may_add_tallied(const Cell& cell) const {
  const ArraySpec& spec = program_.arrays[cell.node];
  const Words words = tally_words(cell);
  for (const Way& way : program_.ways_of_item(spec, words)) {
    Words after = words;
    if (program_.tally(spec, way, after) && tallied_rest(cell.node, after) < kInfinite)
      return true;
  }
  return false;
}

void Machine::open_tallied(uint32_t array, CellId parent, Closure& work) {
  const ArraySpec& spec = program_.arrays[array];
  const Words words(1 + spec.tallies.size(), 0);
  const uint32_t state = arena_.objects.intern(words.data(), words.size());
  const Cell cell{FrameKind::kTallied, Phase::kAfter, array, 0, state, parent};
  if (program_.may_end_tallied(spec, words.data()))
    work.push(Task::kAdd, program_.forms[spec.form].empty_array, make_cell(cell));
  read_tallied(cell, kPlaceFirst, work);
}

void Machine::after_tallied(const Cell& cell, Closure& work) {
  const ArraySpec& spec = program_.arrays[cell.node];
  const Form& form = program_.forms[spec.form];
  const bool close = program_.may_end_tallied(spec, arena_.objects.begin(cell.state));
  const bool more = may_add_tallied(cell);
  Cell after = cell;
  after.phase = Phase::kAfter;
  after.a = 0;
  work.push(Task::kAdd, close ? (more ? form.item_both : form.item_close) : form.item_comma,
            make_cell(after));
}

// Bytes after a comma, up to the end of the array.
uint32_t Machine::tallied_item_cost(const Cell& cell) const {
  const ArraySpec& spec = program_.arrays[cell.node];
  const Form& form = program_.forms[spec.form];
  const Words words = tally_words(cell);
  uint32_t least = kInfinite;
  for (const Way& way : program_.ways_of_item(spec, words)) {
    Words after = words;
    if (!program_.tally(spec, way, after)) continue;
    least = std::min(least, add_length(program_.values[way.value].min_len,
                                       tallied_rest(cell.node, after)));
  }
  const uint32_t before = pool_.facts(form.before[kPlaceComma]).min_len;
  return add_length(add_length(before, least), form.array_close_len);
}

}  // namespace constrain
