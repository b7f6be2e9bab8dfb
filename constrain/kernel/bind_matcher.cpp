// The matcher as Python sees it. Masks go straight into the caller's buffer.
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>

#include "bindings.h"
#include "compiled.h"

namespace nb = nanobind;

namespace constrain {

namespace {

nb::bytes to_bytes(const std::string& text) { return nb::bytes(text.data(), text.size()); }

// A writable, contiguous buffer of exactly (n_vocab + 31) / 32 words of 4 bytes.
class MaskBuffer {
 public:
  MaskBuffer(nb::handle object, uint32_t n_vocab) {
    if (PyObject_GetBuffer(object.ptr(), &view_, PyBUF_WRITABLE | PyBUF_C_CONTIGUOUS | PyBUF_FORMAT) != 0)
      throw nb::python_error();
    const Py_ssize_t wanted = Py_ssize_t{4} * ((n_vocab + 31) / 32);
    const bool is_uint32 = view_.itemsize == 4 && view_.format &&
                           (view_.format[0] == 'I' || view_.format[0] == 'L');
    if (!is_uint32 || view_.ndim != 1 || view_.len != wanted) {
      PyBuffer_Release(&view_);
      throw nb::value_error(("the mask must be a contiguous uint32 array of " +
                             std::to_string(wanted / 4) + " words").c_str());
    }
  }
  ~MaskBuffer() { PyBuffer_Release(&view_); }
  MaskBuffer(const MaskBuffer&) = delete;
  MaskBuffer& operator=(const MaskBuffer&) = delete;

  // Runs fill on 64-bit words: in place if the buffer is aligned and even, else through a copy.
  template <class Fill>
  void run(Fill&& fill) {
    const auto address = reinterpret_cast<uintptr_t>(view_.buf);
    if (address % 8 == 0 && view_.len % 8 == 0) {
      fill(static_cast<uint64_t*>(view_.buf));
      return;
    }
    std::vector<uint64_t> words((static_cast<size_t>(view_.len) + 7) / 8);
    fill(words.data());
    std::memcpy(view_.buf, words.data(), static_cast<size_t>(view_.len));
  }

