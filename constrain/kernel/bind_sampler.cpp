// Python face of the sampler: arrays in, one tuple out. Checks sizes; sampler.h has the rest.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <vector>

#include "sampler.h"

namespace nb = nanobind;

namespace constrain {
namespace {

// Read-only arrays are taken too; other types, strides or devices are a TypeError, not a copy.
template <typename T>
using Vector = nb::ndarray<const T, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

std::vector<LogitEdit> bias_edits(const Vector<std::int32_t>& ids, const Vector<float>& values) {
    if (ids.shape(0) != values.shape(0)) {
        throw std::invalid_argument("bias ids and values differ in length");
    }
    std::vector<LogitEdit> edits;
    edits.reserve(ids.shape(0));
    for (std::size_t i = 0; i < ids.shape(0); ++i) {
        edits.push_back({ids.data()[i], values.data()[i], 0});
    }
    return edits;
}

nb::tuple sample(TokenSampler& sampler, const Vector<float>& logits,
                 const Vector<std::uint32_t>& mask_words, const Vector<std::int32_t>& bias_ids,
                 const Vector<float>& bias_values, const Vector<std::int32_t>& history,
                 std::uint64_t key, std::uint64_t counter) {
    if (logits.shape(0) != sampler.n_vocab()) {
        throw std::invalid_argument("logits do not have n_vocab entries");
    }
    if (mask_words.shape(0) != (sampler.n_vocab() + 31) / 32) {
        throw std::invalid_argument("mask_words do not have (n_vocab + 31) // 32 entries");
    }
    std::vector<LogitEdit> edits = bias_edits(bias_ids, bias_values);
    for (std::size_t i = 0; i < history.shape(0); ++i) {
        edits.push_back({history.data()[i], 0, 1});
    }
    const StepResult r = sampler.sample(logits.data(), mask_words.data(), edits, key, counter);
    return nb::make_tuple(static_cast<std::int32_t>(r.status), r.token_id, r.logprob,
                          r.masked_logprob, r.sampling_logprob, r.removed_mass, r.n_allowed,
                          r.drawn);
}

}  // namespace
}  // namespace constrain

void bind_sampler(nb::module_& m) {
    using constrain::TokenSampler;
    nb::class_<TokenSampler>(m, "TokenSampler",
                             "One sampling step over masked logits; keeps only scratch memory.")
        .def(
            "__init__",
            [](TokenSampler* self, std::uint32_t n_vocab, double temperature, std::int64_t top_k,
               double top_p, double min_p, double typical_p, float repeat_penalty,
               float frequency_penalty, float presence_penalty,
               const constrain::Vector<std::int32_t>& bias_ids,
               const constrain::Vector<float>& bias_values) {
                if (n_vocab == 0 || n_vocab > std::numeric_limits<std::int32_t>::max() / 2) {
                    throw std::invalid_argument("n_vocab must be in [1, 2**30)");
                }
                new (self) TokenSampler(
                    n_vocab,
                    {temperature, top_k, top_p, min_p, typical_p, repeat_penalty,
                     frequency_penalty, presence_penalty},
                    constrain::bias_edits(bias_ids, bias_values));
            },
            nb::arg("n_vocab"), nb::kw_only(), nb::arg("temperature"), nb::arg("top_k"),
            nb::arg("top_p"), nb::arg("min_p"), nb::arg("typical_p"), nb::arg("repeat_penalty"),
            nb::arg("frequency_penalty"), nb::arg("presence_penalty"),
            nb::arg("bias_ids").noconvert(), nb::arg("bias_values").noconvert())
        .def("sample", &constrain::sample, nb::arg("logits").noconvert(),
             nb::arg("mask_words").noconvert(), nb::arg("bias_ids").noconvert(),
             nb::arg("bias_values").noconvert(), nb::arg("history").noconvert(), nb::arg("key"),
             nb::arg("counter"),
             "(status, token_id, logprob, masked_logprob, sampling_logprob, removed_mass, "
             "n_allowed, drawn); status 0 ok, 1 empty mask, 2 NaN, 3 no token has probability.");
    m.def("uniform", &constrain::uniform, nb::arg("key"), nb::arg("counter"),
          "The counter-th number of the random stream `key`, float64 in [0, 1).");
}
