#include "machine.h"

namespace constrain {

Machine::Closure Machine::closure(Threads& out) {
  pending_.clear();
  done_.clear();
  return {out, pending_, done_};
}

void Machine::Closure::push(Task::Kind kind, uint32_t x, uint32_t y) {
  const Task task{kind, x, y, level};
  // A closure is short; one that has seen a task need not run it again (nullable loops end).
  if (std::find(done.begin(), done.end(), task) != done.end()) return;
  done.push_back(task);
  pending.push_back(task);
}

void Machine::run(Closure& work) {
  while (!work.pending.empty()) {
    const Task task = work.pending.back();
    work.pending.pop_back();
    work.level = task.level;
    switch (task.kind) {
      case Task::kStart:
        start_node(task.x, task.y, work);
        break;
      case Task::kComplete:
        complete(task.x, work);
        break;
      case Task::kFinish:
        finish_tag(task.x, task.y, work);
        break;
      case Task::kAdd: {
        if (!pool_.is_alive(task.x)) break;
        uint64_t tags = pool_.tags(task.x);
        if (!pool_.is_final(task.x)) emit(task.x, task.y, work);
        for (uint32_t tag = 0; tags; tags >>= 1, ++tag)
          if (tags & 1) work.push(Task::kFinish, task.y, tag);
        break;
      }
    }
    if (work.done.size() + work.out.size() > limits_.threads)
      throw LimitExceeded("threads", static_cast<double>(work.done.size() + work.out.size()),
                          limits_.threads);
  }
}

void Machine::start(Threads& out) {
  Closure work = closure(out);
  start_node(program_.root, 0, work);
  run(work);
}

void Machine::finish(CellId cell, uint32_t tag, Threads& out) {
  Closure work = closure(out);
  finish_tag(cell, tag, work);
  run(work);
}

void Machine::emit(uint32_t lexeme, CellId cell, Closure& work) {
  if (work.level) lexeme = kTrackBit | arena_.tracked.intern({lexeme, work.level});
  work.out.push_back({lexeme, cell});
}

void Machine::step(const Thread& thread, uint8_t byte, Threads& out) {
  const uint32_t first = out.size();
  step_unchecked(thread, byte, out);
  if (is_tracked(thread.lexeme)) drop_dead(out, first);
}

void Machine::step_unchecked(const Thread& thread, uint8_t byte, Threads& out) {
  ended_live_ = false;
  if (thread.lexeme == kFinished) return;
  if (is_tracked(thread.lexeme)) {
    step_tracked(thread, byte, out);
    return;
  }
  if (thread.lexeme & kKeyBit) {
    const Cell cell = arena_.cells[thread.cell];
    Key key = arena_.keys[thread.lexeme & ~kKeyBit];
    if (byte == '"' && key.escape == kNoEscape)
      close_key(key, thread.cell, out);
    else if (step_key(key, cell, byte))
      out.push_back({kKeyBit | arena_.keys.intern(key), thread.cell});
    return;
  }
  const ExprId next = pool_.next(thread.lexeme, byte);
  if (next == ExprPool::kEmptyExpr) return;
  const uint64_t tags = pool_.tags(next);
  if (!tags) {
    out.push_back({next, thread.cell});
    return;
  }
  Closure work = closure(out);
  work.push(Task::kAdd, next, thread.cell);
  run(work);
}

void Machine::step(const Threads& threads, uint8_t byte, Threads& out) {
  for (const Thread& thread : threads) step(thread, byte, out);
  if (out.size() > 1) {
    std::sort(out.begin(), out.end());
    out.truncate(std::unique(out.begin(), out.end()));
  }
  if (out.size() > limits_.threads)
    throw LimitExceeded("threads", static_cast<double>(out.size()), limits_.threads);
}

CellId Machine::make_cell(const Cell& cell) {
  const CellFacts& below = arena_.cell_facts[cell.parent];
  if (below.depth + 1 > limits_.depth)
    throw LimitExceeded("depth", below.depth + 1, limits_.depth);
  return arena_.cell(cell, {done_length(cell), below.depth + 1});
}

void Machine::start_node(uint32_t id, CellId parent, Closure& work) {
  const GrammarNode& node = program_.nodes[id];
  if (node.min_len == kInfinite) return;
  switch (node.kind) {
    case NodeKind::kLexeme:
      work.push(Task::kAdd, node.expr, parent);
      break;
    case NodeKind::kRule:
      work.push(Task::kStart, node.children[0], parent);
      break;
    case NodeKind::kChoice:
      for (const uint32_t child : node.children) work.push(Task::kStart, child, parent);
      break;
    case NodeKind::kSequence:
      if (node.children.empty()) {
        work.push(Task::kComplete, parent, 0);
      } else if (node.children.size() == 1) {
        work.push(Task::kStart, node.children[0], parent);
      } else {
        const CellId cell = make_cell({FrameKind::kSequence, Phase::kFirst, id, 1, 0, parent});
        work.push(Task::kStart, node.children[0], cell);
      }
      break;
    case NodeKind::kRepeat:
      if (node.min_len == 0) work.push(Task::kComplete, parent, 0);
      if (node.max > 0 && program_.nodes[node.children[0]].min_len < kInfinite) {
        const CellId cell = make_cell({FrameKind::kRepeat, Phase::kFirst, id, 1, 0, parent});
        work.push(Task::kStart, node.children[0], cell);
      }
      break;
    case NodeKind::kValue:
      read_value({FrameKind::kValue, Phase::kValue, node.value, 0, 0, parent}, node.value,
                 kPlaceTop, work);
      break;
  }
}

// What stood on `id` is complete: the frame goes on.
void Machine::complete(CellId id, Closure& work) {
  const Cell cell = arena_.cells[id];
  switch (cell.kind) {
    case FrameKind::kRoot:
      emit(kFinished, 0, work);
      break;
    case FrameKind::kSequence: {
      const auto& children = program_.nodes[cell.node].children;
      if (cell.a + 1 == children.size()) {  // the last child stands on the parent
        work.push(Task::kStart, children[cell.a], cell.parent);
      } else {
        Cell next = cell;
        ++next.a;
        work.push(Task::kStart, children[cell.a], make_cell(next));
      }
      break;
    }
    case FrameKind::kRepeat: {
      const GrammarNode& node = program_.nodes[cell.node];
      const bool empty_rounds = program_.nodes[node.children[0]].min_len == 0;
      if (cell.a >= node.min || empty_rounds) work.push(Task::kComplete, cell.parent, 0);
      if (cell.a >= node.max) break;
      Cell next = cell;
      // Without an upper bound, rounds after the last needed one are alike.
      if (node.max < kInfinite || cell.a < std::max(node.min, 1u)) ++next.a;
      work.push(Task::kStart, node.children[0], make_cell(next));
      break;
    }
    case FrameKind::kValue:
      work.push(Task::kComplete, cell.parent, 0);
      break;
    case FrameKind::kObject:
      after_member(cell, work);
      break;
    case FrameKind::kArray:
      after_item(cell, id, work);
      break;
    case FrameKind::kTallied:
      after_tallied(cell, work);
      break;
  }
}

void Machine::finish_tag(CellId id, uint32_t tag, Closure& work) {
  const Cell cell = arena_.cells[id];
  if (cell.kind == FrameKind::kObject && cell.phase != Phase::kValue) {
    finish_object(cell, id, tag, work);
  } else if (cell.kind == FrameKind::kArray && (cell.phase == Phase::kAfter || tag == kTagClose)) {
    finish_array(cell, id, tag, work);
  } else if (cell.kind == FrameKind::kTallied && cell.phase == Phase::kAfter) {
    if (tag == kTagClose) work.push(Task::kComplete, cell.parent, 0);
    else read_tallied(cell, kPlaceComma, work);
  } else if (tag == kTagObject || tag == kTagArray) {
    uint32_t value = cell.kind == FrameKind::kValue ? cell.node : cell.a;
    if (cell.kind == FrameKind::kArray)
      value = program_.value_of_item(program_.arrays[cell.node], cell.a - 1);
    open_cases(id, value, tag, work);
  } else {
    work.push(Task::kComplete, id, 0);
  }
}

// One thread for each case of the value that begins with the bracket just read.
void Machine::open_cases(CellId id, uint32_t value, uint32_t tag, Closure& work) {
  const Value& v = program_.values[value];
  const Form& form = program_.forms[v.form];
  if (tag == kTagArray) {
    for (const uint32_t a : v.arrays) {
      if (!program_.arrays[a].tallies.empty()) {
        open_tallied(a, id, work);
        continue;
      }
      const CellId cell = make_cell({FrameKind::kArray, Phase::kFirst, a, 1, 0, id});
      const uint32_t outer = work.level;
      open_item(cell, work);
      work.push(Task::kAdd, program_.array_first(a), cell);
      work.level = outer;
    }
    return;
  }
  for (const uint32_t o : v.objects) {
    const ObjectSpec& spec = program_.objects[o];
    const uint32_t state = initial_state(spec);
    const uint32_t* words = arena_.objects.begin(state);
    const bool close = can_close(spec, words), more = can_continue(spec, o, words);
    const CellId cell = make_cell({FrameKind::kObject, Phase::kFirst, o, 0, state, id});
    work.push(Task::kAdd, close ? (more ? form.first_both : form.first_close) : form.first_key,
              cell);
  }
}

void Machine::read_value(const Cell& frame, uint32_t value, ValuePlace place, Closure& work) {
  work.push(Task::kAdd, program_.start(value, place), make_cell(frame));
}

void Machine::finish_object(const Cell& cell, CellId, uint32_t tag, Closure& work) {
  if (tag == kTagClose) {
    work.push(Task::kComplete, cell.parent, 0);
  } else if (tag == kTagComma) {
    Cell next = cell;
    next.phase = Phase::kNext;
    const Form& form = program_.forms[program_.objects[cell.node].form];
    work.push(Task::kAdd, form.next_key, make_cell(next));
  } else {
    open_key(cell, work);
  }
}

void Machine::after_member(const Cell& cell, Closure& work) {
  const ObjectSpec& spec = program_.objects[cell.node];
  const Form& form = program_.forms[spec.form];
  const uint32_t* state = arena_.objects.begin(cell.state);
  const bool close = can_close(spec, state), more = can_continue(spec, cell.node, state);
  Cell after = cell;
  after.phase = Phase::kAfter;
  after.a = 0;
  work.push(Task::kAdd, close ? (more ? form.after_both : form.after_close) : form.after_comma,
            make_cell(after));
}

void Machine::finish_array(const Cell& cell, CellId id, uint32_t tag, Closure& work) {
  if (tag == kTagClose) {
    if (work.level && arena_.levels[work.level].cell == id)  // no item was begun
      work.level = arena_.levels[work.level].outer;
    work.push(Task::kComplete, cell.parent, 0);
    return;
  }
  const ArraySpec& spec = program_.arrays[cell.node];
  const uint32_t value = program_.value_of_item(spec, cell.a);
  Cell next = cell;
  next.phase = Phase::kValue;
  if (cell.a <= spec.saturation) ++next.a;
  if (next.state == kAnyItems) next.state = kMoreItems;
  const CellId item = make_cell(next);
  open_item(item, work);
  work.push(Task::kAdd, program_.start(value, kPlaceComma), item);
}

void Machine::after_item(Cell cell, CellId id, Closure& work) {
  const ArraySpec& spec = program_.arrays[cell.node];
  if (spec.unique && !end_item(cell, id, work)) return;
  if (searches_ > 0 && !work.level) {  // all items are new: nothing else is asked
    emit(kFinished, 0, work);
    return;
  }
  const Form& form = program_.forms[spec.form];
  const bool close = cell.a >= spec.min_items;
  const bool more =
      program_.value_of_item(spec, cell.a) != kNone && (!spec.unique || has_more(cell));
  if (!close && !more) return;
  Cell after = cell;
  after.phase = Phase::kAfter;
  work.push(Task::kAdd, close ? (more ? form.item_both : form.item_close) : form.item_comma,
            make_cell(after));
}

}  // namespace constrain
