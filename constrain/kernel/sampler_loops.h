// The bodies of VectorLoops; sampler_vectors.cpp includes this once for each instruction set,
// inside a namespace, after defining ge_bits, pick, add, raise_to and kFused for it.
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
    Floats allowed = lowest;
    Floats forbidden = lowest;
    std::uint32_t numbers = 0xFFFFU;
    for (std::size_t row = 0; row < kChunk / kLanes; ++row) {
        Floats x;
        Floats kept;
        load(x, logits + row * kLanes);
        numbers &= ge_bits(x, x);
        pick(kept, row_bits(words, row), x, lowest);
        raise_to(allowed, kept);
        pick(kept, row_bits(words, row), lowest, x);
        raise_to(forbidden, kept);
    }
    store(lane_max, allowed);
    std::int32_t n = 0;  // here, where the instruction set may have one for it
    for (std::size_t i = 0; i < kChunkWords; ++i) {
        n += __builtin_popcount(words[i]);
    }
    return {top_of(allowed), top_of(forbidden), (numbers & 0xFFFFU) != 0xFFFFU, n};
}

// Adds e^(x - max) to the sum it belongs to; x becomes it, where that is not 0: returns where.
CONSTRAIN_INLINE std::uint32_t measure(Floats& x, std::uint32_t bits, float max, Floats& allowed,
                              Floats& forbidden) {
    const Floats lowest = Floats{} + kLowestExponent;
    x -= max;
    const std::uint32_t counted = ge_bits(x, lowest);
    exponentiate(x);
    add(allowed, counted & bits, x);
    add(forbidden, counted & ~bits, x);
    return counted;
}

ChunkMass masses(const float* logits, const std::uint32_t* words, float max) {
    Floats allowed = {};
    Floats forbidden = {};
    for (std::size_t row = 0; row < kChunk / kLanes; ++row) {
        Floats x;
        load(x, logits + row * kLanes);
        measure(x, row_bits(words, row), max, allowed, forbidden);
    }
    return {sum_of(allowed), sum_of(forbidden), 0, 0, 0};
}

ChunkMoments moments(const float* logits, const std::uint32_t* words, float max, float shift) {
    const Floats lowest = Floats{} + kLowestExponent;
    Floats sums[4] = {};
    for (std::size_t row = 0; row < kChunk / kLanes; ++row) {
        Floats x;
        load(x, logits + row * kLanes);
        x -= max;
        const std::uint32_t counted = ge_bits(x, lowest);
        const std::uint32_t allowed = counted & row_bits(words, row);
        Floats weight = x;
        exponentiate(weight);
        Floats distance = x + shift;
        distance *= weight;
        x *= weight;
        add(sums[0], allowed, weight);
        add(sums[1], counted & ~allowed, weight);
        add(sums[2], allowed, distance);
        add(sums[3], counted & ~allowed, x);
    }
    return {sum_of(sums[0]), sum_of(sums[1]), sum_of(sums[2]), sum_of(sums[3])};
}

// The numbers of a pass, each in all lanes. Made once: parts that are written one by one cannot
// be read as a whole without waiting.
struct Numbers {
    Floats least;
    Floats max;
    Floats scale;
    Floats center;
    Floats nearer;   // values or distances where the ring begins
    Floats farther;  // and ends
};

// x = |x - center|; +inf for -inf.
CONSTRAIN_INLINE void away(Floats& x, const Floats& center) {
    x -= center;
    x = reinterpret_cast<Floats>(reinterpret_cast<Bits>(x) & 0x7FFFFFFFU);
}

// What pass() reads and sums.
struct Sums {
    Floats allowed;
    Floats forbidden;
    Floats kept;
    Floats moment;
    Floats near;
};

