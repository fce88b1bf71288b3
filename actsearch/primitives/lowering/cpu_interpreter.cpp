// Runs a program of operators on blocks of elements that stay in the first-level cache.
//
// The operators (namespace kernel) and the table OPERATORS of their block loops are put before this
// text by cpu_interpreter.py. A program is data, so a new expression needs no compilation.

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>
#ifdef _OPENMP
#include <omp.h>
#endif

namespace {

constexpr int64_t BLOCK = 1024;  // 4 KiB a register: a few fit into the first-level cache
// Registers a multiple of 4 KiB apart would compete for the same few places in that cache.
constexpr int64_t STRIDE = BLOCK + 16;
constexpr int64_t LEAST_PER_THREAD = 16384;  // below, waking a thread costs more than it saves

enum Storage : int32_t { FLOAT32 = 0, BFLOAT16 = 1, FLOAT16 = 2 };
enum OutputKind : int32_t { STORED = 0, SUMMED = 1, SUMMED_BY_CHANNEL = 2 };

struct Step {
    int32_t operation, left, right, target;
};

struct Output {
    int32_t slot, kind, direct;  // direct: a step writes the slot, and no other output has it
};

}  // namespace

extern "C" {

// Slots are numbered inputs first, then parameters, constants, and results of steps.
struct Program {
    int32_t inputs, parameters, constants, registers, steps, outputs;
    const int32_t* by_channel;  // one for each parameter
    const float* constant;
    const Step* step;
    const Output* output;
};

// Element m, counted in the order of memory, belongs to channel (m / inner) % channels.
struct Layout {
    int64_t elements, channels, inner, storage, threads;
};
}

namespace {

// Where a block begins: its channel, and how many elements of that channel came before.
struct Place {
    int64_t channel, offset;

    Place(const Layout& layout, int64_t start)
        : channel((start / layout.inner) % layout.channels), offset(start % layout.inner) {}

    // Calls body(first element, count, channel) for each run of one channel in n elements.
    template <typename Body>
    void runs(const Layout& layout, int64_t n, Body body) const {
        int64_t c = channel, before = offset;
        for (int64_t i = 0; i < n;) {
            const int64_t length = std::min(n - i, layout.inner - before);
            body(i, length, c);
            i += length;
            before = 0;
            c = c + 1 == layout.channels ? 0 : c + 1;
        }
    }

