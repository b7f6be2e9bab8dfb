// Python face of the sampler: arrays in, one tuple out. Checks sizes; sampler.h has the rest.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/string_view.h>
#include <nanobind/stl/vector.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sampler.h"

namespace nb = nanobind;

namespace constrain {
namespace {

// Read-only arrays are taken too; other types, strides or devices are a TypeError, not a copy.
template <typename T>
using Vector = nb::ndarray<const T, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Ids = Vector<std::int32_t>;

constexpr std::array<std::pair<std::string_view, Step>, 9> kSteps{{
    {"temperature", Step::temperature},
    {"top_n_sigma", Step::top_n_sigma},
    {"top_k", Step::top_k},
    {"top_p", Step::top_p},
    {"min_p", Step::min_p},
    {"typical_p", Step::typical_p},
    {"xtc", Step::xtc},
    {"mirostat_1", Step::mirostat_1},
    {"mirostat_2", Step::mirostat_2},
}};

std::span<const std::int32_t> span_of(const Ids& ids) { return {ids.data(), ids.shape(0)}; }

std::vector<LogitEdit> bias_edits(const Ids& ids, const Vector<float>& values) {
    if (ids.shape(0) != values.shape(0)) {
        throw std::invalid_argument("bias ids and values differ in length");
    }
    std::vector<LogitEdit> edits;
    edits.reserve(ids.shape(0));
    for (std::size_t i = 0; i < ids.shape(0); ++i) {
        edits.push_back({ids.data()[i], values.data()[i], 0, 0});
    }
    return edits;
}

Step step_named(const std::string& name) {
    for (const auto& [known, step] : kSteps) {
        if (known == name) {
            return step;
        }
    }
    throw std::invalid_argument("unknown step: " + name);
}

// The fields of constrain.Sampling; it has checked them.
SamplingSettings settings_of(nb::handle given, const nb::sequence& steps, bool bans_yield) {
    const auto number = [given](const char* name) { return nb::cast<double>(given.attr(name)); };
    SamplingSettings settings;
    for (const nb::handle step : steps) {
        settings.steps.push_back(step_named(nb::cast<std::string>(step)));
    }
    settings.temperature = number("temperature");
    settings.dynamic_range = number("dynamic_temperature_range");
    settings.dynamic_exponent = number("dynamic_temperature_exponent");
    settings.top_n_sigma = number("top_n_sigma");
    settings.top_k = nb::cast<std::int64_t>(given.attr("top_k"));
    settings.top_p = number("top_p");
    settings.min_p = number("min_p");
    settings.typical_p = number("typical_p");
    settings.xtc_probability = number("xtc_probability");
    settings.xtc_threshold = number("xtc_threshold");
    settings.repeat_penalty = static_cast<float>(number("repeat_penalty"));
    settings.frequency_penalty = static_cast<float>(number("frequency_penalty"));
    settings.presence_penalty = static_cast<float>(number("presence_penalty"));
    settings.dry_multiplier = number("dry_multiplier");
    settings.dry_base = number("dry_base");
    settings.dry_allowed_length = nb::cast<std::int64_t>(given.attr("dry_allowed_length"));
    settings.bans_yield = bans_yield;
    return settings;
}

void make(TokenSampler* self, std::uint32_t n_vocab, nb::handle settings,
          const nb::sequence& steps, const Ids& bias_ids, const Vector<float>& bias_values,
          const Ids& banned_ids, const Ids& dry_spared_ids, bool bans_yield) {
    if (n_vocab == 0 || n_vocab > std::numeric_limits<std::int32_t>::max() / 2) {
        throw std::invalid_argument("n_vocab must be in [1, 2**30)");
    }
    new (self) TokenSampler(n_vocab, settings_of(settings, steps, bans_yield),
                            bias_edits(bias_ids, bias_values), span_of(banned_ids),
                            span_of(dry_spared_ids));
}

nb::tuple sample(TokenSampler& sampler, const Vector<float>& logits,
                 const Vector<std::uint32_t>& mask_words, const Ids& bias_ids,
                 const Vector<float>& bias_values, const Ids& history, const Ids& dry_history,
                 std::size_t dry_limit, const Ids& banned_ids, double mu, std::uint64_t key,
                 std::uint64_t counter) {
    if (logits.shape(0) != sampler.n_vocab()) {
        throw std::invalid_argument("logits do not have n_vocab entries");
    }
    if (mask_words.shape(0) != (sampler.n_vocab() + 31) / 32) {
        throw std::invalid_argument("mask_words do not have (n_vocab + 31) // 32 entries");
    }
    const std::vector<LogitEdit> bias = bias_edits(bias_ids, bias_values);
    StepInput input;
    input.bias = bias;
    input.history = span_of(history);
    input.dry = span_of(dry_history);
    input.dry_limit = dry_limit;
    input.banned = span_of(banned_ids);
    input.mu = mu;
    input.key = key;
    input.counter = counter;
    const StepResult r = sampler.sample(logits.data(), mask_words.data(), input);
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
        .def("__init__", &constrain::make, nb::arg("n_vocab"), nb::arg("settings"), nb::kw_only(),
             nb::arg("steps"), nb::arg("bias_ids").noconvert(), nb::arg("bias_values").noconvert(),
             nb::arg("banned_ids").noconvert(), nb::arg("dry_spared_ids").noconvert(),
             nb::arg("bans_yield"))
        .def("sample", &constrain::sample, nb::arg("logits").noconvert(),
             nb::arg("mask_words").noconvert(), nb::arg("bias_ids").noconvert(),
             nb::arg("bias_values").noconvert(), nb::arg("history").noconvert(),
             nb::arg("dry_history").noconvert(), nb::arg("dry_limit"),
             nb::arg("banned_ids").noconvert(), nb::arg("mu"), nb::arg("key"), nb::arg("counter"),
             "(status, token_id, logprob, masked_logprob, sampling_logprob, removed_mass, "
             "n_allowed, drawn); status 0 ok, 1 empty mask, 2 NaN, 3 no token has probability, "
             "4 all that could come is banned.");
    m.def("uniform", &constrain::uniform, nb::arg("key"), nb::arg("counter"),
          "The counter-th number of the random stream `key`, float64 in [0, 1).");
    m.def("instruction_sets", &constrain::instruction_sets,
          "What this processor has vector loops for, widest first.");
    m.def("use_instruction_set", &constrain::use_instruction_set, nb::arg("name"),
          "Takes the loops of one of them from now on; returns the one used before.");
}