// One row of pass(); returns its bits of the ring.
CONSTRAIN_INLINE std::uint32_t pass_row(const float* logits, std::uint32_t allowed,
                                        std::uint32_t weighed, float max, const Numbers& how,
                                        Sums& sums, Exponentials source, Extra extra) {
    Floats x;
    load(x, logits);
    Floats weight = x;
    std::uint32_t bits = 0;
    if (source == kWhole) {
        bits = allowed & measure(weight, allowed, max, sums.allowed, sums.forbidden);
    } else {
        bits = weighed & ge_bits(x, how.least);
        if (source != kAlone) {
            measure(weight, allowed, max, sums.allowed, sums.forbidden);
        }
    }
    if (source == kAlone || source == kPaired) {
        if (bits == 0) {
            return 0;
        }
        weight = (x - how.max) * how.scale;
        exponentiate(weight);
    }
    if (source != kWhole) {
        add(sums.kept, bits, weight);
    }
    if (extra == kMoment || extra == kAround) {
        Floats product = (x - how.max) * weight;
        add(sums.moment, bits, product);
    }
    std::uint32_t near = 0;
    std::uint32_t inside = 0;
    if (extra == kBelow) {
        near = bits & ge_bits(x, how.nearer);
        inside = bits & ge_bits(x, how.farther);
    } else if (extra == kAround) {
        away(x, how.center);
        near = bits & ~ge_bits(x, how.nearer);
        inside = bits & ~ge_bits(x, how.farther);
    } else {
        return 0;
    }
    add(sums.near, near, weight);
    return inside & ~near;
}

// The last two are constants wherever this is called.
CONSTRAIN_INLINE ChunkMass pass(const float* logits, const std::uint32_t* words, float max,
                                const std::uint32_t* weighed, const Weighing& given,
                                std::uint32_t* ring, Exponentials source, Extra extra) {
    const bool below = extra == kBelow;
    const Numbers how{Floats{} + least_weighed(given),
                     Floats{} + given.max,
                     Floats{} + given.scale,
                     Floats{} + given.center,
                     Floats{} + (below ? given.inner : given.low),
                     Floats{} + (below ? given.outer : given.high)};
    Sums sums = {};
    for (std::size_t word = 0; word < kChunkWords; ++word) {
        const float* row = logits + word * 2 * kLanes;
        const std::uint32_t low = pass_row(row, words[word] & 0xFFFFU, weighed[word] & 0xFFFFU, max,
                                           how, sums, source, extra);
        const std::uint32_t high = pass_row(row + kLanes, words[word] >> 16, weighed[word] >> 16,
                                            max, how, sums, source, extra);
        if (extra == kBelow || extra == kAround) {
            ring[word] = (low & 0xFFFFU) | high << 16;
        }
    }
    const float all = sum_of(sums.allowed);
    return {all, sum_of(sums.forbidden), source == kWhole ? all : sum_of(sums.kept),
            sum_of(sums.moment), sum_of(sums.near)};
}

#define CONSTRAIN_PASS(name, source, extra)                                                       \
    ChunkMass name(const float* logits, const std::uint32_t* words, float max,                    \
                   const std::uint32_t* weighed, const Weighing& how, std::uint32_t* ring) {      \
        return pass(logits, words, max, weighed, how, ring, source, extra);                       \
    }
CONSTRAIN_PASS(alone, kAlone, kNothing)
CONSTRAIN_PASS(alone_moment, kAlone, kMoment)
CONSTRAIN_PASS(alone_below, kAlone, kBelow)
CONSTRAIN_PASS(alone_around, kAlone, kAround)
CONSTRAIN_PASS(whole, kWhole, kNothing)
CONSTRAIN_PASS(whole_moment, kWhole, kMoment)
CONSTRAIN_PASS(whole_below, kWhole, kBelow)
CONSTRAIN_PASS(whole_around, kWhole, kAround)
CONSTRAIN_PASS(shared, kShared, kNothing)
CONSTRAIN_PASS(shared_moment, kShared, kMoment)
CONSTRAIN_PASS(shared_below, kShared, kBelow)
CONSTRAIN_PASS(shared_around, kShared, kAround)
CONSTRAIN_PASS(paired, kPaired, kNothing)
CONSTRAIN_PASS(paired_moment, kPaired, kMoment)
CONSTRAIN_PASS(paired_below, kPaired, kBelow)
CONSTRAIN_PASS(paired_around, kPaired, kAround)
#undef CONSTRAIN_PASS

