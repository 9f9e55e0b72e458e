// Float32 matrix products on a CPU with AMX, one thread, and what Llama does on the way: norms before, SwiGLU between, residuals after.
//
// AMX multiplies matrices of bfloat16 and adds in float32. A float32 number has 24 significant bits, a bfloat16 8, so each number is the sum
// of three, exactly: x = x1 + x2 + x3. Of the nine products of two such sums the six largest are added up; what is left out is 2^-27 of the
// product at its typical and 2^-23 at its largest, where a float32 sum is rounded by 2^-24 at every step. Results are as close to float64's as
// those of a float32 kernel, or closer (measured: docs/benchmarks.md). S says how many numbers stand for one: 3, or 1 where bfloat16 is wanted.

#include <sys/syscall.h>
#include <unistd.h>

#include "vector.h"

namespace {

using Half = uint16_t;
constexpr int64_t TILE = 512;          // bfloat16 numbers of a tile: 16 rows of 32
constexpr int64_t ROWS_AT_ONCE = 256;  // packed rows that stay in the cache while the weights pass by: the more, the less often these do
constexpr int64_t SLAB = 768;          // columns of so many rows that the cache holds (1.2 MB where S is 3); wider rows come in slabs

// 32 numbers as S rows of 32 bfloat16, `stride` apart: what one row leaves over goes into the next.
template <int S>
void split(__m512 a, __m512 b, Half* out, int64_t stride) {
    for (int s = 0; s < S; s++, out += stride) {
        const __m256i ha = (__m256i)_mm512_cvtneps_pbh(a), hb = (__m256i)_mm512_cvtneps_pbh(b);
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(out), ha);
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + 16), hb);
        a = _mm512_sub_ps(a, _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(ha), 16)));
        b = _mm512_sub_ps(b, _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(hb), 16)));
    }
}

// Columns begin..end of rows (n, K) as tiles [block of 16 rows][step of 32 columns][S][16][32], the last pair of blocks filled up with zeros.
// With a norm, a row is first divided by its root mean square and multiplied by `norm` (RMSNorm: Zhang & Sennrich 2019, eq. 4).
template <int S>
void pack_rows(const float* x, int64_t n, int64_t K, int64_t begin, int64_t end, const float* norm, float eps, Half* out) {
    const int64_t steps = up(end - begin, 32) / 32;
    for (int64_t m = 0; m < up(n, 32); m++) {
        Half* to = out + m / 16 * steps * S * TILE + m % 16 * 32;
        const float* row = x + m * K;
        __m512 scale = _mm512_set1_ps(1.f);
        if (norm && m < n) {
            __m512 squares = _mm512_setzero_ps();
            for (int64_t k = 0; k < K; k += 16) {
                const __m512 v = _mm512_maskz_loadu_ps(first(K - k), row + k);
                squares = _mm512_fmadd_ps(v, v, squares);
            }
            scale = _mm512_set1_ps(static_cast<float>(1 / std::sqrt(sum_of(squares) / K + eps)));
        }
        for (int64_t step = 0; step < steps; step++, to += S * TILE) {
            __m512 v[2];
            for (int i = 0; i < 2; i++) {
                const int64_t k = begin + step * 32 + i * 16;
                const __mmask16 mask = m < n ? first(end - k) : 0;
                v[i] = _mm512_maskz_loadu_ps(mask, row + k);
                if (norm) v[i] = _mm512_mul_ps(_mm512_mul_ps(v[i], scale), _mm512_maskz_loadu_ps(mask, norm + k));
            }
            split<S>(v[0], v[1], to, TILE);
        }
    }
}

void configure_tiles() {
    struct alignas(64) { uint8_t palette, start, reserved[14]; uint16_t bytes[16]; uint8_t rows[16]; } config = {};
    config.palette = 1;
    std::fill_n(config.bytes, 8, 64);
    std::fill_n(config.rows, 8, 16);
    _tile_loadconfig(&config);
}

