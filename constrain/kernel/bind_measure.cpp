// Python face of measure_row: arrays in, one tuple out. Checks sizes; measure.h has the rest.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <stdexcept>

#include "bindings.h"
#include "measure.h"

namespace nb = nanobind;

namespace constrain {
namespace {

// Read-only arrays are taken too; other types, strides or devices are a TypeError, not a copy.
template <typename T>
using Vector = nb::ndarray<const T, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

nb::list as_list(const std::vector<RankedToken>& tokens) {
    nb::list result;
    for (const RankedToken& token : tokens) {
        result.append(nb::make_tuple(token.token_id, token.logprob, token.masked_logprob));
    }
    return result;
}

nb::tuple measure(const Vector<float>& logits, const Vector<std::uint32_t>& mask_words,
                  std::int64_t n) {
    const std::size_t n_vocab = logits.shape(0);
    if (n_vocab == 0 || n_vocab > std::numeric_limits<std::int32_t>::max() / 2) {
        throw std::invalid_argument("n_vocab must be in [1, 2**30)");
    }
    if (mask_words.shape(0) != (n_vocab + 31) / 32) {
        throw std::invalid_argument("mask_words do not have (n_vocab + 31) // 32 entries");
    }
    if (n < 0) {
        throw std::invalid_argument("n must be at least 0");
    }
    const RowMeasure row =
        measure_row(logits.data(), mask_words.data(), n_vocab, static_cast<std::size_t>(n));
    const int status = row.has_nan ? 2 : row.has_allowed ? 0 : 1;
    return nb::make_tuple(status, row.entropy, row.masked_entropy, as_list(row.allowed),
                          as_list(row.forbidden));
}

}  // namespace

void bind_measure(nb::module_& m) {
    m.def("measure_row", &measure, nb::arg("logits").noconvert(), nb::arg("mask_words").noconvert(),
          nb::arg("n"),
          "(status, entropy, masked_entropy, allowed, forbidden), each list of (token_id, logprob, "
          "masked_logprob); status 0 ok, 1 nothing allowed has probability, 2 NaN.");
}

}  // namespace constrain