 private:
  Py_buffer view_;
};

void fill_mask(Matcher& m, nb::handle out) {
  MaskBuffer buffer(out, m.compiled->engine->n_vocab);
  buffer.run([&](uint64_t* words) {
    if (m.is_finished())
      std::fill_n(words, m.compiled->engine->tables.n_words(), 0);
    else
      m.compiled->fill_mask(m.config(), words);
  });
}

void fill_mask_within(Matcher& m, nb::handle out, uint32_t n_tokens) {
  MaskBuffer buffer(out, m.compiled->engine->n_vocab);
  buffer.run([&](uint64_t* words) {
    if (m.is_finished())
      std::fill_n(words, m.compiled->engine->tables.n_words(), 0);
    else
      m.compiled->fill_mask_within(m.config(), n_tokens, words);
  });
}

// The Python class knows how to say what was rejected and what was expected.
void accept(nb::handle_t<Matcher> self, int64_t token) {
  auto& m = nb::cast<Matcher&>(self);
  size_t n_read = 0;
  const bool in_range = token >= 0 && token < m.compiled->engine->n_vocab;
  if (in_range && m.accept(static_cast<uint32_t>(token), n_read) == Matcher::Outcome::kOk) return;
  self.attr("_reject_token")(token, n_read);
}

void accept_bytes(nb::handle_t<Matcher> self, nb::bytes data) {
  auto& m = nb::cast<Matcher&>(self);
  size_t n_read = 0;
  const std::string bytes(data.c_str(), data.size());
  if (m.accept_bytes(bytes, n_read) == Matcher::Outcome::kOk) return;
  self.attr("_reject_bytes")(data, n_read);
}

uint32_t tokens_after(Matcher& m, uint32_t token) {
  Matcher copy(m);
  size_t n_read;
  if (copy.accept(token, n_read) != Matcher::Outcome::kOk) return kInfinite;
  return copy.is_finished() ? 0 : copy.compiled->tokens_needed(copy.config());
}

bool fits_after(Matcher& m, uint32_t token, uint32_t n_tokens) {
  Matcher copy(m);
  size_t n_read;
  if (copy.accept(token, n_read) != Matcher::Outcome::kOk) return false;
  return copy.is_finished() || copy.compiled->fits(copy.config(), n_tokens);
}

nb::tuple biases(Matcher& m) {
  Biases found;
  if (!m.is_finished()) m.compiled->biases(m.config(), m.outline(), found);
  std::string ids, values;  // packed int32 and float32, turned into arrays by the caller
  for (const auto& [token, value] : found) {
    const auto id = static_cast<int32_t>(token);
    ids.append(reinterpret_cast<const char*>(&id), 4);
    values.append(reinterpret_cast<const char*>(&value), 4);
  }
  return nb::make_tuple(to_bytes(ids), to_bytes(values));
}

nb::tuple expected(Matcher& m) {
  const ByteSet set = m.compiled->first_bytes(m.config());
  std::vector<std::string> names;
  const bool others = m.compiled->expected_keys(m.config(), names);
  std::string bytes;
  for (unsigned b = 0; b < 256; ++b)
    if (set.has(static_cast<uint8_t>(b))) bytes.push_back(static_cast<char>(b));
  nb::list list;
  for (const std::string& name : names) list.append(to_bytes(name));
  return nb::make_tuple(to_bytes(bytes), list, others);
}

}  // namespace

void bind_matcher(nb::module_& m) {
  nb::class_<Matcher>(m, "Matcher")
      .def(nb::init<std::shared_ptr<Compiled>>())
      .def(nb::init<const Matcher&>())
      .def("fill_mask", &fill_mask, nb::arg("out"))
      .def("fill_mask_within", &fill_mask_within, nb::arg("out"), nb::arg("n_tokens"))
      .def("accept", &accept, nb::arg("token_id"))
      .def("accept_bytes", &accept_bytes, nb::arg("data"))
      .def("_try_bytes", [](Matcher& m, const nb::bytes& data) {
        size_t n_read;
        return m.accept_bytes({data.c_str(), data.size()}, n_read) == Matcher::Outcome::kOk;
      })
      .def("_rollback", &Matcher::rollback)
      .def("_biases", &biases)
      .def_prop_ro("bias_offset", [](const Matcher& m) {
        return m.outline() && !m.is_finished() ? m.outline()->offset() : 0.0f;
      })
      .def("_expected", &expected)
      .def("_state", &Matcher::config)
      .def("_tokens_after", &tokens_after)
      .def("_fits_after", &fits_after)
      .def("_tokens_needed", [](Matcher& s) {
        return s.is_finished() ? 0 : s.compiled->tokens_needed(s.config());
      })
      .def("_bytes_needed", [](Matcher& s) {
        return s.is_finished() ? 0 : s.compiled->potential(s.config());
      })
      .def("_allows_past", [](Matcher& s, const nb::bytes& text) {
        return s.compiled->allows_past(s.config(), {text.c_str(), text.size()});
      })
      .def("_spellable", [](Matcher& s) { return s.compiled->spellable(s.config()); })
      .def("forced_bytes", [](Matcher& s) {
        return to_bytes(s.is_finished() ? std::string() : s.compiled->forced_bytes(s.config()));
      })
      .def("shortest_completion", [](Matcher& s) {
        return to_bytes(s.is_finished() ? std::string()
                                        : s.compiled->shortest_completion(s.config()));
      })
      .def_prop_ro("n_tokens", &Matcher::n_steps)
      .def_prop_ro("is_finished", &Matcher::is_finished)
      .def_prop_ro("is_accepting", [](const Matcher& s) {
        return !s.is_finished() && s.compiled->accepts_end(s.config());
      })
      .def_prop_ro("can_continue", [](const Matcher& s) {
        return !s.is_finished() && s.compiled->can_continue(s.config());
      });
}

}  // namespace constrain