void mask(const float* logits, const std::uint32_t* words, float* out) {
    const Floats lowest = Floats{} - kInfinity;
    for (std::size_t row = 0; row < kChunk / kLanes; ++row) {
        Floats x;
        load(x, logits + row * kLanes);
        pick(x, row_bits(words, row), x, lowest);
        store(out + row * kLanes, x);
    }
}

void others(const float* logits, const std::uint32_t* words, std::size_t row, const float* lane_max,
            float* out) {
    const Floats lowest = Floats{} - kInfinity;
    Floats x;
    Floats top;
    load(x, logits + row * kLanes);
    load(top, lane_max);
    pick(x, row_bits(words, row) & ~ge_bits(x, top), x, lowest);
    store(out, x);
}

float weigh(const float* values, const Weighing& how, float* out) {
    const Floats zero = {};
    const Floats least = Floats{} + least_weighed(how);
    Floats mass = {};
    for (std::size_t row = 0; row < kChunk / kLanes; ++row) {
        Floats x;
        load(x, values + row * kLanes);
        const std::uint32_t above = ge_bits(x, least);
        x = (x - how.max) * how.scale;
        exponentiate(x);
        pick(x, above, x, zero);
        mass += x;
        store(out + row * kLanes, x);
    }
    return sum_of(mass);
}

float kept(const float* values, const float* weights, float least) {
    const Floats leasts = Floats{} + least;
    Floats mass = {};
    for (std::size_t row = 0; row < kChunk / kLanes; ++row) {
        Floats value;
        Floats weight;
        load(value, values + row * kLanes);
        load(weight, weights + row * kLanes);
        add(mass, ge_bits(value, leasts), weight);
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

std::size_t band(const float* values, float low, float high, std::int32_t* positions) {
    const Floats lows = Floats{} + low;
    const Floats highs = Floats{} + high;
    std::size_t found = 0;
    for (std::size_t row = 0; row < kChunk / kLanes; ++row) {
        Floats x;
        load(x, values + row * kLanes);
        const std::uint32_t above = ge_bits(x, highs);
        append(ge_bits(x, lows) & ~above, row * kLanes, positions, found);
    }
    return found;
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
        restrict_row(words, row, ge_bits(x, lows) & ge_bits(highs, x));
    }
}

std::int32_t count(const float* logits, const std::uint32_t* words, float least) {
    const Floats leasts = Floats{} + least;
    std::int32_t n = 0;
    for (std::size_t row = 0; row < kChunk / kLanes; row += 2) {
        Floats x;
        load(x, logits + row * kLanes);
        const std::uint32_t low = ge_bits(x, leasts) & 0xFFFFU;
        load(x, logits + (row + 1) * kLanes);
        const std::uint32_t high = ge_bits(x, leasts) << 16;
        n += __builtin_popcount(words[row / 2] & (low | high));
    }
    return n;
}

ChunkSpread spread(const float* logits, const std::uint32_t* words, float least, float center) {
    const Floats one = Floats{} + 1.0F;
    const Floats leasts = Floats{} + least;
    Floats n = {};
    Floats sum = {};
    Floats squares = {};
    for (std::size_t row = 0; row < kChunk / kLanes; ++row) {
        Floats x;
        load(x, logits + row * kLanes);
        const std::uint32_t bits = row_bits(words, row) & ge_bits(x, leasts);
        x -= center;
        add(n, bits, one);
        add(sum, bits, x);
        x *= x;
        add(squares, bits, x);
    }
    return {sum_of(n), sum_of(sum), sum_of(squares)};
}

constexpr VectorLoops loops{maxima,
                            masses,
                            moments,
                            {{alone, alone_moment, alone_below, alone_around},
                             {whole, whole_moment, whole_below, whole_around},
                             {shared, shared_moment, shared_below, shared_around},
                             {paired, paired_moment, paired_below, paired_around}},
                            mask,
                            others,
                            weigh,
                            kept,
                            band,
                            within,
                            count,
                            spread};
