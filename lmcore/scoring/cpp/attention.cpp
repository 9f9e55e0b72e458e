// Rotary positions and causal attention over paths of nodes, in float32: no padding, each node's queries once.

#include "vector.h"

namespace {

Scratch<float> keys, scores;

// Scores of 4 queries against 16 * B keys: keys transposed, `stride` floats from one dimension to the next.
template <int B>
void compare(const float* const* queries, const float* transposed, int64_t stride, int64_t d, float* out, int64_t out_stride) {
    __m512 sums[4][B];
    for (auto& row : sums) std::fill_n(row, B, _mm512_setzero_ps());
    for (int64_t c = 0; c < d; c++)
        for (int b = 0; b < B; b++) {
            const __m512 key = _mm512_loadu_ps(transposed + c * stride + b * 16);
            for (int i = 0; i < 4; i++) sums[i][b] = _mm512_fmadd_ps(_mm512_set1_ps(queries[i][c]), key, sums[i][b]);
        }
    for (int i = 0; i < 4; i++)
        for (int b = 0; b < B; b++) _mm512_storeu_ps(out + i * out_stride + b * 16, sums[i][b]);
}

// Scores of one query become its unnormed weights, 0 beyond `limit` up to `stop`; their sum is returned.
float weigh(float* row, int64_t limit, int64_t stop, float scale) {
    __m512 top = _mm512_set1_ps(-std::numeric_limits<float>::infinity()), total = _mm512_setzero_ps();
    for (int64_t j = 0; j < limit; j += 16) top = _mm512_mask_max_ps(top, first(limit - j), top, _mm512_loadu_ps(row + j));
    const __m512 most = _mm512_set1_ps(_mm512_reduce_max_ps(top));
    for (int64_t j = 0; j < stop; j += 16) {
        const __m512 shifted = _mm512_mul_ps(_mm512_sub_ps(_mm512_loadu_ps(row + j), most), _mm512_set1_ps(scale));
        const __m512 weight = _mm512_maskz_mov_ps(first(limit - j), exp_of(shifted));
        _mm512_storeu_ps(row + j, weight);
        total = _mm512_add_ps(total, weight);
    }
    return static_cast<float>(sum_of(total));
}

// Of 4 queries the weighted sums of the first `stop` values (n, width), width a multiple of 16, into out[i].
void gather(const float* weights, int64_t weight_stride, const float* values, int64_t stop, int64_t width, float (*out)[512]) {
    for (int64_t c = 0; c < width; c += 32) {
        const __mmask16 second = c + 16 < width ? 0xFFFF : 0;
        __m512 sums[4][2];
        for (auto& row : sums) std::fill_n(row, 2, _mm512_setzero_ps());
        for (int64_t j = 0; j < stop; j++) {
            const __m512 a = _mm512_loadu_ps(values + j * width + c), b = _mm512_maskz_loadu_ps(second, values + j * width + c + 16);
            for (int i = 0; i < 4; i++) {
                const __m512 weight = _mm512_set1_ps(weights[i * weight_stride + j]);
                sums[i][0] = _mm512_fmadd_ps(weight, a, sums[i][0]);
                sums[i][1] = _mm512_fmadd_ps(weight, b, sums[i][1]);
            }
        }
        for (int i = 0; i < 4; i++) {
            _mm512_storeu_ps(out[i] + c, sums[i][0]);
            _mm512_mask_storeu_ps(out[i] + c + 16, second, sums[i][1]);
        }
    }
}

}  // namespace

extern "C" {

// Turn the first `heads` heads of d columns in each row of y by the angles of its position; cosines and sines (positions, d / 2).
// Source: Su et al. 2021, in the layout of halves.
void lmcore_rotate(float* y, int64_t n, int64_t width, int64_t heads, int64_t d, const float* cosines, const float* sines, const int64_t* positions) {
    const int64_t half = d / 2;
    for (int64_t m = 0; m < n; m++)
        for (int64_t c = 0; c < half; c += 16) {
            const __mmask16 mask = first(half - c);
            const __m512 cosine = _mm512_maskz_loadu_ps(mask, cosines + positions[m] * half + c);
            const __m512 sine = _mm512_maskz_loadu_ps(mask, sines + positions[m] * half + c);
            for (float* head = y + m * width; head < y + m * width + heads * d; head += d) {
                const __m512 a = _mm512_maskz_loadu_ps(mask, head + c), b = _mm512_maskz_loadu_ps(mask, head + half + c);
                _mm512_mask_storeu_ps(head + c, mask, _mm512_fnmadd_ps(b, sine, _mm512_mul_ps(a, cosine)));
                _mm512_mask_storeu_ps(head + half + c, mask, _mm512_fmadd_ps(a, sine, _mm512_mul_ps(b, cosine)));
            }
        }
}

// Causal attention: of each path of nodes, the queries from `fresh` on against the keys and values up to themselves. y: (n, width), a row
// the queries of `heads` heads, the keys and the values of `kv_heads`; out: (n, heads * d).
void lmcore_attend(const float* y, int64_t width, int64_t heads, int64_t kv_heads, int64_t d, const int64_t* nodes, const int64_t* lengths,
                   const int64_t* fresh, int64_t n_paths, float* out) {
    const int64_t shared = heads / kv_heads, d16 = up(d, 16);
    const float scale = static_cast<float>(1 / std::sqrt(static_cast<double>(d)));
    float results[4][512];
    for (int64_t p = 0; p < n_paths; nodes += lengths[p++]) {
        const int64_t length = lengths[p], stride = up(length, 64) + 16;  // not a power of two, which would fall on few cache lines
        float *transposed = keys.of(d * stride + length * d16), *values = transposed + d * stride, *weights = scores.of(4 * stride);
        for (int64_t g = 0; g < kv_heads; g++) {
            memset(transposed, 0, (d * stride + length * d16) * sizeof(float));
            for (int64_t j = 0; j < length; j++) {
                const float* row = y + nodes[j] * width;
                for (int64_t c = 0; c < d; c++) transposed[c * stride + j] = row[(heads + g) * d + c];
                memcpy(values + j * d16, row + (heads + kv_heads + g) * d, d * sizeof(float));
            }
            const int64_t last = length * shared - 1;
            for (int64_t t = fresh[p] * shared; t <= last; t += 4) {
                const float* queries[4];
                for (int i = 0; i < 4; i++) {
                    const int64_t own = std::min(t + i, last);
                    queries[i] = y + nodes[own / shared] * width + (g * shared + own % shared) * d;
                }
                const int64_t stop = up(std::min(t + 3, last) / shared + 1, 16);
                for (int64_t j = 0; j < stop; j += 64)
                    (stop - j >= 64   ? compare<4>
                     : stop - j == 48 ? compare<3>
                     : stop - j == 32 ? compare<2>
                                      : compare<1>)(queries, transposed + j, stride, d, weights + j, stride);
                float totals[4];
                for (int i = 0; i < 4; i++) totals[i] = weigh(weights + i * stride, std::min(t + i, last) / shared + 1, stop, scale);
                gather(weights, stride, values, std::min(stop, length), d16, results);
                for (int64_t i = 0; t + i <= last && i < 4; i++) {
                    float* to = out + nodes[(t + i) / shared] * heads * d + (g * shared + (t + i) % shared) * d;
                    for (int64_t c = 0; c < d; c++) to[c] = results[i][c] / totals[i];
                }
            }
        }
    }
}

}  // extern "C"
