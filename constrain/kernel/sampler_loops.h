// The bodies of VectorLoops; sampler_vectors.cpp includes this once for each instruction set,
// inside a namespace, after defining CONSTRAIN_GE_BITS, _PICK, _ADD and kFused for it.
// No include guard, for that reason; sampler_vectors.h says what each loop does.

// Vectors go by reference: by value, their calling convention depends on the instruction set.
CONSTRAIN_INLINE void load(Floats& out, const float* from) { std::memcpy(&out, from, sizeof out); }
CONSTRAIN_INLINE void store(float* to, const Floats& value) {
    std::memcpy(to, &value, sizeof value);
}

// Bit l: token 16 * row + l is allowed.
CONSTRAIN_INLINE std::uint32_t row_bits(const std::uint32_t* words, std::size_t row) {
    return (words[row / 2] >> (16 * (row % 2))) & 0xFFFFU;
}

CONSTRAIN_INLINE void raise_to(Floats& top, const Floats& value) {
    top = value > top ? value : top;
}

// Folds lanes 8 apart, then 4, 2, 1: the same order on every processor.
#define CONSTRAIN_FOLD(value, combine)                                                            \
    do {                                                                                          \
        Floats other = __builtin_shufflevector(value, value, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1,  \
                                               2, 3, 4, 5, 6, 7);                                 \
        combine(value, other);                                                                    \
        other = __builtin_shufflevector(value, value, 4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8,  \
                                        9, 10, 11);                                               \
        combine(value, other);                                                                    \
        other = __builtin_shufflevector(value, value, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14,   \
                                        15, 12, 13);                                              \
        combine(value, other);                                                                    \
        other = __builtin_shufflevector(value, value, 1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13,   \
                                        12, 15, 14);                                              \
        combine(value, other);                                                                    \
    } while (false)

CONSTRAIN_INLINE void add_to(Floats& sum, const Floats& value) { sum += value; }

CONSTRAIN_INLINE float sum_of(const Floats& value) {
    Floats sum = value;
    CONSTRAIN_FOLD(sum, add_to);
    return sum[0];
}

CONSTRAIN_INLINE float top_of(const Floats& value) {
    Floats top = value;
    CONSTRAIN_FOLD(top, raise_to);
    return top[0];
}

#undef CONSTRAIN_FOLD

// x = e^x for kLowestExponent <= x <= 88; anything for other x.
CONSTRAIN_INLINE void exponentiate(Floats& x) {
    constexpr float kRounder = 12582912.0F;  // 1.5 * 2^23: adding it rounds to an integer
    const Floats rounded = x * 1.44269504F + kRounder;
    const Floats n = rounded - kRounder;
    Floats r;
    if constexpr (kFused) {
        r = x - n * 0.693147182F;
    } else {  // the first part has few bits, so that n times it is exact
        r = (x - n * 0.693359375F) + n * 2.12194440e-4F;
    }
    Floats p = r * 0.008290264F + 0.04189816F;
    p = p * r + 0.16667639F;
    p = p * r + 0.49999148F;
    p = p * r + 0.9999997F;
    p = p * r + 1.0F;
    x = reinterpret_cast<Floats>(reinterpret_cast<Bits>(p) + (reinterpret_cast<Bits>(rounded) << 23));
}

// The least logit that has a weight.
CONSTRAIN_INLINE float least_weighed(const Weighing& how) {
    const float vanishing = how.max + kLowestExponent / how.scale;
    return how.least > vanishing ? how.least : vanishing;
}

ChunkMaxima maxima(const float* logits, const std::uint32_t* words, float* lane_max) {
    const Floats lowest = Floats{} - kInfinity;
    Floats all = lowest;
    Floats allowed = lowest;
    const Ints ones = Ints{} + 1;
    Ints nan = {};
    for (std::size_t row = 0; row < kChunk / kLanes; ++row) {
        Floats x;
        Floats kept;
        load(x, logits + row * kLanes);
        nan = x == x ? nan : ones;
        raise_to(all, x);
        CONSTRAIN_PICK(kept, row_bits(words, row), x, lowest);
        raise_to(allowed, kept);
    }
    store(lane_max, allowed);
    std::int32_t any = 0;
    for (std::size_t i = 0; i < kLanes; ++i) {
        any |= nan[i];
    }
    std::int32_t n = 0;  // here, where the instruction set may have one for it
    for (std::size_t i = 0; i < kChunkWords; ++i) {
        n += __builtin_popcount(words[i]);
    }
    return {top_of(all), top_of(allowed), any != 0, n};
}

