#include "compiled.h"

namespace constrain {

namespace {

ByteSet occurring(const std::vector<std::string>& tokens) {
  ByteSet set;
  for (const std::string& token : tokens)
    for (const char c : token) set.add(static_cast<uint8_t>(c));
  return set;
}

bool all_single(const std::vector<std::string>& tokens) {
  ByteSet single;
  for (const std::string& token : tokens)
    if (token.size() == 1) single.add(static_cast<uint8_t>(token[0]));
  return single == occurring(tokens);
}

uint32_t longest(const std::vector<std::string>& tokens) {
  size_t most = 0;
  for (const std::string& token : tokens) most = std::max(most, token.size());
  return static_cast<uint32_t>(most);
}

// One entry a token, out of a sorted list with several; those that come to 0 are dropped.
void add_up(Biases& biases) {
  size_t n = 0;
  for (size_t i = 0; i < biases.size(); ++n) {
    biases[n] = biases[i];
    while (++i < biases.size() && biases[i].first == biases[n].first)
      biases[n].second += biases[i].second;
  }
  biases.resize(n);
  std::erase_if(biases, [](const auto& entry) { return entry.second == 0.0f; });
}

std::vector<std::string> without(std::vector<std::string> tokens,
                                 const std::vector<uint32_t>& a, const std::vector<uint32_t>& b) {
  for (const uint32_t id : a) tokens[id].clear();
  for (const uint32_t id : b) tokens[id].clear();
  return tokens;
}

}  // namespace

Engine::Engine(std::vector<std::string> tokens, std::vector<uint32_t> end_ids_,
               std::vector<uint32_t> control_ids)
    : n_vocab(static_cast<uint32_t>(tokens.size())),
      end_ids(std::move(end_ids_)),
      end_set(end_ids.begin(), end_ids.end()),
      longest_token(longest(tokens = without(std::move(tokens), end_ids, control_ids))),
      complete(all_single(tokens)),
      pool(occurring(tokens)),
      tables(std::move(tokens), pool) {}

const ShapeTokens& Engine::shapes() {
  if (!shapes_) shapes_ = std::make_unique<ShapeTokens>(tables.tokens());
  return *shapes_;
}

Compiled::Compiled(std::shared_ptr<Engine> engine_, const Limits& limits_)
    : engine(std::move(engine_)), limits(limits_), program(engine->pool, limits) {
  engine->enter(*this);
  engine->pool.set_deadline();
}

Compiled::~Compiled() {
  if (engine->active == this) engine->active = nullptr;
}

void Engine::enter(Compiled& grammar) {
  if (active) active->n_expressions += pool.size() - active_since;
  active = &grammar;
  active_since = pool.size();
  const uint64_t limit = grammar.limits.expressions;
  pool.set_limits(grammar.limits, limit - std::min(limit, grammar.n_expressions));
}

void Compiled::finish(uint32_t root) {
  program.finish(root);
  make_arena();
  if (machine_->count_unique()) {
    program.finish(root);
    make_arena();
  }
  engine->pool.clear_deadline();
}

void Compiled::make_arena() {
  arena_ = std::make_unique<Arena>();
  machine_ = std::make_unique<Machine>(program, *arena_, limits);
  masker_ = std::make_unique<Masker>(*machine_, engine->tables);
}

ConfigId Compiled::start_config() {
  Threads threads;
  machine_->start(threads);
  return arena_->config(threads);
}

Threads Compiled::threads(ConfigId config) const {
  return Threads(arena_->begin(config), arena_->end(config));
}

Outline Compiled::start_outline() {
  Threads threads;
  machine_->start(threads);
  return Outline(machine_->json_place(threads));
}

bool Compiled::step(ConfigId config, const std::string& bytes, ConfigId& out, size_t& n_read,
                    Outline* outline) {
  Threads at = threads(config), next;
  for (n_read = 0; n_read < bytes.size(); ++n_read) {
    next.clear();
    machine_->step(at, static_cast<uint8_t>(bytes[n_read]), next);
    if (next.empty()) return false;
    at.swap(next);
    if (outline) outline->follow(static_cast<uint8_t>(bytes[n_read]), machine_->json_place(at));
  }
  out = arena_->config(at);
  return true;
}

bool Compiled::accepts_end(ConfigId config) const {
  return std::any_of(arena_->begin(config), arena_->end(config),
                     [](const Thread& t) { return t.lexeme == kFinished; });
}

bool Compiled::can_continue(ConfigId config) const {
  return std::any_of(arena_->begin(config), arena_->end(config),
                     [](const Thread& t) { return t.lexeme != kFinished; });
}

// A few tokens are kept as a list at once; a dense mask only when it is asked for again, since
// copying it costs as much as most masks do.
void Compiled::memoize(ConfigId config, const uint64_t* mask) {
  auto [entry, first] = arena_->masks.try_emplace(config);
  TokenSet& set = entry->second;
  const std::vector<uint32_t>* listed = masker_->listed();
  if (listed && engine->complete) {
    set.ids = *listed;
  } else if (!first && arena_->mask_bytes < limits.arena_bytes / 2) {
    set.words.assign(mask, mask + engine->tables.n_words());
  }
  arena_->mask_bytes += set.bytes();
}

bool Compiled::recall(ConfigId config, uint64_t* mask) const {
  const auto known = arena_->masks.find(config);
  if (known == arena_->masks.end()) return false;
  const TokenSet& set = known->second;
  if (set.words.empty() && set.ids.empty()) return false;
  if (!set.words.empty()) {
    std::copy(set.words.begin(), set.words.end(), mask);
  } else {
    std::fill_n(mask, engine->tables.n_words(), 0);
    set.add_to(mask);
  }
  return true;
}

void Compiled::text_mask(ConfigId config, uint64_t* mask) {
  if (machine_->has_unique()) {
    Threads plain = machine_->forgotten(threads(config));
    const ConfigId forgotten = arena_->config(plain);
    if (forgotten != config) {
      masker_->settle(threads(config), shared_mask(forgotten, plain, mask), mask);
      if (!engine->complete) keep_spellable(config, mask);
      return;
    }
  }
  if (recall(config, mask)) return;
  masker_->fill(threads(config), mask);
  if (!engine->complete) keep_spellable(config, mask);
  memoize(config, mask);
}

// Bytes may go on where no whole token does.
void Compiled::keep_spellable(ConfigId config, uint64_t* mask) {
  for (uint32_t t = 0; t < engine->n_vocab; ++t) {
    if (!(mask[t >> 6] >> (t & 63) & 1)) continue;
    ConfigId after;
    size_t n_read;
    if (!step(config, engine->tables.token(t), after, n_read) || !spellable(after))
      mask[t >> 6] &= ~(uint64_t{1} << (t & 63));
  }
}

// The mask with the items of unique arrays forgotten; returns the tokens it leaves open.
const std::vector<uint32_t>& Compiled::shared_mask(ConfigId config, const Threads& plain,
                                                   uint64_t* mask) {
  const auto entry = arena_->shared.try_emplace(config).first;
  SharedMask& shared = entry->second;
  if (!shared.set.words.empty()) {
    std::copy(shared.set.words.begin(), shared.set.words.end(), mask);
    return shared.uncertain;
  }
  masker_->fill_forgotten(plain, mask);
  shared.uncertain = masker_->uncertain();
  if (arena_->mask_bytes < limits.arena_bytes / 2) {
    shared.set.words.assign(mask, mask + engine->tables.n_words());
    arena_->mask_bytes += shared.set.bytes();
  }
  return shared.uncertain;
}

void Compiled::fill_mask(ConfigId config, uint64_t* mask) {
  text_mask(config, mask);
  if (accepts_end(config))
    for (const uint32_t id : engine->end_ids) mask[id >> 6] |= uint64_t{1} << (id & 63);
}

void Compiled::biases(ConfigId config, const Outline* outline, Biases& out) {
  masker_->biases(threads(config), out);
  if (out.empty() && !outline) return;
  std::vector<uint64_t> mask(engine->tables.n_words());
  text_mask(config, mask.data());
  Biases ends;
  std::erase_if(out, [&](const auto& entry) {
    if (entry.first != kNone) return !(mask[entry.first >> 6] >> (entry.first & 63) & 1);
    for (const uint32_t id : engine->end_ids) ends.emplace_back(id, entry.second);
    return true;
  });
  out.insert(out.end(), ends.begin(), ends.end());
  if (outline) outline->biases(engine->shapes(), engine->tables.tokens(), mask.data(), out);
  if (!std::is_sorted(out.begin(), out.end())) std::sort(out.begin(), out.end());
  if (outline) add_up(out);
}

ByteSet Compiled::first_bytes(ConfigId config) {
  ByteSet set;
  for (const Thread& t : threads(config)) set = set | machine_->first_bytes(t);
  return set;
}

std::string Compiled::forced_bytes(ConfigId config) {
  std::string forced;
  Threads at = threads(config), next;
  constexpr size_t kMost = 1 << 16;
  while (forced.size() < kMost) {
    ByteSet set;
    bool may_end = false;
    for (const Thread& t : at) {
      may_end |= t.lexeme == kFinished;
      set = set | machine_->first_bytes(t);
    }
    int n = 0;
    uint8_t byte = 0;
    for (unsigned b = 0; b < 256; ++b)
      if (set.has(static_cast<uint8_t>(b))) {
        ++n;
        byte = static_cast<uint8_t>(b);
      }
    if (may_end || n != 1) break;
    next.clear();
    machine_->step(at, byte, next);
    forced.push_back(static_cast<char>(byte));
    at.swap(next);
  }
  return forced;
}

bool Compiled::allows_past(ConfigId config, const std::string& text) {
  const Trie& trie = engine->tables.trie(Tables::kVocabulary);
  uint32_t node = 0;
  for (size_t i = 0; i < text.size() && node != kNone; ++i)
    node = trie.child(node, static_cast<uint8_t>(text[i]));
  if (node == kNone || trie.tokens_end(node) == trie.subtree_end(node)) return false;
  std::vector<uint64_t> mask(engine->tables.n_words());
  text_mask(config, mask.data());
  return std::any_of(trie.tokens_end(node), trie.subtree_end(node),
                     [&](uint32_t t) { return mask[t >> 6] >> (t & 63) & 1; });
}

bool Compiled::expected_keys(ConfigId config, std::vector<std::string>& names) {
  bool others = false;
  for (const Thread& t : threads(config)) {
    const uint32_t lexeme = machine_->untracked(t).lexeme;
    if (lexeme == kFinished || !(lexeme & kKeyBit)) continue;
    const Key& key = arena_->keys[lexeme & ~kKeyBit];
    const Cell& cell = arena_->cells[t.cell];
    const ObjectSpec& spec = program.objects[cell.node];
    const uint32_t* state = arena_->objects.begin(cell.state);
    others |= key.other != ExprPool::kEmptyExpr;
    if (key.name == kNone) continue;
    const NameTree::Node& node = spec.names.nodes[key.name];
    for (uint32_t i = node.lo; i < node.hi && names.size() < 20; ++i)
      if (machine_->may_use(spec, state, i)) names.push_back(spec.properties[i].name);
  }
  return others;
}

}  // namespace constrain