#define ROWS(s) _tile_loadd(4, a + (s) * TILE, 64); _tile_loadd(5, a + next + (s) * TILE, 64);
#define COLUMNS(s) _tile_loadd(6, b + (s) * TILE, 64); _tile_loadd(7, b + next_weights + (s) * TILE, 64);
#define MULTIPLY _tile_dpbf16ps(0, 4, 6); _tile_dpbf16ps(1, 4, 7); _tile_dpbf16ps(2, 5, 6); _tile_dpbf16ps(3, 5, 7);

// Packed columns begin..end of rows (n, K) times those of packed weights (N, K): `use(row, column, block)` gets every block (32, 32) of the
// product.
template <int S, class Use>
void multiply(const Half* rows, int64_t n, const Half* weights, int64_t N, int64_t K, int64_t begin, int64_t end, Use use) {
    const int64_t steps = up(end - begin, 32) / 32, next = steps * S * TILE, next_weights = up(K, 32) / 32 * S * TILE;
    weights += begin / 32 * S * TILE;
    const int64_t ahead = 2 * S * TILE / (up(n, 32) / 32);  // of the next columns' weights, fetched into the cache at each step
    alignas(64) float block[32 * 32];
    for (int64_t column = 0; column < N; column += 32)
        for (int64_t row = 0; row < n; row += 32) {
            _tile_zero(0); _tile_zero(1); _tile_zero(2); _tile_zero(3);
            const Half *a = rows + row / 16 * next, *b = weights + column / 16 * next_weights;
            const int64_t done = row / 32 * steps * ahead;
            const Half* soon = b + 2 * next_weights + done + (done < next ? 0 : next_weights - next);
            for (int64_t step = 0; step < steps; step++, a += S * TILE, b += S * TILE, soon += ahead) {
                for (int64_t i = 0; i < ahead; i += 32) _mm_prefetch(soon + i, _MM_HINT_T1);
                if constexpr (S == 3) {  // 3·1, 2·1, 2·2, 1·2, 1·3, 1·1: the order that loads the fewest tiles
                    ROWS(2) COLUMNS(0) MULTIPLY ROWS(1) MULTIPLY COLUMNS(1) MULTIPLY ROWS(0) MULTIPLY COLUMNS(2) MULTIPLY COLUMNS(0) MULTIPLY
                } else {
                    ROWS(0) COLUMNS(0) MULTIPLY
                }
            }
            _tile_stored(0, block, 128); _tile_stored(1, block + 16, 128);
            _tile_stored(2, block + 512, 128); _tile_stored(3, block + 528, 128);
            use(row, column, block);
        }
}

Scratch<Half> packed;
Scratch<float> inner;

// y (n, N) = norm(x (n, K)) · weights, or y += where `add`; n at most ROWS_AT_ONCE. Rows wider than a slab are summed slab by slab.
template <int S>
void into(const float* x, int64_t n, int64_t K, const float* norm, float eps, const Half* weights, int64_t N, float* y, bool add) {
    Half* rows = packed.of(ROWS_AT_ONCE * std::min(SLAB, up(K, 32)) * S);
    for (int64_t begin = 0; begin < K; begin += SLAB, add = true) {
        const int64_t end = std::min(K, begin + SLAB);
        pack_rows<S>(x, n, K, begin, end, norm, eps, rows);
        multiply<S>(rows, n, weights, N, K, begin, end, [&](int64_t row, int64_t column, const float* block) {
            for (int64_t m = row; m < std::min(n, row + 32); m++, block += 32)
                for (int64_t i = 0; i < 32; i += 16) {
                    const __mmask16 mask = first(N - column - i);
                    float* to = y + m * N + column + i;
                    __m512 v = _mm512_load_ps(block + i);
                    if (add) v = _mm512_add_ps(_mm512_maskz_loadu_ps(mask, to), v);
                    _mm512_mask_storeu_ps(to, mask, v);
                }
        });
    }
}

