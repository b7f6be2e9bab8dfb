// Where in a JSON text the threads stand, for outlines (outline.h).
#include "machine.h"

namespace constrain {

JsonPlace Machine::json_place(const Threads& threads) {
  JsonPlace place;
  place.min_items = kInfinite;
  for (const Thread& thread : threads) {
    if (thread.lexeme == kFinished) continue;
    const Cell& cell = arena_.cells[thread.cell];
    uint32_t form = kNone;
    if (cell.kind == FrameKind::kValue) {
      form = program_.values[cell.node].form;
    } else if (cell.kind == FrameKind::kObject) {
      form = program_.objects[cell.node].form;
    } else if (cell.kind == FrameKind::kArray || cell.kind == FrameKind::kTallied) {
      form = program_.arrays[cell.node].form;
      place.min_items = std::min(place.min_items, program_.arrays[cell.node].min_items);
    } else {
      continue;
    }
    const bool begun = cell.kind != FrameKind::kValue ||
                       untracked(thread).lexeme != program_.start(cell.node, kPlaceTop);
    if (!place.wishes || (begun && !place.begun)) place.wishes = &program_.forms[form].wishes;
    place.begun |= begun;
  }
  return place;
}

}  // namespace constrain