// Adds e^(x - max) to the sum it belongs to; x becomes it, where that is not 0.
CONSTRAIN_INLINE void measure(Floats& x, std::uint32_t bits, float max, Floats& allowed,
                              Floats& forbidden) {
    const Floats lowest = Floats{} + kLowestExponent;
    x -= max;
    const std::uint32_t counted = CONSTRAIN_GE_BITS(x, lowest);
    exponentiate(x);
    CONSTRAIN_ADD(allowed, counted & bits, x);
    CONSTRAIN_ADD(forbidden, counted & ~bits, x);
}

ChunkMass masses(const float* logits, const std::uint32_t* words, float max) {
    Floats allowed = {};
    Floats forbidden = {};
    for (std::size_t row = 0; row < kChunk / kLanes; ++row) {
        Floats x;
        load(x, logits + row * kLanes);
        measure(x, row_bits(words, row), max, allowed, forbidden);
    }
    return {sum_of(allowed), sum_of(forbidden), 0};
}

ChunkMass share(const float* logits, const std::uint32_t* words, const Weighing& how, float* out) {
    const Floats zero = {};
    const Floats least = Floats{} + least_weighed(how);
    Floats allowed = {};
    Floats forbidden = {};
    Floats kept = {};
    for (std::size_t row = 0; row < kChunk / kLanes; ++row) {
        Floats x;
        Floats weight;
        load(x, logits + row * kLanes);
        std::uint32_t bits = row_bits(words, row);
        std::uint32_t above = CONSTRAIN_GE_BITS(x, least);
        measure(x, bits, how.max, allowed, forbidden);
        CONSTRAIN_PICK(weight, bits & above, x, zero);
        kept += weight;
        store(out + row * kLanes, weight);
    }
    return {sum_of(allowed), sum_of(forbidden), sum_of(kept)};
}

ChunkMass pair(const float* logits, const std::uint32_t* words, float max, const Weighing& how,
               float* out) {
    const Floats zero = {};
    const Floats least = Floats{} + least_weighed(how);
    Floats allowed = {};
    Floats forbidden = {};
    Floats kept = {};
    for (std::size_t row = 0; row < kChunk / kLanes; ++row) {
        Floats x;
        load(x, logits + row * kLanes);
        const std::uint32_t bits = row_bits(words, row);
        const std::uint32_t weighed = bits & CONSTRAIN_GE_BITS(x, least);
        Floats weight = (x - how.max) * how.scale;
        measure(x, bits, max, allowed, forbidden);
        if (weighed != 0) {
            exponentiate(weight);
            CONSTRAIN_PICK(weight, weighed, weight, zero);
            kept += weight;
            store(out + row * kLanes, weight);
        } else {
            store(out + row * kLanes, zero);
        }
    }
    return {sum_of(allowed), sum_of(forbidden), sum_of(kept)};
}

void mask(const float* logits, const std::uint32_t* words, float* out) {
    const Floats lowest = Floats{} - kInfinity;
    for (std::size_t row = 0; row < kChunk / kLanes; ++row) {
        Floats x;
        load(x, logits + row * kLanes);
        CONSTRAIN_PICK(x, row_bits(words, row), x, lowest);
        store(out + row * kLanes, x);
    }
}

float weigh(const float* values, const Weighing& how, float* out) {
    const Floats zero = {};
    const Floats least = Floats{} + least_weighed(how);
    Floats mass = {};
    for (std::size_t row = 0; row < kChunk / kLanes; ++row) {
        Floats x;
        load(x, values + row * kLanes);
        const std::uint32_t above = CONSTRAIN_GE_BITS(x, least);
        x = (x - how.max) * how.scale;
        exponentiate(x);
        CONSTRAIN_PICK(x, above, x, zero);
        mass += x;
        store(out + row * kLanes, x);
    }
    return sum_of(mass);
}

float kept(const float* values, const float* weights, float least) {
    const Floats zero = {};
    Floats mass = {};
    for (std::size_t row = 0; row < kChunk / kLanes; ++row) {
        Floats value;
        Floats weight;
        load(value, values + row * kLanes);
        load(weight, weights + row * kLanes);
        mass += value >= least ? weight : zero;
    }
    return sum_of(mass);
}