    // The same where inner is 1: body(first element, count, first channel), channels rising.
    template <typename Body>
    void sweeps(const Layout& layout, int64_t n, Body body) const {
        int64_t c = channel;
        for (int64_t i = 0; i < n;) {
            const int64_t length = std::min(n - i, layout.channels - c);
            body(i, length, c);
            i += length;
            c = 0;
        }
    }
};

uint32_t bits_of(float x) {
    uint32_t bits;
    std::memcpy(&bits, &x, 4);
    return bits;
}

float float_of(uint32_t bits) {
    float x;
    std::memcpy(&x, &bits, 4);
    return x;
}

float from_bfloat16(uint16_t half) { return float_of(static_cast<uint32_t>(half) << 16); }

// To the nearest, to even where two are as near.
uint16_t to_bfloat16(float x) {
    const uint32_t bits = bits_of(x);
    const uint32_t rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
    return static_cast<uint16_t>((bits & 0x7fffffff) > 0x7f800000 ? 0x7fc0 : rounded);
}

float from_float16(uint16_t half) {
    const uint32_t size = (half & 0x7fffu) << 13;
    // The product moves the exponent from its bias of 15 to that of 127, subnormal numbers too.
    const uint32_t finite = bits_of(float_of(size) * 0x1p112f);
    const uint32_t bits = size >= 0x0f800000 ? size | 0x70000000 : finite;
    return float_of(bits | (half & 0x8000u) << 16);
}

uint16_t to_float16(float x) {
    const uint32_t bits = bits_of(x), sign = bits >> 16 & 0x8000, size = bits & 0x7fffffff;
    const uint32_t normal = (size - 0x38000000 + 0xfff + (size >> 13 & 1)) >> 13;
    // Adding 0.5 leaves a subnormal result, rounded, in the lowest bits.
    const uint32_t subnormal = bits_of(float_of(size) + 0.5f) - 0x3f000000;
    uint32_t half = size < 0x38800000 ? subnormal : normal;
    half = size >= 0x477ff000 ? 0x7c00 : half;
    half = size > 0x7f800000 ? 0x7e00 : half;
    return static_cast<uint16_t>(sign | half);
}

template <float Convert(uint16_t)>
void widen(float* to, const void* from, int64_t n) {
    const auto* halves = static_cast<const uint16_t*>(from);
    for (int64_t i = 0; i < n; i++) to[i] = Convert(halves[i]);
}

template <uint16_t Convert(float)>
void narrow(void* to, const float* from, int64_t n) {
    auto* halves = static_cast<uint16_t*>(to);
    for (int64_t i = 0; i < n; i++) halves[i] = Convert(from[i]);
}

void read_block(int64_t storage, float* to, const void* tensor, int64_t start, int64_t n) {
    const void* from = static_cast<const uint16_t*>(tensor) + start;
    storage == BFLOAT16 ? widen<from_bfloat16>(to, from, n) : widen<from_float16>(to, from, n);
}

void write_block(int64_t storage, void* tensor, const float* from, int64_t start, int64_t n) {
    void* to = static_cast<uint16_t*>(tensor) + start;
    storage == BFLOAT16 ? narrow<to_bfloat16>(to, from, n) : narrow<to_float16>(to, from, n);
}

float sum(const float* from, int64_t n) {
    float total = 0;
#pragma omp simd reduction(+ : total)
    for (int64_t i = 0; i < n; i++) total += from[i];
    return total;
}

// One thread's registers and sums, and the loop over its share of the elements.
struct Worker {
    const Program& program;
    const Layout& layout;
    const int32_t leaves;
    std::unique_ptr<float[]> memory;
    std::vector<float*> slot;
    std::vector<std::vector<double>> sums;

    Worker(const Program& p, const Layout& l)
        : program(p), layout(l), leaves(p.inputs + p.parameters + p.constants),
          memory(new float[static_cast<size_t>((leaves + p.registers) * STRIDE + 16)]),
          slot(static_cast<size_t>(leaves + p.registers)), sums(static_cast<size_t>(p.outputs)) {
        // A vector load that crosses a cache line costs two.
        const auto address = reinterpret_cast<uintptr_t>(memory.get());
        float* aligned = memory.get() + (64 - address % 64) % 64 / sizeof(float);
        for (size_t i = 0; i < slot.size(); i++) slot[i] = aligned + static_cast<int64_t>(i) * STRIDE;
    }

    void run(int64_t begin, int64_t end, const void* const* inputs, const float* const* parameters,
             void* const* outputs) {
        prepare(std::min(BLOCK, end - begin), parameters);
        for (int64_t start = begin; start < end; start += BLOCK) {
            const int64_t n = std::min(BLOCK, end - start);
            const Place place(layout, start);
            read(start, n, place, inputs, parameters, outputs);
            for (int32_t i = 0; i < program.steps; i++) {
                const Step& step = program.step[i];
                OPERATORS[step.operation](slot[step.target], slot[step.left], slot[step.right], n);
            }
            write(start, n, place, outputs);
        }
    }

private:
    void prepare(int64_t n, const float* const* parameters) {
        for (int32_t i = 0; i < program.parameters; i++)
            if (!program.by_channel[i]) std::fill_n(slot[program.inputs + i], n, *parameters[i]);
        for (int32_t i = 0; i < program.constants; i++)
            std::fill_n(slot[program.inputs + program.parameters + i], n, program.constant[i]);
        for (int32_t i = 0; i < program.outputs; i++) {
            const int32_t kind = program.output[i].kind;
            if (kind != STORED) sums[i].assign(kind == SUMMED ? 1 : layout.channels, 0.0);
        }
    }