template <int S>
void project(const float* x, int64_t n, int64_t K, const float* norm, float eps, const Half* weights, int64_t N, float* y, bool add) {
    configure_tiles();
    for (int64_t m = 0; m < n; m += ROWS_AT_ONCE)
        into<S>(x + m * K, std::min(ROWS_AT_ONCE, n - m), K, norm, eps, weights, N, y + m * N, add);
    _tile_release();
}

// x += down(silu(gate(norm(x))) * up(norm(x))); gate_up holds 16 rows of gate, 16 of up, and so on.
template <int S>
void feed(float* x, int64_t n, int64_t H, int64_t F, const float* norm, float eps, const Half* gate_up, const Half* down) {
    configure_tiles();
    const int64_t F16 = up(F, 16), step = std::max<int64_t>(32, std::min(ROWS_AT_ONCE, ROWS_AT_ONCE * SLAB / up(H, 32) / 32 * 32));
    float* middle = inner.of(step * F16);
    for (int64_t m = 0; m < n; m += step) {
        const int64_t count = std::min(step, n - m);
        Half* rows = packed.of(step * up(H, 32) * S);
        pack_rows<S>(x + m * H, count, H, 0, H, norm, eps, rows);
        multiply<S>(rows, count, gate_up, 2 * F16, H, 0, H, [&](int64_t row, int64_t column, const float* block) {
            for (int64_t r = row; r < std::min(count, row + 32); r++, block += 32) {
                const __m512 gate = _mm512_load_ps(block), one = _mm512_set1_ps(1.f);
                const __m512 silu = _mm512_div_ps(gate, _mm512_add_ps(one, exp_of(_mm512_sub_ps(_mm512_setzero_ps(), gate))));
                _mm512_storeu_ps(middle + r * F16 + column / 2, _mm512_mul_ps(silu, _mm512_load_ps(block + 16)));
            }
        });
        into<S>(middle, count, F16, nullptr, 0, down, H, x + m * H, true);
    }
    _tile_release();
}

}  // namespace

extern "C" {

// Ask the kernel of the operating system for the tiles; whether it gave them.
int lmcore_start() { return syscall(SYS_arch_prctl, 0x1023, 18) == 0; }

// Weights (N, K) as tiles [block of 16 of N][step of 32 of K][S][16 pairs of K][16 of N][2], filled up with zeros to multiples of 32.
void lmcore_pack(const float* w, int64_t N, int64_t K, int64_t S, Half* out) {
    const int64_t steps = up(K, 32) / 32;
    alignas(64) Half parts[3 * 32];
    memset(out, 0, up(N, 32) * steps * 32 * S * sizeof(Half));
    for (int64_t n = 0; n < N; n++)
        for (int64_t step = 0; step < steps; step++) {
            const int64_t k = step * 32;
            const __m512 a = _mm512_maskz_loadu_ps(first(K - k), w + n * K + k), b = _mm512_maskz_loadu_ps(first(K - k - 16), w + n * K + k + 16);
            S == 3 ? split<3>(a, b, parts, 32) : split<1>(a, b, parts, 32);
            Half* to = out + (n / 16 * steps + step) * S * TILE + n % 16 * 2;
            for (int64_t s = 0; s < S; s++)
                for (int64_t j = 0; j < 32; j++) to[s * TILE + j / 2 * 32 + j % 2] = parts[s * 32 + j];
        }
}

// y (n, N) = norm(x (n, K)) · weights, or without a norm; y += where `add`.
void lmcore_linear(const float* x, int64_t n, int64_t K, const float* norm, float eps, const Half* w, int64_t N, int64_t S, float* y, int64_t add) {
    (S == 3 ? project<3> : project<1>)(x, n, K, norm, eps, w, N, y, add);
}

void lmcore_feed(float* x, int64_t n, int64_t H, int64_t F, const float* norm, float eps, const Half* gate_up, const Half* down, int64_t S) {
    (S == 3 ? feed<3> : feed<1>)(x, n, H, F, norm, eps, gate_up, down);
}

}  // extern "C"