// Appends the positions of the set bits of a row.
CONSTRAIN_INLINE void append(std::uint32_t bits, std::size_t base, std::int32_t* positions,
                             std::size_t& n) {
    for (; bits != 0; bits &= bits - 1) {
        positions[n++] = static_cast<std::int32_t>(base) + std::countr_zero(bits);
    }
}

float band(const float* weights, float low, float high, std::int32_t* positions, std::size_t* n) {
    const Floats lows = Floats{} + low;
    const Floats highs = Floats{} + high;
    Floats mass = {};
    std::size_t found = 0;
    for (std::size_t row = 0; row < kChunk / kLanes; ++row) {
        Floats x;
        load(x, weights + row * kLanes);
        const std::uint32_t above = CONSTRAIN_GE_BITS(x, highs);
        const std::uint32_t inside = CONSTRAIN_GE_BITS(x, lows) & ~above;
        CONSTRAIN_ADD(mass, above, x);
        append(inside, row * kLanes, positions, found);
    }
    *n = found;
    return sum_of(mass);
}

// x = |x - center|; +inf for -inf.
CONSTRAIN_INLINE void away(Floats& x, float center) {
    x -= center;
    x = x < 0.0F ? -x : x;
}

float ring(const float* values, const float* weights, float center, float low, float high,
           std::int32_t* positions, std::size_t* n) {
    const Floats lows = Floats{} + low;
    const Floats highs = Floats{} + high;
    Floats mass = {};
    std::size_t found = 0;
    for (std::size_t row = 0; row < kChunk / kLanes; ++row) {
        Floats x;
        Floats weight;
        load(x, values + row * kLanes);
        load(weight, weights + row * kLanes);
        away(x, center);
        const std::uint32_t far = CONSTRAIN_GE_BITS(x, lows);
        const std::uint32_t outside = CONSTRAIN_GE_BITS(x, highs);
        CONSTRAIN_ADD(mass, ~far, weight);
        append(far & ~outside, row * kLanes, positions, found);
    }
    *n = found;
    return sum_of(mass);
}

// Keeps of a row's bits those in `bits`.
CONSTRAIN_INLINE void restrict_row(std::uint32_t* words, std::size_t row, std::uint32_t bits) {
    const std::size_t shift = 16 * (row % 2);
    words[row / 2] &= (bits << shift) | (0xFFFFU << (16 - shift));
}

void within(const float* values, float low, float high, std::uint32_t* words) {
    const Floats lows = Floats{} + low;
    const Floats highs = Floats{} + high;
    for (std::size_t row = 0; row < kChunk / kLanes; ++row) {
        Floats x;
        load(x, values + row * kLanes);
        restrict_row(words, row, CONSTRAIN_GE_BITS(x, lows) & CONSTRAIN_GE_BITS(highs, x));
    }
}

void inside(const float* values, float center, float high, std::uint32_t* words) {
    const Floats highs = Floats{} + high;
    for (std::size_t row = 0; row < kChunk / kLanes; ++row) {
        Floats x;
        load(x, values + row * kLanes);
        away(x, center);
        restrict_row(words, row, 0xFFFFU & ~CONSTRAIN_GE_BITS(x, highs));
    }
}

float moment(const float* values, const float* weights, float center) {
    const Floats zero = {};
    Floats sum = {};
    for (std::size_t row = 0; row < kChunk / kLanes; ++row) {
        Floats x;
        Floats weight;
        load(x, values + row * kLanes);
        load(weight, weights + row * kLanes);
        x = (x - center) * weight;
        sum += weight > 0.0F ? x : zero;
    }
    return sum_of(sum);
}

ChunkSpread spread(const float* values, float center) {
    const Floats zero = {};
    const Floats one = zero + 1.0F;
    const Floats lowest = zero - kInfinity;
    Floats n = {};
    Floats sum = {};
    Floats squares = {};
    for (std::size_t row = 0; row < kChunk / kLanes; ++row) {
        Floats x;
        load(x, values + row * kLanes);
        n += x > lowest ? one : zero;
        x = x > lowest ? x - center : zero;
        sum += x;
        squares += x * x;
    }
    return {sum_of(n), sum_of(sum), sum_of(squares)};
}

constexpr VectorLoops loops{maxima, masses, share, pair,   mask,   weigh, kept,
                            band,   ring,   within, inside, moment, spread};