    void read(int64_t start, int64_t n, const Place& place, const void* const* inputs,
              const float* const* parameters, void* const* outputs) {
        for (int32_t i = 0; i < program.inputs; i++) {
            if (layout.storage == FLOAT32)
                slot[i] = const_cast<float*>(static_cast<const float*>(inputs[i])) + start;
            else
                read_block(layout.storage, slot[i], inputs[i], start, n);
        }
        for (int32_t i = 0; i < program.parameters; i++) {
            if (!program.by_channel[i]) continue;
            float* block = slot[program.inputs + i];
            const float* values = parameters[i];
            if (layout.inner == 1)
                place.sweeps(layout, n, [&](int64_t first, int64_t count, int64_t c) {
                    std::copy_n(values + c, count, block + first);
                });
            else
                place.runs(layout, n, [&](int64_t first, int64_t count, int64_t c) {
                    std::fill_n(block + first, count, values[c]);
                });
        }
        if (layout.storage == FLOAT32)
            for (int32_t i = 0; i < program.outputs; i++)
                if (program.output[i].kind == STORED && program.output[i].direct)
                    slot[program.output[i].slot] = static_cast<float*>(outputs[i]) + start;
    }

    void write(int64_t start, int64_t n, const Place& place, void* const* outputs) {
        for (int32_t i = 0; i < program.outputs; i++) {
            const Output& output = program.output[i];
            const float* block = slot[output.slot];
            double* total = sums[i].data();
            if (output.kind == SUMMED) {
                total[0] += sum(block, n);
            } else if (output.kind == SUMMED_BY_CHANNEL && layout.inner == 1) {
                place.sweeps(layout, n, [&](int64_t first, int64_t count, int64_t c) {
                    for (int64_t j = 0; j < count; j++) total[c + j] += block[first + j];
                });
            } else if (output.kind == SUMMED_BY_CHANNEL) {
                place.runs(layout, n, [&](int64_t first, int64_t count, int64_t c) {
                    total[c] += sum(block + first, count);
                });
            } else if (layout.storage != FLOAT32) {
                write_block(layout.storage, outputs[i], block, start, n);
            } else if (!output.direct) {
                std::copy_n(block, n, static_cast<float*>(outputs[i]) + start);
            }
        }
    }
};

}  // namespace

// A call is a layout and then the addresses of inputs, parameters and outputs. Stored outputs have
// the storage of the inputs; sums are float32, parameters too.
extern "C" void actsearch_run(const Program* program, const int64_t* call) {
    const auto* layout = reinterpret_cast<const Layout*>(call);
    const auto* inputs = reinterpret_cast<const void* const*>(layout + 1);
    const auto* parameters = reinterpret_cast<const float* const*>(inputs + program->inputs);
    auto* outputs = const_cast<void* const*>(
        reinterpret_cast<const void* const*>(parameters + program->parameters));
    const int64_t blocks = (layout->elements + BLOCK - 1) / BLOCK;
    const int64_t useful = std::max<int64_t>(1, layout->elements / LEAST_PER_THREAD);
    const int threads = static_cast<int>(std::min<int64_t>(layout->threads, useful));
    std::vector<Worker> workers;
    workers.reserve(static_cast<size_t>(threads));
    for (int t = 0; t < threads; t++) workers.emplace_back(*program, *layout);
    auto share = [&](int t) {
        const int64_t begin = blocks * t / threads * BLOCK;
        const int64_t end = std::min(layout->elements, blocks * (t + 1) / threads * BLOCK);
        workers[static_cast<size_t>(t)].run(begin, end, inputs, parameters, outputs);
    };
    if (threads == 1) {
        share(0);
    } else {
#pragma omp parallel for num_threads(threads) schedule(static, 1)
        for (int t = 0; t < threads; t++) share(t);
    }
    for (int32_t i = 0; i < program->outputs; i++) {
        const int32_t kind = program->output[i].kind;
        if (kind == STORED) continue;
        const int64_t count = kind == SUMMED ? 1 : layout->channels;
        float* result = static_cast<float*>(outputs[i]);
        for (int64_t c = 0; c < count; c++) {
            double total = 0;  // in the order of the elements, so that equal calls give equal bits
            for (const Worker& worker : workers) total += worker.sums[static_cast<size_t>(i)][c];
            result[c] = static_cast<float>(total);
        }
    }
}
