// Shortest keys: how many bytes a key that has begun needs until its member is complete.
//
// An other key must be none of the declared and used names. Away from them, the shortest spelling
// of its expression is what it needs; along them, a search goes through the decoded text, best
// first by that same length, so it ends where the first state off the names is reached.
#include <queue>

#include "machine.h"

namespace constrain {

// A place in the names and in the text of a class of other keys.
struct Machine::Beginning {
  uint32_t total;       // bytes with the shortest spelling of the rest, closing mark included
  uint32_t length;      // bytes so far
  uint32_t name, used;  // nodes of the names' trees
  ExprId text;
  bool escaped = false;  // is the character that has begun an escape?
  bool operator<(const Beginning& o) const { return total > o.total; }  // least first in a queue
  bool is_free() const { return name == kNone && used == kNone; }
};

// One more byte of decoded text; false: no key of the class goes on like this.
bool Machine::begin_with(Beginning& at, const ObjectSpec& spec, uint8_t byte,
                         uint32_t cost) const {
  at.text = pool_.next(at.text, byte);
  if (at.text == ExprPool::kEmptyExpr) return false;
  at.length += cost;
  at.total = add_length(at.length + 1, pool_.spelled_min(at.text, at.escaped));
  if (at.name != kNone) at.name = spec.names.child(at.name, byte);
  at.used = arena_.used_child(at.used, byte);
  return at.total < kInfinite;
}

// The characters that some name goes on with from here.
std::vector<uint32_t> Machine::name_characters(uint32_t name, uint32_t used,
                                               const ObjectSpec& spec) const {
  struct Place {
    uint32_t name, used, code, left;  // left: bytes of the character still to come
  };
  std::vector<Place> pending{{name, used, 0, kNone}};
  std::vector<uint32_t> codes;
  while (!pending.empty()) {
    const Place at = pending.back();
    pending.pop_back();
    if (at.left == 0) {
      codes.push_back(at.code);
      continue;
    }
    ByteSet bytes;
    if (at.name != kNone) {
      const NameTree::Node& node = spec.names.nodes[at.name];
      for (uint32_t c = 0; c < node.n_children; ++c)
        bytes.add(spec.names.nodes[node.first_child + c].byte);
    }
    if (at.used != kNone)
      for (const uint32_t* p = arena_.used.begin(at.used) + 1; p < arena_.used.end(at.used); p += 2)
        bytes.add(static_cast<uint8_t>(*p));
    for (unsigned b = 0; b < 256; ++b) {
      const auto byte = static_cast<uint8_t>(b);
      if (!bytes.has(byte)) continue;
      Place to{at.name == kNone ? kNone : spec.names.child(at.name, byte),
               arena_.used_child(at.used, byte), 0, 0};
      if (at.left == kNone) {
        to.left = b < 0x80 ? 0 : b < 0xE0 ? 1 : b < 0xF0 ? 2 : 3;
        to.code = to.left == 0 ? b : b & (0x3Fu >> to.left);
      } else {
        to.left = at.left - 1;
        to.code = at.code << 6 | (b & 0x3F);
      }
      pending.push_back(to);
    }
  }
  std::sort(codes.begin(), codes.end());
  return codes;
}

// Bytes of the shortest fresh other key of class `tag` that begins like `key`, closing mark
// included.
uint32_t Machine::other_distance(const Key& key, const ObjectSpec& spec, uint32_t tag) const {
  const ExprId text = pool_.quoted_text(key.other, tag);
  if (text == ExprPool::kEmptyExpr) return kInfinite;
  const EscapeMode mode = program_.forms[spec.form].escapes;
  const bool is_free = key.name == kNone && key.used == kNone;
  if (key.escape == kNoEscape) {
    const uint32_t rest = add_length(1, pool_.spelled_min(text));
    if (is_free || rest == kInfinite) return rest;
    return nearest_fresh({{rest, 0, key.name, key.used, text}}, spec, kInfinite);
  }
  if (is_free) return pool_.escaped_min(text, key.escape, mode, {});
  const std::vector<uint32_t> named = name_characters(key.name, key.used, spec);
  const auto& ranges = pool_.reach_of(key.escape, mode);
  std::vector<Beginning> starts;
  for (const uint32_t code : named) {
    const auto in = [&](CodeRange r) { return r.lo <= code && code <= r.hi; };
    if (std::none_of(ranges.begin(), ranges.end(), in)) continue;
    uint8_t utf8[4];
    const int n = encode_utf8(code, utf8);
    Beginning at{0, escape_rest(key.escape, code, pool_.alphabet()), key.name, key.used, text, true};
    bool alive = true;
    for (int i = 0; i < n && alive; ++i) alive = begin_with(at, spec, utf8[i], 0);
    if (alive) starts.push_back(at);
  }
  return nearest_fresh(std::move(starts), spec,
                       pool_.escaped_min(text, key.escape, mode, named));
}

// The places after one more byte that are on the names; `least` counts those off them.
void Machine::push_nearer(const Beginning& at, const ObjectSpec& spec, bool escaped,
                          std::priority_queue<Beginning>& queue, uint32_t& least) const {
  ExprId last = ExprPool::kEmptyExpr;  // where the byte before led, off the names
  uint32_t last_cost = 0;
  for (unsigned b = 0; b < 256; ++b) {
    const auto byte = static_cast<uint8_t>(b);
    if ((byte & 0xC0) == 0x80 && escaped != at.escaped) continue;
    Beginning to = at;
    to.escaped = escaped;
    const uint32_t cost = pool_.spelled_cost(byte, escaped);
    const ExprId text = pool_.next(at.text, byte);
    if (cost == kInfinite || text == ExprPool::kEmptyExpr ||
        (text == last && cost >= last_cost && !goes_on_with(at, spec, byte)))
      continue;
    if (!begin_with(to, spec, byte, cost)) continue;
    if (!to.is_free()) {
      queue.push(to);
      continue;
    }
    least = std::min(least, to.total);
    last = text;
    last_cost = cost;
  }
}

// The same from several places; `known`: a length that some text off all names has.
uint32_t Machine::nearest_fresh(std::vector<Beginning> starts, const ObjectSpec& spec,
                                uint32_t known) const {
  std::priority_queue<Beginning> queue(std::less<Beginning>(), std::move(starts));
  uint32_t least = known;
  while (!queue.empty() && queue.top().total < least) {
    const Beginning at = queue.top();
    queue.pop();
    const bool taken = (at.name != kNone && spec.names.nodes[at.name].terminal) ||
                       arena_.used_terminal(at.used);
    if (!taken && (pool_.tags(at.text) & 1)) return at.total;
    for (const bool escaped : {false, true})
      if (!escaped || pool_.lacks_characters()) push_nearer(at, spec, escaped, queue, least);
  }
  return least;
}

bool Machine::goes_on_with(const Beginning& at, const ObjectSpec& spec, uint8_t byte) const {
  return (at.name != kNone && spec.names.child(at.name, byte) != kNone) ||
         arena_.used_child(at.used, byte) != kNone;
}

uint32_t Machine::key_potential(const Key& key, const Cell& cell) const {
  const ObjectSpec& spec = program_.objects[cell.node];
  const Form& form = program_.forms[spec.form];
  const uint32_t* state = arena_.objects.begin(cell.state);
  uint32_t least = kInfinite;
  if (key.name != kNone) {
    const NameTree::Node& node = spec.names.nodes[key.name];
    uint32_t read = 0;  // bytes of the key's spelling that are behind us
    for (uint32_t at = 0; at != key.name; ++read)
      at = spec.names.child(at, static_cast<uint8_t>(spec.properties[node.lo].name[read]));
    for (uint32_t i = node.lo; i < node.hi; ++i) {
      if (!may_use(spec, state, i)) continue;
      const uint32_t spelled =
          add_length(1, spelled_length(spec.properties[i].name, read, key.escape, form.escapes,
                                       pool_.alphabet()));
      least = std::min(least, add_length(add_length(spelled, form.colon_len),
                                         after_key(spec, state, i)));
    }
  }
  for (uint32_t tag = 0; key.other != ExprPool::kEmptyExpr && tag < spec.others.size(); ++tag) {
    const uint32_t distance = other_distance(key, spec, tag);
    const bool takes_short = key.prefix == 0 && key.escape == kNoEscape && distance == 1;
    least = std::min(least, add_length(add_length(distance, form.colon_len),
                                       after_other_key(spec, state, tag, takes_short)));
  }
  return add_length(least, add_length(form.object_close_len, arena_.cell_facts[cell.parent].done));
}

}  // namespace constrain
